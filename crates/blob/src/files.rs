//! Folders and files: making, syncing, walking and sweeping them.

use crate::draft::DRAFTS;
use crate::key::{CONTENT, part_of_file_name};
use crate::store::BlobInfo;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// How often a folder that vanishes while a file is moved into it is made again.
const PUBLISH_ATTEMPTS_MAX: u32 = 8;

/// Moves `draft` to `target` below `root`, durably. A folder may be removed at the same time by [`remove`].
pub(crate) fn publish(root: &Path, draft: &Path, target: &Path) -> io::Result<()> {
    let folder = target.parent().unwrap_or(root);
    let mut attempt = 1;
    loop {
        make_folder(root, folder)?;
        match fs::rename(draft, target) {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::NotFound && attempt < PUBLISH_ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error),
        }
    }
    match sync_folder(folder) {
        // The blob was deleted meanwhile, and its folder with it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes `folder` and what is missing above it, and syncs the folders that got a new entry.
fn make_folder(root: &Path, folder: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(root);
    make_folder(root, above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => sync_folder(above),
        // Somebody else made it at the same moment; the sync must have happened before our blob counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => sync_folder(above),
        Err(error) => Err(error),
    }
}

/// Removes a file, and the folders above it that are empty then. Says whether there was one.
pub(crate) fn remove(root: &Path, path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut folder = path.parent();
    // The first one that is not empty ends it; `root` itself holds the drafts' folder.
    while let Some(empty) = folder.filter(|folder| *folder != root && fs::remove_dir(folder).is_ok()) {
        folder = empty.parent();
    }
    Ok(true)
}

/// Makes the folders and removes drafts that a crash has left.
pub(crate) fn prepare(root: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let drafts = root.join(DRAFTS);
    make_folder(root, &drafts)?;
    for entry in fs::read_dir(&drafts)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Which blobs to find.
pub(crate) struct Search<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) after: Option<&'a str>,
    pub(crate) limit: usize,
}

/// The first blobs of a search in the order of their keys. Memory is bounded by the limit.
pub(crate) fn search(root: &Path, search: &Search<'_>) -> io::Result<Vec<BlobInfo>> {
    let mut found = BTreeMap::new();
    if search.prefix.starts_with(CONTENT) {
        // The folders of the fan-out are no part of the keys.
        for folder in entries(&root.join("sha256"))? {
            walk(&folder?.path(), CONTENT, search, &mut found)?;
        }
    } else {
        walk(&root.join("named"), "", search, &mut found)?;
    }
    Ok(found.into_values().collect())
}

/// The entries of a folder; none if it has just been removed or never was.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

fn walk(folder: &Path, parent: &str, search: &Search<'_>, found: &mut BTreeMap<String, BlobInfo>) -> io::Result<()> {
    for entry in entries(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_dir() {
            let below = format!("{parent}{name}/");
            // Every key in it begins with `below`: skip the folder if none of those can match.
            if below.starts_with(search.prefix) || search.prefix.starts_with(&below) {
                walk(&entry.path(), &below, search, found)?;
            }
            continue;
        }
        let Some(part) = part_of_file_name(&name) else { continue };
        let key = format!("{parent}{part}");
        if !key.starts_with(search.prefix) || search.after.is_some_and(|after| key.as_str() <= after) {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => found.insert(key.clone(), info(key, &metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if found.len() > search.limit {
            found.pop_last();
        }
    }
    Ok(())
}

fn info(key: String, metadata: &fs::Metadata) -> BlobInfo {
    let written_at_ms = metadata.mtime().saturating_mul(1_000).saturating_add(metadata.mtime_nsec() / 1_000_000);
    BlobInfo { key, size_bytes: metadata.len(), written_at_ms }
}
