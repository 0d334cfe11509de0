//! Tests of the lanes: turns, limits, what waits and what goes back.

use super::lane::Limit;
use super::*;
use crate::limits::LIMIT_SUCCESSES;
use crate::machine::Attempts;
use crate::queue::Place;
use crate::testing::event;

const A: LaneId = 1;
const B: LaneId = 2;

fn loaded(lane: LaneId, stamp: u64) -> Loaded {
    let event = event(&lane.to_string(), &stamp.to_string());
    Loaded { lane, stamp, place: Place::Fresh, attempts: Attempts::default(), event }
}

fn lanes(places: usize) -> Lanes {
    Lanes::new(Bounds { places, bytes: 1 << 20 })
}

fn tell(lanes: &mut Lanes, lane: LaneId, stamps: std::ops::RangeInclusive<u64>) {
    stamps.for_each(|stamp| lanes.told(lane, stamp, Some(loaded(lane, stamp))));
}

/// Everything that starts now; reads bring nothing.
fn started(lanes: &mut Lanes, now_ms: i64) -> Vec<Arc<Loaded>> {
    let mut all = Vec::new();
    while let Some(step) = lanes.next(now_ms) {
        match step {
            Step::Start(loaded) => all.push(loaded),
            Step::Load { lane, cursor, .. } => lanes.loaded(lane, LaneLoad { cursor, ..LaneLoad::default() }),
        }
    }
    all
}

fn ids(all: &[Arc<Loaded>]) -> Vec<(LaneId, u64)> {
    all.iter().map(|loaded| (loaded.lane, loaded.stamp)).collect()
}

fn finish(lanes: &mut Lanes, loaded: &Arc<Loaded>) {
    lanes.ended(loaded.clone(), End::Settling, 0);
    lanes.settled(loaded, None);
}

#[test]
fn what_is_told_starts_at_once_in_its_order_and_leaves_nothing() {
    let mut lanes = lanes(100);
    tell(&mut lanes, A, 1..=3);
    let all = started(&mut lanes, 0);
    assert_eq!(ids(&all), [(A, 1), (A, 2), (A, 3)]);
    assert_eq!((lanes.held(), lanes.running()), (3, 3));
    all.iter().for_each(|loaded| finish(&mut lanes, loaded));
    assert!(started(&mut lanes, 0).is_empty());
    assert_eq!((lanes.len(), lanes.held(), lanes.running(), lanes.bytes()), (0, 0, 0, 0));
}

#[test]
fn lanes_take_turns_and_none_has_more_than_are_left() {
    let mut lanes = lanes(8);
    tell(&mut lanes, A, 1..=20);
    let first = started(&mut lanes, 0);
    assert_eq!(first.len(), 4, "as many as are left");
    tell(&mut lanes, B, 1..=2);
    assert_eq!(ids(&started(&mut lanes, 0)), [(B, 1), (B, 2)], "whoever comes next finds a place");
    finish(&mut lanes, &first[0]);
    assert!(started(&mut lanes, 0).is_empty(), "three run and three are left");
    let last = first.len();
    first[1..last].iter().for_each(|loaded| finish(&mut lanes, loaded));
    tell(&mut lanes, B, 3..=4);
    let next = ids(&started(&mut lanes, 0));
    assert_eq!(next[..3], [(A, 5), (B, 3), (A, 6)], "by turns");
}

#[test]
fn everything_runs_in_the_end_however_few_places_there_are() {
    for places in [1, 2, 3, 7] {
        let mut lanes = lanes(places);
        for lane in 1..=5 {
            tell(&mut lanes, lane, 1..=10);
        }
        let mut ran = Vec::new();
        loop {
            let all = started(&mut lanes, 0);
            assert!(lanes.running() <= places);
            if all.is_empty() {
                break;
            }
            all.iter().for_each(|loaded| finish(&mut lanes, loaded));
            ran.extend(all);
        }
        assert_eq!((ran.len(), lanes.held(), lanes.len()), (50, 0, 0), "{places}");
    }
}

#[test]
fn a_throttled_lane_waits_and_stands_in_nobodys_way() {
    let mut lanes = lanes(100);
    tell(&mut lanes, A, 1..=10);
    let all = started(&mut lanes, 0);
    // Two have room, the others come back.
    all[2..].iter().rev().for_each(|it| lanes.ended(it.clone(), End::Throttled { expires_at_ms: 60_000 }, 0));
    assert!(started(&mut lanes, 0).is_empty());
    tell(&mut lanes, B, 1..=1);
    assert_eq!(ids(&started(&mut lanes, 0)), [(B, 1)]);
    assert_eq!(lanes.next_timer_ms(), Some(1_000));
    finish(&mut lanes, &all[0]);
    assert_eq!(ids(&started(&mut lanes, 0)), [(A, 3)], "its own end makes room for one");
    lanes.due(1_000);
    assert!(started(&mut lanes, 1_000).is_empty(), "more than before it does not try at once");
}

