//! Provisioned concurrency: environments of a version that are started ahead, replaced when they die, and kept however
//! long they are idle. Idle ones are frozen like all others.
//!
//! One task a version looks at the books whenever something in them changes: it starts what is missing, in turns of its
//! own beside those of requests, and ends what is too much. An environment's place in the books ends with the
//! environment, whoever ends it. After failures it tries again, with growing pauses: as Lambda does, it goes on
//! until the configuration is changed or deleted.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html>

use crate::engine::Inner;
use crate::environment::Environment;
use crate::launcher::Control;
use crate::limits::{
    AHEAD_RETRY_AFTER, AHEAD_RETRY_AFTER_MAX, AHEAD_STARTS_MAX, SESSION_MARGIN_MS, SESSION_RENEWAL_MS,
};
use crate::pool::FunctionPool;
use crate::start;
use gust_kit::ports::{FunctionSpec, Provisioned, ProvisionedStatus};
use gust_types::{Clock, SystemClock};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// What is kept ready of one version. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Provision(Arc<Shared>);

#[derive(Default)]
struct Shared {
    books: Mutex<Books>,
    changed: Notify,
}

#[derive(Default)]
struct Books {
    wanted: Option<Wanted>,
    /// Whether the task runs.
    is_kept: bool,
    /// The environments that there are, with the end of their credentials.
    places: HashMap<u64, Option<i64>>,
    next_place: u64,
    starting: usize,
    /// Whether all that are wanted have been there at once.
    was_ready: bool,
    failure: Option<String>,
    /// In a row.
    failures: u32,
    retry_at: Option<Instant>,
}

#[derive(Clone)]
struct Wanted {
    spec: Arc<FunctionSpec>,
    count: usize,
}

/// An environment's place in the books; it ends with the environment.
pub(crate) struct Place {
    shared: Arc<Shared>,
    number: u64,
    watcher: AbortHandle,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watcher.abort();
        lock(&self.shared.books).places.remove(&self.number);
        self.shared.changed.notify_one();
    }
}

/// Counts a start while it runs.
struct Starting(Arc<Shared>);

impl Drop for Starting {
    fn drop(&mut self) {
        lock(&self.0.books).starting -= 1;
        self.0.changed.notify_one();
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct View {
    wanted: usize,
    /// Environments whose credentials last.
    fresh: usize,
    /// Environments that have to be replaced soon.
    stale: usize,
    starting: usize,
    /// Whether the last start failed a moment ago.
    is_pausing: bool,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    start: usize,
    /// Those that have to be replaced go first.
    end: usize,
}

fn plan(view: View) -> Plan {
    let View { wanted, fresh, stale, starting, is_pausing } = view;
    let missing = wanted.saturating_sub(fresh + starting);
    let start = if is_pausing { 0 } else { missing.min(AHEAD_STARTS_MAX.saturating_sub(starting)) };
    Plan { start, end: (fresh + stale).saturating_sub(wanted) }
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    AHEAD_RETRY_AFTER.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(AHEAD_RETRY_AFTER_MAX)
}

/// When an environment has to be replaced: while its credentials still last for a whole request.
fn replace_at_ms(expires_at_ms: i64, spec: &FunctionSpec) -> i64 {
    let timeout_ms = i64::try_from(spec.timeout_ms).unwrap_or(i64::MAX);
    expires_at_ms.saturating_sub(timeout_ms).saturating_sub(SESSION_MARGIN_MS).saturating_sub(SESSION_RENEWAL_MS)
}

impl Books {
    fn view(&self, wanted: &Wanted, now_ms: i64, now: Instant) -> View {
        let is_stale = |expires_at_ms: &&Option<i64>| {
            expires_at_ms.is_some_and(|at_ms| replace_at_ms(at_ms, &wanted.spec) <= now_ms)
        };
        let stale = self.places.values().filter(is_stale).count();
        let fresh = self.places.len() - stale;
        let is_pausing = self.retry_at.is_some_and(|retry_at| now < retry_at);
        View { wanted: wanted.count, fresh, stale, starting: self.starting, is_pausing }
    }

    /// When something is to be done although nothing changes.
    fn next_look(&self, wanted: &Wanted, now_ms: i64, now: Instant) -> Option<Instant> {
        let ends = self.places.values().flatten().map(|at_ms| replace_at_ms(*at_ms, &wanted.spec));
        let next = ends.filter(|at_ms| *at_ms > now_ms).min();
        let next = next.map(|at_ms| now + Duration::from_millis(u64::try_from(at_ms - now_ms).unwrap_or(0)));
        next.into_iter().chain(self.retry_at.filter(|retry_at| *retry_at > now)).min()
    }
}

impl Provision {
    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.0.books)
    }

