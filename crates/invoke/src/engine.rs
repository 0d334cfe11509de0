//! The engine: everything that runs functions, behind `gust_kit`'s `Invoker`.

use crate::admission::{Admission, Full, MemorySource, Promise, available_memory};
use crate::endpoint::EndpointServer;
use crate::execution;
use crate::farewell::Farewells;
use crate::gate::{Gates, Slot};
use crate::keep_alive::{Evictor, Floor};
use crate::launcher::Launcher;
use crate::limits::{
    ACCOUNT_CONCURRENCY_DEFAULT, ASYNC_IN_FLIGHT_DEFAULT, IDLE_TIMEOUT_DEFAULT, INIT_LIMIT, MEMORY_POLL,
    MEMORY_WAIT_DEFAULT, RECURSION_MAX, SDK_WAIT_DEFAULT,
};
use crate::persistent::Persistent;
use crate::pool::{FreezePolicy, FunctionPool, FunctionSnapshot};
use crate::queue_driver::{Queue, QueueSnapshot};
use crate::response::{self, Reply};
use crate::sdk::SdkFolders;
use crate::statistics::FunctionStatistics;
use crate::turn::{Turns, starts_max_default};
use crate::{queue, shards::Shards, trace};
use async_trait::async_trait;
use gust_kit::Platform;
use gust_kit::ports::{
    AsyncEvent, CredentialSource, FunctionCatalog, FunctionSpec, InvokeError, InvokeOutcome, InvokeRequest,
    InvokeStream, Invoker, LogSink, Provisioned, Targets,
};
use gust_runtime_api::ShutdownReason;
use gust_store::{StoreError, Tx};
use gust_types::{AccountId, Arn, Region, SharedClock};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

/// How functions are run.
#[derive(Clone)]
pub struct Settings {
    /// Concurrent executions of each account in each region.
    pub account_concurrency: usize,
    /// When idle environments are frozen.
    pub freeze: FreezePolicy,
    /// How long initialisation may take before it is repeated inside the first invocation.
    pub init_limit: Duration,
    /// How long an idle environment is kept.
    pub idle_timeout: Duration,
    /// Memory that is left to the machine and to gust, in bytes.
    pub memory_reserve_bytes: u64,
    /// How long a start waits for memory.
    pub memory_wait: Duration,
    /// Where the available memory is read.
    pub memory_source: MemorySource,
    /// How long a start waits for the AWS SDK.
    pub sdk_wait: Duration,
    /// Environments that start at a time, at least 1.
    pub starts_max: usize,
    /// Asynchronous invocations that run at a time.
    pub async_in_flight_max: usize,
    /// This node's name in leases; the same after a restart.
    pub node: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            account_concurrency: ACCOUNT_CONCURRENCY_DEFAULT,
            freeze: FreezePolicy::default(),
            init_limit: INIT_LIMIT,
            idle_timeout: IDLE_TIMEOUT_DEFAULT,
            memory_reserve_bytes: 256 << 20,
            memory_wait: MEMORY_WAIT_DEFAULT,
            memory_source: Arc::new(available_memory),
            sdk_wait: SDK_WAIT_DEFAULT,
            starts_max: starts_max_default(),
            async_in_flight_max: ASYNC_IN_FLIGHT_DEFAULT,
            node: "local".to_owned(),
        }
    }
}

/// What the engine needs of others.
#[derive(Clone)]
pub struct Ports {
    /// Takes the functions' output.
    pub logs: Arc<dyn LogSink>,
    /// Makes sessions of roles.
    pub credentials: Arc<dyn CredentialSource>,
    /// Serves gust inside environments.
    pub endpoint: Arc<dyn EndpointServer>,
    /// Knows the folders of the AWS SDK.
    pub sdk: Arc<dyn SdkFolders>,
}

/// Runs functions. Clones share it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) platform: Platform,
    pub(crate) launcher: Arc<dyn Launcher>,
    pub(crate) ports: Ports,
    pub(crate) gates: Gates,
    functions: Shards<FunctionPool>,
    admission: Admission,
    evictor: Mutex<Evictor<Arc<FunctionPool>>>,
    /// What the last environment was worth that was evicted.
    floor: Arc<Floor>,
    pub(crate) turns: Turns,
    pub(crate) farewells: Farewells,
    running: AtomicUsize,
    is_shutting_down: AtomicBool,
    quiet: Notify,
    queue: Mutex<Option<Queue>>,
}

/// What the engine is doing, for health and `gust ls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Every version of a function that has run and not been forgotten, by ARN (without qualifier for `$LATEST`).
    pub functions: Vec<FunctionSnapshot>,
    /// Invocations that run now.
    pub in_flight: usize,
    /// The queue of asynchronous events; `None` before it was started.
    pub queue: Option<QueueSnapshot>,
}

