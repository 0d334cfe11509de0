//! Copies of a tree, one for each change. Files that did not change are hard links to the copy before, and those are made
//! ahead, when nobody waits: a change takes as long as what has changed. Functions run as other users, so everything in a
//! copy is readable by all.

use crate::dev::tree::{Entry, Tree};
use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};

/// Makes copies below one folder.
pub struct Snapshots {
    root: PathBuf,
    count: u64,
    latest: Option<Latest>,
    /// Another copy of the latest, to be changed into the next.
    spare: Option<JoinHandle<io::Result<PathBuf>>>,
}

#[derive(Clone)]
struct Latest {
    folder: PathBuf,
    tree: Arc<Tree>,
}

impl Snapshots {
    /// Copies will lie below `root`, which exists.
    pub fn new(root: PathBuf) -> Snapshots {
        Snapshots { root, count: 0, latest: None, spare: None }
    }

    /// Copies `tree`; returns the folder of the copy, which does not change any more. What failed leaves nothing.
    ///
    /// Errors: a file cannot be read (any more), or the disk is full.
    pub async fn take(&mut self, tree: Tree) -> io::Result<PathBuf> {
        let spare = match self.spare.take() {
            Some(spare) => spare.await.ok().and_then(Result::ok),
            None => None,
        };
        let tree = Arc::new(tree);
        let folder = match (spare, self.latest.clone()) {
            (Some(folder), Some(latest)) => {
                let target = tree.clone();
                blocking(folder, move |folder| change(folder, &latest.tree, &target)).await?
            }
            (_, latest) => {
                let (folder, target) = (self.next_folder(), tree.clone());
                blocking(folder, move |folder| fill(folder, &target, latest.as_ref())).await?
            }
        };
        self.latest = Some(Latest { folder: folder.clone(), tree });
        Ok(folder)
    }

    /// Makes the spare copy, in the background. A failure only means that the next copy takes longer.
    pub fn prepare(&mut self) {
        let Some(latest) = self.latest.clone() else { return };
        let folder = self.next_folder();
        self.spare = Some(tokio::spawn(blocking(folder, move |folder| fill(folder, &latest.tree, Some(&latest)))));
    }

    fn next_folder(&mut self) -> PathBuf {
        self.count += 1;
        self.root.join(self.count.to_string())
    }
}

/// Works on `folder` on another thread; removes it if that fails.
async fn blocking(folder: PathBuf, work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static) -> io::Result<PathBuf> {
    let done = spawn_blocking(move || match work(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => {
            // What remains of it goes with the session.
            let _ = fs::remove_dir_all(&folder);
            Err(error)
        }
    });
    done.await.map_err(io::Error::other)?
}

/// Makes `folder` a copy of `tree`, with links to what is the same in `latest`.
fn fill(folder: &Path, tree: &Tree, latest: Option<&Latest>) -> io::Result<()> {
    make_folder(folder)?;
    let mut made = HashSet::new();
    for (path, entry) in &tree.files {
        if let Some((parent, _)) = path.rsplit_once('/')
            && made.insert(parent)
        {
            make_folder(&folder.join(parent))?;
        }
        let target = folder.join(path);
        if let Some(latest) = latest.filter(|latest| latest.tree.files.get(path) == Some(entry))
            && fs::hard_link(latest.folder.join(path), &target).is_ok()
        {
            continue;
        }
        copy(entry, &target)?;
    }
    Ok(())
}

/// Changes `folder`, a copy of `before`, into one of `after`.
fn change(folder: &Path, before: &Tree, after: &Tree) -> io::Result<()> {
    let difference = after.difference(before);
    let remove = |path: &String| match fs::remove_file(folder.join(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    difference.removed.iter().try_for_each(remove)?;
    // Folders that a package would not have, and those that stand where a file is now.
    for path in &difference.removed {
        for above in Path::new(path).ancestors().skip(1).take_while(|above| !above.as_os_str().is_empty()) {
            if fs::remove_dir(folder.join(above)).is_err() {
                break;
            }
        }
    }
    difference.changed.iter().try_for_each(remove)?;
    for path in &difference.changed {
        if let Some((parent, _)) = path.rsplit_once('/') {
            make_folder(&folder.join(parent))?;
        }
        copy(&after.files[path], &folder.join(path))?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    // Whatever the umask is.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn copy(entry: &Entry, target: &Path) -> io::Result<()> {
    let mode = if entry.is_executable { 0o755 } else { 0o644 };
    let copied = fs::File::open(&entry.source).and_then(|from| {
        let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(target)?;
        io::copy(&mut from.take(entry.bytes), &mut to)?;
        to.set_permissions(fs::Permissions::from_mode(mode))
    });
    copied.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", entry.source.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    /// The paths below a folder, with their content.
    fn content(folder: &Path) -> Vec<(String, String)> {
        let tree = Tree::scan(folder).unwrap();
        tree.files.iter().map(|(path, entry)| (path.clone(), fs::read_to_string(&entry.source).unwrap())).collect()
    }

    #[tokio::test]
    async fn only_what_changed_is_copied_again() {
        for is_prepared in [false, true] {
            let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let path = |name: &str| source.path().join(name);
            fs::create_dir_all(path("lib/gone")).unwrap();
            for (name, text) in [("lib/a.py", "same"), ("lib/gone/b.py", "1"), ("app.py", "1"), ("turned", "file")] {
                fs::write(path(name), text).unwrap();
            }
            fs::set_permissions(path("app.py"), fs::Permissions::from_mode(0o600)).unwrap();
            let mut snapshots = Snapshots::new(target.path().to_owned());
            let first = snapshots.take(Tree::scan(source.path()).unwrap()).await.unwrap();
            let before = content(&first);
            if is_prepared {
                snapshots.prepare();
            }
            fs::write(path("app.py"), "2").unwrap();
            fs::remove_dir_all(path("lib/gone")).unwrap();
            fs::write(path("lib/gone"), "now a file").unwrap();
            fs::remove_file(path("turned")).unwrap();
            fs::create_dir(path("turned")).unwrap();
            fs::write(path("turned/inside"), "now a folder").unwrap();
            let second = snapshots.take(Tree::scan(source.path()).unwrap()).await.unwrap();
            assert_eq!(content(&second), content(source.path()), "prepared: {is_prepared}");
            assert_eq!(content(&first), before, "a copy never changes");
            let inode = |folder: &Path| fs::metadata(folder.join("lib/a.py")).unwrap().ino();
            assert_eq!(inode(&first), inode(&second), "a link");
            assert_ne!(inode(&first), fs::metadata(path("lib/a.py")).unwrap().ino(), "but not to the user's own file");
            assert_eq!(fs::metadata(second.join("app.py")).unwrap().mode() & 0o777, 0o644);
        }
    }

    #[tokio::test]
    async fn a_copy_that_fails_leaves_nothing() {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(source.path().join("app.py"), "1").unwrap();
        let tree = Tree::scan(source.path()).unwrap();
        fs::remove_file(source.path().join("app.py")).unwrap();
        let error = Snapshots::new(target.path().to_owned()).take(tree).await.unwrap_err();
        assert!(error.to_string().contains("app.py"), "{error}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }
}
