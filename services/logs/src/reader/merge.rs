//! Merges the events of overlapping segments into one order, and fills a page.

use super::{Page, Query};
use crate::model::{Event, Position};
use crate::rules::token::Direction;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// A segment that was not opened yet.
pub(super) struct Candidate {
    pub id: u64,
    pub min_ms: i64,
    pub max_ms: i64,
    pub raw_bytes: usize,
}

/// A position as it is met in the query's direction: the smaller comes first.
type Rank = (i64, u64);

fn rank(direction: Direction, position: Position) -> Rank {
    match direction {
        Direction::Forward => (position.timestamp_ms, position.sequence),
        // The complement turns the order of both round.
        Direction::Backward => (!position.timestamp_ms, !position.sequence),
    }
}

/// The events of one opened segment; those that were taken are gone.
struct Run {
    /// The next one last.
    events: Vec<Arc<Event>>,
}

pub(super) struct Merge<'a> {
    query: &'a Query,
    /// The next one last.
    candidates: Vec<Candidate>,
    runs: Vec<Run>,
    /// The next event of each run that has one.
    heads: BinaryHeap<Reverse<(Rank, usize)>>,
    last: Option<Position>,
    page: Vec<Arc<Event>>,
    page_bytes: usize,
    /// How much was opened, in bytes.
    pub scanned_bytes: usize,
}

impl<'a> Merge<'a> {
    pub fn new(query: &'a Query) -> Merge<'a> {
        Merge {
            query,
            candidates: Vec::new(),
            runs: Vec::new(),
            heads: BinaryHeap::new(),
            last: None,
            page: Vec::new(),
            page_bytes: 0,
            scanned_bytes: 0,
        }
    }

    /// Sets the segments of the next window. The window before is used up.
    pub fn begin_window(&mut self, mut candidates: Vec<Candidate>) {
        let direction = self.query.direction;
        candidates.sort_by_key(|candidate| Reverse((candidate.first(direction), candidate.id)));
        self.candidates = candidates;
    }

    /// Adds sorted events.
    pub fn add(&mut self, mut events: Vec<Arc<Event>>) {
        if self.query.direction == Direction::Forward {
            events.reverse();
        }
        let slot = match self.runs.iter().position(|run| run.events.is_empty()) {
            Some(slot) => {
                self.runs[slot] = Run { events };
                slot
            }
            None => {
                self.runs.push(Run { events });
                self.runs.len() - 1
            }
        };
        self.offer(slot);
    }

    fn offer(&mut self, slot: usize) {
        if let Some(event) = self.runs[slot].events.last() {
            self.heads.push(Reverse((rank(self.query.direction, event.position()), slot)));
        }
    }

    /// The next segment that has to be opened before the next event is known.
    pub fn next_candidate(&mut self) -> Option<Candidate> {
        let first = self.candidates.last()?.first(self.query.direction);
        let needed = self.heads.peek().is_none_or(|Reverse((head, _))| first <= *head);
        if needed { self.candidates.pop() } else { None }
    }

    /// A place to stop at instead of opening `candidate`: before all that was not read, and beyond where the page
    /// began. `None` if there is none.
    pub fn place_before(&self, candidate: &Candidate) -> Option<Position> {
        let place = match self.query.direction {
            Direction::Forward => Position::before(candidate.min_ms),
            Direction::Backward => Position::after(candidate.max_ms),
        };
        let progress = place > self.query.after && place < self.query.before;
        (self.heads.is_empty() && progress).then_some(place)
    }

    /// The next event. One that is in the buffer and in a segment comes twice; [`Merge::take`] knows.
    ///
    /// Ask [`Merge::next_candidate`] before each call.
    pub fn next_event(&mut self) -> Option<Arc<Event>> {
        let Reverse((_, slot)) = self.heads.pop()?;
        let event = self.runs[slot].events.pop()?;
        self.offer(slot);
        Some(event)
    }

    /// Takes a matching event into the page. Returns where to go on if the page ends here.
    pub fn take(&mut self, event: Arc<Event>) -> Option<Position> {
        if self.last.replace(event.position()) == Some(event.position()) {
            return None;
        }
        if !self.query.pattern.matches(&event.message) {
            return (self.scanned_bytes > crate::limits::SCAN_BYTES_MAX).then(|| event.position());
        }
        let bytes = event.billed_bytes();
        let full = self.page.len() >= self.query.events_max || self.page_bytes + bytes > self.query.bytes_max;
        match self.page.last() {
            Some(last) if full => Some(last.position()),
            _ => {
                self.page_bytes += bytes;
                self.page.push(event);
                None
            }
        }
    }

    /// The page so far.
    pub fn page(self, next: Option<Position>) -> Page {
        Page { events: self.page, next }
    }
}

impl Candidate {
    /// The first place it can have an event.
    fn first(&self, direction: Direction) -> Rank {
        match direction {
            Direction::Forward => rank(direction, Position::before(self.min_ms)),
            Direction::Backward => rank(direction, Position::after(self.max_ms)),
        }
    }
}
