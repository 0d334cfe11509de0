//! From waiting events to segments that can be committed.

use super::format::{SegmentError, encode};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_STREAM_BYTES_MAX, SEGMENT_STREAMS_MAX};
use crate::model::{Event, SegmentRow, window_of};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A segment that is not stored yet.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its window.
    pub window: u64,
    /// Its id, which no other segment has had.
    pub id: u64,
    /// Its index row.
    pub row: SegmentRow,
    /// Its bytes.
    pub body: Bytes,
}

/// Sorts `events` and cuts them into segments by window and size.
///
/// `next_id` gives each segment its id. Compresses, so it does not belong on a reactor thread.
pub fn prepare(mut events: Vec<Arc<Event>>, mut next_id: impl FnMut() -> u64) -> Result<Vec<Prepared>, SegmentError> {
    events.sort_by_key(|event| event.position());
    let mut windows: BTreeMap<u64, Vec<Arc<Event>>> = BTreeMap::new();
    for event in events {
        windows.entry(window_of(event.timestamp_ms)).or_default().push(event);
    }
    let mut prepared = Vec::new();
    for (window, events) in windows {
        for part in parts(&events) {
            prepared.push(segment(window, next_id(), part)?);
        }
    }
    Ok(prepared)
}

/// Cuts sorted events into runs of at most [`SEGMENT_BYTES_MAX`] (or a single event).
fn parts(events: &[Arc<Event>]) -> Vec<&[Arc<Event>]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        if index > start && bytes + event.billed_bytes() > SEGMENT_BYTES_MAX {
            parts.push(&events[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += event.billed_bytes();
    }
    parts.push(&events[start..]);
    parts
}

fn segment(window: u64, id: u64, events: &[Arc<Event>]) -> Result<Prepared, SegmentError> {
    let (body, raw_bytes) = encode(events)?;
    let streams: BTreeSet<&str> = events.iter().map(|event| &*event.stream).collect();
    let name_bytes: usize = streams.iter().map(|name| name.len()).sum();
    let named = streams.len() <= SEGMENT_STREAMS_MAX && name_bytes <= SEGMENT_STREAM_BYTES_MAX;
    let row = SegmentRow {
        min_ms: events.first().map_or(0, |event| event.timestamp_ms),
        max_ms: events.last().map_or(0, |event| event.timestamp_ms),
        events: events.len() as u64,
        billed_bytes: events.iter().map(|event| event.billed_bytes() as u64).sum(),
        raw_bytes: raw_bytes as u64,
        stored_bytes: body.len() as u64,
        streams: named.then(|| streams.into_iter().map(str::to_owned).collect()),
    };
    Ok(Prepared { window, id, row, body: body.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::WINDOW_MS;

    fn event(timestamp_ms: i64, sequence: u64, bytes: usize) -> Arc<Event> {
        let message = "x".repeat(bytes);
        Arc::new(Event { timestamp_ms, sequence, ingested_at_ms: 0, stream: "s".into(), message })
    }

    #[test]
    fn events_are_sorted_and_cut_at_windows_and_at_size() {
        let events =
            vec![event(WINDOW_MS, 1, 1), event(5, 2, 1), event(5, 3, 1), event(1, 4, 1), event(WINDOW_MS - 1, 5, 1)];
        let mut id = 0;
        let segments = prepare(events, || {
            id += 1;
            id
        })
        .unwrap();
        let shown: Vec<_> =
            segments.iter().map(|s| (s.window, s.id, s.row.min_ms, s.row.max_ms, s.row.events)).collect();
        assert_eq!(shown, [(0, 1, 1, WINDOW_MS - 1, 4), (1, 2, WINDOW_MS, WINDOW_MS, 1)]);
        let decoded = super::super::decode(&segments[0].body).unwrap();
        assert_eq!(decoded.iter().map(|event| event.sequence).collect::<Vec<_>>(), [4, 2, 3, 5]);

        let events = (0..5).map(|n| event(1, n, 1_000_000)).collect();
        let segments = prepare(events, || 1).unwrap();
        assert_eq!(segments.iter().map(|s| s.row.events).collect::<Vec<_>>(), [4, 1]);
    }

    #[test]
    fn many_streams_are_not_named() {
        let of = |count: usize| {
            let events = (0..count).map(|n| {
                let stream = format!("s{n}").into();
                Arc::new(Event {
                    timestamp_ms: 1,
                    sequence: n as u64,
                    ingested_at_ms: 1,
                    stream,
                    message: "m".to_owned(),
                })
            });
            prepare(events.collect(), || 1).unwrap().remove(0).row.streams
        };
        assert_eq!(of(SEGMENT_STREAMS_MAX).unwrap().len(), SEGMENT_STREAMS_MAX);
        assert_eq!(of(SEGMENT_STREAMS_MAX + 1), None);
    }
}
