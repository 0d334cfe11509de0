//! Timers: due items in their owner's index, ordered by due time, and one row per owner with the next of
//! them. An owner sleeps until then; an earlier timer wakes it. Nothing is polled.

use crate::tables::{TIMER_ITEMS, TIMERS};
use crate::{Key, Order, Range, Read, Store, StoreError, Subscription, Tx};
use bytes::Bytes;
use gust_types::SharedClock;
use std::time::Duration;

/// Woken (with [`Store::wake`]) by whoever moves a clock by hand, so that timers look at it again.
pub const CLOCK_MOVED_TOPIC: &str = "clock-moved";

/// The longest sleep, so that a wall clock that is set does not keep timers asleep for long.
const SLEEP_MS_MAX: u64 = 60_000;

/// One timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// When it is due, in milliseconds since the epoch.
    pub due_at_ms: i64,
    /// Unique among the owner's timers of the same time.
    pub id: String,
    /// What the owner needs then.
    pub payload: Bytes,
}

/// The timers of one owner: a queue, a scheduler, an invocation queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers {
    owner: String,
}

/// Due times as unsigned numbers of the same order.
fn ordered(due_at_ms: i64) -> u64 {
    due_at_ms.cast_unsigned() ^ (1 << 63)
}

fn unordered(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

impl Timers {
    /// The timers of `owner` (unique in the store, at most 512 bytes).
    pub fn of(owner: impl Into<String>) -> Timers {
        Timers { owner: owner.into() }
    }

    fn row(&self) -> Key {
        TIMERS.key().text(&self.owner)
    }

    fn index(&self) -> Key {
        TIMER_ITEMS.key().text(&self.owner)
    }

    fn item(&self, due_at_ms: i64, id: &str) -> Key {
        self.index().number(ordered(due_at_ms)).text(id)
    }

    fn topic(&self) -> String {
        format!("timers/{}", self.owner)
    }

    /// Sets a timer; replaces one of the same time and id.
    pub fn set(&self, tx: &mut dyn Tx, timer: Timer) -> Result<(), StoreError> {
        tx.put(self.item(timer.due_at_ms, &timer.id), timer.payload)?;
        if self.next_due(tx)?.is_none_or(|next_ms| timer.due_at_ms < next_ms) {
            tx.put(self.row(), timer.due_at_ms.to_be_bytes().to_vec().into())?;
            tx.wake(&self.topic());
        }
        Ok(())
    }

    /// Removes a timer, because it was served or is not wanted any more. One that is not there is ignored.
    pub fn remove(&self, tx: &mut dyn Tx, due_at_ms: i64, id: &str) -> Result<(), StoreError> {
        tx.delete(self.item(due_at_ms, id))?;
        if self.next_due(tx)?.is_some_and(|next_ms| due_at_ms <= next_ms) {
            match self.first(tx)? {
                Some(next_ms) => tx.put(self.row(), next_ms.to_be_bytes().to_vec().into())?,
                None => tx.delete(self.row())?,
            }
        }
        Ok(())
    }

    /// At most `limit` timers that are due at `now_ms`, the earliest first.
    pub fn due<T: Read + ?Sized>(&self, tx: &mut T, now_ms: i64, limit: usize) -> Result<Vec<Timer>, StoreError> {
        let end = self.index().number(ordered(now_ms.saturating_add(1)));
        let range = Range { start: self.index(), end: Some(end) };
        let found = tx.range(&range, Order::Ascending, limit)?;
        found.into_iter().map(|(key, payload)| self.timer(&key, payload)).collect()
    }

    /// When the next timer is due, in milliseconds since the epoch; `None` if there is none.
    pub fn next_due<T: Read + ?Sized>(&self, tx: &mut T) -> Result<Option<i64>, StoreError> {
        let Some(value) = tx.get(&self.row())? else { return Ok(None) };
        let bytes = <[u8; 8]>::try_from(&value[..]);
        let bytes = bytes.map_err(|_| StoreError::RecordDamaged(format!("the next timer of {}", self.owner)))?;
        Ok(Some(i64::from_be_bytes(bytes)))
    }

    fn first(&self, tx: &mut dyn Tx) -> Result<Option<i64>, StoreError> {
        let found = tx.range(&Range::prefix(&self.index()), Order::Ascending, 1)?;
        found.into_iter().next().map(|(key, payload)| Ok(self.timer(&key, payload)?.due_at_ms)).transpose()
    }

    fn timer(&self, key: &Key, payload: Bytes) -> Result<Timer, StoreError> {
        let mut parts = key.parts();
        let damaged = || StoreError::RecordDamaged(format!("a timer of {}", self.owner));
        parts.text().ok_or_else(damaged)?;
        let due_at_ms = unordered(parts.number().ok_or_else(damaged)?);
        Ok(Timer { due_at_ms, id: parts.text().ok_or_else(damaged)?, payload })
    }

    /// Begins to wait for due timers by `clock`. Timers that are set from now on are heard of.
    pub fn waiter(&self, store: &Store, clock: SharedClock) -> TimerWaiter {
        let earlier = store.subscribe(&self.topic());
        let moved = store.subscribe(CLOCK_MOVED_TOPIC);
        TimerWaiter { timers: self.clone(), store: store.clone(), clock, earlier, moved }
    }
}

/// Sleeps until a timer is due.
pub struct TimerWaiter {
    timers: Timers,
    store: Store,
    clock: SharedClock,
    earlier: Subscription,
    moved: Subscription,
}

impl TimerWaiter {
    /// Returns once a timer is due; the caller then serves and removes what [`Timers::due`] gives it.
    ///
    /// Errors: the store failed.
    pub async fn wait(&mut self) -> Result<(), StoreError> {
        loop {
            let timers = self.timers.clone();
            let next_ms = self.store.read(move |read| timers.next_due(read)).await?;
            let sleep = match next_ms.map(|next_ms| next_ms.saturating_sub(self.clock.now_ms())) {
                Some(left_ms) if left_ms <= 0 => return Ok(()),
                Some(left_ms) => Some(Duration::from_millis(left_ms.unsigned_abs().min(SLEEP_MS_MAX))),
                None => None,
            };
            let slept = async {
                match sleep {
                    Some(sleep) => tokio::time::sleep(sleep).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = slept => {}
                () = self.earlier.woken() => {}
                () = self.moved.woken() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use gust_types::ManualClock;
    use std::sync::Arc;

    fn timer(due_at_ms: i64, id: &str) -> Timer {
        Timer { due_at_ms, id: id.to_owned(), payload: Bytes::from_static(b"p") }
    }

    async fn set(store: &Store, timers: &Timers, new: Timer) {
        let timers = timers.clone();
        store.transact(move |tx| timers.set(tx, new.clone())).await.unwrap();
    }

    async fn remove(store: &Store, timers: &Timers, due_at_ms: i64, id: &'static str) -> Option<i64> {
        let timers = timers.clone();
        let removed = store.transact(move |tx| {
            timers.remove(tx, due_at_ms, id)?;
            timers.next_due(tx)
        });
        removed.await.unwrap().value
    }

    async fn due(store: &Store, timers: &Timers, now_ms: i64) -> Vec<String> {
        let timers = timers.clone();
        let due = store.read(move |tx| timers.due(tx, now_ms, 10)).await.unwrap();
        due.into_iter().map(|timer| timer.id).collect()
    }

    #[tokio::test]
    async fn due_timers_come_in_order_and_the_row_follows_the_first() {
        let store = Store::memory();
        let timers = Timers::of("queue/a");
        for (due_at_ms, id) in [(30, "c"), (10, "a"), (20, "b"), (-5, "past"), (10, "a2")] {
            set(&store, &timers, timer(due_at_ms, id)).await;
        }
        set(&store, &Timers::of("queue/b"), timer(1, "foreign")).await;
        assert_eq!(due(&store, &timers, 20).await, ["past", "a", "a2", "b"]);
        assert_eq!(due(&store, &timers, -6).await, [""; 0]);
        assert_eq!(remove(&store, &timers, 20, "b").await, Some(-5));
        assert_eq!(remove(&store, &timers, -5, "past").await, Some(10));
        assert_eq!(remove(&store, &timers, 10, "a").await, Some(10));
        assert_eq!(remove(&store, &timers, 10, "a2").await, Some(30));
        assert_eq!(remove(&store, &timers, 31, "absent").await, Some(30));
        assert_eq!(remove(&store, &timers, 30, "c").await, None);
    }

    #[tokio::test]
    async fn a_waiter_is_woken_by_an_earlier_timer_and_by_a_moved_clock() {
        let store = Store::memory();
        let manual = Arc::new(ManualClock::at(0));
        let timers = Timers::of("scheduler");
        let mut waiter = timers.waiter(&store, manual.clone());
        set(&store, &timers, timer(3_600_000, "later")).await;
        let waiting = tokio::spawn(async move {
            waiter.wait().await.unwrap();
            waiter
        });
        set(&store, &timers, timer(0, "now")).await;
        let mut waiter = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
        assert_eq!(remove(&store, &timers, 0, "now").await, Some(3_600_000));
        assert!(waiter.wait().now_or_never().is_none(), "nothing is due");
        let waiting = tokio::spawn(async move { waiter.wait().await });
        manual.advance_ms(3_600_000);
        store.wake(CLOCK_MOVED_TOPIC);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap().unwrap();
    }
}