    /// Whether any environments are to be kept ready.
    pub(crate) fn is_wanted(&self) -> bool {
        self.books().wanted.is_some()
    }

    /// Whether there are more than are wanted.
    pub(crate) fn is_surplus(&self) -> bool {
        let books = self.books();
        books.places.len() > books.wanted.as_ref().map_or(0, |wanted| wanted.count)
    }

    /// How it stands; `None` if nothing is wanted.
    pub(crate) fn state(&self) -> Option<Provisioned> {
        let books = self.books();
        let wanted = books.wanted.as_ref()?;
        let ready = books.places.len().min(wanted.count);
        let status = match &books.failure {
            Some(reason) if ready < wanted.count => ProvisionedStatus::Failed(reason.clone()),
            _ if books.was_ready => ProvisionedStatus::Ready,
            _ => ProvisionedStatus::InProgress,
        };
        Some(Provisioned { ready: u32::try_from(ready).unwrap_or(u32::MAX), status })
    }

    /// From now on so many environments of `spec` are kept ready; 0 ends that.
    pub(crate) fn set(&self, engine: &Arc<Inner>, pool: &Arc<FunctionPool>, spec: Arc<FunctionSpec>, count: u32) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut books = self.books();
        let before = books.wanted.replace(Wanted { spec, count });
        let is_other = before.is_none_or(|before| before.count != count);
        books.was_ready = books.places.len() >= count || (books.was_ready && !is_other);
        (books.failure, books.failures, books.retry_at) = (None, 0, None);
        if !std::mem::replace(&mut books.is_kept, true) {
            tokio::spawn(keep_ready(engine.clone(), pool.clone()));
        }
        self.0.changed.notify_one();
    }

    /// Nothing is kept ready any more.
    pub(crate) fn clear(&self) {
        self.books().wanted = None;
        self.0.changed.notify_one();
    }

    /// Gives an environment that was started ahead its place; says whether it is still wanted.
    fn place(&self, environment: &mut Environment) -> bool {
        let control: Arc<dyn Control> = environment.control.clone();
        let shared = self.0.clone();
        // One that dies while it is idle would be noticed by the next request only.
        let watcher = tokio::spawn(async move {
            control.exit().await;
            shared.changed.notify_one();
        });
        let mut books = self.books();
        let Some(count) = books.wanted.as_ref().map(|wanted| wanted.count) else {
            watcher.abort();
            return false;
        };
        let number = books.next_place;
        books.next_place += 1;
        books.places.insert(number, environment.expires_at_ms);
        (books.failure, books.failures, books.retry_at) = (None, 0, None);
        books.was_ready |= books.places.len() >= count;
        environment.provisioned = Some(Place { shared: self.0.clone(), number, watcher: watcher.abort_handle() });
        true
    }

    fn failed(&self, reason: String) {
        let mut books = self.books();
        books.failures = books.failures.saturating_add(1);
        books.retry_at = Some(Instant::now() + pause(books.failures));
        books.failure = Some(reason);
    }

    /// What there is to do, and when to look again; `None`: nothing is wanted any more.
    fn next(&self) -> Option<(Arc<FunctionSpec>, Plan, Option<Instant>)> {
        let (now_ms, now) = (SystemClock.now_ms(), Instant::now());
        let mut books = self.books();
        let Some(wanted) = books.wanted.clone() else {
            books.is_kept = false;
            return None;
        };
        let plan = plan(books.view(&wanted, now_ms, now));
        books.starting += plan.start;
        let next_look = books.next_look(&wanted, now_ms, now);
        Some((wanted.spec, plan, next_look))
    }
}

