//! Reads an archive: once to see that it is whole, and then into a folder.

use super::{
    ARCHIVE_VERSION, BLOBS, COUNTERS, COUNTERS_BYTES_MAX, END, End, KIND, MANIFEST, Manifest, NOTE_BYTES_MAX, PAIRS,
    PAIRS_BYTES_MAX, Sum, pairs,
};
use crate::failure::Failure;
use bytes::Bytes;
use gust_store::{DATA_FORMAT, Key, Restoration};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// What a whole archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// All entries together, in bytes.
    pub bytes: u64,
    /// The gust that wrote it.
    pub gust_version: String,
}

/// Reads all of the archive without writing anything.
///
/// Errors: it is no archive of gust, a newer one, damaged, or not complete.
pub fn check(file: &Path) -> Result<Contents, Failure> {
    walk(file, |_, _| Ok(()))
}

/// Writes what a checked archive holds into `folder`, which is empty; everything is on disk on return.
///
/// Errors: as [`check`], and the disk is full.
pub fn unpack(file: &Path, folder: &Path) -> Result<Contents, Failure> {
    let store = Restoration::begin(&folder.join("store"));
    let mut store = store.map_err(|cause| Failure::new(format!("cannot make the store: {cause}")))?;
    let contents = walk(file, |name, content| write_entry(folder, &mut store, name, content))?;
    store.finish().map_err(|cause| Failure::new(format!("cannot write the store: {cause}")))?;
    sync_folders(folder).map_err(|cause| Failure::new(format!("cannot write {}: {cause}", folder.display())))?;
    Ok(contents)
}

fn write_entry(folder: &Path, store: &mut Restoration, name: &str, content: Content<'_, '_>) -> io::Result<()> {
    match content {
        Content::Pairs(list) => pairs::each_two(list, |key, value| {
            store.pair(Key::from_bytes(key), Bytes::copy_from_slice(value)).map_err(io::Error::other)
        }),
        Content::Counters(list) => pairs::each_two(list, |log, next| {
            let next: [u8; 8] = next.try_into().map_err(|_| damaged("a counter"))?;
            store.counter(Key::from_bytes(log), u64::from_le_bytes(next));
            Ok(())
        }),
        Content::Blob(source) => {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            io::copy(source, &mut file)?;
            file.flush()?;
            file.sync_all()
        }
    }
}

