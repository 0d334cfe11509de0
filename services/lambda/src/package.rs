//! A function's zip: what it holds, checked as hostile input, and how it is unpacked.
//!
//! Nothing in a zip can write outside of its folder: names are taken apart and put together again, no entry
//! may lie behind a symbolic link, and links are made last. Sizes that the zip claims are never trusted: what
//! is actually inflated is counted.

use crate::error::ParameterError;
use crate::limits;
use std::collections::HashMap;
use std::fs::{File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use zip::ZipArchive;
use zip::read::ZipFile;

/// Why a zip was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The zip is at fault; what exactly is said in the log only, because AWS says no more either.
    #[error(transparent)]
    Refused(#[from] ParameterError),
    /// This machine is at fault.
    #[error("a package could not be unpacked: {0}")]
    Io(#[from] io::Error),
}

/// Where the files go.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// They are read, counted and checked, and thrown away.
    Nowhere,
    /// Into this folder, which exists and is empty.
    Folder(&'a Path),
}

/// Unpacks `zip`; returns the size of all its files in bytes. Blocks.
///
/// Files end up readable by everyone (0644, 0755 where the zip marks them executable), folders 0755; set-uid
/// bits and owners are dropped. Times come from the zip where it holds exact ones and are 1980-01-01
/// otherwise, so that the same zip always gives the same files.
///
/// Errors: a damaged zip, an empty one, one that is too large, or one with an entry that must not be
/// unpacked (a name that leads out of the folder, a duplicate, a link that leads out, a device).
pub fn unpack(zip: &[u8], target: Target<'_>) -> Result<u64, UnpackError> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(|error| refuse("the zip cannot be read", &error))?;
    if archive.is_empty() {
        return Err(ParameterError::EmptyZip.into());
    }
    if archive.has_duplicate_names() || archive.len() > limits::ZIP_ENTRIES_MAX {
        return Err(refuse("an entry exists twice, or there are too many", &archive.len()));
    }
    let plan = Plan::read(&mut archive)?;
    let mut unpacking = Unpacking { target, unpacked_bytes: 0, buffer: vec![0; COPY_BYTES] };
    unpacking.make_folders(&plan)?;
    for entry in &plan.entries {
        unpacking.write(&mut archive, &plan, entry)?;
    }
    unpacking.finish(&plan)?;
    Ok(unpacking.unpacked_bytes)
}

fn refuse(what: &str, cause: &dyn std::fmt::Display) -> UnpackError {
    tracing::debug!(%cause, "a package was refused: {what}");
    ParameterError::NotUnzippable.into()
}

/// An inflating reader tells a damaged zip from a failing disk by where the error arose.
fn damaged(error: io::Error) -> UnpackError {
    refuse("an entry is damaged", &error)
}

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// What the zip holds, by path.
struct Plan {
    kinds: HashMap<PathBuf, Kind>,
    /// The length of all paths in `kinds` together: one deep name makes many folders.
    path_bytes: usize,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link,
}

/// A file or a link; folders are only in [`Plan::kinds`].
struct Entry {
    index: usize,
    path: PathBuf,
    kind: Kind,
    mode: u32,
    modified_s: u64,
}

impl Plan {
    fn read(archive: &mut Archive<'_>) -> Result<Plan, UnpackError> {
        let mut plan = Plan { kinds: HashMap::new(), path_bytes: 0, entries: Vec::new() };
        for index in 0..archive.len() {
            let file = archive.by_index(index).map_err(|error| refuse("an entry cannot be read", &error))?;
            let name = match std::str::from_utf8(file.name_raw()) {
                Ok(name) => name.to_owned(),
                Err(_) => file.name().map_err(|error| refuse("a name cannot be read", &error))?.into_owned(),
            };
            let mode = file.unix_mode().unwrap_or(0);
            let kind = kind_of(&name, mode).ok_or_else(|| refuse("an entry is no file, folder or link", &name))?;
            let path = path_of(&name).ok_or_else(|| refuse("a name leads out of the folder or is too long", &name))?;
            plan.add(path.clone(), kind).map_err(|()| refuse("an entry exists twice or lies in a file", &name))?;
            if plan.kinds.len() > limits::ZIP_ENTRIES_MAX || plan.path_bytes > limits::ZIP_TREE_BYTES_MAX {
                return Err(refuse("there are too many files and folders", &plan.kinds.len()));
            }
            if kind != Kind::Folder {
                let exact = file.extra_data_fields().find_map(|field| match field {
                    zip::ExtraField::ExtendedTimestamp(times) => times.mod_time(),
                    _ => None,
                });
                let modified_s = exact.map_or(MODIFIED_S_DEFAULT, u64::from);
                plan.entries.push(Entry { index, path, kind, mode, modified_s });
            }
        }
        // Links come last, so that nothing is ever written through one.
        plan.entries.sort_by_key(|entry| (entry.kind == Kind::Link, entry.index));
        if plan.entries.is_empty() {
            return Err(ParameterError::EmptyZip.into());
        }
        Ok(plan)
    }

    fn add(&mut self, path: PathBuf, kind: Kind) -> Result<(), ()> {
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            match self.kinds.insert(above.to_owned(), Kind::Folder) {
                None => self.path_bytes += above.as_os_str().len(),
                // What lies above a folder was noted with it.
                Some(Kind::Folder) => break,
                Some(Kind::File | Kind::Link) => return Err(()),
            }
        }
        if path.as_os_str().is_empty() {
            return if kind == Kind::Folder { Ok(()) } else { Err(()) };
        }
        self.path_bytes += path.as_os_str().len();
        match (self.kinds.insert(path, kind), kind) {
            (None, _) | (Some(Kind::Folder), Kind::Folder) => Ok(()),
            _ => Err(()),
        }
    }

    /// All folders, each after the one that holds it.
    fn folders(&self) -> Vec<&Path> {
        let folders = self.kinds.iter().filter(|(_, kind)| **kind == Kind::Folder);
        let mut folders: Vec<&Path> = folders.map(|(path, _)| path.as_path()).collect();
        folders.sort_unstable();
        folders
    }
}

/// 1980-01-01T00:00:00Z, the first moment a zip can name.
const MODIFIED_S_DEFAULT: u64 = 315_532_800;

/// `S_IFMT` and its values, as the upper half of a zip's attributes carries them.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_LINK: u32 = 0o120_000;

fn kind_of(name: &str, mode: u32) -> Option<Kind> {
    match mode & TYPE_MASK {
        TYPE_LINK => Some(Kind::Link),
        TYPE_FOLDER => Some(Kind::Folder),
        0 | TYPE_FILE if name.ends_with('/') => Some(Kind::Folder),
        0 | TYPE_FILE => Some(Kind::File),
        _ => None,
    }
}

/// The path that a name means inside the folder; `None` if it means none.
fn path_of(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') || name.contains('\0') || name.len() > limits::ZIP_PATH_BYTES_MAX {
        return None;
    }
    let mut path = PathBuf::new();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." || part.len() > limits::ZIP_NAME_BYTES_MAX {
            return None;
        }
        path.push(part);
    }
    Some(path)
}