/// Keeps environments ready for as long as any are wanted.
async fn keep_ready(engine: Arc<Inner>, pool: Arc<FunctionPool>) {
    let name: Arc<str> = format!("{} ahead", pool.arn).into();
    while let Some((spec, plan, next_look)) = pool.provision.next() {
        pool.farewells.say(pool.take_provisioned(Environment::has_ended));
        if plan.end > 0 {
            end(&pool, &spec, plan.end);
        }
        for _ in 0..plan.start {
            let starting = Starting(pool.provision.0.clone());
            tokio::spawn(start_one(engine.clone(), pool.clone(), spec.clone(), name.clone(), starting));
        }
        let changed = pool.provision.0.changed.notified();
        match next_look {
            Some(until) => tokio::select! { () = changed => {}, () = sleep_until(until) => {} },
            None => changed.await,
        }
    }
    pool.farewells.say(pool.take_provisioned(|_| true));
}

/// Ends idle ones; busy ones become ordinary when they are given back.
fn end(pool: &Arc<FunctionPool>, spec: &FunctionSpec, count: usize) {
    let now_ms = SystemClock.now_ms();
    let mut left = count;
    for only_stale in [true, false] {
        let ended = pool.take_provisioned(|environment| {
            let is_stale = environment.expires_at_ms.is_some_and(|at_ms| replace_at_ms(at_ms, spec) <= now_ms);
            let ends = left > 0 && (is_stale || !only_stale);
            left -= usize::from(ends);
            ends
        });
        pool.farewells.say(ended);
    }
}

async fn start_one(
    engine: Arc<Inner>,
    pool: Arc<FunctionPool>,
    spec: Arc<FunctionSpec>,
    name: Arc<str>,
    starting: Starting,
) {
    let started = match engine.turns.take(&name).await {
        Ok(turn) => start::start_ahead(&engine, &pool, &spec, turn).await,
        Err(_) => return,
    };
    match started {
        Ok(mut environment) => {
            if !pool.provision.place(&mut environment) {
                return pool.farewells.say(vec![environment]);
            }
            pool.announce(&environment);
            pool.give_back(environment);
        }
        Err(reason) => {
            tracing::warn!(function = %pool.arn, reason, "provisioned concurrency could not be started");
            pool.provision.failed(reason);
        }
    }
    drop(starting);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    const VIEW: View = View { wanted: 5, fresh: 0, stale: 0, starting: 0, is_pausing: false };

    #[test]
    fn what_is_missing_is_started_and_what_is_too_much_ends() {
        assert_eq!(plan(VIEW), Plan { start: 5, end: 0 });
        assert_eq!(plan(View { fresh: 2, starting: 2, ..VIEW }), Plan { start: 1, end: 0 });
        assert_eq!(plan(View { fresh: 5, ..VIEW }), Plan { start: 0, end: 0 });
        assert_eq!(plan(View { fresh: 7, ..VIEW }), Plan { start: 0, end: 2 });
        assert_eq!(plan(View { is_pausing: true, ..VIEW }), Plan { start: 0, end: 0 });
        let many = View { wanted: 1_000, ..VIEW };
        assert_eq!(plan(many).start, AHEAD_STARTS_MAX);
        assert_eq!(plan(View { starting: AHEAD_STARTS_MAX - 1, ..many }).start, 1);
    }

    #[test]
    fn stale_ones_serve_until_they_are_replaced() {
        assert_eq!(plan(View { stale: 5, ..VIEW }), Plan { start: 5, end: 0 });
        assert_eq!(plan(View { stale: 5, fresh: 3, starting: 2, ..VIEW }), Plan { start: 0, end: 3 });
        assert_eq!(plan(View { stale: 5, fresh: 5, ..VIEW }), Plan { start: 0, end: 5 });
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(pause(1), AHEAD_RETRY_AFTER);
        assert_eq!(pause(3), 4 * AHEAD_RETRY_AFTER);
        assert_eq!(pause(u32::MAX), AHEAD_RETRY_AFTER_MAX);
    }

    #[test]
    fn credentials_are_renewed_in_time() {
        let wanted = Wanted { spec: Arc::new(spec("f")), count: 1 };
        let lead_ms = 30_000 + SESSION_MARGIN_MS + SESSION_RENEWAL_MS;
        let mut books = Books::default();
        books.places.insert(0, Some(lead_ms + 100));
        books.places.insert(1, None);
        let now = Instant::now();
        assert_eq!(books.view(&wanted, 99, now).stale, 0);
        assert_eq!(books.next_look(&wanted, 99, now), Some(now + Duration::from_millis(1)));
        assert_eq!(books.view(&wanted, 100, now), View { wanted: 1, fresh: 1, stale: 1, ..VIEW });
        assert_eq!(books.next_look(&wanted, 100, now), None);
    }
}
