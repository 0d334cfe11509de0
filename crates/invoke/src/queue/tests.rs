//! Tests of the queue's records: what is written, loaded, settled and migrated.

use super::*;
use crate::machine::DiscardReason;
use crate::testing::event;
use gust_types::ManualClock;

async fn accept(store: &Store, event: &AsyncEvent) -> LaneId {
    let written = event.clone();
    store.transact(move |tx| enqueue(tx, &written)).await.unwrap();
    lane_of(event)
}

async fn shard(store: &Store, number: u64) -> Shard {
    let clock: SharedClock = Arc::new(ManualClock::at(0));
    Shard::acquire(store, &clock, "node", number).await.unwrap()
}

async fn everything(store: &Store) -> usize {
    let count = store.read(|read| {
        let mut count = 0;
        for table in [EVENTS, PAYLOADS, DEFERRED, OLD_EVENTS, OLD_PAYLOADS, OLD_DEFERRED] {
            count += read.range(&Range::prefix(&table.key()), Order::Ascending, 1_000)?.len();
        }
        Ok::<_, StoreError>(count)
    });
    count.await.unwrap()
}

async fn settle_one(shard: &Shard, loaded: &Loaded, settlement: Settlement) -> Result<usize, StoreError> {
    let loaded = Arc::new(loaded.clone());
    shard.settle([Verdict { loaded, settlement, staged: Vec::new() }].into()).await
}

#[tokio::test]
async fn an_event_is_one_record_whatever_its_size_until_it_no_longer_fits() {
    for (size, records) in [(0, 1), (1_000_000, 1), (VALUE_BYTES_MAX - 10, 2), (VALUE_BYTES_MAX, 2)] {
        let store = Store::memory();
        let mut event = event("f", "r");
        event.payload = vec![b'1'; size].into();
        let lane = accept(&store, &event).await;
        assert_eq!(everything(&store).await, records, "{size}");
        let shard = shard(&store, shard_of(lane)).await;
        let load = shard.load(lane, Cursor::default(), 0, 10).await.unwrap();
        assert_eq!(load.events[0].event, event);
        let retry = Settlement::RetryAt { due_at_ms: 5, attempts: Attempts { failures: 1, postponed: 0 } };
        assert_eq!(settle_one(&shard, &load.events[0], retry).await.unwrap(), 0);
        assert_eq!(everything(&store).await, records, "{size}");
        let load = shard.load(lane, Cursor::default(), 5, 10).await.unwrap();
        assert_eq!((&load.events[0].event, load.events[0].attempts.failures), (&event, 1));
        settle_one(&shard, &load.events[0], Settlement::Discard(DiscardReason::RetriesExhausted)).await.unwrap();
        assert_eq!(everything(&store).await, 0);
    }
}

#[tokio::test]
async fn loading_goes_on_after_the_cursor_and_tells_the_next_due_time() {
    let store = Store::memory();
    let mut lane = 0;
    for _ in 0..5 {
        lane = accept(&store, &event("f", "same")).await;
        accept(&store, &event("other", "same")).await;
    }
    let shard = shard(&store, shard_of(lane)).await;
    let first = shard.load(lane, Cursor::default(), 0, 3).await.unwrap();
    assert!(first.events.len() == 3 && first.has_fresh);
    let rest = shard.load(lane, first.cursor, 0, 3).await.unwrap();
    assert!(rest.events.len() == 2 && !rest.has_fresh);
    for (loaded, due_at_ms) in first.events.iter().zip([30, 10, 20]) {
        let attempts = loaded.attempts;
        settle_one(&shard, loaded, Settlement::RetryAt { due_at_ms, attempts }).await.unwrap();
    }
    let due = shard.load(lane, rest.cursor, 20, 3).await.unwrap();
    let places: Vec<Place> = due.events.iter().map(|loaded| loaded.place).collect();
    assert_eq!(places, [Place::Deferred(10), Place::Deferred(20)]);
    assert_eq!(due.next_due_ms, Some(30));
    let one = shard.load(lane, rest.cursor, 20, 1).await.unwrap();
    assert_eq!((one.events.len(), one.next_due_ms), (1, Some(20)), "more are due than it was asked for");
    let restarted = shard.load(lane, Cursor::default(), 20, 10).await.unwrap();
    assert_eq!(restarted.events.len(), 4, "what is not settled is loaded again");
}

