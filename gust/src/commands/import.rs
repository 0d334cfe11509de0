//! `gust import`: a data folder out of an exported file, whole or not at all.

use crate::archive;
use crate::cli;
use crate::failure::{Context, Failure};
use crate::folder::{self, Folder};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the folder is called until it is whole, beside its place.
const DRAFT_PREFIX: &str = ".gust-import-";
/// Room beside the data itself, for the store's journals and tables, in bytes.
const ROOM_BYTES: u64 = 512 * 1_048_576;

/// Makes the folder.
pub fn run(arguments: &cli::Import) -> Result<(), Failure> {
    let data = match &arguments.data {
        Some(data) => data.clone(),
        None => folder::default_path()?,
    };
    check_target(&data)?;
    // All of it is read before anything is written.
    let contents = archive::check(&arguments.file)?;
    let parent = parent_of(&data)?;
    fs::create_dir_all(&parent).context(format_args!("cannot create {}", parent.display()))?;
    sweep(&parent);
    check_room(&parent, contents.bytes)?;
    let draft = tempfile::Builder::new().prefix(DRAFT_PREFIX).tempdir_in(&parent);
    let draft = draft.context(format_args!("cannot write to {}", parent.display()))?;
    // Its lock tells others that this draft is being worked on.
    let folder = Folder::open(draft.path(), false)?;
    archive::unpack(&arguments.file, draft.path())?;
    check_target(&data)?;
    publish(draft, &data, &parent)?;
    drop(folder);
    anstream::println!(
        "{}: {} of data, written by gust {}; start it with `gust up --data {}`",
        data.display(),
        cli::size_text(contents.bytes),
        contents.gust_version,
        data.display()
    );
    Ok(())
}

/// Nothing is overwritten: the folder is missing or empty.
fn check_target(data: &Path) -> Result<(), Failure> {
    let shown = data.display();
    match fs::read_dir(data).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::usage(format!("{shown} is not empty, and an import replaces nothing"))
            .hint("name another folder with --data DIR, or move this one away")),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Failure::new(format!("{shown}: {cause}"))),
    }
}

fn parent_of(data: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(data).context(format_args!("{}", data.display()))?;
    absolute.parent().map(Path::to_owned).ok_or_else(|| Failure::usage("--data / is no folder for data"))
}

/// Removes drafts that were left by an import that was killed.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_draft = entry.file_name().to_string_lossy().starts_with(DRAFT_PREFIX);
        // One that another import holds stays.
        if is_draft
            && Folder::open(&entry.path(), false).is_ok()
            && let Err(cause) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%cause, folder = %entry.path().display(), "a left draft of an import cannot be removed");
        }
    }
}

fn check_room(parent: &Path, bytes: u64) -> Result<(), Failure> {
    let shown = parent.display();
    let space = rustix::fs::statvfs(parent).context(format_args!("cannot look at {shown}"))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let needed = bytes.saturating_add(ROOM_BYTES);
    if free >= needed {
        return Ok(());
    }
    let (needed, free) = (cli::size_text(needed), cli::size_text(free));
    Err(Failure::new(format!("the disk of {shown} is too full: {needed} are needed, {free} are free")))
}

/// Gives the draft its name, durably.
fn publish(draft: tempfile::TempDir, data: &Path, parent: &Path) -> Result<(), Failure> {
    let shown = data.display();
    // Takes the place of an empty folder, and of nothing else.
    fs::rename(draft.path(), data).context(format_args!("cannot move the data to {shown}"))?;
    // There is nothing left to be removed.
    let _ = draft.keep();
    File::open(parent).and_then(|parent| parent.sync_all()).context(format_args!("cannot finish {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_or_empty_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_target(folder.path()).is_ok());
        assert!(check_target(&folder.path().join("missing")).is_ok());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(check_target(folder.path()).unwrap_err().message.contains("not empty"));
        assert!(check_target(&folder.path().join("file")).is_err());
    }

    #[test]
    fn drafts_that_nobody_holds_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let (left, held) = (parent.path().join(".gust-import-a"), parent.path().join(".gust-import-b"));
        fs::create_dir(&left).unwrap();
        let holder = Folder::open(&held, false).unwrap();
        sweep(parent.path());
        assert!(!left.exists() && held.exists());
        drop(holder);
    }

    #[test]
    fn a_disk_without_room_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_room(folder.path(), u64::MAX).unwrap_err().message.contains("too full"));
    }
}
