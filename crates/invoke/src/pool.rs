//! The environments of one version of a function: who is idle, who is about to be, and who waits for one.
//!
//! The most recently used environment is taken first, so that the others grow old and go. A request that
//! finds none idle, but one whose last request has been answered and whose log lines are being written,
//! waits for that one (bounded) instead of starting another.
#![expect(clippy::vec_box, reason = "environments are large and move between the pool and tasks on every request")]

use crate::debugging::Debugging;
use crate::environment::Environment;
use crate::farewell::Farewells;
use crate::gate::FunctionGate;
use crate::limits::{FREEZE_AFTER, MEMORY_GUESS_BYTES, RETURNING_WAITERS_MAX};
use crate::statistics::Counters;
use gust_kit::ports::{Credentials, FunctionSpec, InvokeRequest};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

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
    pub(crate) arn: String,
    /// Shared by all versions of the function.
    pub(crate) gate: Arc<FunctionGate>,
    /// Requests of this version that run now.
    pub(crate) in_flight: AtomicUsize,
    /// The last credentials of its role, and whose they are.
    pub(crate) credentials: tokio::sync::Mutex<Option<(String, Credentials)>>,
    /// Whether its owner was told about a runtime that is not exactly there.
    pub(crate) is_warned: AtomicBool,
    pub(crate) counters: Counters,
    farewells: Farewells,
    pub(crate) debugging: Debugging,
    used_bytes: AtomicU64,
    idle_timeout: Duration,
    state: Mutex<State>,
    keeper: Notify,
}

struct State {
    /// The last is the most recently used.
    idle: Vec<Box<Environment>>,
    /// Who will be idle in a moment and who waits for that, by tenant.
    coming: HashMap<Option<String>, Coming>,
    /// Those who wait for their turn to start one, with what they want.
    start_waiters: VecDeque<(Wanted, oneshot::Sender<Box<Environment>>)>,
    /// Counts the function's changes; environments of an older count must have `keep`'s revision.
    generation: u64,
    keep: Option<String>,
    keeper_until: Option<Instant>,
}

/// The environments of one tenant, or of a function without tenants, that will be idle in a moment.
#[derive(Default)]
struct Coming {
    returning: usize,
    waiters: VecDeque<oneshot::Sender<Box<Environment>>>,
}

impl State {
    /// One environment less is about to be idle; as many may wait as are still about to.
    fn arrived(&mut self, tenant_id: &Option<String>) {
        let Some(coming) = self.coming.get_mut(tenant_id) else { return };
        coming.returning = coming.returning.saturating_sub(1);
    }

    fn next_waiter(&mut self, tenant_id: &Option<String>) -> Option<oneshot::Sender<Box<Environment>>> {
        self.coming.get_mut(tenant_id)?.waiters.pop_front()
    }

    /// Those who wait in vain look again, and nothing is kept for a tenant of whom nothing comes.
    fn dismiss(&mut self, tenant_id: &Option<String>) {
        let Some(coming) = self.coming.get_mut(tenant_id) else { return };
        while coming.waiters.len() > coming.returning {
            coming.waiters.pop_front();
        }
        if coming.returning == 0 && tenant_id.is_some() {
            self.coming.remove(tenant_id);
        }
    }
}

/// Which environments may serve a request: those of its revision, and of its tenant alone.
struct Wanted {
    revision_id: String,
    tenant_id: Option<String>,
}

impl Wanted {
    fn is(&self, environment: &Environment) -> bool {
        environment.spec.revision_id == self.revision_id && environment.tenant_id == self.tenant_id
    }
}