#[test]
fn pauses_grow_until_something_gets_through_and_end_when_there_is_room() {
    let mut lanes = lanes(100);
    tell(&mut lanes, A, 1..=1);
    let mut now_ms = 0;
    for pause_ms in [1_000, 2_000, 4_000] {
        let all = started(&mut lanes, now_ms);
        lanes.ended(all[0].clone(), End::Throttled { expires_at_ms: i64::MAX }, now_ms);
        assert_eq!(lanes.next_timer_ms(), Some(now_ms + pause_ms));
        now_ms += pause_ms;
        lanes.due(now_ms);
    }
    let all = started(&mut lanes, now_ms);
    lanes.ended(all[0].clone(), End::Throttled { expires_at_ms: now_ms + 10 }, now_ms);
    assert_eq!(lanes.next_timer_ms(), Some(now_ms + 10), "it wakes when it is too old");
    lanes.woken(A);
    let all = started(&mut lanes, now_ms);
    finish(&mut lanes, &all[0]);
    assert!(started(&mut lanes, now_ms).is_empty());
    assert_eq!((lanes.len(), lanes.next_timer_ms()), (0, None));
}

#[test]
fn room_that_one_lane_does_not_need_goes_to_another() {
    let mut lanes = lanes(100);
    for lane in [A, B] {
        tell(&mut lanes, lane, 1..=1);
        let all = started(&mut lanes, 0);
        lanes.ended(all[0].clone(), End::Throttled { expires_at_ms: i64::MAX }, 0);
    }
    lanes.woken(7);
    let all = started(&mut lanes, 0);
    assert_eq!(ids(&all), [(A, 1)]);
    finish(&mut lanes, &all[0]);
    assert_eq!(ids(&started(&mut lanes, 0)), [(B, 1)], "A has nothing left");
}

#[test]
fn what_does_not_fit_is_read_later() {
    let mut lanes = lanes(1_000);
    let window = LANE_WINDOW_EVENTS as u64;
    tell(&mut lanes, A, 1..=window + 2);
    assert_eq!((lanes.held(), lanes.behind()), (LANE_WINDOW_EVENTS, 1));
    let mut read = None;
    while let Some(step) = lanes.next(0) {
        if let Step::Load { lane, cursor, limit } = step {
            assert!(lane == A && limit > 0);
            read = Some(cursor);
        }
    }
    assert_eq!(read, Some(Cursor { fresh: window, deferred: None }));
    tell(&mut lanes, A, window + 3..=window + 3);
    assert_eq!(lanes.held(), LANE_WINDOW_EVENTS, "what comes during a read is read next time");
    let events = vec![loaded(A, window), loaded(A, window + 1), loaded(A, window + 2)];
    let cursor = Cursor { fresh: window + 2, deferred: None };
    lanes.loaded(A, LaneLoad { events, cursor, has_fresh: false, next_due_ms: None });
    assert_eq!((lanes.held(), lanes.behind()), (LANE_WINDOW_EVENTS + 2, 1), "one was there already");
}

#[test]
fn news_of_what_was_read_and_reads_of_what_was_settled_are_old() {
    let mut lanes = lanes(10);
    lanes.found(A, true, None);
    let Some(Step::Load { cursor, .. }) = lanes.next(0) else { panic!("it is read") };
    let load = |has_fresh| LaneLoad {
        events: vec![loaded(A, 1)],
        cursor: Cursor { fresh: 1, ..cursor },
        has_fresh,
        next_due_ms: None,
    };
    lanes.loaded(A, load(true));
    let Some(Step::Start(first)) = lanes.next(0) else { panic!("it starts") };
    let Some(Step::Load { .. }) = lanes.next(0) else { panic!("it is read") };
    lanes.ended(first.clone(), End::Settling, 0);
    lanes.settled(&first, None);
    lanes.loaded(A, load(false));
    assert_eq!(lanes.held(), 0, "what was read is no longer there");
    lanes.told(A, 1, Some(loaded(A, 1)));
    assert_eq!(lanes.held(), 0, "it was read before");
    assert!(started(&mut lanes, 0).is_empty());
    assert_eq!(lanes.len(), 0);
}

