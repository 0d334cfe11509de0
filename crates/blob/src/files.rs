//! Folders and files: making, syncing, walking and sweeping them.

use crate::draft::DRAFTS;
use crate::key::{CONTENT, part_of_file_name};
use crate::store::BlobInfo;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// The folder that holds everything. It belongs to one process.
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    /// Held exclusively while folders come and go, so that one that somebody sees stays and is durable.
    folders: RwLock<()>,
}

impl Root {
    /// Makes the folders and removes drafts that a crash has left.
    pub(crate) fn prepare(path: &Path) -> io::Result<Root> {
        let root = Root { path: path.to_owned(), folders: RwLock::new(()) };
        let drafts = path.join(DRAFTS);
        root.make_folder(&drafts)?;
        for entry in fs::read_dir(&drafts)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(root)
    }

    /// Moves `draft` to `target`, durably.
    pub(crate) fn publish(&self, draft: &Path, target: &Path) -> io::Result<()> {
        let folder = target.parent().unwrap_or(&self.path);
        let present = self.folders.read().unwrap_or_else(PoisonError::into_inner);
        if folder.is_dir() {
            fs::rename(draft, target)?;
            drop(present);
        } else {
            drop(present);
            let _changing = self.folders.write().unwrap_or_else(PoisonError::into_inner);
            self.make_folder(folder)?;
            fs::rename(draft, target)?;
        }
        match sync_folder(folder) {
            // The blob was deleted meanwhile, and its folder with it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Removes a file, and the folders above it that are empty then. Says whether there was one.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<bool> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        let mut folder = path.parent();
        if folder.is_some_and(|folder| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())) {
            let _changing = self.folders.write().unwrap_or_else(PoisonError::into_inner);
            // The first one that is not empty ends it; the root holds the folder of drafts.
            while let Some(empty) = folder.filter(|folder| *folder != self.path && fs::remove_dir(folder).is_ok()) {
                folder = empty.parent();
            }
        }
        Ok(true)
    }

    /// Makes `folder` and what is missing above it, and syncs the folders that got a new entry.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder == self.path || folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.path);
        self.make_folder(above)?;
        DirBuilder::new().mode(0o700).create(folder)?;
        sync_folder(above)
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
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

/// Makes `target` with a link to every blob below `source`.
pub(crate) fn link_tree(source: &Path, target: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(target)?;
    for entry in entries(source)? {
        let entry = entry?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_tree(&from, &to)?;
        } else {
            fs::hard_link(&from, &to)?;
        }
    }
    Ok(())
}

fn info(key: String, metadata: &fs::Metadata) -> BlobInfo {
    let written_at_ms = metadata.mtime().saturating_mul(1_000).saturating_add(metadata.mtime_nsec() / 1_000_000);
    BlobInfo { key, size_bytes: metadata.len(), written_at_ms }
}