/// What an entry holds.
enum Content<'a, 'b> {
    Pairs(&'a [u8]),
    Counters(&'a [u8]),
    Blob(&'a mut Summed<'b>),
}

/// Hands every entry to `take`, and sees that the archive is whole.
fn walk(file: &Path, mut take: impl FnMut(&str, Content<'_, '_>) -> io::Result<()>) -> Result<Contents, Failure> {
    let cannot = |cause: &dyn std::fmt::Display| Failure::new(format!("{}: {cause}", file.display()));
    let source = File::open(file).map_err(|cause| cannot(&cause))?;
    let walked = walk_source(BufReader::with_capacity(1 << 20, source), &mut take);
    walked.map_err(|error| match error {
        WalkError::Io(cause) if is_of_the_disk(&cause) => Failure::new(format!("cannot write: {cause}")),
        WalkError::Io(cause) => cannot(&format!("it is damaged or no archive of gust: {cause}")),
        WalkError::Newer(what) => {
            cannot(&format!("a newer gust wrote it ({what})")).hint("import it with that gust, or a newer one")
        }
    })
}

enum WalkError {
    Io(io::Error),
    Newer(String),
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> WalkError {
        WalkError::Io(error)
    }
}

/// Whether the place written to is at fault, and not the archive.
fn is_of_the_disk(error: &io::Error) -> bool {
    let kinds =
        [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];
    kinds.contains(&error.kind())
        || error.to_string().contains("disk is full")
        || error.to_string().contains("free bytes")
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

fn walk_source(
    source: impl Read,
    take: &mut impl FnMut(&str, Content<'_, '_>) -> io::Result<()>,
) -> Result<Contents, WalkError> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(source)?);
    let (mut sum, mut manifest, mut end) = (Sum::default(), None, None);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_str().ok_or_else(|| damaged("a name is no text"))?.to_owned();
        let bytes = entry.size();
        if !entry.header().entry_type().is_file() || end.is_some() {
            return Err(damaged(&format!("{name} does not belong there")).into());
        }
        if name == END {
            end = Some(
                serde_json::from_slice::<End>(&whole(&mut entry, bytes, NOTE_BYTES_MAX)?).map_err(io::Error::from)?,
            );
            continue;
        }
        sum.entry(&name, bytes);
        if manifest.is_none() {
            let note = whole(&mut entry, bytes, NOTE_BYTES_MAX)?;
            sum.content(&note);
            manifest = Some(read_manifest(&name, &note)?);
            continue;
        }
        if name.starts_with(BLOBS) {
            check_path(&name)?;
            let mut summed = Summed { entry: &mut entry, sum: &mut sum };
            take(&name, Content::Blob(&mut summed))?;
            // What was not taken counts, too.
            io::copy(&mut summed, &mut io::sink())?;
            continue;
        }
        let is_counters = name == COUNTERS;
        if !is_counters && !name.starts_with(PAIRS) {
            return Err(damaged(&format!("{name} is not known")).into());
        }
        let list = whole(&mut entry, bytes, if is_counters { COUNTERS_BYTES_MAX } else { PAIRS_BYTES_MAX })?;
        sum.content(&list);
        take(&name, if is_counters { Content::Counters(&list) } else { Content::Pairs(&list) })?;
    }
    let manifest = manifest.ok_or_else(|| damaged("it is empty"))?;
    match end {
        Some(end) if end == sum.end() => Ok(Contents { bytes: sum.bytes, gust_version: manifest.gust_version }),
        Some(_) => Err(damaged("its content is not what was written").into()),
        None => Err(damaged("its end is missing").into()),
    }
}

fn read_manifest(name: &str, note: &[u8]) -> Result<Manifest, WalkError> {
    #[derive(serde::Deserialize)]
    struct Head {
        kind: String,
        version: u32,
    }
    if name != MANIFEST {
        return Err(damaged("it does not begin with a manifest").into());
    }
    // Of a newer layout nothing but this is known.
    let head: Head = serde_json::from_slice(note).map_err(io::Error::from)?;
    if head.kind != KIND {
        return Err(damaged("its manifest is of something else").into());
    }
    if head.version > ARCHIVE_VERSION {
        return Err(WalkError::Newer(format!(
            "archive version {}, this gust reads up to {ARCHIVE_VERSION}",
            head.version
        )));
    }
    let manifest: Manifest = serde_json::from_slice(note).map_err(io::Error::from)?;
    if manifest.data_format > DATA_FORMAT {
        return Err(WalkError::Newer(format!(
            "data format {}, this gust reads up to {DATA_FORMAT}",
            manifest.data_format
        )));
    }
    Ok(manifest)
}

fn whole(entry: &mut impl Read, bytes: u64, limit: u64) -> io::Result<Vec<u8>> {
    if bytes > limit {
        return Err(damaged("an entry is too large"));
    }
    let mut content = Vec::new();
    entry.take(limit).read_to_end(&mut content)?;
    if content.len() as u64 == bytes { Ok(content) } else { Err(damaged("an entry ends too early")) }
}

/// Nothing leads out of the folder.
fn check_path(name: &str) -> io::Result<()> {
    let is_plain = |component: Component<'_>| matches!(component, Component::Normal(_));
    let path = PathBuf::from(name);
    if path.components().all(is_plain) && !name.contains("//") && !name.ends_with('/') {
        return Ok(());
    }
    Err(damaged(&format!("{name} leads out of the folder")))
}

/// A blob's content, summed up as it is read.
struct Summed<'a> {
    entry: &'a mut dyn Read,
    sum: &'a mut Sum,
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.entry.read(buffer)?;
        self.sum.content(&buffer[..length]);
        Ok(length)
    }
}

/// Files are synced one by one as they are written; what names them comes last.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}
