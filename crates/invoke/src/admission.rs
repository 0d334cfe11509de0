//! Whether the machine has memory for another environment.
//!
//! Admission goes by what is free and by what the function has been seen to use, not by its MemorySize:
//! idle environments are evicted first, then a start waits for a bounded time, then it is refused.
//!
//! The kernel is asked at most every [`MEMORY_READ_AFTER`]: what was promised since then is taken to be used, so that a
//! burst of a thousand starts reads it a few times and promises nothing twice.

use crate::limits::MEMORY_READ_AFTER;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Tells how many bytes of memory are available; `None` if that cannot be known.
pub type MemorySource = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// `MemAvailable` of this machine.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Admits starts.
pub(crate) struct Admission {
    source: MemorySource,
    reserve_bytes: u64,
    wait: Duration,
    books: Arc<Mutex<Books>>,
    /// Whose turn it is among those who wait.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Books {
    /// What was available when it was last read, and when that was.
    read: Option<(Instant, Option<u64>)>,
    /// What is promised to environments that are starting and may not use it yet.
    promised_bytes: u64,
    /// What was promised to those that have started since the last reading, which does not show all of it.
    kept_bytes: u64,
}

impl Books {
    fn available(&mut self, source: &MemorySource, now: Instant) -> Option<u64> {
        match self.read {
            Some((at, available)) if now < at + MEMORY_READ_AFTER => available,
            _ => {
                let available = source();
                self.read = Some((now, available));
                self.kept_bytes = 0;
                available
            }
        }
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory that is promised to a starting environment; dropping it ends the promise.
#[derive(Debug)]
pub(crate) struct Promise {
    bytes: u64,
    books: Arc<Mutex<Books>>,
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut books = lock(&self.books);
        books.promised_bytes -= self.bytes;
        books.kept_bytes = books.kept_bytes.saturating_add(self.bytes);
    }
}

/// There is not enough memory, and none became free in time.
#[derive(Debug)]
pub(crate) struct Full;

impl Admission {
    pub(crate) fn new(source: MemorySource, reserve_bytes: u64, wait: Duration) -> Admission {
        let (books, turn) = (Arc::default(), tokio::sync::Mutex::new(()));
        Admission { source, reserve_bytes, wait, books, turn }
    }

    /// How long a start waits for room at most.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Waits for one's turn among those who wait.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Promises `bytes` if there is room for them now.
    pub(crate) fn admit(&self, bytes: u64) -> Option<Promise> {
        self.admit_at(bytes, Instant::now())
    }

    fn admit_at(&self, bytes: u64, now: Instant) -> Option<Promise> {
        let mut books = lock(&self.books);
        let available = books.available(&self.source, now);
        let spoken_for = books.promised_bytes.saturating_add(books.kept_bytes);
        let needed = self.reserve_bytes.saturating_add(spoken_for).saturating_add(bytes);
        if available.is_some_and(|available| available < needed) {
            return None;
        }
        books.promised_bytes += bytes;
        Some(Promise { bytes, books: self.books.clone() })
    }

    /// Something was freed: the next look is a new one.
    pub(crate) fn look_again(&self) {
        lock(&self.books).read = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    #[test]
    fn what_is_promised_is_not_promised_again() {
        let available = Arc::new(AtomicU64::new(100));
        let read = available.clone();
        let source: MemorySource = Arc::new(move || Some(read.load(Ordering::SeqCst)));
        let (admission, now) = (Admission::new(source, 50, Duration::ZERO), Instant::now());
        let first = admission.admit_at(40, now).unwrap();
        assert!(admission.admit_at(20, now).is_none(), "40 are promised already");
        available.store(110, Ordering::SeqCst);
        assert!(admission.admit_at(20, now).is_none(), "it has just been read");
        admission.look_again();
        let second = admission.admit_at(20, now).unwrap();
        drop((first, second));
        assert_eq!(lock(&admission.books).promised_bytes, 0);
        assert!(admission.admit_at(1, now).is_none(), "those who have started use what the last reading does not show");
        assert!(admission.admit_at(60, now + MEMORY_READ_AFTER).is_some());
    }

    #[test]
    fn a_burst_reads_the_memory_once() {
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = reads.clone();
        let source: MemorySource = Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(1_000)
        });
        let (admission, now) = (Admission::new(source, 0, Duration::ZERO), Instant::now());
        let promises: Vec<_> = (0..1_001).map(|_| admission.admit_at(1, now)).collect();
        assert_eq!(promises.iter().flatten().count(), 1_000);
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn this_machine_tells_its_memory() {
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
