//! Reads events: committed segments merged with what still waits, in order of time, page by page.
//!
//! The buffer is looked at before the store, so that an event that is committed in between is seen twice
//! (and then once, by its position) rather than not at all.

mod merge;

use crate::error::LogsError;
use crate::keys;
use crate::limits::{SCAN_ATTEMPTS_MAX, SCAN_BYTES_MAX, WINDOW_SEGMENTS_MAX};
use crate::model::{Event, GroupName, Position, SegmentRow, window_of};
use crate::rules::token::Direction;
use crate::worker::body;
use crate::{Shared, catalog};
use gust_filter_pattern::Pattern;
use gust_store::{Order, RANGE_PAIRS_MAX, Range, Read, Record, StoreError};
use merge::{Candidate, Merge};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Which streams are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamFilter {
    All,
    Names(BTreeSet<String>),
    Prefix(String),
}

impl StreamFilter {
    fn takes(&self, stream: &str) -> bool {
        match self {
            StreamFilter::All => true,
            StreamFilter::Names(names) => names.contains(stream),
            StreamFilter::Prefix(prefix) => stream.starts_with(prefix.as_str()),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub group: GroupName,
    pub group_id: String,
    /// Earlier events belong to a deleted group of the name.
    pub first_sequence: u64,
    /// Events lie beyond this place ...
    pub after: Position,
    /// ... and before this one.
    pub before: Position,
    pub streams: StreamFilter,
    pub direction: Direction,
    /// Most events of a page.
    pub events_max: usize,
    /// Greatest size of a page in bytes.
    pub bytes_max: usize,
    pub pattern: Pattern,
}

/// Some events in the order of the query's direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub events: Vec<Arc<Event>>,
    /// Where to go on; `None` if there is no more.
    pub next: Option<Position>,
}

/// Reads one page.
///
/// Errors: the stores failed; [`LogsError::Unavailable`] if compaction was always faster.
pub(crate) async fn scan(shared: &Shared, query: &Query) -> Result<Page, LogsError> {
    for _ in 0..SCAN_ATTEMPTS_MAX {
        if let Some(page) = attempt(shared, query).await? {
            return Ok(page);
        }
    }
    Err(LogsError::Unavailable)
}

/// `None` if a segment was taken away while it was to be read.
async fn attempt(shared: &Shared, query: &Query) -> Result<Option<Page>, LogsError> {
    let waiting = shared.buffer.snapshot(&query.group);
    let visible = Visible { query, deleted: deleted_streams(shared, &query.group_id).await? };
    let (low, high) = (window_of(query.after.timestamp_ms), window_of(query.before.timestamp_ms));
    let mut waiting: Vec<Arc<Event>> = waiting.into_iter().filter(|event| visible.shows(event)).collect();
    waiting.sort_by_key(|event| event.position());
    let mut merge = Merge::new(query);
    let mut from = match query.direction {
        Direction::Forward => low,
        Direction::Backward => high,
    };
    loop {
        let committed = next_window(shared, &query.group_id, from, query.direction).await?;
        let in_memory = waiting.iter().map(|event| window_of(event.timestamp_ms));
        let window = match query.direction {
            Direction::Forward => in_memory.filter(|window| *window >= from).chain(committed).min(),
            Direction::Backward => in_memory.filter(|window| *window <= from).chain(committed).max(),
        };
        let Some(window) = window.filter(|window| (low..=high).contains(window)) else { break };
        merge.add(waiting.iter().filter(|event| window_of(event.timestamp_ms) == window).cloned().collect());
        merge.begin_window(candidates(shared, query, window).await?);
        match read_window(shared, &visible, &mut merge).await? {
            Step::Done => {}
            Step::PageEnds(next) => return Ok(Some(merge.page(Some(next)))),
            Step::Vanished => return Ok(None),
        }
        let beyond = match query.direction {
            Direction::Forward => window.checked_add(1),
            Direction::Backward => window.checked_sub(1),
        };
        match beyond {
            Some(beyond) => from = beyond,
            None => break,
        }
    }
    Ok(Some(merge.page(None)))
}

/// What came of a window.
enum Step {
    Done,
    PageEnds(Position),
    Vanished,
}

/// How much is looked at between two chances for other tasks, in bytes.
const YIELD_BYTES: usize = 262_144;

async fn read_window(shared: &Shared, visible: &Visible<'_>, merge: &mut Merge<'_>) -> Result<Step, LogsError> {
    let mut scanned_before_yield = 0;
    loop {
        while let Some(candidate) = merge.next_candidate() {
            if merge.scanned_bytes > SCAN_BYTES_MAX
                && let Some(place) = merge.place_before(&candidate)
            {
                return Ok(Step::PageEnds(place));
            }
            let Some(events) = body::load(shared, candidate.id).await? else { return Ok(Step::Vanished) };
            merge.scanned_bytes += candidate.raw_bytes;
            merge.add(events.into_iter().filter(|event| visible.shows(event)).collect());
        }
        let Some(event) = merge.next_event() else { return Ok(Step::Done) };
        scanned_before_yield += event.billed_bytes();
        if scanned_before_yield > YIELD_BYTES {
            scanned_before_yield = 0;
            tokio::task::yield_now().await;
        }
        if let Some(place) = merge.take(event) {
            return Ok(Step::PageEnds(place));
        }
    }
}

/// Decides which events exist for a query.
struct Visible<'a> {
    query: &'a Query,
    /// By the stream's part in tombstone keys: up to which sequence events are deleted.
    deleted: HashMap<String, u64>,
}

