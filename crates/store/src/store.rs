//! The store's face: asynchronous outside, synchronous closures inside.

use crate::engine::{Attempt, Engine, Flow, ReadWork, Work};
use crate::pool::Pool;
use crate::tail::Tail;
use crate::wake::{Hub, Subscription};
use crate::{Read, StoreError, StoreOptions, TRANSACTION_ATTEMPTS_MAX, Tx};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    hub: Arc<Hub>,
    /// `None` once closed, so that files and locks are let go while handles still exist.
    engine: Mutex<Option<Arc<dyn Engine>>>,
}

/// What a committed transaction returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<R> {
    /// The closure's result.
    pub value: R,
    /// The stamps of its appends, in their order.
    pub stamps: Vec<u64>,
}

/// Where a closure leaves its result for the face; the last run's counts.
type Slot<R, E> = Arc<Mutex<Option<Result<R, E>>>>;

fn fill<R, E>(slot: &Slot<R, E>, result: Result<R, E>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

fn take<R, E: From<StoreError>>(slot: &Slot<R, E>) -> Result<R, E> {
    let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| Err(StoreError::Unavailable("a closure left no result".to_owned()).into()))
}

impl Store {
    /// A store in memory, for tests, simulations and `--ephemeral`.
    ///
    /// It runs one closure in eight twice, chosen from a seed, so that closures with effects show.
    pub fn memory() -> Store {
        Store::memory_with(&StoreOptions::default())
    }

    /// A store in memory with other settings than the default.
    pub fn memory_with(options: &StoreOptions) -> Store {
        let hub = Arc::new(Hub::default());
        let engine = crate::memory::MemoryEngine::new(options, hub.clone());
        Store::over(Arc::new(engine), hub, options)
    }

    /// Opens (or creates) the store of one machine in the folder `dir`. Blocks for as long as recovery takes.
    ///
    /// Errors: [`StoreError::FolderInUse`], [`StoreError::FormatTooNew`], [`StoreError::Unavailable`] if it
    /// cannot be opened.
    pub fn open_fjall(dir: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        let hub = Arc::new(Hub::default());
        let engine = crate::disk::open(dir, &options, hub.clone())?;
        Ok(Store::over(Arc::new(engine), hub, &options))
    }

    /// Connects to a database that speaks PostgreSQL's protocol, for several gust nodes at once.
    ///
    /// `config_text` is `host=... user=... dbname=...` or `postgres://...`. Connections are not encrypted
    /// yet. Errors: [`StoreError::FormatTooNew`], [`StoreError::Unavailable`].
    pub async fn connect_postgres(config_text: &str) -> Result<Store, StoreError> {
        Store::connect_postgres_with(config_text, &StoreOptions::default()).await
    }

    /// Connects with other settings than the default.
    pub async fn connect_postgres_with(config_text: &str, options: &StoreOptions) -> Result<Store, StoreError> {
        let hub = Arc::new(Hub::default());
        let engine = crate::postgres::PostgresEngine::connect(config_text, options, hub.clone()).await?;
        Ok(Store::over(Arc::new(engine), hub, options))
    }

    pub(crate) fn over(engine: Arc<dyn Engine>, hub: Arc<Hub>, options: &StoreOptions) -> Store {
        let pool = Pool::new(options.pool_threads);
        Store { inner: Arc::new(Inner { pool, hub, engine: Mutex::new(Some(engine)) }) }
    }

