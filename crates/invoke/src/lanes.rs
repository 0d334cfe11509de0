//! Which asynchronous event runs next: pure decisions, no clock, no store, no task.
//!
//! Every function has a lane. A lane knows a few of its events, and how far it has read the rest. Lanes take turns. What
//! one of them may have running is bounded three ways: by its own limit, which falls to what ran when its function was
//! throttled and grows again with its successes; by the places that are free at all; and by the memory that is free. A
//! lane never has more of either than is left, so that a slow function leaves room for whoever comes next. A throttled
//! lane is parked: it waits for a place, for its pause to end, or for its first event to become too old; where memory is
//! short it keeps that one only, and reads the others again. Nothing of that waits in another lane's way.

mod lane;

use crate::limits::{LANE_SETTLING_MAX, LANE_WINDOW_EVENTS, LOAD_RETRY_MS, TURN_UNBLOCKS};
use crate::machine::pause_ms;
use crate::queue::{Loaded, Place};
use lane::{Lane, bytes_of, earlier};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// A function's lane.
pub(crate) type LaneId = u64;

/// How far a lane has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The last fresh stamp; 0 comes before all.
    pub(crate) fresh: u64,
    /// The last deferred due time and stamp.
    pub(crate) deferred: Option<(u64, u64)>,
}

/// What one read of a lane brought.
#[derive(Debug, Default)]
pub(crate) struct LaneLoad {
    pub(crate) events: Vec<Loaded>,
    pub(crate) cursor: Cursor,
    /// Whether there may be more fresh events.
    pub(crate) has_fresh: bool,
    /// When the next deferred event is due, in milliseconds since the epoch.
    pub(crate) next_due_ms: Option<i64>,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Read at most so many events after the cursor.
    Load { lane: LaneId, cursor: Cursor, limit: usize },
    /// Run it.
    Start(Arc<Loaded>),
}

/// How an attempt left its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is being settled.
    Settling,
    /// It was throttled, and is too old at this time.
    Throttled { expires_at_ms: i64 },
    /// It is left to whoever owns the queue next.
    Left,
}

/// The bounds of all lanes together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Events that run at a time.
    pub(crate) places: usize,
    /// Bytes of events in memory, beyond which only lanes without any get one.
    pub(crate) bytes: usize,
}

/// All lanes that have anything to do.
pub(crate) struct Lanes {
    bounds: Bounds,
    lanes: HashMap<LaneId, Lane>,
    /// Those whose turn comes.
    ready: VecDeque<LaneId>,
    /// Those that found no place, in the order in which they will get one.
    blocked: VecDeque<LaneId>,
    /// Those that were throttled, the longest parked first; some are parked no more.
    parked: VecDeque<LaneId>,
    timers: BTreeSet<(i64, LaneId)>,
    running: usize,
    held: usize,
    bytes: usize,
    /// Lanes whose fresh events are not all in memory.
    behind: usize,
}

impl Lanes {
    pub(crate) fn new(bounds: Bounds) -> Lanes {
        Lanes {
            bounds,
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            blocked: VecDeque::new(),
            parked: VecDeque::new(),
            timers: BTreeSet::new(),
            running: 0,
            held: 0,
            bytes: 0,
            behind: 0,
        }
    }

    /// Events in memory.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Events that run.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Bytes of events in memory.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lanes that have something to do now, or will have.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Lanes whose fresh events are not all in memory.
    pub(crate) fn behind(&self) -> usize {
        self.behind
    }

    fn set_fresh(&mut self, id: LaneId, has_fresh: bool) {
        let had_fresh = std::mem::replace(&mut self.lane(id).has_fresh, has_fresh);
        self.behind = self.behind + usize::from(has_fresh) - usize::from(had_fresh);
    }

    fn lane(&mut self, id: LaneId) -> &mut Lane {
        let places = self.bounds.places;
        self.lanes.entry(id).or_insert_with(|| Lane::new(places))
    }

    fn make_ready(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && !lane.is_ready
            && !lane.is_blocked
            && lane.parked_until_ms.is_none()
        {
            lane.is_ready = true;
            self.ready.push_back(id);
        }
    }

    /// An event was accepted. Without `loaded` it has to be read.
    pub(crate) fn told(&mut self, id: LaneId, stamp: u64, loaded: Option<Loaded>) {
        let free_bytes = self.bounds.bytes.saturating_sub(self.bytes);
        let lane = self.lane(id);
        if stamp <= lane.cursor.fresh && !lane.is_loading {
            // A read was faster than the news of it.
            return;
        }
        lane.meanwhile.has_fresh = true;
        let fits =
            lane.bytes < free_bytes && !lane.has_fresh && !lane.is_loading && lane.queue.len() < LANE_WINDOW_EVENTS;
        match loaded.filter(|_| fits) {
            Some(loaded) => {
                lane.cursor.fresh = stamp;
                self.hold(Arc::new(loaded));
            }
            None => self.set_fresh(id, true),
        }
        self.make_ready(id);
    }

