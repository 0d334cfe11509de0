//! The concurrency gate: how many requests of an account, and of a function, run at a time in a region.
//!
//! A function without a reservation shares the account's limit less all reservations; one with a reservation
//! has its own limit, for all of its versions together, and takes nothing from the others. A request holds a
//! [`Slot`] while it runs; dropping it, however that comes about, frees the place. A reservation that comes or
//! goes moves the requests that run from one count to the other, so that both are always true.
//!
//! Provisioned concurrency of a version is that version's own: its requests take those places first, and then what
//! everybody may take. It counts within the function's reservation, or else against the account.
//!
//! On several nodes each node's limits are its leased slices of the account's.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>

use crate::shards::Shards;
use gust_kit::ports::ThrottleReason;
use gust_types::{AccountId, Region};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The gates of all accounts, regions and functions. Looked into when a version of a function is first seen,
/// never on a warm request.
pub struct Gates {
    limit: usize,
    accounts: Mutex<HashMap<(AccountId, Region), Arc<AccountGate>>>,
    functions: Shards<FunctionGate>,
    /// Reservations change one at a time.
    change: Mutex<()>,
}

impl Gates {
    /// Gates that let `limit` requests of each account and region run at a time.
    pub fn new(limit: usize) -> Gates {
        Gates { limit, accounts: Mutex::default(), functions: Shards::default(), change: Mutex::default() }
    }

    /// The gate of `account` in `region`.
    pub fn of(&self, account: &AccountId, region: &Region) -> Arc<AccountGate> {
        let mut gates = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let gate = gates
            .entry((account.clone(), region.clone()))
            .or_insert_with(|| Arc::new(AccountGate { limit, ..AccountGate::default() }));
        gate.clone()
    }

    /// The gate of the function `arn` (without qualifier) of that account and region.
    pub fn function(&self, account: &AccountId, region: &Region, arn: &str) -> Arc<FunctionGate> {
        self.functions.get_or_insert(arn, || FunctionGate {
            account: self.of(account, region),
            state: AtomicU64::new(0),
            claim: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// The gate of one version of the function `arn`.
    pub fn version(&self, account: &AccountId, region: &Region, arn: &str) -> VersionGate {
        VersionGate {
            function: self.function(account, region, arn),
            places: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        }
    }

    /// Reserves places for a function, or takes its reservation back. Holds from the next request on.
    pub fn reserve(&self, account: &AccountId, region: &Region, arn: &str, reserved: Option<u32>) {
        let gate = match reserved {
            Some(_) => self.function(account, region, arn),
            None => match self.functions.get(arn) {
                Some(gate) => gate,
                None => return,
            },
        };
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        gate.change(|claim| claim.reserved = reserved);
    }

    /// Gives a version `places` of its own in place of those that it had.
    pub fn provision(&self, version: &VersionGate, places: u32) {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let after = usize::try_from(places).unwrap_or(usize::MAX);
        let before = version.places.load(Ordering::Acquire);
        // As with reservations: first taken from the others, then given; first taken back, then given to them.
        if after < before {
            version.places.store(after, Ordering::Release);
        }
        let moved = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        version.function.change(|claim| {
            claim.provisioned = claim.provisioned.saturating_sub(moved(before)).saturating_add(moved(after));
        });
        if after > before {
            version.places.store(after, Ordering::Release);
        }
        version.function.freed.notify_one();
    }

    /// Forgets the function `arn` unless something of it still runs or is reserved.
    pub fn forget(&self, arn: &str) {
        self.functions.remove_unused(arn, |gate| gate.is_unclaimed() && gate.in_flight() == 0);
    }
}

/// What the functions of one account in one region share.
#[derive(Debug, Default)]
pub struct AccountGate {
    limit: i64,
    /// Requests of functions without a reservation that run now.
    in_flight: AtomicI64,
    /// The sum of all reservations, and of what is provisioned for functions without one.
    reserved: AtomicI64,
    freed: Notify,
}

impl AccountGate {
    fn enter(&self) -> bool {
        let limit = self.limit - self.reserved.load(Ordering::Acquire);
        let entered = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, |in_flight| {
            (in_flight < limit).then_some(in_flight + 1)
        });
        entered.is_ok()
    }

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }

    /// Requests of functions without a reservation that run now.
    pub fn in_flight(&self) -> usize {
        // Below zero only for the moment in which a reservation comes or goes.
        usize::try_from(self.in_flight.load(Ordering::Acquire)).unwrap_or(0)
    }
}

/// One function's requests, and the places that are reserved for them.
#[derive(Debug)]
pub struct FunctionGate {
    account: Arc<AccountGate>,
    /// Below, how many requests run; above, one more than how many may, or zero without a reservation. In one
    /// number, so that no request sees one without the other.
    state: AtomicU64,
    /// What was configured; read and written on changes only.
    claim: Mutex<Claim>,
    freed: Notify,
}

/// What a function has for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Claim {
    reserved: Option<u32>,
    /// Over all versions.
    provisioned: u32,
}