    fn engine(&self) -> Result<Arc<dyn Engine>, StoreError> {
        self.inner.pool.check_open()?;
        let engine = self.inner.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
        engine.ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))
    }

    /// Runs `read` against one point in time.
    pub async fn read<R, E>(&self, read: impl FnOnce(&mut dyn Read) -> Result<R, E> + Send + 'static) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let slot: Slot<R, E> = Slot::default();
        let filled = slot.clone();
        let work: ReadWork = Box::new(move |snapshot| fill(&filled, read(snapshot)));
        self.engine()?.read(&self.inner.pool, work).await?;
        take(&slot)
    }

    /// Runs `transaction` and commits what it wrote; returns once that is on disk.
    ///
    /// The closure has no effects of its own: it may be run several times, and an `Err` abandons all
    /// it wrote. Errors: its own, or a [`StoreError`].
    pub async fn transact<R, E>(
        &self,
        transaction: impl Fn(&mut dyn Tx) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Committed<R>, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let slot: Slot<R, E> = Slot::default();
        let filled = slot.clone();
        let work: Work = Arc::new(move |tx| {
            let result = transaction(tx);
            let flow = if result.is_ok() { Flow::Commit } else { Flow::Abandon };
            fill(&filled, result);
            flow
        });
        let stamps = self.settle(work).await?;
        take(&slot).map(|value| Committed { value, stamps })
    }

    /// Runs `work` until it neither conflicts nor fails; returns its stamps (none if it was abandoned).
    async fn settle(&self, work: Work) -> Result<Vec<u64>, StoreError> {
        let engine = self.engine()?;
        for attempt in 1..=TRANSACTION_ATTEMPTS_MAX {
            match engine.attempt(&self.inner.pool, work.clone(), attempt).await? {
                Attempt::Committed(stamps) => return Ok(stamps),
                Attempt::Abandoned => return Ok(Vec::new()),
                Attempt::Conflict => pause_after_conflict(attempt).await,
            }
        }
        Err(StoreError::Contended { attempts: TRANSACTION_ATTEMPTS_MAX })
    }

    /// The next stamp of every log: what a copy of the store needs besides its pairs. What was appended after a pair was
    /// read may count already.
    ///
    /// Errors: the engine's; one on PostgreSQL has its own tools for that.
    pub async fn counters(&self) -> Result<Vec<(crate::Key, u64)>, StoreError> {
        self.engine()?.counters(&self.inner.pool).await
    }

    /// Waits for wake-ups of `topic`.
    pub fn subscribe(&self, topic: &str) -> Subscription {
        self.inner.hub.subscribe(topic)
    }

    /// Is handed what transactions of this process append and tell to `topic` ([`Tx::tell`]), in the order of their
    /// commits: what is appended need not be read again. One tail a topic; a later one takes its place.
    pub fn tail(&self, topic: &str) -> Tail {
        self.inner.hub.tail(topic)
    }

    /// Wakes those who wait for `topic` in this process, outside of any transaction (a moved test clock, a
    /// shutdown). What follows from data is woken with [`Tx::wake`].
    pub fn wake(&self, topic: &str) {
        self.inner.hub.wake(topic);
    }

    /// Returns when the store has failed for good (a failed sync or journal write), with the reason; every
    /// call then fails too. The binary should exit: a restart recovers from the journal.
    pub async fn fatal(&self) -> StoreError {
        match self.engine() {
            Ok(engine) => {
                let fatal = engine.fatal();
                drop(engine);
                fatal.await
            }
            // Closed is not failed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Refuses new work, finishes what was begun, and lets go of files, locks and connections.
    ///
    /// Errors: what was written last could not be finished.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.pool.drain().await;
        let engine = self.inner.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        match engine {
            Some(engine) => engine.close().await,
            None => Ok(()),
        }
    }
}

/// The first repetitions are immediate; later ones wait a random time that grows, up to 32 ms.
async fn pause_after_conflict(attempt: u32) {
    if attempt < 3 {
        return;
    }
    let mut random = [0u8; 2];
    // Without randomness the pause is merely the same for everybody.
    let _ = getrandom::fill(&mut random);
    let ceiling_us = 1_000u64 << attempt.min(8).saturating_sub(3);
    let pause_us = u64::from(u16::from_le_bytes(random)) * ceiling_us / u64::from(u16::MAX);
    tokio::time::sleep(Duration::from_micros(pause_us)).await;
}