    /// More was accepted than was told: every lane has to be read, and lanes that are not known have to be found.
    pub(crate) fn missed(&mut self) {
        let ids: Vec<LaneId> = self.lanes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.found(id, true, None));
    }

    /// A lane has events in the store.
    pub(crate) fn found(&mut self, id: LaneId, has_fresh: bool, due_ms: Option<i64>) {
        let lane = self.lane(id);
        lane.meanwhile.has_fresh |= has_fresh;
        let has_fresh = lane.has_fresh || has_fresh;
        self.set_fresh(id, has_fresh);
        let lane = self.lane(id);
        if let Some(due_ms) = due_ms {
            lane.defer(due_ms);
        }
        self.make_ready(id);
        self.set_timer(id);
    }

    fn hold(&mut self, loaded: Arc<Loaded>) {
        let bytes = bytes_of(&loaded);
        let lane = self.lane(loaded.lane);
        // Read twice only where a cursor was set back.
        if lane.held.insert(loaded.stamp) {
            lane.queue.push_back(loaded);
            lane.bytes += bytes;
            self.held += 1;
            self.bytes += bytes;
        }
    }

    /// What is next, if anything. To be asked until there is nothing.
    pub(crate) fn next(&mut self, now_ms: i64) -> Option<Step> {
        while let Some(id) = self.ready.pop_front() {
            let (free, bytes, bounds) = (self.bounds.places - self.running, self.bytes, self.bounds);
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.is_ready = false;
            if lane.parked_until_ms.is_some() {
                continue;
            }
            let has_place = lane.running < free;
            let may_start = lane.running < lane.limit.now && lane.settling < LANE_SETTLING_MAX;
            if !lane.queue.is_empty() && may_start && has_place {
                let loaded = lane.queue.pop_front()?;
                lane.running += 1;
                self.running += 1;
                self.make_ready(id);
                return Some(Step::Start(loaded));
            }
            if let Some(step) = lane.load(id, now_ms, bytes, bounds, may_start) {
                self.make_ready(id);
                return Some(step);
            }
            // Without a place, or without memory for its next event.
            if may_start && (!lane.queue.is_empty() && !has_place || lane.queue.is_empty() && lane.has_more(now_ms)) {
                lane.is_blocked = true;
                self.blocked.push_back(id);
            }
            self.remove_if_idle(id);
        }
        None
    }

    /// A read came back.
    pub(crate) fn loaded(&mut self, id: LaneId, load: LaneLoad) {
        let lane = self.lane(id);
        let meanwhile = std::mem::take(&mut lane.meanwhile);
        lane.is_loading = false;
        lane.cursor.fresh = load.cursor.fresh;
        lane.cursor.deferred = load.cursor.deferred;
        lane.next_due_ms = load.next_due_ms;
        if let Some(due_ms) = meanwhile.due_ms {
            lane.defer(due_ms);
        }
        self.set_fresh(id, load.has_fresh || meanwhile.has_fresh);
        // What was settled since the read began is no longer what was read.
        let events = load.events.into_iter().filter(|loaded| !meanwhile.settled.contains(&loaded.stamp));
        events.for_each(|loaded| self.hold(Arc::new(loaded)));
        self.spill_if_short(id);
        self.set_timer(id);
        self.make_ready(id);
    }

    /// A read failed: it is tried again after a moment.
    pub(crate) fn load_failed(&mut self, id: LaneId, now_ms: i64) {
        self.set_fresh(id, true);
        let lane = self.lane(id);
        lane.is_loading = false;
        lane.parked_until_ms = Some(now_ms + LOAD_RETRY_MS);
        self.set_timer(id);
    }

    /// An attempt ended.
    pub(crate) fn ended(&mut self, loaded: Arc<Loaded>, end: End, now_ms: i64) {
        let id = loaded.lane;
        self.running -= 1;
        let lane = self.lane(id);
        lane.running -= 1;
        match end {
            End::Settling => {
                lane.settling += 1;
                lane.limit.passed();
                lane.parked_until_ms = None;
            }
            End::Throttled { expires_at_ms } => {
                let is_first = lane.parked_until_ms.is_none();
                lane.limit.throttled(lane.running, is_first);
                let pause_ends_ms = now_ms + pause_ms(lane.limit.throttles.saturating_sub(1));
                // Each of those that came back may be the first to become too old.
                let until_ms = lane.parked_until_ms.unwrap_or(pause_ends_ms).min(expires_at_ms.max(now_ms + 1));
                lane.parked_until_ms = Some(until_ms);
                lane.queue.push_front(loaded);
                if !lane.is_listed {
                    lane.is_listed = true;
                    self.parked.push_back(id);
                }
                self.spill_if_short(id);
            }
            End::Left => self.let_go(&loaded),
        }
        self.set_timer(id);
        self.make_ready(id);
        self.unblock();
        let is_done = self.lanes.get(&id).is_none_or(|lane| lane.queue.is_empty() && !lane.has_fresh);
        if end == End::Settling && is_done {
            self.unpark_one();
        }
    }

    /// An event was settled: it is gone, or comes again at this time.
    pub(crate) fn settled(&mut self, loaded: &Loaded, due_at_ms: Option<i64>) {
        let id = loaded.lane;
        let lane = self.lane(id);
        lane.settling -= 1;
        if lane.is_loading {
            lane.meanwhile.settled.insert(loaded.stamp);
        }
        if let Some(due_at_ms) = due_at_ms {
            lane.defer(due_at_ms);
        }
        self.let_go(loaded);
        self.set_timer(id);
        self.make_ready(id);
        self.unblock();
    }

    fn let_go(&mut self, loaded: &Loaded) {
        let bytes = bytes_of(loaded);
        let lane = self.lane(loaded.lane);
        if lane.held.remove(&loaded.stamp) {
            lane.bytes -= bytes;
            self.held -= 1;
            self.bytes -= bytes;
        }
    }

    /// A lane that is parked gives memory back that others are short of: it keeps its first event, and reads the others
    /// again.
    fn spill_if_short(&mut self, id: LaneId) {
        let is_short = self.bytes > self.bounds.bytes / 2;
        let lane = self.lane(id);
        if !is_short || lane.is_loading || lane.parked_until_ms.is_none() || lane.queue.len() < 2 {
            return;
        }
        let spilled: Vec<Arc<Loaded>> = lane.queue.drain(1..).collect();
        for loaded in spilled {
            self.let_go(&loaded);
            match loaded.place {
                Place::Fresh => {
                    self.set_fresh(id, true);
                    let lane = self.lane(id);
                    lane.cursor.fresh = lane.cursor.fresh.min(loaded.stamp - 1);
                }
                Place::Deferred(due) => {
                    let lane = self.lane(id);
                    lane.defer(i64::try_from(due).unwrap_or(i64::MAX));
                }
            }
        }
    }

    /// A place has probably become free for this lane; if it does not need it any more, for another.
    pub(crate) fn woken(&mut self, id: LaneId) {
        match self.lanes.get_mut(&id) {
            Some(lane) if lane.parked_until_ms.is_some() => self.unpark(id),
            _ => self.unpark_one(),
        }
    }

    fn unpark(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.parked_until_ms = None;
            self.set_timer(id);
            self.make_ready(id);
        }
    }

    fn unpark_one(&mut self) {
        while let Some(id) = self.parked.pop_front() {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.is_listed = false;
            if lane.parked_until_ms.is_some() {
                return self.unpark(id);
            }
        }
    }

    /// Places became free: those who waited for one look again.
    fn unblock(&mut self) {
        for _ in 0..TURN_UNBLOCKS {
            let Some(id) = self.blocked.pop_front() else { break };
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.is_blocked = false;
                self.make_ready(id);
            }
        }
    }

    /// Pauses that are over and events that are due by now.
    pub(crate) fn due(&mut self, now_ms: i64) {
        while let Some((at_ms, id)) = self.timers.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.timers.remove(&(at_ms, id));
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.timer_ms = None;
            lane.parked_until_ms = lane.parked_until_ms.filter(|until_ms| *until_ms > now_ms);
            self.make_ready(id);
            // A due time that has passed needs no timer: the lane is ready, or will be when it is no longer parked.
            let lane = self.lane(id);
            let next_ms = earlier(lane.parked_until_ms, lane.next_due_ms.filter(|due_ms| *due_ms > now_ms));
            self.arm(id, next_ms);
        }
    }

    /// When [`Lanes::due`] has something to do next.
    pub(crate) fn next_timer_ms(&self) -> Option<i64> {
        self.timers.first().map(|(at_ms, _)| *at_ms)
    }

    fn set_timer(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let next_ms = if lane.parked_until_ms.is_some() { lane.parked_until_ms } else { lane.next_due_ms };
        self.arm(id, next_ms);
    }

    fn arm(&mut self, id: LaneId, at_ms: Option<i64>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.timer_ms == at_ms {
            return;
        }
        if let Some(old_ms) = lane.timer_ms {
            self.timers.remove(&(old_ms, id));
        }
        lane.timer_ms = at_ms;
        if let Some(at_ms) = at_ms {
            self.timers.insert((at_ms, id));
        }
    }

    fn remove_if_idle(&mut self, id: LaneId) {
        if self.lanes.get(&id).is_some_and(Lane::is_idle) {
            self.arm(id, None);
            self.lanes.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
