//! Named pipes between the benchmark and functions, laid into the folder of a function's unpacked code.
//!
//! Sandboxes have no network, and whatever goes through gust would be measured with it. A pipe in the folder that gust
//! mounts read-only at /var/task costs a function one system call, works in every language, and waits without polling.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Folders below the data folder that are searched for code.
const DEPTH_MAX: usize = 4;

/// Makes the pipe `name` beside the file `landmark` of unpacked code somewhere below `data`.
pub fn beside(data: &Path, landmark: &str, name: &str) -> io::Result<PathBuf> {
    let folder = find(data, landmark, DEPTH_MAX)
        .ok_or_else(|| io::Error::other(format!("no {landmark} below {}", data.display())))?;
    let path = folder.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)?;
    // Whatever the umask is: the function has a uid of its own.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    Ok(path)
}

fn find(folder: &Path, landmark: &str, depth: usize) -> Option<PathBuf> {
    if folder.join(landmark).exists() {
        return Some(folder.to_path_buf());
    }
    let below = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    below
        .filter(|path| depth > 0 && path.is_dir() && !path.is_symlink())
        .find_map(|path| find(&path, landmark, depth - 1))
}

/// Opens the end that reads, without waiting for one that writes and without ever seeing its end: it is open for
/// writing as well.
pub fn reader(path: &Path) -> io::Result<Lines> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    Ok(Lines { file, pending: Vec::new() })
}

/// Opens the end that writes: whoever waits for it at the other end goes on.
pub fn release(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Lines that functions have written.
pub struct Lines {
    file: File,
    pending: Vec<u8>,
}

impl Lines {
    /// The lines that are there now; none if none are.
    pub fn take(&mut self) -> io::Result<Vec<String>> {
        let mut chunk = [0; 64 * 1024];
        loop {
            match self.file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.pending.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let complete = self.pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&self.pending[..complete]).into_owned();
        self.pending.drain(..complete);
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Waits until a line is there or `wait` has passed, without using the processor.
    pub fn wait(&self, wait: std::time::Duration) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut files = [PollFd::new(&self.file, PollFlags::IN)];
        let limit =
            Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() };
        poll(&mut files, Some(&limit)).map(drop).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_through_and_releases_release() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/app.py"), "").unwrap();
        let arrived = beside(folder.path(), "app.py", "arrived").unwrap();
        let gate = beside(folder.path(), "app.py", "release").unwrap();
        assert_eq!(gate, folder.path().join("a/b/release"));
        let mut lines = reader(&arrived).unwrap();
        assert!(lines.take().unwrap().is_empty());
        let function = std::thread::spawn(move || {
            OpenOptions::new().write(true).open(&arrived).unwrap().write_all(b"here\nhalf").unwrap();
            drop(File::open(&gate).unwrap());
        });
        lines.wait(std::time::Duration::from_secs(5)).unwrap();
        assert_eq!(lines.take().unwrap(), ["here"]);
        assert!(!function.is_finished());
        let _open = release(&folder.path().join("a/b/release")).unwrap();
        function.join().unwrap();
    }
}