/// What a request gets.
pub(crate) enum Taken {
    Idle(Box<Environment>),
    /// One that is about to be idle; nothing comes if it turns out unusable.
    Wait(oneshot::Receiver<Box<Environment>>),
    /// None: a new one has to be started.
    Start,
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
        gate: Arc<FunctionGate>,
        idle_timeout: Duration,
        farewells: Farewells,
    ) -> FunctionPool {
        FunctionPool {
            arn,
            gate,
            in_flight: AtomicUsize::new(0),
            credentials: tokio::sync::Mutex::default(),
            is_warned: AtomicBool::new(false),
            counters: Counters::default(),
            farewells,
            debugging: Debugging::default(),
            used_bytes: AtomicU64::new(0),
            idle_timeout,
            state: Mutex::new(State {
                idle: Vec::new(),
                coming: HashMap::new(),
                start_waiters: VecDeque::new(),
                generation: 0,
                keep: None,
                keeper_until: None,
            }),
            keeper: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an environment that may serve `request`.
    pub(crate) fn take(&self, request: &InvokeRequest, may_wait: bool) -> Taken {
        let mut state = self.lock();
        let found = state.idle.iter().rposition(|environment| environment.may_serve(request));
        if let Some(at) = found {
            return Taken::Idle(state.idle.remove(at));
        }
        let Some(coming) = state.coming.get_mut(&request.tenant_id) else { return Taken::Start };
        coming.waiters.retain(|waiter| !waiter.is_closed());
        if may_wait && coming.returning > coming.waiters.len() && coming.waiters.len() < RETURNING_WAITERS_MAX {
            let (sender, receiver) = oneshot::channel();
            coming.waiters.push_back(sender);
            return Taken::Wait(receiver);
        }
        Taken::Start
    }

    /// Waits for an environment that may serve `request` to become free, behind those who wait for one that is being
    /// given back. As many wait as requests are let in.
    pub(crate) fn wait_for_free(&self, request: &InvokeRequest) -> oneshot::Receiver<Box<Environment>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        state.start_waiters.retain(|(_, waiter)| !waiter.is_closed());
        let revision_id = request.function.revision_id.clone();
        state.start_waiters.push_back((Wanted { revision_id, tenant_id: request.tenant_id.clone() }, sender));
        receiver
    }

    /// The number that an environment started now is marked with.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Announces that an environment will be given back, or not, in a moment.
    pub(crate) fn announce(&self, environment: &Environment) {
        self.lock().coming.entry(environment.tenant_id.clone()).or_default().returning += 1;
    }

    /// The announced environment is not given back: whoever waits for it looks again.
    pub(crate) fn withdraw(&self, environment: &Environment) {
        let mut state = self.lock();
        state.arrived(&environment.tenant_id);
        state.dismiss(&environment.tenant_id);
    }

    /// Gives back an announced environment. It goes if its function was changed meanwhile.
    pub(crate) fn give_back(self: &Arc<FunctionPool>, mut environment: Box<Environment>) {
        let mut state = self.lock();
        state.arrived(&environment.tenant_id);
        if is_outdated(&state, &environment) {
            state.dismiss(&environment.tenant_id);
            drop(state);
            self.farewells.say(vec![environment]);
            return;
        }
        if !environment.is_frozen {
            environment.idle_since = Instant::now();
        }
        while let Some(waiter) = state.next_waiter(&environment.tenant_id) {
            match waiter.send(environment) {
                Ok(()) => return,
                Err(unsent) => environment = unsent,
            }
        }
        state.dismiss(&environment.tenant_id);
        let wants =
            |state: &State, free: &Environment| state.start_waiters.iter().position(|(wanted, _)| wanted.is(free));
        while let Some(at) = wants(&state, &environment) {
            let Some((_, waiter)) = state.start_waiters.remove(at) else { break };
            match waiter.send(environment) {
                Ok(()) => return,
                Err(unsent) => environment = unsent,
            }
        }
        // A frozen one has been idle for longer than the others.
        let at = if environment.is_frozen { 0 } else { state.idle.len() };
        let due = next_due(&environment, self.idle_timeout);
        state.idle.insert(at, environment);
        self.wake_keeper(&mut state, due);
    }

    /// Environments of other revisions than `keep` go: idle ones at once, busy ones when they are given back.
    pub(crate) fn retire(&self, keep: Option<&str>) {
        let mut state = self.lock();
        state.generation += 1;
        state.keep = keep.map(str::to_owned);
        let (kept, gone) = std::mem::take(&mut state.idle)
            .into_iter()
            .partition(|environment| keep == Some(environment.spec.revision_id.as_str()));
        state.idle = kept;
        drop(state);
        self.farewells.say(gone);
    }

    /// All idle environments go.
    pub(crate) fn take_all(&self) -> Vec<Box<Environment>> {
        std::mem::take(&mut self.lock().idle)
    }

    /// Since when the environment has been idle that has been so for longest.
    pub(crate) fn oldest_idle(&self) -> Option<Instant> {
        self.lock().idle.iter().map(|environment| environment.idle_since).min()
    }

    /// Takes the environment that has been idle for longest.
    pub(crate) fn take_oldest(&self) -> Option<Box<Environment>> {
        let mut state = self.lock();
        let oldest = state.idle.iter().enumerate().min_by_key(|(_, environment)| environment.idle_since)?.0;
        Some(state.idle.remove(oldest))
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
        self.lock().idle.iter().any(|environment| environment.spec.revision_id == spec.revision_id)
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        let is_coming = state.coming.values().any(|coming| coming.returning > 0);
        state.idle.is_empty() && !is_coming && self.in_flight.load(Ordering::Acquire) == 0
    }

    pub(crate) fn snapshot(&self) -> FunctionSnapshot {
        let state = self.lock();
        FunctionSnapshot {
            arn: self.arn.clone(),
            in_flight: self.in_flight.load(Ordering::Acquire),
            idle: state.idle.len(),
            frozen: state.idle.iter().filter(|environment| environment.is_frozen).count(),
        }
    }

    // ---- the keeper: freezes and removes idle environments, and ends when there are none

    fn wake_keeper(self: &Arc<FunctionPool>, state: &mut State, due: Instant) {
        match state.keeper_until {
            None => {
                state.keeper_until = Some(due);
                tokio::spawn(keep(self.clone()));
            }
            Some(until) if due < until => {
                state.keeper_until = Some(due);
                self.keeper.notify_one();
            }
            Some(_) => {}
        }
    }

    /// When the keeper has to look again; `None` (and the keeper ends) if nothing is idle.
    fn next_look(&self) -> Option<Instant> {
        let mut state = self.lock();
        let next = state.idle.iter().map(|environment| next_due(environment, self.idle_timeout)).min();
        state.keeper_until = next;
        next
    }

    /// Takes out what is due: those to freeze (announced, they come back) and those to remove.
    fn take_due(&self) -> (Vec<Box<Environment>>, Vec<Box<Environment>>) {
        let (now, mut state) = (Instant::now(), self.lock());
        let (due, idle): (Vec<_>, Vec<_>) = std::mem::take(&mut state.idle)
            .into_iter()
            .partition(|environment| next_due(environment, self.idle_timeout) <= now);
        state.idle = idle;
        let (removed, to_freeze): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|environment| environment.idle_since + self.idle_timeout <= now);
        for environment in &to_freeze {
            state.coming.entry(environment.tenant_id.clone()).or_default().returning += 1;
        }
        (to_freeze, removed)
    }
}

/// When something has to be done about an idle environment.
fn next_due(environment: &Environment, idle_timeout: Duration) -> Instant {
    // A debugger looks at it while it is idle.
    let freezes = !environment.is_frozen && environment.spec.debug_port().is_none();
    let wait = if freezes { FREEZE_AFTER.min(idle_timeout) } else { idle_timeout };
    environment.idle_since + wait
}

fn is_outdated(state: &State, environment: &Environment) -> bool {
    environment.generation < state.generation && state.keep.as_deref() != Some(environment.spec.revision_id.as_str())
}

async fn keep(pool: Arc<FunctionPool>) {
    while let Some(next) = pool.next_look() {
        tokio::select! {
            () = sleep_until(next) => {}
            () = pool.keeper.notified() => continue,
        }
        let (to_freeze, removed) = pool.take_due();
        pool.farewells.say(removed);
        for mut environment in to_freeze {
            environment.freeze().await;
            if environment.is_frozen {
                pool.give_back(environment);
            } else {
                // One that cannot be frozen is ended rather than looked at for ever.
                pool.withdraw(&environment);
                pool.farewells.say(vec![environment]);
            }
        }
    }
}
