//! The files of a function's folder that make its package, as they are at one moment.
//!
//! Symbolic links are followed, as `zip` does: a package holds what they lead to. What tools leave behind is left out
//! ([`LEFT_OUT`]), and what `.gustignore` names, in the syntax of `.gitignore`. `.gitignore` itself does not count: git
//! ignores dependencies and build products, which a function needs.

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// All files together, in bytes.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const TREE_BYTES_MAX: u64 = 262_144_000;
/// Files and folders of one tree: as many as gust unpacks.
pub const TREE_ENTRIES_MAX: usize = 200_000;
/// Folders within each other: deeper ones are a loop of links.
const DEPTH_MAX: usize = 100;
/// The user's own list of what is left out.
pub const IGNORE_FILE: &str = ".gustignore";

/// Names that are never part of a package, wherever they are: version control, caches, virtual environments, and what
/// editors write beside a file while they save it.
const LEFT_OUT: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".venv",
    "venv",
    ".aws-sam",
    ".serverless",
    "cdk.out",
    ".terraform",
    ".idea",
    ".vscode",
    ".DS_Store",
    IGNORE_FILE,
];

/// Folders that are part of the package, but are not watched in depth: they hold thousands of folders that change only
/// when something is installed, which changes their top, too.
const NOT_WATCHED: &[&str] = &["node_modules", "site-packages"];

/// One file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where its content is; behind all links.
    pub source: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it may be executed.
    pub is_executable: bool,
    /// Changes when its content does.
    stamp: Stamp,
}

/// What tells that a file is the same as before: nobody changes a file's content and leaves all of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    changed_ns: i128,
}

/// The files by their path in the package, and the folders to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Files by their path inside the package.
    pub files: BTreeMap<String, Entry>,
    /// Every folder whose content counts.
    pub folders: BTreeSet<PathBuf>,
    /// All files together.
    pub bytes: u64,
}

/// Why a folder cannot be a package.
#[derive(Debug)]
pub enum TreeError {
    /// The folder itself is not there (any more).
    Gone,
    /// It is too large; says by which bound.
    TooLarge(String),
    /// A file cannot be read, or its name cannot be in a package.
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

impl std::fmt::Display for TreeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TreeError::Gone => f.write_str("the folder is not there"),
            TreeError::TooLarge(what) => f.write_str(what),
            TreeError::Unreadable { path, cause } => write!(f, "{}: {cause}", path.display()),
        }
    }
}

/// How a tree differs from the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Files that are new or have other content.
    pub changed: Vec<String>,
    /// Files that are gone.
    pub removed: Vec<String>,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Tree {
    /// Reads what is in `root` now.
    ///
    /// Errors: see [`TreeError`]. Files that vanish while it reads are left out: another look will come.
    pub fn scan(root: &Path) -> Result<Tree, TreeError> {
        if !root.is_dir() {
            return Err(TreeError::Gone);
        }
        let mut scan = Scan { tree: Tree::default(), ignored: ignored(root)?, root, above: Vec::new() };
        let real = fs::canonicalize(root).map_err(|cause| unreadable(root, &cause))?;
        scan.folder(&Place { path: root, real: &real, inside: "", is_watched: true })?;
        Ok(scan.tree)
    }

    /// The names of the files at its top.
    pub fn top_files(&self) -> BTreeSet<String> {
        self.files.keys().filter(|path| !path.contains('/')).cloned().collect()
    }

    /// What has changed since `before`.
    pub fn difference(&self, before: &Tree) -> Difference {
        let is_new = |(path, entry): &(&String, &Entry)| before.files.get(*path) != Some(*entry);
        Difference {
            changed: self.files.iter().filter(is_new).map(|(path, _)| path.clone()).collect(),
            removed: before.files.keys().filter(|path| !self.files.contains_key(*path)).cloned().collect(),
        }
    }
}

/// The patterns of the root's ignore file.
fn ignored(root: &Path) -> Result<Gitignore, TreeError> {
    let path = root.join(IGNORE_FILE);
    if !path.exists() {
        return Ok(Gitignore::empty());
    }
    let unreadable = |cause: ignore::Error| TreeError::Unreadable { path: path.clone(), cause: cause.to_string() };
    let mut builder = GitignoreBuilder::new(root);
    match builder.add(&path) {
        Some(cause) => Err(unreadable(cause)),
        None => builder.build().map_err(unreadable),
    }
}