impl Engine {
    /// An engine that starts environments with `launcher`. Must be used inside a tokio runtime.
    pub fn new(settings: Settings, platform: Platform, launcher: Arc<dyn Launcher>, ports: Ports) -> Engine {
        let source = settings.memory_source.clone();
        let inner = Inner {
            gates: Gates::new(settings.account_concurrency),
            functions: Shards::default(),
            admission: Admission::new(source, settings.memory_reserve_bytes, settings.memory_wait),
            evictor: Mutex::default(),
            floor: Arc::default(),
            turns: Turns::new(settings.starts_max),
            farewells: Farewells::default(),
            running: AtomicUsize::new(0),
            is_shutting_down: AtomicBool::new(false),
            quiet: Notify::new(),
            queue: Mutex::default(),
            settings,
            platform,
            launcher,
            ports,
        };
        Engine { inner: Arc::new(inner) }
    }

    /// Begins to run the events that were accepted for asynchronous invocation, also before a restart; what becomes of
    /// them goes to `targets`. When they are due is told by `clock`.
    ///
    /// Errors: the store failed, or another node owns the queue.
    pub async fn start_queue(
        &self,
        catalog: Arc<dyn FunctionCatalog>,
        targets: Targets,
        clock: SharedClock,
    ) -> Result<(), StoreError> {
        let platform = Platform { clock, ..self.inner.platform.clone() };
        let queue = Queue::start(self.clone(), platform, catalog, targets).await?;
        *self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(queue);
        Ok(())
    }

    /// Ends: no new invocations; those that run have until `deadline`; then everything is killed. Returns
    /// whether all of them had ended by then.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let inner = &self.inner;
        let until = Instant::now() + deadline;
        let queue = inner.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(queue) = &queue {
            queue.stop_loading();
        }
        inner.is_shutting_down.store(true, Ordering::SeqCst);
        let mut is_drained = inner.drained(until).await;
        if let Some(queue) = queue {
            is_drained &= queue.stop(until).await;
        }
        for function in inner.functions.all() {
            function.provision.clear();
            inner.farewells.say(function.take_all());
        }
        inner.farewells.said().await;
        is_drained
    }

    /// What it is doing.
    pub fn snapshot(&self) -> Snapshot {
        let mut functions: Vec<FunctionSnapshot> =
            self.inner.functions.all().iter().map(|function| function.snapshot()).collect();
        functions.sort_by(|a, b| a.arn.cmp(&b.arn));
        let queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            functions,
            in_flight: self.inner.running.load(Ordering::Acquire),
            queue: queue.as_ref().map(Queue::snapshot),
        }
    }

    /// What was counted of every function since this engine began, by ARN.
    pub fn statistics(&self) -> Vec<FunctionStatistics> {
        let functions = self.inner.functions.all();
        let mut all: Vec<_> = functions.iter().map(|function| function.counters.read(&function.arn)).collect();
        all.sort_by(|a, b| a.arn.cmp(&b.arn));
        all
    }

    /// Lets `request` in. Whoever gets the result has to run it.
    fn enter(&self, request: &InvokeRequest) -> Result<(Running, Arc<FunctionPool>, Slot), InvokeError> {
        let inner = &self.inner;
        let running = Running::begin(inner);
        if inner.is_shutting_down() {
            return Err(InvokeError::ShuttingDown);
        }
        let (spec, header) = (&request.function, request.trace_header.as_deref());
        if header.is_some() && !spec.may_recurse && trace::visits(header, &spec.arn) >= RECURSION_MAX {
            return Err(InvokeError::RecursiveLoop);
        }
        let function = inner.function(spec);
        let slot = function.gate.enter().map_err(|reason| {
            function.counters.throttled();
            InvokeError::Throttled(reason)
        })?;
        Ok((running, function, slot))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

#[async_trait]
impl Invoker for Engine {
    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeOutcome, InvokeError> {
        let (running, function, slot) = self.enter(&request)?;
        let engine = self.inner.clone();
        let whole = async move {
            let (outcome, rest) = execution::run(engine, function, request, slot, &mut Reply::Whole).await;
            (outcome, rest.map(|rest| (rest, running)))
        };
        let (outcome, rest) = Persistent::new(whole).await;
        if let Some((rest, running)) = rest {
            // The caller's task goes on first: what it has to do for the answer is worth more.
            tokio::spawn(async move {
                rest.run().await;
                drop(running);
            });
        }
        outcome
    }

    async fn invoke_streaming(&self, request: InvokeRequest) -> Result<InvokeStream, InvokeError> {
        let (running, function, slot) = self.enter(&request)?;
        let (mut reply, waiter) = response::streaming();
        let engine = self.inner.clone();
        tokio::spawn(async move {
            let (outcome, rest) = execution::run(engine, function, request, slot, &mut reply).await;
            reply.send(outcome);
            if let Some(rest) = rest {
                rest.run().await;
            }
            drop(running);
        });
        waiter.begun().await
    }

    fn enqueue(&self, tx: &mut dyn Tx, event: &AsyncEvent) -> Result<(), StoreError> {
        queue::enqueue(tx, event)
    }

    fn retire(&self, account: &AccountId, region: &Region, function: &str, version: &str, keep_revision: Option<&str>) {
        let arn = function_arn(account, region, function);
        let key = pool_key(&arn, version);
        if let Some(function) = self.inner.functions.get(&key) {
            function.retire(keep_revision);
            if keep_revision.is_none() {
                self.inner.functions.remove_if(&key, FunctionPool::is_empty);
            }
        }
        if keep_revision.is_none() {
            self.inner.gates.forget(&arn);
        }
    }

    fn reserve(&self, account: &AccountId, region: &Region, function: &str, reserved: Option<u32>) {
        self.inner.gates.reserve(account, region, &function_arn(account, region, function), reserved);
    }

    fn provision(&self, function: &Arc<FunctionSpec>, executions: u32) {
        let inner = &self.inner;
        if executions == 0 {
            return self.unprovision(&function.account, &function.region, &function.name, &function.version);
        }
        let pool = inner.function(function);
        inner.gates.provision(&pool.gate, executions);
        pool.provision.set(inner, &pool, function.clone(), executions);
    }

    fn unprovision(&self, account: &AccountId, region: &Region, function: &str, version: &str) {
        let arn = function_arn(account, region, function);
        if let Some(pool) = self.inner.functions.get(&pool_key(&arn, version)) {
            self.inner.gates.provision(&pool.gate, 0);
            pool.provision.clear();
        }
    }

    fn provisioned(&self, account: &AccountId, region: &Region, function: &str, version: &str) -> Option<Provisioned> {
        let arn = function_arn(account, region, function);
        self.inner.functions.get(&pool_key(&arn, version))?.provision.state()
    }
}

fn function_arn(account: &AccountId, region: &Region, function: &str) -> String {
    Arn::new("lambda", region, account, format!("function:{function}")).to_string()
}

/// What a version's environments are kept under: each version has its own.
fn pool_key<'a>(arn: &'a str, version: &str) -> Cow<'a, str> {
    if version == "$LATEST" { Cow::Borrowed(arn) } else { Cow::Owned(format!("{arn}:{version}")) }
}