impl Claim {
    /// What the account's other functions have less for it.
    fn places(self) -> i64 {
        i64::from(self.reserved.unwrap_or(self.provisioned))
    }

    /// How many requests run at a time outside of provisioned concurrency; `None`: as many as the account has left.
    fn limit(self) -> Option<u32> {
        self.reserved.map(|reserved| reserved.saturating_sub(self.provisioned))
    }
}

/// The gate of one version: places of its own, and the function's.
#[derive(Debug)]
pub struct VersionGate {
    function: Arc<FunctionGate>,
    places: AtomicUsize,
    taken: AtomicUsize,
}

impl VersionGate {
    /// Takes a place: one of the version's own, or one of the function's.
    ///
    /// Errors: the reason for the 429, if all are taken.
    pub fn enter(self: &Arc<VersionGate>) -> Result<Slot, ThrottleReason> {
        // Nothing but a read for a version that has none.
        let places = self.places.load(Ordering::Acquire);
        if places > 0 {
            let took = self
                .taken
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| (taken < places).then_some(taken + 1));
            if took.is_ok() {
                return Ok(Slot(Place::Own(self.clone())));
            }
        }
        self.function.enter()
    }
}

const IN_FLIGHT_BITS: u32 = 32;

fn in_flight_of(state: u64) -> u64 {
    state & ((1 << IN_FLIGHT_BITS) - 1)
}

fn reserved_of(state: u64) -> Option<u64> {
    (state >> IN_FLIGHT_BITS).checked_sub(1)
}

/// A request's place; dropping it frees it.
#[derive(Debug)]
pub struct Slot(Place);

#[derive(Debug)]
enum Place {
    /// One that is provisioned for the version.
    Own(Arc<VersionGate>),
    Shared(Arc<FunctionGate>),
}

impl Drop for Slot {
    fn drop(&mut self) {
        match &self.0 {
            Place::Own(version) => {
                version.taken.fetch_sub(1, Ordering::AcqRel);
                version.function.freed.notify_one();
                version.function.account.freed.notify_one();
            }
            Place::Shared(function) => {
                let before = function.state.fetch_sub(1, Ordering::AcqRel);
                if reserved_of(before).is_none() {
                    function.account.leave();
                }
                function.freed.notify_one();
            }
        }
    }
}