#[test]
fn memory_is_bounded() {
    let one = bytes_of(&loaded(A, 1));
    let mut lanes = Lanes::new(Bounds { places: 1_000, bytes: 10 * one });
    for lane in 1..=100 {
        tell(&mut lanes, lane, 1..=5);
    }
    assert!(lanes.bytes() <= 10 * one, "{}", lanes.bytes());
    let mut reads = 0;
    while let Some(step) = lanes.next(0) {
        if let Step::Load { lane, limit, .. } = step {
            reads += 1;
            let events = (1..=limit as u64).map(|stamp| loaded(lane, stamp)).collect();
            let cursor = Cursor { fresh: limit as u64, deferred: None };
            lanes.loaded(lane, LaneLoad { events, cursor, has_fresh: true, next_due_ms: None });
        }
    }
    assert!(reads > 0 && lanes.bytes() <= 21 * one, "{reads} reads, {} bytes", lanes.bytes());
}

#[test]
fn a_parked_lane_gives_memory_back_and_reads_its_events_again() {
    let mut lanes = Lanes::new(Bounds { places: 1_000, bytes: 12 * bytes_of(&loaded(A, 1)) });
    tell(&mut lanes, A, 1..=6);
    let all = started(&mut lanes, 0);
    assert_eq!(all.len(), 6);
    tell(&mut lanes, B, 1..=2);
    let throttled = End::Throttled { expires_at_ms: i64::MAX };
    all.iter().rev().for_each(|loaded| lanes.ended(loaded.clone(), throttled, 0));
    assert_eq!(lanes.held(), 4 + 2, "as long as memory was short");
    lanes.woken(A);
    let mut ran = Vec::new();
    while let Some(step) = lanes.next(0) {
        match step {
            Step::Start(loaded) => {
                ran.push((loaded.lane, loaded.stamp));
                finish(&mut lanes, &loaded);
            }
            Step::Load { lane, cursor, .. } => {
                let events = (1..=6).filter(|stamp| *stamp > cursor.fresh && !ran.contains(&(lane, *stamp)));
                let events = events.map(|stamp| loaded(lane, stamp)).collect();
                let cursor = Cursor { fresh: 6, ..cursor };
                lanes.loaded(lane, LaneLoad { events, cursor, has_fresh: false, next_due_ms: None });
            }
        }
    }
    ran.retain(|(lane, _)| *lane == A);
    ran.sort_unstable();
    assert_eq!(ran, [(A, 1), (A, 2), (A, 3), (A, 4), (A, 5), (A, 6)], "each once");
    assert_eq!((lanes.len(), lanes.bytes()), (0, 0));
}

#[test]
fn deferred_events_come_back_when_they_are_due() {
    let mut lanes = lanes(10);
    tell(&mut lanes, A, 1..=1);
    let all = started(&mut lanes, 0);
    lanes.ended(all[0].clone(), End::Settling, 0);
    lanes.settled(&all[0], Some(500));
    assert!(started(&mut lanes, 499).is_empty());
    assert_eq!((lanes.held(), lanes.len(), lanes.next_timer_ms()), (0, 1, Some(500)));
    lanes.due(500);
    let Some(Step::Load { lane: A, cursor, .. }) = lanes.next(500) else { panic!("it is read") };
    let deferred = Loaded { place: Place::Deferred(500), ..loaded(A, 1) };
    let cursor = Cursor { deferred: Some((500, 1)), ..cursor };
    lanes.loaded(A, LaneLoad { events: vec![deferred], cursor, has_fresh: false, next_due_ms: None });
    let all = started(&mut lanes, 500);
    assert_eq!(all[0].place, Place::Deferred(500));
    finish(&mut lanes, &all[0]);
    assert!(started(&mut lanes, 500).is_empty());
    assert_eq!((lanes.len(), lanes.next_timer_ms()), (0, None));
}

#[test]
fn a_read_that_fails_is_tried_again_after_a_moment() {
    let mut lanes = lanes(10);
    lanes.found(A, true, None);
    assert!(matches!(lanes.next(0), Some(Step::Load { lane: A, .. })));
    lanes.load_failed(A, 0);
    assert!(lanes.next(0).is_none());
    lanes.due(LOAD_RETRY_MS);
    assert!(matches!(lanes.next(LOAD_RETRY_MS), Some(Step::Load { lane: A, .. })));
}

#[test]
fn limits_fall_to_what_ran_and_grow_with_successes() {
    let mut limit = Limit { max: 100, now: 100, successes: 0, throttles: 0 };
    limit.throttled(4, true);
    limit.throttled(6, false);
    assert_eq!((limit.now, limit.throttles), (4, 1));
    (0..LIMIT_SUCCESSES * 4).for_each(|_| limit.passed());
    assert_eq!((limit.now, limit.throttles), (6, 0));
    (0..100 * 100).for_each(|_| limit.passed());
    assert_eq!(limit.now, 100);
    limit.throttled(0, true);
    assert_eq!(limit.now, 1, "one is always tried");
}