#[tokio::test]
async fn lanes_are_found_by_what_they_hold() {
    let store = Store::memory();
    let mut expected = vec![Vec::new(); usize::try_from(QUEUE_SHARDS).unwrap()];
    for number in 0..600 {
        let lane = accept(&store, &event(&format!("f{number}"), "r")).await;
        expected[usize::try_from(shard_of(lane)).unwrap()].push(lane);
    }
    for (number, mut lanes) in expected.into_iter().enumerate() {
        lanes.sort_unstable();
        let shard = shard(&store, number as u64).await;
        assert_eq!(shard.fresh_lanes(None).await.unwrap(), lanes);
        assert_eq!(shard.fresh_lanes(Some(lanes[3])).await.unwrap(), lanes[4..]);
        assert!(shard.deferred_lanes(None).await.unwrap().is_empty());
        for (lane, due_at_ms) in [(lanes[5], 70), (lanes[2], 30)] {
            let loaded = shard.load(lane, Cursor::default(), 0, 1).await.unwrap().events.remove(0);
            let attempts = loaded.attempts;
            settle_one(&shard, &loaded, Settlement::RetryAt { due_at_ms, attempts }).await.unwrap();
        }
        assert_eq!(shard.deferred_lanes(None).await.unwrap(), [(lanes[2], 30), (lanes[5], 70)]);
        assert_eq!(shard.fresh_lanes(None).await.unwrap().len(), lanes.len() - 2);
    }
}

#[tokio::test]
async fn what_follows_from_an_event_is_written_with_its_end_and_once() {
    let store = Store::memory();
    let lane = accept(&store, &event("f", "r")).await;
    let old = shard(&store, shard_of(lane)).await;
    let loaded = Arc::new(old.load(lane, Cursor::default(), 0, 1).await.unwrap().events.remove(0));
    let sent = |_: ()| Staged { bytes: 10, write: Arc::new(|tx| enqueue(tx, &event("next", "n"))) };
    let verdict = Verdict { loaded, settlement: Settlement::Done, staged: vec![sent(())] };
    let new = shard(&store, shard_of(lane)).await;
    let lost = old.settle([verdict.clone()].into()).await;
    assert!(matches!(lost, Err(StoreError::ClaimLost { .. })), "{lost:?}");
    assert_eq!(everything(&store).await, 1, "nothing was sent");
    assert_eq!(new.settle([verdict.clone()].into()).await.unwrap(), 0);
    assert_eq!(new.settle([verdict].into()).await.unwrap(), 1, "it had been settled");
    assert_eq!(everything(&store).await, 1, "what was sent, once");
    assert!(new.load(lane, Cursor::default(), 0, 1).await.unwrap().events.is_empty());
}

#[tokio::test]
async fn events_from_before_lanes_are_moved_into_theirs() {
    let store = Store::memory();
    let mut large = event("large", "large");
    large.payload = vec![b'1'; VALUE_BYTES_MAX].into();
    let failed = Attempts { failures: 1, postponed: 0 };
    for (number, written) in (0..100).map(|number| (number % QUEUE_SHARDS, event("f", &number.to_string()))) {
        let written = store.transact(move |tx| {
            let (record, _) = encode(&written, Attempts::default())?;
            tx.append(&OLD_EVENTS.key().number(number), record).map(|_| ())
        });
        written.await.unwrap();
    }
    let (old, deferred) = (large.clone(), large.clone());
    let written = store.transact(move |tx| {
        let (record, payload) = encode(&old, Attempts::default())?;
        let appended = tx.append(&OLD_EVENTS.key().number(2), record)?;
        tx.put_stamped(appended, OLD_PAYLOADS.key().number(2), &[], payload.unwrap())?;
        let (record, payload) = encode(&deferred, failed)?;
        tx.put(OLD_DEFERRED.key().number(3).number(500).number(1), record)?;
        tx.put(OLD_PAYLOADS.key().number(3).number(1), payload.unwrap())
    });
    written.await.unwrap();
    for number in 0..QUEUE_SHARDS {
        shard(&store, number).await;
    }
    let lane = lane_of(&event("f", ""));
    let owner = shard(&store, shard_of(lane)).await;
    let moved = owner.load(lane, Cursor::default(), 0, 200).await.unwrap().events;
    let mut ids: Vec<u32> = moved.iter().map(|loaded| loaded.event.request_id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
    let lane = lane_of(&large);
    let owner = shard(&store, shard_of(lane)).await;
    let moved = owner.load(lane, Cursor::default(), 500, 10).await.unwrap().events;
    assert_eq!((moved.len(), &moved[0].event, moved[0].attempts), (2, &large, failed));
    assert_eq!((&moved[1].event, moved[1].place), (&large, Place::Fresh));
    for loaded in &moved {
        settle_one(&owner, loaded, Settlement::Done).await.unwrap();
    }
    assert_eq!(everything(&store).await, 100);
}

#[test]
fn what_a_newer_gust_wrote_is_refused() {
    let (record, _) = encode(&event("f", "r"), Attempts::default()).unwrap();
    let mut newer = record.to_vec();
    newer[0] = VERSION + 1;
    assert!(matches!(decode(&newer.into()), Err(StoreError::RecordTooNew { .. })));
    assert!(matches!(decode(&record.slice(..20)), Err(StoreError::RecordDamaged(_))));
}
