//! Leases with fencing epochs: at most one owner at a time may write in a claim's name.
//!
//! Time decides only who may try; safety comes from the epoch, which grows with every change of hands and
//! which each claiming transaction checks. A node that was paused beyond its term fails there.

use crate::tables::{LEASE_TERMS, LEASES};
use crate::{Key, Read, Record, Store, StoreError, Table};
use gust_types::SharedClock;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A lease that this process was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    name: String,
    owner: String,
    epoch: u64,
}

/// What came of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquisition {
    /// It was granted, with a new epoch.
    Granted(Lease),
    /// Another owner holds it.
    HeldBy {
        /// Who.
        owner: String,
        /// Until when unless it is renewed, in milliseconds since the epoch.
        until_ms: i64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    owner: String,
    epoch: u64,
}

impl Record for Holder {
    const VERSION: u8 = 1;
}

#[derive(Debug, Serialize, Deserialize)]
struct Term {
    until_ms: i64,
}

impl Record for Term {
    const VERSION: u8 = 1;
}

fn row(table: Table, name: &str) -> Key {
    table.key().text(name)
}

fn term_from(now_ms: i64, ttl: Duration) -> Term {
    Term { until_ms: now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)) }
}

impl Lease {
    /// Asks for the lease `name` for `ttl`. It is granted if nobody holds it, its term is over, or `owner`
    /// itself holds it (a restart); each grant has a greater epoch than all before.
    pub async fn acquire(
        store: &Store,
        name: &str,
        owner: &str,
        ttl: Duration,
        clock: &SharedClock,
    ) -> Result<Acquisition, StoreError> {
        let (name, owner, now_ms) = (name.to_owned(), owner.to_owned(), clock.now_ms());
        let asked = store.transact(move |tx| {
            let holder = Holder::load(tx, &row(LEASES, &name))?;
            let term = Term::load(tx, &row(LEASE_TERMS, &name))?;
            if let (Some(holder), Some(term)) = (&holder, &term)
                && holder.owner != owner
                && term.until_ms > now_ms
            {
                return Ok(Acquisition::HeldBy { owner: holder.owner.clone(), until_ms: term.until_ms });
            }
            let epoch = holder.map_or(0, |holder| holder.epoch) + 1;
            Holder { owner: owner.clone(), epoch }.save(tx, row(LEASES, &name))?;
            term_from(now_ms, ttl).save(tx, row(LEASE_TERMS, &name))?;
            Ok::<_, StoreError>(Acquisition::Granted(Lease { name: name.clone(), owner: owner.clone(), epoch }))
        });
        asked.await.map(|committed| committed.value)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its fencing epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Begins a new term of `ttl` now.
    ///
    /// Errors: [`StoreError::ClaimLost`] if another grant was made since.
    pub async fn renew(&self, store: &Store, ttl: Duration, clock: &SharedClock) -> Result<(), StoreError> {
        let (lease, now_ms) = (self.clone(), clock.now_ms());
        let renewed = store.transact(move |tx| {
            check_claim(tx, &lease)?;
            term_from(now_ms, ttl).save(tx, row(LEASE_TERMS, &lease.name))
        });
        renewed.await.map(|_| ())
    }

    /// Gives it back before its term is over. The epoch is kept, so that the next grant's is greater.
    ///
    /// Errors: [`StoreError::ClaimLost`] if another grant was made since.
    pub async fn release(self, store: &Store) -> Result<(), StoreError> {
        let released = store.transact(move |tx| {
            check_claim(tx, &self)?;
            Term { until_ms: i64::MIN }.save(tx, row(LEASE_TERMS, &self.name))
        });
        released.await.map(|_| ())
    }
}

/// Fails unless `lease` is the newest grant. Every transaction that acts in a claim's name calls this:
/// since the transaction reads the epoch, it cannot commit beside a grant to somebody else.
///
/// Errors: [`StoreError::ClaimLost`].
pub fn check_claim<T: Read + ?Sized>(tx: &mut T, lease: &Lease) -> Result<(), StoreError> {
    match Holder::load(tx, &row(LEASES, &lease.name))? {
        Some(holder) if holder.epoch == lease.epoch && holder.owner == lease.owner => Ok(()),
        _ => Err(StoreError::ClaimLost { claim: lease.name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_types::ManualClock;
    use std::sync::Arc;

    const TTL: Duration = Duration::from_secs(10);

    fn granted(acquisition: Acquisition) -> Lease {
        match acquisition {
            Acquisition::Granted(lease) => lease,
            held => panic!("{held:?}"),
        }
    }

    #[tokio::test]
    async fn a_lease_changes_hands_only_after_its_term_and_fences_the_old_owner() {
        let store = Store::memory();
        let manual = Arc::new(ManualClock::at(1_000));
        let clock: SharedClock = manual.clone();
        let first = granted(Lease::acquire(&store, "queue/a", "one", TTL, &clock).await.unwrap());
        let held = Lease::acquire(&store, "queue/a", "two", TTL, &clock).await.unwrap();
        assert_eq!(held, Acquisition::HeldBy { owner: "one".to_owned(), until_ms: 11_000 });
        manual.advance_ms(9_000);
        first.renew(&store, TTL, &clock).await.unwrap();
        manual.advance_ms(9_999);
        assert!(matches!(
            Lease::acquire(&store, "queue/a", "two", TTL, &clock).await.unwrap(),
            Acquisition::HeldBy { until_ms: 20_000, .. }
        ));
        manual.advance_ms(1);
        let second = granted(Lease::acquire(&store, "queue/a", "two", TTL, &clock).await.unwrap());
        assert!(second.epoch() > first.epoch());
        let lost = |result: Result<(), StoreError>| matches!(result, Err(StoreError::ClaimLost { .. }));
        assert!(lost(first.renew(&store, TTL, &clock).await));
        let old = first.clone();
        assert!(lost(store.read(move |tx| check_claim(tx, &old)).await));
        assert!(lost(first.release(&store).await));
        let new = second.clone();
        store.read(move |tx| check_claim(tx, &new)).await.unwrap();
    }

    #[tokio::test]
    async fn a_restarted_or_released_owner_gets_a_new_epoch_at_once() {
        let store = Store::memory();
        let clock: SharedClock = Arc::new(ManualClock::at(0));
        let before = granted(Lease::acquire(&store, "x", "one", TTL, &clock).await.unwrap());
        let after = granted(Lease::acquire(&store, "x", "one", TTL, &clock).await.unwrap());
        assert!(after.epoch() > before.epoch());
        let epoch = after.epoch();
        after.release(&store).await.unwrap();
        let other = granted(Lease::acquire(&store, "x", "two", TTL, &clock).await.unwrap());
        assert!(other.epoch() > epoch);
    }
}