impl Visible<'_> {
    fn shows(&self, event: &Event) -> bool {
        let Query { after, before, streams, .. } = self.query;
        let position = event.position();
        let own = event.sequence >= self.query.first_sequence;
        own && position > *after && position < *before && streams.takes(&event.stream) && !self.is_deleted(event)
    }

    fn is_deleted(&self, event: &Event) -> bool {
        is_deleted(&self.deleted, event)
    }
}

/// Whether an event's stream was deleted after the event came in.
pub(crate) fn is_deleted(deleted: &HashMap<String, u64>, event: &Event) -> bool {
    !deleted.is_empty()
        && deleted.get(&keys::tombstone_name(&event.stream)).is_some_and(|up_to| event.sequence <= *up_to)
}

/// The deleted streams of a group.
pub(crate) async fn deleted_streams(shared: &Shared, group_id: &str) -> Result<HashMap<String, u64>, LogsError> {
    let base = keys::tombstones(group_id);
    let read = shared.platform.store.read(move |read| {
        let mut deleted = HashMap::new();
        for (key, value) in all(read, &base, Range::prefix(&base), usize::MAX)? {
            if let Some(part) = keys::tombstone_part(&key) {
                deleted.insert(part, catalog::tombstone_sequence(&value)?);
            }
        }
        Ok::<_, StoreError>(deleted)
    });
    Ok(read.await?)
}

/// All pairs of `range`, whose keys begin with `prefix`, up to `most`.
pub(crate) fn all(
    read: &mut dyn Read,
    prefix: &gust_store::Key,
    mut range: Range,
    most: usize,
) -> Result<Vec<gust_store::Pair>, StoreError> {
    let mut pairs = Vec::new();
    loop {
        let limit = RANGE_PAIRS_MAX.min(most - pairs.len());
        let found = read.range(&range, Order::Ascending, limit)?;
        let complete = found.len() < limit;
        pairs.extend(found);
        match pairs.last() {
            Some((last, _)) if !complete && pairs.len() < most => {
                range.start = Range::prefix_after(prefix, last).start;
            }
            _ => return Ok(pairs),
        }
    }
}

/// The first window at or beyond `from` that has segments.
async fn next_window(
    shared: &Shared,
    group_id: &str,
    from: u64,
    direction: Direction,
) -> Result<Option<u64>, LogsError> {
    let all = Range::prefix(&keys::segments(group_id));
    let from = keys::window(group_id, from);
    let (range, order) = match direction {
        Direction::Forward => (Range { start: from, end: all.end }, Order::Ascending),
        Direction::Backward => (Range { start: all.start, end: Range::prefix(&from).end }, Order::Descending),
    };
    let found = shared.platform.store.read(move |read| read.range(&range, order, 1)).await?;
    Ok(found.first().and_then(|(key, _)| keys::segment_parts(key)).map(|(window, _)| window))
}

/// The segments of a window that may hold what is asked for.
async fn candidates(shared: &Shared, query: &Query, window: u64) -> Result<Vec<Candidate>, LogsError> {
    let prefix = keys::window(&query.group_id, window);
    let pairs =
        shared.platform.store.read(move |read| all(read, &prefix, Range::prefix(&prefix), WINDOW_SEGMENTS_MAX)).await?;
    let mut candidates = Vec::new();
    for (key, value) in pairs {
        let row = SegmentRow::decode(&value)?;
        let in_time = Position::after(row.max_ms) > query.after && Position::before(row.min_ms) < query.before;
        let has_stream = row.streams.as_ref().is_none_or(|names| names.iter().any(|name| query.streams.takes(name)));
        if let Some((_, id)) = keys::segment_parts(&key).filter(|_| in_time && has_stream) {
            let raw_bytes = usize::try_from(row.raw_bytes).unwrap_or(usize::MAX);
            candidates.push(Candidate { id, min_ms: row.min_ms, max_ms: row.max_ms, raw_bytes });
        }
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests;
