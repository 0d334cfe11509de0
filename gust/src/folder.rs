//! The data folder: where it is, who holds it, what lies where in it.

use crate::failure::{Context, Failure};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A data folder that this process holds, or a temporary one that goes with it.
pub struct Folder {
    path: PathBuf,
    id: String,
    ephemeral: bool,
    _lock: File,
}

impl Folder {
    /// Creates the folder if need be and takes it.
    ///
    /// Errors: it cannot be made or written, or another gust holds it (named by its process id).
    pub fn open(path: &Path, ephemeral: bool) -> Result<Folder, Failure> {
        let shown = path.display();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .context(format_args!("cannot create the data folder {shown}"))?;
        let path = path.canonicalize().context(format_args!("cannot find the data folder {shown}"))?;
        let lock = take_lock(&path)?;
        sweep_scratch(&path);
        let id = read_or_make_id(&path)?;
        Ok(Folder { path, id, ephemeral, _lock: lock })
    }

    /// A new folder for an ephemeral gust, removed when dropped.
    pub fn ephemeral() -> Result<Folder, Failure> {
        sweep_ephemeral();
        let path = std::env::temp_dir().join(format!("{EPHEMERAL_PREFIX}{}-{}", std::process::id(), random_hex()?));
        Folder::open(&path, true)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Marks everything that belongs to this folder outside of it (cgroups, mounts, processes).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A folder for what is needed for a moment. It goes when dropped; what a crash leaves is swept at the next start.
    pub fn scratch(&self, purpose: &str) -> Result<tempfile::TempDir, Failure> {
        let made = tempfile::Builder::new().prefix(&format!("{SCRATCH_PREFIX}{purpose}-")).tempdir_in(&self.path);
        made.context(format_args!("cannot write to the data folder {}", self.path.display()))
    }

    /// A part of it, for example `store`.
    pub fn part(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ephemeral
            && let Err(cause) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%cause, folder = %self.path.display(), "cannot remove the ephemeral folder");
        }
    }
}

const SCRATCH_PREFIX: &str = ".scratch-";

fn sweep_scratch(path: &Path) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX)
            && let Err(cause) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%cause, folder = %entry.path().display(), "cannot remove what was left");
        }
    }
}

const EPHEMERAL_PREFIX: &str = "gust-ephemeral-";

/// Removes what ephemeral gusts left that were killed: folders whose lock nobody holds.
fn sweep_ephemeral() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(EPHEMERAL_PREFIX) {
            continue;
        }
        let Ok(lock) = OpenOptions::new().read(true).write(true).open(entry.path().join("lock")) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
            && let Err(cause) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%cause, folder = %entry.path().display(), "cannot remove a left ephemeral folder");
        }
    }
}

/// The folder that `gust up` uses when none is named.
pub fn default_path() -> Result<PathBuf, Failure> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(data_home) = absolute("XDG_DATA_HOME") {
        return Ok(data_home.join("gust"));
    }
    let home = absolute("HOME").ok_or_else(|| {
        Failure::usage("neither $XDG_DATA_HOME nor $HOME is set")
            .hint("name the folder with --data DIR, or keep nothing with --ephemeral")
    })?;
    Ok(home.join(".local/share/gust"))
}

/// The user's cache folder for gust, for what may be fetched again.
pub fn cache_path() -> Result<PathBuf, Failure> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))) {
        Some(cache) => Ok(cache.join("gust")),
        None => Err(Failure::usage("neither $XDG_CACHE_HOME nor $HOME is set")),
    }
}

fn take_lock(path: &Path) -> Result<File, Failure> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path.join("lock")).context(format_args!("cannot write to the data folder {shown}"))?;
    if let Err(cause) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if cause != rustix::io::Errno::WOULDBLOCK {
            return Err(Failure::new(format!("cannot lock the data folder {shown}: {cause}")));
        }
        let mut holder = String::new();
        file.read_to_string(&mut holder).context(format_args!("cannot read the lock of {shown}"))?;
        let holder = holder.trim();
        let who = if holder.is_empty() { "another gust".to_owned() } else { format!("gust with process id {holder}") };
        return Err(Failure::new(format!("the data folder {shown} is in use by {who}"))
            .hint("stop that one first, or name another folder with --data DIR"));
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.context(format_args!("cannot write to the data folder {shown}"))?;
    Ok(file)
}

fn read_or_make_id(path: &Path) -> Result<String, Failure> {
    let file = path.join("id");
    match std::fs::read_to_string(&file) {
        Ok(text) if is_id(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => return Err(Failure::new(format!("{} is damaged", file.display()))),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {}
        Err(cause) => return Err(Failure::new(format!("cannot read {}: {cause}", file.display()))),
    }
    let id = random_hex()?;
    let new = path.join("id.new");
    let written = File::create(&new)
        .and_then(|mut out| writeln!(out, "{id}").and_then(|()| out.sync_all()))
        .and_then(|()| std::fs::rename(&new, &file))
        .and_then(|()| File::open(path)?.sync_all());
    written.context(format_args!("cannot write {}", file.display()))?;
    Ok(id)
}

fn is_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn random_hex() -> Result<String, Failure> {
    let mut bytes = [0u8; 6];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_names_its_holder() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = Folder::open(&path, false).unwrap();
        let refused = Folder::open(&path, false).err().unwrap();
        assert!(refused.message.contains(&format!("process id {}", std::process::id())), "{refused}");
        let id = first.id().to_owned();
        drop(first);
        assert_eq!(Folder::open(&path, false).unwrap().id(), id);
    }

    #[test]
    fn an_ephemeral_folder_goes_with_its_owner() {
        let folder = Folder::ephemeral().unwrap();
        let path = folder.path().to_owned();
        assert!(path.join("lock").exists());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_id_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("id"), "../../etc").unwrap();
        assert!(Folder::open(parent.path(), false).is_err());
    }
}
