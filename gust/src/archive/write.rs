//! Writes an archive of a store and its blobs, running or not.

use super::{ARCHIVE_VERSION, BLOBS, COUNTERS, END, KIND, MANIFEST, Manifest, PAIRS, Sum, pairs};
use crate::client::now_ms;
use crate::failure::{Context, Failure};
use gust_blob::Blobs;
use gust_store::{DATA_FORMAT, Key, Order, Range, Store, StoreError};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Pairs that are read at a time: of the largest values, 64 MiB.
const PAIRS_READ: usize = 64;
/// Pairs are collected up to this many bytes.
const PAIRS_COLLECTED_BYTES: usize = 4 * 1_048_576;
/// zstd's own default: as fast as a disk, and small.
const COMPRESSION_LEVEL: i32 = 3;
const COPY_BYTES: usize = 128 * 1_024;

/// What an archive is made of.
#[derive(Clone)]
pub struct Sources {
    /// The store.
    pub store: Store,
    /// Its blobs.
    pub blobs: Blobs,
}

/// Writes everything as it is at one moment to `out`, and returns it. `scratch` is an empty folder on the blobs' file system.
///
/// Errors: the store fails, or `out` does (a full disk).
pub async fn write<W: Write + Send + 'static>(sources: Sources, scratch: &Path, out: W) -> Result<W, Failure> {
    let Sources { store, blobs } = sources;
    let mut archive = Archive::begin(out).context("cannot write the archive")?;
    // What the store refers to at that moment must still be there when it is linked.
    let held = blobs.hold_removals().await;
    let links = scratch.to_owned();
    let read = store.read(move |snapshot| -> Result<Archive<W>, ReadError> {
        blobs.link_all(&links)?;
        drop(held);
        let mut from = Range { start: Key::from_bytes(Vec::new()), end: None };
        let (mut list, mut number) = (Vec::new(), 0_u64);
        loop {
            let found = snapshot.range(&from, Order::Ascending, PAIRS_READ)?;
            let Some((last, _)) = found.last() else { break };
            from = Range::prefix_after(&Key::from_bytes(Vec::new()), last);
            for (key, value) in &found {
                pairs::push(&mut list, key.as_bytes())?;
                pairs::push(&mut list, value)?;
                if list.len() >= PAIRS_COLLECTED_BYTES {
                    number += 1;
                    archive.entry(&format!("{PAIRS}{number:08}"), &list)?;
                    list.clear();
                }
            }
        }
        if !list.is_empty() {
            archive.entry(&format!("{PAIRS}{:08}", number + 1), &list)?;
        }
        Ok(archive)
    });
    let mut archive = read.await.map_err(|error| Failure::new(format!("cannot write the archive: {error}")))?;
    let counters = store.counters().await.context("cannot read the store")?;
    let links = scratch.to_owned();
    let rest = tokio::task::spawn_blocking(move || -> io::Result<W> {
        let mut list = Vec::new();
        for (log, next) in counters {
            pairs::push(&mut list, log.as_bytes())?;
            pairs::push(&mut list, &next.to_le_bytes())?;
        }
        archive.entry(COUNTERS, &list)?;
        archive.folder(&links, BLOBS.trim_end_matches('/'))?;
        archive.finish()
    });
    rest.await.context("cannot write the archive")?.context("cannot write the archive")
}

/// Why the store's part could not be written.
#[derive(Debug)]
enum ReadError {
    Store(StoreError),
    Io(io::Error),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Store(error) => error.fmt(f),
            ReadError::Io(error) => error.fmt(f),
        }
    }
}

/// An archive that is being written.
struct Archive<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, W>>,
    sum: Sum,
}

impl<W: Write> Archive<W> {
    fn begin(out: W) -> io::Result<Archive<W>> {
        let mut zstd = zstd::Encoder::new(out, COMPRESSION_LEVEL)?;
        zstd.include_checksum(true)?;
        let mut archive = Archive { tar: tar::Builder::new(zstd), sum: Sum::default() };
        archive.note(
            MANIFEST,
            &Manifest {
                kind: KIND.to_owned(),
                version: ARCHIVE_VERSION,
                data_format: DATA_FORMAT,
                gust_version: env!("CARGO_PKG_VERSION").to_owned(),
                created_at_ms: now_ms(),
            },
        )?;
        Ok(archive)
    }

    fn note(&mut self, name: &str, note: &impl Serialize) -> io::Result<()> {
        self.entry(name, &serde_json::to_vec(note)?)
    }

    fn entry(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.sum.entry(name, content.len() as u64);
        self.sum.content(content);
        self.tar.append_data(&mut header(content.len() as u64), name, content)
    }

    /// All files below a folder, in the order of their names.
    fn folder(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let below = format!("{name}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.folder(&entry.path(), &below)?;
            } else {
                self.file(&entry.path(), &below)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str) -> io::Result<()> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        self.sum.entry(name, bytes);
        let mut summed = Summed { file: file.take(bytes), sum: &mut self.sum };
        self.tar.append_data(&mut header(bytes), name, io::BufReader::with_capacity(COPY_BYTES, &mut summed))
    }

    fn finish(mut self) -> io::Result<W> {
        let end = self.sum.end();
        self.note(END, &end)?;
        self.tar.into_inner()?.finish()
    }
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}

/// Sums up what is read.
struct Summed<'a> {
    file: io::Take<File>,
    sum: &'a mut Sum,
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.sum.content(&buffer[..length]);
        Ok(length)
    }
}