/// Whether a link at `path` with this target stays inside the folder. The text alone does not tell: what `..` leads
/// to after another link is that link's business, so that it may only follow a folder.
fn stays_inside(plan: &Plan, path: &Path, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut at = path.parent().unwrap_or(Path::new("")).to_owned();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part != ".." {
            at.push(part);
            continue;
        }
        // At the top there is nothing above, and what lies behind a link or nowhere has no known place.
        if plan.kinds.get(&at) != Some(&Kind::Folder) || !at.pop() {
            return false;
        }
    }
    true
}

struct Unpacking<'a> {
    target: Target<'a>,
    unpacked_bytes: u64,
    buffer: Vec<u8>,
}

impl Unpacking<'_> {
    fn make_folders(&self, plan: &Plan) -> io::Result<()> {
        let Target::Folder(root) = self.target else { return Ok(()) };
        plan.folders().into_iter().try_for_each(|folder| std::fs::create_dir(root.join(folder)))
    }

    fn write(&mut self, archive: &mut Archive<'_>, plan: &Plan, entry: &Entry) -> Result<(), UnpackError> {
        let mut source = archive.by_index(entry.index).map_err(|error| refuse("an entry cannot be read", &error))?;
        if entry.kind == Kind::Link {
            return self.link(&mut source, plan, entry);
        }
        let Target::Folder(root) = self.target else {
            return self.copy(&mut source, &mut io::sink());
        };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(root.join(&entry.path))?;
        self.copy(&mut source, &mut file)?;
        let executable = if entry.mode & 0o111 == 0 { 0 } else { 0o111 };
        // Set at last and explicitly: the mode at creation would be subject to the umask.
        file.set_permissions(Permissions::from_mode(0o644 | executable))?;
        file.set_times(FileTimes::new().set_modified(time(entry.modified_s)))?;
        Ok(())
    }

    fn copy(&mut self, source: &mut ZipFile<'_, impl Read>, sink: &mut impl Write) -> Result<(), UnpackError> {
        let (claimed, before) = (source.size(), self.unpacked_bytes);
        loop {
            let count = match source.read(&mut self.buffer) {
                Ok(0) if self.unpacked_bytes - before == claimed => return Ok(()),
                Ok(0) => return Err(refuse("an entry is not as large as it claims", &claimed)),
                Ok(count) => count,
                Err(error) => return Err(damaged(error)),
            };
            self.count(count)?;
            sink.write_all(&self.buffer[..count])?;
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), UnpackError> {
        self.unpacked_bytes += bytes as u64;
        if self.unpacked_bytes > limits::UNZIPPED_BYTES_MAX {
            return Err(ParameterError::UnzippedTooLarge.into());
        }
        Ok(())
    }

    fn link(&mut self, source: &mut impl Read, plan: &Plan, entry: &Entry) -> Result<(), UnpackError> {
        let mut target = Vec::new();
        source.take(limits::ZIP_LINK_BYTES_MAX + 1).read_to_end(&mut target).map_err(damaged)?;
        self.count(target.len())?;
        let target = String::from_utf8(target).map_err(|error| refuse("a link's target is no text", &error))?;
        if target.len() as u64 > limits::ZIP_LINK_BYTES_MAX || !stays_inside(plan, &entry.path, &target) {
            return Err(refuse("a link leads out of the folder", &target));
        }
        match self.target {
            Target::Folder(root) => symlink(&target, root.join(&entry.path)).map_err(UnpackError::from),
            Target::Nowhere => Ok(()),
        }
    }

    /// Gives folders their final mode and time, the deepest first: making entries changes them.
    fn finish(&self, plan: &Plan) -> io::Result<()> {
        let Target::Folder(root) = self.target else { return Ok(()) };
        for folder in plan.folders().into_iter().rev().chain([Path::new("")]) {
            let folder = root.join(folder);
            std::fs::set_permissions(&folder, Permissions::from_mode(FOLDER_MODE))?;
            give_final_times(&folder)?;
        }
        Ok(())
    }
}

