//! Layers on disk. A layer is a package like a function's code; several layers of one function are merged into
//! a folder of their own, made of links to their files, that is named after their content.
//!
//! A later layer lies over an earlier one, file by file. Where one has a folder and the other something else,
//! the later has its way (AWS does not say what it does then).

use super::{CodeStore, Hold, UNFINISHED_PREFIX, complete};
use crate::error::LambdaError;
use crate::layer::{LayerUse, merged_name};
use crate::package::{FOLDER_MODE, UnpackError, give_final_times};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl CodeStore {
    /// Keeps a package that is there from being removed, as [`CodeStore::stage`] does for the one that it makes.
    pub async fn keep(self: &Arc<Self>, sha256: &str) -> Hold {
        self.hold(sha256.to_owned()).await
    }

    /// Makes sure that the folder with the merged layers is there.
    ///
    /// Errors: a layer's zip is gone, or no longer what it was.
    pub async fn restore_layers(&self, layers: &[LayerUse]) -> Result<(), LambdaError> {
        let Some(merged) = merged_name(layers) else {
            return match layers.first() {
                Some(layer) => self.restore(&layer.package).await,
                None => Ok(()),
            };
        };
        if self.is_unpacked(&merged).await? {
            return Ok(());
        }
        for layer in layers {
            self.restore(&layer.package).await?;
        }
        let sources: Vec<PathBuf> = layers.iter().map(|layer| self.folder(&layer.package.sha256)).collect();
        let (root, folder, durability) = (self.root.clone(), self.folder(&merged), self.durability);
        let unfinished = root.join(format!("{UNFINISHED_PREFIX}{}", self.ids.hex(16)));
        self.blocking(move || {
            let outcome = merge(&sources, &unfinished)
                .and_then(|()| complete(&root, &unfinished, &folder, durability))
                .map_err(UnpackError::from);
            if outcome.is_err() {
                // What remains of it is removed at the next start if not now.
                let _ = fs::remove_dir_all(&unfinished);
            }
            outcome
        })
        .await
    }
}

/// Merges the folders `sources`, in their order, into `target`, which is made.
fn merge(sources: &[PathBuf], target: &Path) -> io::Result<()> {
    fs::create_dir(target)?;
    sources.iter().try_for_each(|source| lay_over(source, target))?;
    finish(target)
}

/// Lays what is in `source` over `target`. No link is followed on either side.
fn lay_over(source: &Path, target: &Path) -> io::Result<()> {
    // Paths in a package are bounded, and with them the number of folders that wait here.
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        for entry in fs::read_dir(source.join(&below))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let path = below.join(entry.file_name());
            let to = target.join(&path);
            let there = match fs::symlink_metadata(&to) {
                Ok(metadata) => Some(metadata),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            match there {
                Some(there) if kind.is_dir() && there.is_dir() => {}
                Some(there) if there.is_dir() => fs::remove_dir_all(&to)?,
                Some(_) => fs::remove_file(&to)?,
                None => {}
            }
            if kind.is_dir() {
                match fs::create_dir(&to) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => waiting.push(path),
                }
            } else if kind.is_symlink() {
                symlink(fs::read_link(entry.path())?, &to)?;
            } else {
                link(&entry.path(), &to)?;
            }
        }
    }
    Ok(())
}

/// A second name for the same file; a copy where the file system cannot give one (too many, or none at all).
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    let modified = fs::metadata(from)?.modified()?;
    fs::File::options().write(true).open(to)?.set_modified(modified)
}