impl FunctionGate {
    /// Takes a place.
    ///
    /// Errors: the reason for the 429, if all are taken.
    pub fn enter(self: &Arc<FunctionGate>) -> Result<Slot, ThrottleReason> {
        let mut state = self.state.load(Ordering::Acquire);
        // Goes round only if another request came or left in between: somebody got on.
        loop {
            let is_reserved = match reserved_of(state) {
                Some(reserved) if in_flight_of(state) >= reserved => {
                    return Err(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
                }
                Some(_) => true,
                None if !self.account.enter() => return Err(ThrottleReason::ConcurrentInvocationLimitExceeded),
                None => false,
            };
            match self.state.compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Slot(Place::Shared(self.clone()))),
                Err(now) => {
                    if !is_reserved {
                        self.account.leave();
                    }
                    state = now;
                }
            }
        }
    }

    /// Not at the same time as another call of it.
    fn change(&self, change: impl FnOnce(&mut Claim)) {
        let (before, after) = {
            let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *claim;
            change(&mut claim);
            (before, *claim)
        };
        let (more, limit) = (after.places() - before.places(), after.limit());
        let above = limit.map_or(0, |limit| u64::from(limit) + 1) << IN_FLIGHT_BITS;
        // What becomes reserved is taken from the others first, what is given back they get last.
        if more > 0 {
            self.account.reserved.fetch_add(more, Ordering::AcqRel);
        }
        let before =
            self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| Some(above | in_flight_of(now)));
        let before = before.unwrap_or_else(|now| now);
        let running = i64::try_from(in_flight_of(before)).unwrap_or(i64::MAX);
        match (reserved_of(before), limit) {
            (None, Some(_)) => self.account.in_flight.fetch_sub(running, Ordering::AcqRel),
            (Some(_), None) => self.account.in_flight.fetch_add(running, Ordering::AcqRel),
            _ => 0,
        };
        if more < 0 {
            self.account.reserved.fetch_add(more, Ordering::AcqRel);
        }
        self.freed.notify_one();
        self.account.freed.notify_one();
    }

    fn is_unclaimed(&self) -> bool {
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) == Claim::default()
    }

    /// What is reserved for it.
    pub(crate) fn reserved(&self) -> Option<u32> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).reserved
    }

    /// Its requests that run now, outside of provisioned concurrency.
    pub fn in_flight(&self) -> usize {
        usize::try_from(in_flight_of(self.state.load(Ordering::Acquire))).unwrap_or(usize::MAX)
    }

    /// Returns once a place has probably become free, for a request that was refused for `reason`.
    pub async fn freed(&self, reason: ThrottleReason) {
        match reason {
            ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded => self.freed.notified().await,
            _ => self.account.freed.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{account, region};

    const ACCOUNT_FULL: ThrottleReason = ThrottleReason::ConcurrentInvocationLimitExceeded;
    const FUNCTION_FULL: ThrottleReason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;

    fn gate(gates: &Gates, name: &str) -> Arc<FunctionGate> {
        gates.function(&account(), &region(), name)
    }

    fn version(gates: &Gates, name: &str) -> Arc<VersionGate> {
        Arc::new(gates.version(&account(), &region(), name))
    }

    fn reserve(gates: &Gates, name: &str, reserved: Option<u32>) {
        gates.reserve(&account(), &region(), name, reserved);
    }

    fn enter(gate: &Arc<FunctionGate>, times: usize) -> Vec<Slot> {
        (0..times).map(|_| gate.enter().unwrap()).collect()
    }

    #[test]
    fn exactly_the_limit_gets_in_from_many_threads_and_drops_free_the_places() {
        let gates = Gates::new(10);
        let (one, two) = (gate(&gates, "one"), gate(&gates, "two"));
        let other = gates.function(&account(), &Region::parse("eu-west-1").unwrap(), "elsewhere");
        let slots: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50).map(|n| [&one, &two][n % 2]).map(|g| scope.spawn(|| g.enter())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(slots.iter().filter(|slot| slot.is_ok()).count(), 10);
        assert_eq!(one.in_flight() + two.in_flight(), 10);
        assert_eq!(gates.of(&account(), &region()).in_flight(), 10);
        assert!(other.enter().is_ok());
        drop(slots);
        assert_eq!(gates.of(&account(), &region()).in_flight(), 0);
        assert!(one.enter().is_ok());
    }

    #[test]
    fn a_reservation_is_a_limit_and_is_kept_free_for_its_function() {
        let gates = Gates::new(10);
        let (reserved, shared) = (gate(&gates, "reserved"), gate(&gates, "shared"));
        reserve(&gates, "reserved", Some(3));
        let others = enter(&shared, 7);
        assert_eq!(shared.enter().unwrap_err(), ACCOUNT_FULL);
        let own = enter(&reserved, 3);
        assert_eq!(reserved.enter().unwrap_err(), FUNCTION_FULL);
        drop(own);
        assert_eq!(shared.enter().unwrap_err(), ACCOUNT_FULL, "free places of a reservation are nobody else's");
        drop(others);
        reserve(&gates, "reserved", Some(0));
        assert_eq!(reserved.enter().unwrap_err(), FUNCTION_FULL, "0 stops a function");
        assert_eq!(enter(&shared, 10).len(), 10);
    }

    #[test]
    fn what_runs_moves_with_its_reservation() {
        let gates = Gates::new(10);
        let (moving, shared) = (gate(&gates, "moving"), gate(&gates, "shared"));
        let mut running = enter(&moving, 4);
        reserve(&gates, "moving", Some(2));
        assert_eq!(moving.enter().unwrap_err(), FUNCTION_FULL);
        let others = enter(&shared, 8);
        assert_eq!(shared.enter().unwrap_err(), ACCOUNT_FULL);
        running.truncate(1);
        running.push(moving.enter().unwrap());
        assert_eq!(moving.enter().unwrap_err(), FUNCTION_FULL);
        reserve(&gates, "moving", None);
        assert_eq!(moving.enter().unwrap_err(), ACCOUNT_FULL, "eight and two make ten");
        drop((running, others));
        assert_eq!((gates.of(&account(), &region()).in_flight(), moving.in_flight()), (0, 0));
        assert_eq!(enter(&moving, 10).len(), 10);
    }

    #[test]
    fn provisioned_places_are_a_versions_own_and_taken_first() {
        let gates = Gates::new(10);
        let (version, other) = (version(&gates, "f"), gate(&gates, "other"));
        gates.provision(&version, 4);
        let others = enter(&other, 6);
        assert_eq!(other.enter().unwrap_err(), ACCOUNT_FULL, "what is provisioned is kept free");
        let mut own: Vec<_> = (0..4).map(|_| version.enter().unwrap()).collect();
        assert_eq!(version.enter().unwrap_err(), ACCOUNT_FULL);
        drop(others);
        own.extend((0..6).map(|_| version.enter().unwrap()));
        assert_eq!(version.enter().unwrap_err(), ACCOUNT_FULL, "four of its own, and six that spill over");
        gates.provision(&version, 1);
        assert_eq!(gates.of(&account(), &region()).in_flight(), 6);
        own.clear();
        assert_eq!((enter(&other, 9).len(), version.enter().is_ok()), (9, true));
        gates.provision(&version, 0);
        gates.forget("f");
        assert_eq!(gates.of(&account(), &region()).reserved.load(Ordering::SeqCst), 0);
        assert_eq!(enter(&other, 10).len(), 10);
    }

    #[test]
    fn what_is_provisioned_counts_within_the_reservation() {
        let gates = Gates::new(10);
        let (one, two) = (version(&gates, "f"), version(&gates, "f"));
        let other = gate(&gates, "other");
        reserve(&gates, "f", Some(5));
        gates.provision(&one, 3);
        assert_eq!(enter(&other, 5).len(), 5, "the account pays once");
        let held: Vec<_> = (0..2).map(|_| two.enter().unwrap()).collect();
        assert_eq!(two.enter().unwrap_err(), FUNCTION_FULL, "three are the other version's");
        let own: Vec<_> = (0..3).map(|_| one.enter().unwrap()).collect();
        assert_eq!(one.enter().unwrap_err(), FUNCTION_FULL);
        drop(held);
        let spilled: Vec<_> = (0..2).map(|_| one.enter().unwrap()).collect();
        assert_eq!(one.enter().unwrap_err(), FUNCTION_FULL);
        gates.provision(&one, 5);
        drop((own, spilled));
        assert_eq!(two.enter().unwrap_err(), FUNCTION_FULL, "all is provisioned: nothing else runs");
        reserve(&gates, "f", None);
        assert_eq!(enter(&other, 5).len(), 5);
        let own: Vec<_> = (0..5).map(|_| one.enter().unwrap()).collect();
        assert_eq!((own.len(), two.enter().is_ok()), (5, true));
        drop(own);
        gates.provision(&one, 0);
        assert_eq!(gates.of(&account(), &region()).reserved.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn no_place_is_lost_or_made_while_reservations_change_under_load() {
        let gates = Gates::new(20);
        let names = ["a", "b", "c"];
        std::thread::scope(|scope| {
            for name in names {
                for _ in 0..2 {
                    let gate = gate(&gates, name);
                    scope.spawn(move || {
                        for _ in 0..20_000 {
                            let slots: Vec<_> = (0..3).map(|_| gate.enter()).collect();
                            drop(slots);
                        }
                    });
                }
            }
            for round in 0..2_000_u32 {
                let name = names[round as usize % 3];
                reserve(&gates, name, [None, Some(0), Some(5), Some(1)][round as usize % 4]);
            }
            names.iter().for_each(|name| reserve(&gates, name, None));
        });
        assert_eq!(gates.of(&account(), &region()).in_flight.load(Ordering::SeqCst), 0);
        assert_eq!(gates.of(&account(), &region()).reserved.load(Ordering::SeqCst), 0);
        let all = enter(&gate(&gates, "a"), 20);
        assert_eq!(gate(&gates, "b").enter().unwrap_err(), ACCOUNT_FULL);
        drop(all);
    }

    #[test]
    fn a_function_is_forgotten_once_nothing_of_it_is_left() {
        let gates = Gates::new(10);
        let held = gate(&gates, "a").enter().unwrap();
        gates.forget("a");
        assert_eq!(gate(&gates, "a").in_flight(), 1, "it still runs");
        drop(held);
        reserve(&gates, "a", Some(1));
        gates.forget("a");
        assert!(gates.functions.get("a").is_some(), "it has a reservation");
        reserve(&gates, "a", None);
        gates.forget("a");
        assert!(gates.functions.get("a").is_none());
    }
}