/// The mode of every folder.
pub const FOLDER_MODE: u32 = 0o755;

/// Gives a folder the time that all folders have, so that equal packages are equal on disk.
pub fn give_final_times(folder: &Path) -> io::Result<()> {
    File::open(folder)?.set_times(FileTimes::new().set_modified(time(MODIFIED_S_DEFAULT)))
}

const COPY_BYTES: usize = 65_536;

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod hostile;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Piece, zip_of};

    fn unpacked(pieces: &[Piece<'_>]) -> (tempfile::TempDir, Result<u64, UnpackError>) {
        let folder = tempfile::tempdir().unwrap();
        let zip = zip_of(pieces);
        let outcome = unpack(&zip, Target::Folder(folder.path()));
        let checked = unpack(&zip, Target::Nowhere);
        assert_eq!(outcome.as_ref().ok(), checked.as_ref().ok(), "checking and unpacking must agree");
        (folder, outcome)
    }

    #[track_caller]
    fn refused(pieces: &[Piece<'_>]) {
        let (_folder, outcome) = unpacked(pieces);
        assert!(matches!(outcome, Err(UnpackError::Refused(ParameterError::NotUnzippable))), "{outcome:?}");
    }

    fn mode_of(path: PathBuf) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_folders_and_links_are_unpacked() {
        let (folder, outcome) = unpacked(&[
            Piece::File("app.py", 0o600, b"x = 1\n"),
            Piece::File("bin/run", 0o6711, b"#!"),
            Piece::Folder("empty/"),
            Piece::File("./lib//deep/er.py", 0o664, b""),
            Piece::Link("lib/run", "../bin/run"),
        ]);
        assert_eq!(outcome.unwrap(), 6 + 2 + 10);
        let root = folder.path();
        assert_eq!(std::fs::read(root.join("app.py")).unwrap(), b"x = 1\n");
        assert_eq!(mode_of(root.join("app.py")), 0o644);
        assert_eq!(mode_of(root.join("bin/run")), 0o755);
        assert_eq!(mode_of(root.join("lib/deep/er.py")), 0o644);
        for path in ["", "bin", "empty", "lib/deep"] {
            assert_eq!(mode_of(root.join(path)), 0o755, "{path}");
        }
        assert_eq!(std::fs::read(root.join("lib/run")).unwrap(), b"#!");
        let modified = std::fs::metadata(root.join("app.py")).unwrap().modified().unwrap();
        assert_eq!(modified, time(MODIFIED_S_DEFAULT));
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../a", "a/../../b", "/etc/passwd", "a/..", "..", "a\0b"] {
            refused(&[Piece::File(name, 0o644, b"x")]);
        }
        refused(&[Piece::File(&"n".repeat(256), 0o644, b"x")]);
        let (_folder, outcome) = unpacked(&[Piece::File(&"n".repeat(255), 0o644, b"x")]);
        assert_eq!(outcome.unwrap(), 1);
        refused(&[Piece::File("d/".repeat(2_000).trim_end_matches('/'), 0o644, b"x")]);
    }

    #[test]
    fn links_that_lead_out_are_refused() {
        for target in ["/etc/passwd", "..", "../a", "b/../../c", ""] {
            refused(&[Piece::Link("a", target), Piece::File("f", 0o644, b"")]);
        }
        refused(&[Piece::Link("d/a", "../../b")]);
        let (_folder, outcome) = unpacked(&[Piece::Link("d/a", "../b"), Piece::File("b", 0o644, b"")]);
        assert!(outcome.is_ok());
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        refused(&[Piece::Folder("real/"), Piece::Link("l", "real"), Piece::File("l/x", 0o644, b"x")]);
        refused(&[Piece::File("l/x", 0o644, b"x"), Piece::Link("l", "real")]);
        refused(&[Piece::Link("a/b", "."), Piece::Link("a/b/c", "..")]);
    }

    #[test]
    fn duplicates_are_refused() {
        refused(&[Piece::File("a", 0o644, b"1"), Piece::File("./a", 0o644, b"2")]);
        refused(&[Piece::File("a", 0o644, b"1"), Piece::File("a/b", 0o644, b"2")]);
        refused(&[Piece::File("a/b", 0o644, b"1"), Piece::File("a", 0o644, b"2")]);
        let mut twice = zip_of(&[Piece::File("aa", 0o644, b"1"), Piece::File("ab", 0o644, b"2")]).to_vec();
        for at in 0..twice.len() - 1 {
            if &twice[at..at + 2] == b"ab" {
                twice[at + 1] = b'a';
            }
        }
        assert!(matches!(unpack(&twice, Target::Nowhere), Err(UnpackError::Refused(ParameterError::NotUnzippable))));
    }

    #[test]
    fn devices_and_pipes_are_refused() {
        for kind in [0o010_000, 0o020_000, 0o060_000, 0o140_000] {
            assert_eq!(kind_of("a", kind | 0o644), None);
        }
    }

    #[test]
    fn empty_and_broken_zips_are_refused() {
        let empty = zip_of(&[]);
        assert!(matches!(unpack(&empty, Target::Nowhere), Err(UnpackError::Refused(ParameterError::EmptyZip))));
        let folders = zip_of(&[Piece::Folder("a/")]);
        assert!(matches!(unpack(&folders, Target::Nowhere), Err(UnpackError::Refused(ParameterError::EmptyZip))));
        let good = zip_of(&[Piece::File("app.py", 0o644, &[b'x'; 4_000])]);
        let mut bad_sum = good.to_vec();
        // Inside the deflated bytes: after the local header (30 bytes), the name and a little.
        let middle = 30 + 6 + 4;
        bad_sum[middle] ^= 0x55;
        for bytes in [&b""[..], b"PK", b"not a zip at all", &good[..good.len() / 2], &bad_sum] {
            let outcome = unpack(bytes, Target::Nowhere);
            assert!(matches!(outcome, Err(UnpackError::Refused(ParameterError::NotUnzippable))), "{outcome:?}");
        }
    }

    #[test]
    fn exact_times_are_kept() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut options = zip::write::FullFileOptions::default();
        // The field of Info-ZIP: which times follow, then the time of modification.
        options.add_extra_field(0x5455, [&[1u8][..], &1_700_000_001u32.to_le_bytes()].concat(), false).unwrap();
        writer.start_file("app.pyc", options).unwrap();
        let zip = writer.finish().unwrap().into_inner();
        let folder = tempfile::tempdir().unwrap();
        unpack(&zip, Target::Folder(folder.path())).unwrap();
        let modified = std::fs::metadata(folder.path().join("app.pyc")).unwrap().modified().unwrap();
        assert_eq!(modified, time(1_700_000_001));
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut zip = zip_of(&[Piece::Stored("app.py", b"hello")]).to_vec();
        let at = zip.windows(5).position(|bytes| bytes == b"hello").unwrap();
        zip[at] = b'j';
        assert!(matches!(unpack(&zip, Target::Nowhere), Err(UnpackError::Refused(ParameterError::NotUnzippable))));
    }

    /// Every byte of a zip is changed in turn: nothing panics, and nothing is written outside of the folder.
    #[test]
    fn damage_of_any_kind_stays_inside() {
        let good =
            zip_of(&[Piece::File("d/app.py", 0o755, b"print('hello hello hello')"), Piece::Link("d/l", "app.py")]);
        let outer = tempfile::tempdir().unwrap();
        for at in 0..good.len() {
            for flip in [0x01, 0x2e, 0x80, 0xff] {
                let mut bytes = good.to_vec();
                bytes[at] ^= flip;
                let folder = outer.path().join("in");
                std::fs::create_dir(&folder).unwrap();
                let outcome = unpack(&bytes, Target::Folder(&folder));
                assert!(!matches!(outcome, Err(UnpackError::Io(_))), "byte {at}: {outcome:?}");
                std::fs::remove_dir_all(&folder).unwrap();
                assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 0, "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_inflated_is_bounded() {
        let zeros = vec![0u8; usize::try_from(limits::UNZIPPED_BYTES_MAX).unwrap()];
        let fits = zip_of(&[Piece::File("a", 0o644, &zeros)]);
        assert_eq!(unpack(&fits, Target::Nowhere).unwrap(), limits::UNZIPPED_BYTES_MAX);
        let bomb = zip_of(&[Piece::File("a", 0o644, &zeros), Piece::File("b", 0o644, b"x")]);
        assert!(bomb.len() < 1_000_000);
        assert!(matches!(unpack(&bomb, Target::Nowhere), Err(UnpackError::Refused(ParameterError::UnzippedTooLarge))));
    }
}