/// Gives folders their final mode and time, the deepest first: making entries changes them.
fn finish(target: &Path) -> io::Result<()> {
    let mut folders = vec![target.to_owned()];
    let mut next = 0;
    while next < folders.len() {
        for entry in fs::read_dir(&folders[next])? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        next += 1;
    }
    folders.iter().rev().try_for_each(|folder| {
        fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?;
        give_final_times(folder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Durability;
    use crate::tests::{Piece, zip_of};
    use gust_blob::Blobs;
    use gust_types::SeededIds;
    use std::os::unix::fs::MetadataExt;

    async fn layers(code: &Arc<CodeStore>, zips: &[&[Piece<'_>]]) -> Vec<LayerUse> {
        let mut layers = Vec::new();
        for pieces in zips {
            let (package, _hold) = code.stage(zip_of(pieces)).await.unwrap();
            layers.push(LayerUse { arn: "arn".into(), package });
        }
        layers
    }

    fn store() -> (tempfile::TempDir, Arc<CodeStore>) {
        let folder = tempfile::tempdir().unwrap();
        let ids = Arc::new(SeededIds::new(1));
        let code = CodeStore::open(Blobs::temporary().unwrap(), folder.path().join("code"), Durability::Synced, ids);
        (folder, Arc::new(code.unwrap()))
    }

    #[tokio::test]
    async fn a_later_layer_lies_over_an_earlier_one() {
        let (_folder, code) = store();
        let first: &[Piece<'_>] = &[
            Piece::File("python/a.py", 0o644, b"first"),
            Piece::File("python/both.py", 0o644, b"first"),
            Piece::File("bin/tool", 0o755, b"#!first"),
            Piece::Link("bin/alias", "tool"),
            Piece::File("kind/x", 0o644, b"in a folder"),
            Piece::Link("other", "kind"),
        ];
        let second: &[Piece<'_>] = &[
            Piece::File("python/both.py", 0o644, b"second"),
            Piece::File("python/deep/b.py", 0o644, b"second"),
            Piece::File("kind", 0o644, b"a file"),
            Piece::File("other/x", 0o644, b"a folder"),
            Piece::Folder("empty/"),
        ];
        let layers = layers(&code, &[first, second]).await;
        code.restore_layers(&layers).await.unwrap();
        let opt = code.folder(&merged_name(&layers).unwrap());
        let read = |path: &str| fs::read_to_string(opt.join(path)).unwrap();
        assert_eq!((read("python/a.py"), read("python/both.py")), ("first".to_owned(), "second".to_owned()));
        assert_eq!((read("python/deep/b.py"), read("kind")), ("second".to_owned(), "a file".to_owned()));
        assert_eq!((read("bin/alias"), read("other/x")), ("#!first".to_owned(), "a folder".to_owned()));
        assert!(opt.join("empty").is_dir() && fs::symlink_metadata(opt.join("bin/alias")).unwrap().is_symlink());
        assert_eq!(fs::metadata(opt.join("bin/tool")).unwrap().mode() & 0o777, 0o755);
        for folder in ["", "python", "python/deep", "empty"] {
            let metadata = fs::metadata(opt.join(folder)).unwrap();
            assert_eq!((metadata.mode() & 0o777, metadata.mtime()), (0o755, 315_532_800), "{folder}");
        }
        let first_folder = code.folder(&layers[0].package.sha256);
        assert_eq!(fs::read(first_folder.join("python/both.py")).unwrap(), b"first", "the layers stay as they were");
        assert_eq!(fs::read(first_folder.join("kind/x")).unwrap(), b"in a folder");
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(opt.join("python/a.py")), inode(first_folder.join("python/a.py")), "files are shared");
    }

    #[tokio::test]
    async fn one_layer_needs_no_folder_of_its_own_and_a_lost_one_is_made_again() {
        let (_folder, code) = store();
        let one: &[Piece<'_>] = &[Piece::File("a", 0o644, b"1")];
        let other: &[Piece<'_>] = &[Piece::File("b", 0o644, b"2")];
        let layers = layers(&code, &[one, other]).await;
        code.restore_layers(&layers[..1]).await.unwrap();
        assert_eq!(code.stored().await.unwrap().len(), 2);
        code.restore_layers(&[]).await.unwrap();
        code.restore_layers(&layers).await.unwrap();
        assert_eq!(code.stored().await.unwrap().len(), 3);
        let opt = code.folder(&merged_name(&layers).unwrap());
        for lost in [opt.clone(), code.folder(&layers[0].package.sha256)] {
            fs::remove_dir_all(lost).unwrap();
        }
        code.restore_layers(&layers).await.unwrap();
        assert_eq!(fs::read(opt.join("a")).unwrap(), b"1");
        code.claim_removal(&merged_name(&layers).unwrap()).unwrap().carry_out().await.unwrap();
        assert!(!opt.exists() && code.stored().await.unwrap().len() == 2);
    }
}
