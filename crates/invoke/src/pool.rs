//! The environments of one version of a function: who is idle, who is about to be, and who waits for one.
//!
//! Those that are kept ready (provisioned) are taken first, and of each kind the most recently used. Whoever finds none
//! idle waits in one line, in the order in which they came, and gets what becomes free; how long one waits before one
//! starts an environment is decided elsewhere (`times.rs`). A request costs the same however many environments and
//! waiters there are.
#![expect(clippy::vec_box, reason = "environments are large and move between the pool and tasks on every request")]

use crate::debugging::Debugging;
use crate::environment::Environment;
use crate::farewell::Farewells;
use crate::gate::VersionGate;
use crate::keep_alive::{Facts, Floor, worth};
use crate::keeper;
use crate::limits::{MEMORY_GUESS_BYTES, WAITERS_MAX};
use crate::provisioned::Provision;
use crate::shelf::Idle;
use crate::statistics::Counters;
use crate::times::{Situation, Times};
use gust_kit::ports::{Credentials, FunctionSpec, InvokeRequest};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// When idle environments stop running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FreezePolicy {
    /// 100 ms after they became idle: a hot function never pays for it.
    #[default]
    Lazy100ms,
    /// Before they can be taken again, as Lambda does.
    Immediate,
}

/// A version's environments and counters. One lock a version, held for moments.
pub(crate) struct FunctionPool {
    pub(crate) arn: Arc<str>,
    /// The places of this version, and those that it shares with the function's other versions.
    pub(crate) gate: Arc<VersionGate>,
    /// Requests of this version that run now or wait for an environment.
    pub(crate) in_flight: AtomicUsize,
    /// Of those, the ones that wait for an environment.
    waiting: AtomicUsize,
    /// Of those, the ones for whom one is being started.
    pub(crate) starting: AtomicUsize,
    /// The last credentials of its role, and whose they are.
    pub(crate) credentials: tokio::sync::Mutex<Option<(String, Credentials)>>,
    /// Whether its owner was told about a runtime that is not exactly there.
    pub(crate) is_warned: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) times: Times,
    pub(crate) farewells: Farewells,
    pub(crate) debugging: Debugging,
    /// What is kept ready of it.
    pub(crate) provision: Provision,
    used_bytes: AtomicU64,
    pub(crate) idle_timeout: Duration,
    floor: Arc<Floor>,
    state: Mutex<State>,
    pub(crate) keeper: Notify,
}

pub(crate) struct State {
    /// By tenant, then by revision: mostly one.
    shelves: HashMap<String, Vec<Shelf>>,
    /// Counts the function's changes; environments of an older count must have `keep`'s revision.
    generation: u64,
    keep: Option<String>,
    pub(crate) keeper_until: Option<Instant>,
}

/// The environments of one revision for one tenant, or for a function without tenants.
pub(crate) struct Shelf {
    revision_id: String,
    pub(crate) provisioned: Idle<Box<Environment>>,
    pub(crate) on_demand: Idle<Box<Environment>>,
    /// Environments that will be idle in a moment.
    coming: usize,
    /// Some may have given up.
    waiters: VecDeque<oneshot::Sender<Box<Environment>>>,
}

impl Shelf {
    fn new(revision_id: &str) -> Shelf {
        let (provisioned, on_demand) = (Idle::default(), Idle::default());
        Shelf { revision_id: revision_id.to_owned(), provisioned, on_demand, coming: 0, waiters: VecDeque::new() }
    }

    /// Those of one kind.
    pub(crate) fn idle(&mut self, is_provisioned: bool) -> &mut Idle<Box<Environment>> {
        if is_provisioned { &mut self.provisioned } else { &mut self.on_demand }
    }

    /// One more will be idle in a moment.
    pub(crate) fn expect(&mut self) {
        self.coming += 1;
    }

    fn is_unused(&self) -> bool {
        self.provisioned.is_empty() && self.on_demand.is_empty() && self.coming == 0 && self.waiters.is_empty()
    }
}

