//! The concurrency gate: how many requests of an account run at a time in a region.
//!
//! A request holds a [`Slot`] while it runs; dropping it, however that comes about, frees the place.
//! A function's reserved concurrency will be a second counter beside the account's (`Slot` then holds
//! both); on several nodes each node's limit is its leased slice of the account's.

use gust_kit::ports::ThrottleReason;
use gust_types::{AccountId, Region};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The gates of all accounts and regions. Looked into when a function is first seen, never on a warm
/// request.
#[derive(Debug)]
pub struct Gates {
    limit: usize,
    gates: Mutex<HashMap<(AccountId, Region), Arc<AccountGate>>>,
}

impl Gates {
    /// Gates that let `limit` requests of each account and region run at a time.
    pub fn new(limit: usize) -> Gates {
        Gates { limit, gates: Mutex::default() }
    }

    /// The gate of `account` in `region`.
    pub fn of(&self, account: &AccountId, region: &Region) -> Arc<AccountGate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates
            .entry((account.clone(), region.clone()))
            .or_insert_with(|| Arc::new(AccountGate { limit: self.limit, ..AccountGate::default() }));
        gate.clone()
    }
}

/// The gate of one account in one region.
#[derive(Debug, Default)]
pub struct AccountGate {
    limit: usize,
    in_flight: AtomicUsize,
    freed: Notify,
}

/// A request's place; dropping it frees it.
#[derive(Debug)]
pub struct Slot(Arc<AccountGate>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

impl AccountGate {
    /// Takes a place.
    ///
    /// Errors: the reason for the 429, if all are taken.
    pub fn enter(self: &Arc<AccountGate>) -> Result<Slot, ThrottleReason> {
        let entered = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, |in_flight| {
            (in_flight < self.limit).then_some(in_flight + 1)
        });
        match entered {
            Ok(_) => Ok(Slot(self.clone())),
            Err(_) => Err(ThrottleReason::ConcurrentInvocationLimitExceeded),
        }
    }

    /// Returns once a place has probably become free.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Requests that run now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_limit_gets_in_from_many_threads_and_drops_free_the_places() {
        let gates = Gates::new(10);
        let account = AccountId::parse("000000000000").unwrap();
        let gate = gates.of(&account, &Region::parse("us-east-1").unwrap());
        let other = gates.of(&account, &Region::parse("eu-west-1").unwrap());
        let slots: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50).map(|_| scope.spawn(|| gate.enter())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(slots.iter().filter(|slot| slot.is_ok()).count(), 10);
        assert_eq!(gate.in_flight(), 10);
        assert_eq!(other.in_flight(), 0);
        drop(slots);
        assert_eq!(gate.in_flight(), 0);
        assert!(gate.enter().is_ok());
    }
}