struct Scan<'a> {
    tree: Tree,
    ignored: Gitignore,
    root: &'a Path,
    /// The folders that one is within: one that comes again is a loop.
    above: Vec<(u64, u64)>,
}

/// A folder that is being looked at.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Its path as the user sees it.
    path: &'a Path,
    /// The same behind all links.
    real: &'a Path,
    /// Its path inside the package; empty for the root.
    inside: &'a str,
    is_watched: bool,
}

impl Scan<'_> {
    fn folder(&mut self, place: &Place<'_>) -> Result<(), TreeError> {
        let Some(metadata) = looked_at(place.real)? else { return Ok(()) };
        let identity = (metadata.dev(), metadata.ino());
        if self.above.contains(&identity) || self.above.len() >= DEPTH_MAX {
            return Ok(());
        }
        if place.is_watched {
            self.tree.folders.insert(place.real.to_owned());
        }
        let entries = match fs::read_dir(place.real) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(unreadable(place.path, &cause)),
        };
        self.above.push(identity);
        for entry in entries {
            let entry = entry.map_err(|cause| unreadable(place.path, &cause))?;
            self.entry(place, &entry)?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, place: &Place<'_>, entry: &fs::DirEntry) -> Result<(), TreeError> {
        let name = entry.file_name();
        let path = place.path.join(&name);
        let Some(name) = name.to_str() else {
            let cause = "its name is not UTF-8, which a package cannot hold".to_owned();
            return Err(TreeError::Unreadable { path, cause });
        };
        if is_left_out(name) {
            return Ok(());
        }
        let real = entry.path();
        let Some(metadata) = looked_at(&real)? else { return Ok(()) };
        let below_root = path.strip_prefix(self.root).unwrap_or(&path);
        if self.ignored.matched(below_root, metadata.is_dir()).is_ignore() {
            return Ok(());
        }
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        // Only a link leads elsewhere: resolving every path would take longer than all the rest.
        let real = if is_link { fs::canonicalize(&real).unwrap_or(real) } else { real };
        let inside = if place.inside.is_empty() { name.to_owned() } else { format!("{}/{name}", place.inside) };
        if metadata.is_dir() {
            let is_watched =
                place.is_watched && !inside.split('/').rev().skip(1).any(|part| NOT_WATCHED.contains(&part));
            return self.folder(&Place { path: &path, real: &real, inside: &inside, is_watched });
        }
        if !metadata.is_file() {
            // Sockets, pipes and devices cannot be in a package.
            return Ok(());
        }
        if is_link
            && place.is_watched
            && let Some(folder) = real.parent()
        {
            self.tree.folders.insert(folder.to_owned());
        }
        self.file(real, inside, &metadata)
    }

    fn file(&mut self, source: PathBuf, inside: String, metadata: &Metadata) -> Result<(), TreeError> {
        self.tree.bytes += metadata.len();
        if self.tree.bytes > TREE_BYTES_MAX {
            let text =
                format!("its files are larger than {TREE_BYTES_MAX} bytes (250 MB), Lambda's limit for a function");
            return Err(TreeError::TooLarge(text));
        }
        if self.tree.files.len() >= TREE_ENTRIES_MAX {
            return Err(TreeError::TooLarge(format!("it has more than {TREE_ENTRIES_MAX} files")));
        }
        let stamp = Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed_ns: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        };
        let is_executable = metadata.mode() & 0o111 != 0;
        self.tree.files.insert(inside, Entry { source, bytes: metadata.len(), is_executable, stamp });
        Ok(())
    }
}

/// Behind links. `None`: it has vanished, or a link leads nowhere.
fn looked_at(path: &Path) -> Result<Option<Metadata>, TreeError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        // A link that leads to itself.
        Err(cause) if cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Ok(None),
        Err(cause) => Err(unreadable(path, &cause)),
    }
}

fn unreadable(path: &Path, cause: &io::Error) -> TreeError {
    TreeError::Unreadable { path: path.to_owned(), cause: cause.to_string() }
}

