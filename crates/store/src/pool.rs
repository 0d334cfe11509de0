//! The threads on which closures run: bounded in number, and a panic ends only its closure.

use crate::StoreError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

/// Runs blocking work on at most `threads` of the runtime's blocking threads.
///
/// They are tokio's and not our own so that a paused test clock stands still while a closure runs.
pub(crate) struct Pool {
    places: Arc<Semaphore>,
    threads: u32,
    closing: AtomicBool,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Pool {
        let threads = u32::try_from(threads.clamp(1, 1_024)).expect("it was clamped");
        Pool { places: Arc::new(Semaphore::new(threads as usize)), threads, closing: AtomicBool::new(false) }
    }

    /// Runs `work` on a pool thread; waits for a place first.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_open()?;
        let place = self.places.clone().acquire_owned().await.map_err(|_| closing())?;
        let handle = tokio::task::spawn_blocking(move || {
            let result = catch(work);
            drop(place);
            result
        });
        handle
            .await
            .unwrap_or_else(|error| Err(StoreError::Unavailable(format!("the runtime is shutting down: {error}"))))
    }

    /// Fails once the store is closing.
    pub(crate) fn check_open(&self) -> Result<(), StoreError> {
        if self.closing.load(Ordering::Acquire) { Err(closing()) } else { Ok(()) }
    }

    /// Refuses new work and waits for what runs.
    pub(crate) async fn drain(&self) {
        self.closing.store(true, Ordering::Release);
        if let Ok(all) = self.places.acquire_many(self.threads).await {
            self.places.close();
            drop(all);
        }
    }
}

fn closing() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// Turns a panic of `work` into an error.
pub(crate) fn catch<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic_text(&*panic);
        tracing::error!(panic = text, "a store closure panicked");
        Err(StoreError::Unavailable(format!("a closure panicked: {text}")))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
