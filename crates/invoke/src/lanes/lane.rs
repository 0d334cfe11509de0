//! One function's lane: its events in memory, how far it has been read, what it may have running.

use super::{Bounds, Cursor, LaneId, Step};
use crate::limits::{LANE_WINDOW_EVENTS, LIMIT_SUCCESSES};
use crate::queue::{Loaded, due_number};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// An event in memory without its payload, about, in bytes.
pub(super) const EVENT_BYTES: usize = 512;

pub(super) fn bytes_of(loaded: &Loaded) -> usize {
    EVENT_BYTES + loaded.event.payload.len()
}

#[derive(Debug)]
pub(super) struct Lane {
    /// Those that may start.
    pub(super) queue: VecDeque<Arc<Loaded>>,
    /// The stamps of all events in memory: in the queue, running, being settled.
    pub(super) held: HashSet<u64>,
    /// What they take.
    pub(super) bytes: usize,
    pub(super) running: usize,
    pub(super) settling: usize,
    pub(super) cursor: Cursor,
    /// Whether the store may hold fresh events after the cursor.
    pub(super) has_fresh: bool,
    pub(super) next_due_ms: Option<i64>,
    pub(super) is_loading: bool,
    /// What came to be known while a read was under way.
    pub(super) meanwhile: Meanwhile,
    pub(super) limit: Limit,
    pub(super) parked_until_ms: Option<i64>,
    /// Whether it is in the list of those that are parked, or were.
    pub(super) is_listed: bool,
    pub(super) timer_ms: Option<i64>,
    pub(super) is_ready: bool,
    pub(super) is_blocked: bool,
}

#[derive(Debug, Default)]
pub(super) struct Meanwhile {
    pub(super) has_fresh: bool,
    pub(super) due_ms: Option<i64>,
    pub(super) settled: HashSet<u64>,
}

/// What a function has been seen to have room for.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) max: usize,
    pub(super) now: usize,
    pub(super) successes: usize,
    /// Throttled attempts since the last that was not.
    pub(super) throttles: u32,
}

impl Limit {
    /// `is_first` of those that came back together.
    pub(super) fn throttled(&mut self, running: usize, is_first: bool) {
        self.now = self.now.min(running.max(1));
        self.successes = 0;
        self.throttles = self.throttles.saturating_add(u32::from(is_first));
    }

    pub(super) fn passed(&mut self) {
        self.throttles = 0;
        self.successes += 1;
        if self.successes >= LIMIT_SUCCESSES * self.now {
            self.now = (self.now + self.now.div_ceil(2)).min(self.max);
            self.successes = 0;
        }
    }
}

pub(super) fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    [one, other].into_iter().flatten().min()
}

impl Lane {
    pub(super) fn new(places: usize) -> Lane {
        Lane {
            queue: VecDeque::new(),
            held: HashSet::new(),
            bytes: 0,
            running: 0,
            settling: 0,
            cursor: Cursor::default(),
            has_fresh: false,
            next_due_ms: None,
            is_loading: false,
            meanwhile: Meanwhile::default(),
            limit: Limit { max: places, now: places, successes: 0, throttles: 0 },
            parked_until_ms: None,
            is_listed: false,
            timer_ms: None,
            is_ready: false,
            is_blocked: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && !self.is_loading && !self.has_fresh && self.next_due_ms.is_none()
    }

    /// Whether the store holds something that could be loaded now.
    pub(super) fn has_more(&self, now_ms: i64) -> bool {
        !self.is_loading && (self.has_fresh || self.next_due_ms.is_some_and(|due_ms| due_ms <= now_ms))
    }

    pub(super) fn defer(&mut self, due_at_ms: i64) {
        self.next_due_ms = earlier(self.next_due_ms, Some(due_at_ms));
        self.meanwhile.due_ms = earlier(self.meanwhile.due_ms, Some(due_at_ms));
        // A clock that was set back may make it due before what was loaded already.
        let due = due_number(due_at_ms);
        if self.cursor.deferred.is_some_and(|(last, _)| due <= last) {
            self.cursor.deferred = due.checked_sub(1).map(|before| (before, u64::MAX));
        }
    }
}

impl Lane {
    /// A read, if one is wanted: when few are left that could start, and there is memory for more.
    pub(super) fn load(
        &mut self,
        id: LaneId,
        now_ms: i64,
        bytes: usize,
        bounds: Bounds,
        may_start: bool,
    ) -> Option<Step> {
        let is_low = self.queue.len() <= LANE_WINDOW_EVENTS / 4;
        let free_bytes = bounds.bytes.saturating_sub(bytes);
        let has_memory = self.bytes < free_bytes;
        let may_overdraw = self.held.is_empty() && bytes < 2 * bounds.bytes;
        if !may_start || !is_low || !self.has_more(now_ms) || !(has_memory || may_overdraw) {
            return None;
        }
        // As many as there is memory for if they are as large as those that it has.
        let average = self.bytes.checked_div(self.held.len()).unwrap_or(bounds.bytes / (4 * LANE_WINDOW_EVENTS));
        let room = free_bytes.saturating_sub(self.bytes) / 2 / average.max(1);
        let limit = room.clamp(1, LANE_WINDOW_EVENTS - self.queue.len());
        self.is_loading = true;
        self.meanwhile = Meanwhile::default();
        Some(Step::Load { lane: id, cursor: self.cursor, limit })
    }
}