/// Whether files of this name are no part of any package.
pub fn is_left_out(name: &str) -> bool {
    let is_editors = name.ends_with('~')
        || name.starts_with(".#")
        || name.starts_with('#') && name.ends_with('#')
        || [".swp", ".swx", ".swo", ".pyc", ".pyo", ".kate-swp"].iter().any(|end| name.ends_with(end))
        // sed -i writes sedXXXXXX.
        || name.len() == 9 && name.starts_with("sed") && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        // Vim tries whether it may make files by making this one.
        || name == "4913"
        || name.ends_with("___jb_tmp___")
        || name.ends_with("___jb_old___");
    is_editors || LEFT_OUT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn what_tools_leave_behind_is_left_out() {
        let folder = folder(&[
            ("app.py", "1"),
            ("lib/a.py", "22"),
            ("lib/__pycache__/a.pyc", "x"),
            (".git/config", "x"),
            (".app.py.swp", "x"),
            ("app.py~", "x"),
            ("4913", "x"),
            ("venv/bin/python", "x"),
            ("sedAb3dE9", "x"),
            (".env", "kept"),
        ]);
        let tree = Tree::scan(folder.path()).unwrap();
        assert_eq!(paths(&tree), [".env", "app.py", "lib/a.py"]);
        assert_eq!(tree.bytes, 7);
        assert_eq!(tree.top_files(), BTreeSet::from([".env".to_owned(), "app.py".to_owned()]));
        assert!(!tree.folders.iter().any(|folder| folder.ends_with(".git")));
    }

    #[test]
    fn gustignore_counts_and_gitignore_does_not() {
        let folder = folder(&[
            ("app.py", ""),
            ("notes.txt", ""),
            ("data/big.bin", ""),
            ("bootstrap", ""),
            (".gitignore", "bootstrap\n"),
            (".gustignore", "*.txt\n/data/\n"),
        ]);
        let tree = Tree::scan(folder.path()).unwrap();
        assert_eq!(paths(&tree), [".gitignore", "app.py", "bootstrap"]);
    }

    #[test]
    fn links_are_followed_and_loops_end() {
        let other = folder(&[("shared.py", "abc")]);
        let folder = folder(&[("app.py", "")]);
        symlink(other.path(), folder.path().join("common")).unwrap();
        symlink(other.path().join("shared.py"), folder.path().join("one.py")).unwrap();
        symlink(folder.path(), folder.path().join("loop")).unwrap();
        symlink("self", folder.path().join("self")).unwrap();
        symlink("/no/such/file", folder.path().join("dangling")).unwrap();
        let tree = Tree::scan(folder.path()).unwrap();
        assert_eq!(paths(&tree), ["app.py", "common/shared.py", "one.py"]);
        let real = other.path().canonicalize().unwrap();
        assert!(tree.folders.contains(&real), "the targets of links are watched");
    }

    #[test]
    fn installed_packages_are_kept_but_only_their_top_is_watched() {
        let folder =
            folder(&[("index.js", ""), ("node_modules/a/index.js", ""), ("node_modules/.package-lock.json", "")]);
        let root = folder.path().canonicalize().unwrap();
        let tree = Tree::scan(&root).unwrap();
        assert_eq!(tree.files.len(), 3);
        assert!(tree.folders.contains(&root.join("node_modules")));
        assert!(!tree.folders.contains(&root.join("node_modules/a")));
    }

    #[test]
    fn a_difference_names_what_changed_and_what_went() {
        let folder = folder(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let before = Tree::scan(folder.path()).unwrap();
        assert!(Tree::scan(folder.path()).unwrap().difference(&before).is_empty());
        // The same length, by write and rename as editors save.
        fs::write(folder.path().join("a.new"), "2").unwrap();
        fs::rename(folder.path().join("a.new"), folder.path().join("a")).unwrap();
        fs::remove_file(folder.path().join("b")).unwrap();
        fs::set_permissions(folder.path().join("c"), fs::Permissions::from_mode(0o755)).unwrap();
        let difference = Tree::scan(folder.path()).unwrap().difference(&before);
        assert_eq!((difference.changed, difference.removed), (vec!["a".into(), "c".into()], vec!["b".to_owned()]));
    }

    #[test]
    fn a_folder_that_is_too_large_is_refused_at_one_byte_more() {
        let folder = folder(&[("app.py", "")]);
        let file = fs::File::create(folder.path().join("big")).unwrap();
        file.set_len(TREE_BYTES_MAX).unwrap();
        assert!(Tree::scan(folder.path()).is_ok());
        file.set_len(TREE_BYTES_MAX + 1).unwrap();
        let refused = Tree::scan(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("250 MB"), "{refused}");
    }

    #[test]
    fn a_folder_that_is_gone_is_told_from_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tree::scan(folder.path()).unwrap().files.is_empty());
        assert!(matches!(Tree::scan(&folder.path().join("x")), Err(TreeError::Gone)));
    }
}