impl State {
    fn shelf(&mut self, tenant_id: Option<&str>, revision_id: &str) -> &mut Shelf {
        let tenant = tenant_id.unwrap_or_default();
        if !self.shelves.contains_key(tenant) {
            self.shelves.insert(tenant.to_owned(), Vec::with_capacity(1));
        }
        let shelves = self.shelves.get_mut(tenant).expect("it is there, or was just put there");
        let at = shelves.iter().position(|shelf| shelf.revision_id == revision_id).unwrap_or_else(|| {
            shelves.push(Shelf::new(revision_id));
            shelves.len() - 1
        });
        &mut shelves[at]
    }

    fn shelf_of(&mut self, environment: &Environment) -> &mut Shelf {
        self.shelf(environment.tenant_id.as_deref(), &environment.spec.revision_id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Shelf> {
        self.shelves.values().flatten()
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Shelf> {
        self.shelves.values_mut().flatten()
    }

    /// Forgets shelves on which nothing lies and for which nobody waits.
    pub(crate) fn tidy(&mut self) {
        self.shelves.retain(|_, shelves| {
            shelves.retain_mut(|shelf| {
                shelf.waiters.retain(|waiter| !waiter.is_closed());
                !shelf.is_unused()
            });
            !shelves.is_empty()
        });
    }

    fn is_outdated(&self, environment: &Environment) -> bool {
        environment.generation < self.generation && self.keep.as_deref() != Some(environment.spec.revision_id.as_str())
    }

    fn idle_count(&self) -> usize {
        self.all().map(|shelf| shelf.provisioned.len() + shelf.on_demand.len()).sum()
    }
}

/// What a request gets.
pub(crate) enum Taken {
    Idle(Box<Environment>),
    /// A place in the line, and what the request met.
    Wait(Ticket, Situation),
    /// As many wait as may.
    Full,
}

/// A place in the line of those who wait for an environment.
pub(crate) struct Ticket {
    pub(crate) environment: oneshot::Receiver<Box<Environment>>,
    _counted: Counted,
}

/// Counts one in the pool while it lives.
pub(crate) struct Counted(Arc<FunctionPool>, fn(&FunctionPool) -> &AtomicUsize);

impl Counted {
    pub(crate) fn new(pool: &Arc<FunctionPool>, counter: fn(&FunctionPool) -> &AtomicUsize) -> Counted {
        counter(pool).fetch_add(1, Ordering::AcqRel);
        Counted(pool.clone(), counter)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::AcqRel);
    }
}

/// What `gust ls` shows of a function's environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSnapshot {
    /// The function's ARN, with the version if that is not `$LATEST`.
    pub arn: String,
    /// Requests that run now.
    pub in_flight: usize,
    /// Environments that wait for a request, frozen ones included.
    pub idle: usize,
    /// Of those, the frozen ones.
    pub frozen: usize,
}

impl FunctionPool {
    pub(crate) fn new(
        arn: String,
        gate: Arc<VersionGate>,
        idle_timeout: Duration,
        farewells: Farewells,
        floor: Arc<Floor>,
    ) -> FunctionPool {
        FunctionPool {
            arn: arn.into(),
            gate,
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            starting: AtomicUsize::new(0),
            credentials: tokio::sync::Mutex::default(),
            is_warned: AtomicBool::new(false),
            counters: Counters::default(),
            times: Times::default(),
            farewells,
            debugging: Debugging::default(),
            provision: Provision::default(),
            used_bytes: AtomicU64::new(0),
            idle_timeout,
            floor,
            state: Mutex::new(State { shelves: HashMap::new(), generation: 0, keep: None, keeper_until: None }),
            keeper: Notify::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an environment that may serve `request`, or a place in the line.
    pub(crate) fn take(self: &Arc<FunctionPool>, request: &InvokeRequest) -> Taken {
        let mut state = self.lock();
        let shelf = state.shelf(request.tenant_id.as_deref(), &request.function.revision_id);
        if let Some(environment) = shelf.provisioned.take().or_else(|| shelf.on_demand.take()) {
            return Taken::Idle(environment);
        }
        let waiting = self.waiting.load(Ordering::Acquire);
        if waiting >= WAITERS_MAX {
            return Taken::Full;
        }
        // Whoever gave up is no longer ahead of anybody.
        while shelf.waiters.front().is_some_and(oneshot::Sender::is_closed) {
            shelf.waiters.pop_front();
        }
        if shelf.waiters.len() > 2 * waiting + 16 {
            shelf.waiters.retain(|waiter| !waiter.is_closed());
        }
        let (sender, environment) = oneshot::channel();
        let (ahead, coming) = (shelf.waiters.len().min(waiting), shelf.coming);
        shelf.waiters.push_back(sender);
        let ticket = Ticket { environment, _counted: Counted::new(self, |pool| &pool.waiting) };
        let others = self.waiting.load(Ordering::Acquire) + self.starting.load(Ordering::Acquire);
        let is_shared = request.tenant_id.is_none();
        // Environments of other tenants become free for nobody else.
        let busy = if is_shared { self.in_flight.load(Ordering::Acquire).saturating_sub(others) } else { coming };
        Taken::Wait(ticket, Situation { busy, coming, ahead })
    }

    /// The number that an environment started now is marked with.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Announces that an environment will be given back, or not, in a moment.
    pub(crate) fn announce(&self, environment: &Environment) {
        self.lock().shelf_of(environment).expect();
    }

    /// The announced environment is not given back.
    pub(crate) fn withdraw(&self, environment: &Environment) {
        let mut state = self.lock();
        let shelf = state.shelf_of(environment);
        shelf.coming = shelf.coming.saturating_sub(1);
    }

    /// Gives back an announced environment that has served a request, or was just started. It goes if its function was
    /// changed meanwhile.
    pub(crate) fn give_back(self: &Arc<FunctionPool>, mut environment: Box<Environment>) {
        let now = Instant::now();
        if let Some(taken_at) = environment.taken_at.take() {
            self.times.served(now.saturating_duration_since(taken_at));
            environment.uses = environment.uses.again(now.saturating_duration_since(environment.idle_since));
        }
        environment.idle_since = now;
        environment.floor = self.floor.get();
        self.put(environment);
    }

    /// Gives back an announced environment that was idle all the while.
    pub(crate) fn put(self: &Arc<FunctionPool>, mut environment: Box<Environment>) {
        // Fewer are wanted than there are. It says of itself that it was provisioned, so it does not serve on demand.
        let is_surplus = environment.provisioned.is_some() && self.provision.is_surplus();
        let mut state = self.lock();
        let is_outdated = state.is_outdated(&environment);
        let shelf = state.shelf_of(&environment);
        shelf.coming = shelf.coming.saturating_sub(1);
        if is_outdated || is_surplus {
            drop(state);
            self.farewells.say(vec![environment]);
            return;
        }
        while let Some(waiter) = shelf.waiters.pop_front() {
            match waiter.send(environment) {
                Ok(()) => return,
                Err(unsent) => environment = unsent,
            }
        }
        let since = environment.idle_since;
        let idle = shelf.idle(environment.provisioned.is_some());
        // A debugger looks at it while it is idle.
        let is_settled = environment.is_frozen || environment.spec.debug_port().is_some();
        if is_settled {
            idle.put_settled(since, environment);
        } else {
            idle.put(since, environment);
        }
        keeper::wake(self, &mut state, since, is_settled);
    }

    /// Environments of other revisions than `keep` go: idle ones at once, busy ones when they are given back.
    pub(crate) fn retire(&self, keep: Option<&str>) {
        let mut state = self.lock();
        state.generation += 1;
        state.keep = keep.map(str::to_owned);
        let gone = state.all_mut().filter(|shelf| keep != Some(shelf.revision_id.as_str())).flat_map(take_shelf);
        let gone: Vec<_> = gone.collect();
        state.tidy();
        drop(state);
        self.farewells.say(gone);
    }

    /// All idle environments go.
    pub(crate) fn take_all(&self) -> Vec<Box<Environment>> {
        self.lock().all_mut().flat_map(take_shelf).collect()
    }

    /// Takes out the environments that are kept ready and idle for which `test` holds.
    pub(crate) fn take_provisioned(&self, mut test: impl FnMut(&mut Environment) -> bool) -> Vec<Box<Environment>> {
        self.lock().all_mut().flat_map(|shelf| shelf.provisioned.take_if(|environment| test(environment))).collect()
    }

    /// What the least useful idle environment is worth (`keep_alive.rs`). Those that are kept ready are not asked.
    pub(crate) fn least_worth(&self, now: Instant) -> Option<f64> {
        let state = self.lock();
        let worths = state.all().filter_map(|shelf| Some(self.worth(shelf.on_demand.oldest()?, now)));
        worths.min_by(f64::total_cmp)
    }

    /// Takes out the environment that is worth the least.
    pub(crate) fn take_least(&self, now: Instant) -> Option<Box<Environment>> {
        let mut state = self.lock();
        let worth = |shelf: &Shelf| shelf.on_demand.oldest().map(|oldest| self.worth(oldest, now));
        let worths = state.all_mut().filter_map(|shelf| Some((worth(shelf)?, shelf)));
        let (_, shelf) = worths.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        shelf.on_demand.take_oldest()
    }

    fn worth(&self, environment: &Environment, now: Instant) -> f64 {
        worth(Facts {
            floor: environment.floor,
            uses: environment.uses,
            idle_for: now.saturating_duration_since(environment.idle_since),
            start: self.times.start(),
            memory_bytes: environment.known_memory_bytes(),
        })
    }

    /// Learns how much memory an environment used: more at once, less slowly, so that what is expected stays
    /// near the top of what is seen.
    pub(crate) fn learn_memory(&self, bytes: u64) {
        let known = self.used_bytes.load(Ordering::Relaxed);
        let learned = if bytes >= known { bytes } else { known - (known - bytes) / 16 };
        // Two that learn at the same time may overwrite each other: it is an estimate.
        self.used_bytes.store(learned, Ordering::Relaxed);
    }

    /// What another environment will probably use, in bytes.
    pub(crate) fn expected_bytes(&self, spec: &FunctionSpec) -> u64 {
        let limit = u64::from(spec.memory_mb) << 20;
        match self.used_bytes.load(Ordering::Relaxed) {
            0 => MEMORY_GUESS_BYTES.min(limit),
            used => used.min(limit),
        }
    }

    /// Whether an environment of `spec`'s revision is idle.
    pub(crate) fn has_idle(&self, spec: &FunctionSpec) -> bool {
        let state = self.lock();
        let mut of_revision = state.all().filter(|shelf| shelf.revision_id == spec.revision_id);
        of_revision.any(|shelf| !shelf.provisioned.is_empty() || !shelf.on_demand.is_empty())
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        let is_coming = state.all().any(|shelf| shelf.coming > 0);
        state.idle_count() == 0
            && !is_coming
            && self.in_flight.load(Ordering::Acquire) == 0
            && !self.provision.is_wanted()
    }

    pub(crate) fn snapshot(&self) -> FunctionSnapshot {
        let state = self.lock();
        let idle = state.all().flat_map(|shelf| shelf.provisioned.iter().chain(shelf.on_demand.iter()));
        FunctionSnapshot {
            arn: self.arn.to_string(),
            in_flight: self.in_flight.load(Ordering::Acquire),
            idle: state.idle_count(),
            frozen: idle.filter(|environment| environment.is_frozen).count(),
        }
    }
}

fn take_shelf(shelf: &mut Shelf) -> Vec<Box<Environment>> {
    let mut taken = shelf.provisioned.take_if(|_| true);
    taken.extend(shelf.on_demand.take_if(|_| true));
    taken
}
