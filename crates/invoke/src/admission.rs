//! Whether the machine has memory for another environment.
//!
//! Admission goes by what is free and by what the function has been seen to use, not by its MemorySize:
//! idle environments are evicted first, then a start waits for a bounded time, then it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

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
    /// What is promised to environments that are starting and do not use it yet.
    promised_bytes: Arc<AtomicU64>,
    /// Whose turn it is among those who wait.
    turn: Mutex<()>,
}

/// Memory that is promised to a starting environment; dropping it ends the promise.
pub(crate) struct Promise {
    bytes: u64,
    promised_bytes: Arc<AtomicU64>,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.promised_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// There is not enough memory, and none became free in time.
#[derive(Debug)]
pub(crate) struct Full;

impl Admission {
    pub(crate) fn new(source: MemorySource, reserve_bytes: u64, wait: Duration) -> Admission {
        Admission { source, reserve_bytes, wait, promised_bytes: Arc::default(), turn: Mutex::new(()) }
    }

    /// How long a start waits for room at most.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Waits for one's turn among those who wait.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Promises `bytes` if there is room for them now.
    pub(crate) fn admit(&self, bytes: u64) -> Option<Promise> {
        let promise = self.promise(bytes);
        let needed = self.reserve_bytes.saturating_add(self.promised_bytes.load(Ordering::Acquire));
        (self.source)().is_none_or(|available| available >= needed).then_some(promise)
    }

    fn promise(&self, bytes: u64) -> Promise {
        self.promised_bytes.fetch_add(bytes, Ordering::AcqRel);
        Promise { bytes, promised_bytes: self.promised_bytes.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_not_promised_again() {
        let available = Arc::new(AtomicU64::new(100));
        let read = available.clone();
        let source: MemorySource = Arc::new(move || Some(read.load(Ordering::SeqCst)));
        let admission = Admission::new(source, 50, Duration::ZERO);
        let first = admission.admit(40).unwrap();
        assert!(admission.admit(20).is_none(), "40 are promised already");
        available.store(110, Ordering::SeqCst);
        let second = admission.admit(20).unwrap();
        drop((first, second));
        assert_eq!(admission.promised_bytes.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn this_machine_tells_its_memory() {
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
