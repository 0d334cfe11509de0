//! `gust export`: everything that a data folder holds, in one file.

use crate::archive;
use crate::cli;
use crate::door::{self, Purpose};
use crate::failure::{Context, Failure};
use crate::folder::{self, Folder};
use crate::world::Storage;
use owo_colors::OwoColorize;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const COPY_BYTES: usize = 128 * 1_024;

/// Writes the file, of a gust that runs or of one that does not.
pub async fn run(arguments: cli::Export) -> Result<(), Failure> {
    let data = match arguments.data {
        Some(data) => data,
        None => folder::default_path()?,
    };
    if !data.join("id").exists() {
        return Err(Failure::usage(format!("{} is no data folder of gust", data.display()))
            .hint("name it with --data DIR: `gust up` shows it"));
    }
    let draft = Draft::create(&arguments.file)?;
    match Folder::open(&data, false) {
        Ok(folder) => export_stopped(&folder, &draft).await?,
        // Somebody holds it.
        Err(_) => export_running(&data, &draft).await?,
    }
    let contents = archive::check(&draft.path)?;
    let size = draft.publish(&arguments.file)?;
    anstream::println!(
        "{}: {} of data in {}, checked",
        arguments.file.display(),
        cli::size_text(contents.bytes),
        cli::size_text(size)
    );
    anstream::eprintln!(
        "{} it holds everything, with keys and the variables of functions: keep it as you keep those",
        "note:".yellow()
    );
    Ok(())
}

async fn export_stopped(folder: &Folder, draft: &Draft) -> Result<(), Failure> {
    let storage = Storage::open(folder.path().to_owned(), false, Duration::ZERO).await?;
    let sources = storage.sources();
    let scratch = folder.scratch("export")?;
    let out = BufWriter::with_capacity(COPY_BYTES, draft.writer()?);
    let written = archive::write(sources.clone(), scratch.path(), out).await;
    let finished = written.and_then(|mut out| out.flush().context("cannot write the archive"));
    sources.store.close().await.context("cannot close the store")?;
    finished
}

/// The running gust writes it to its socket.
async fn export_running(data: &Path, draft: &Draft) -> Result<(), Failure> {
    let socket = data.join(door::SOCKET);
    let mut stream = door::enter(&socket, Purpose::Export).await.map_err(|failure| {
        Failure::new(format!("{} is in use, but its gust cannot be asked: {failure}", data.display()))
            .hint("stop it, or run this as the same user")
    })?;
    let mut out = tokio::fs::File::from_std(draft.writer()?);
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let length = stream.read(&mut buffer).await.context("the running gust broke off")?;
        if length == 0 {
            break;
        }
        out.write_all(&buffer[..length]).await.context("cannot write the archive")?;
    }
    out.flush().await.context("cannot write the archive")
}

/// The file until it is whole. It goes when dropped: published, it has another name.
struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Only its owner may read it. A file that is there is not replaced.
    fn create(target: &Path) -> Result<Draft, Failure> {
        if target.exists() {
            return Err(Failure::usage(format!("{} exists already", target.display())));
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let draft = Draft { path: target.with_file_name(name) };
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        options.open(&draft.path).context(format_args!("cannot create {}", draft.path.display()))?;
        Ok(draft)
    }

    fn writer(&self) -> Result<File, Failure> {
        File::options().write(true).open(&self.path).context(format_args!("cannot write {}", self.path.display()))
    }

    /// Gives it its name, durably; returns its size. Fails if that has been taken meanwhile.
    fn publish(&self, target: &Path) -> Result<u64, Failure> {
        let shown = target.display();
        let file = File::open(&self.path).context(format_args!("cannot finish {shown}"))?;
        file.sync_all().context(format_args!("cannot finish {shown}"))?;
        let size = file.metadata().context(format_args!("cannot finish {shown}"))?.len();
        std::fs::hard_link(&self.path, target).map_err(|cause| match cause.kind() {
            ErrorKind::AlreadyExists => Failure::usage(format!("{shown} exists already")),
            _ => Failure::new(format!("cannot finish {shown}: {cause}")),
        })?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).context(format_args!("cannot finish {shown}"))?;
        Ok(size)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It fails only if somebody else has removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}