/// Counts an invocation from its request to its last log line.
struct Running(Arc<Inner>);

impl Running {
    fn begin(inner: &Arc<Inner>) -> Running {
        inner.running.fetch_add(1, Ordering::SeqCst);
        Running(inner.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.quiet.notify_waiters();
        }
    }
}

impl Inner {
    /// The pool of the version that the request is for, made on its first request.
    pub(crate) fn function(&self, spec: &FunctionSpec) -> Arc<FunctionPool> {
        let key = pool_key(&spec.arn, &spec.version);
        self.functions.get_or_insert(&key, || {
            let gate = Arc::new(self.gates.version(&spec.account, &spec.region, &spec.arn));
            let (farewells, floor) = (self.farewells.clone(), self.floor.clone());
            FunctionPool::new(key.clone().into_owned(), gate, self.settings.idle_timeout, farewells, floor)
        })
    }

    /// The pool of the function with this ARN (its $LATEST), if it was ever used.
    pub(crate) fn pool(&self, arn: &str) -> Option<Arc<FunctionPool>> {
        self.functions.get(arn)
    }

    /// Waits for memory for another environment; evicts idle ones for it.
    pub(crate) async fn admit(&self, bytes: u64) -> Result<Promise, Full> {
        if let Some(promise) = self.admission.admit(bytes) {
            return Ok(promise);
        }
        // One looks at the memory for all who wait, and they get theirs in the order in which they came.
        let until = Instant::now() + self.admission.wait();
        let Ok(_turn) = timeout_at(until, self.admission.turn()).await else { return Err(Full) };
        loop {
            if let Some(promise) = self.admission.admit(bytes) {
                return Ok(promise);
            }
            if self.evict().await {
                continue;
            }
            if Instant::now() >= until {
                return Err(Full);
            }
            sleep(MEMORY_POLL).await;
        }
    }

    /// Ends the idle environment that is worth the least, of whatever function.
    async fn evict(&self) -> bool {
        let evicted = {
            let now = Instant::now();
            let mut evictor = self.evictor.lock().unwrap_or_else(PoisonError::into_inner);
            let (worth, take) =
                (|pool: &Arc<FunctionPool>| pool.least_worth(now), |pool: &Arc<FunctionPool>| pool.take_least(now));
            evictor.next(&self.floor, now, || self.functions.all(), worth, take)
        };
        let Some(mut environment) = evicted else { return false };
        environment.end(ShutdownReason::Spindown).await;
        drop(environment);
        self.admission.look_again();
        true
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.load(Ordering::SeqCst)
    }

    async fn drained(&self, until: Instant) -> bool {
        loop {
            let quiet = self.quiet.notified();
            tokio::pin!(quiet);
            quiet.as_mut().enable();
            if self.running.load(Ordering::SeqCst) == 0 {
                return true;
            }
            if timeout_at(until, quiet).await.is_err() {
                return false;
            }
        }
    }
}
