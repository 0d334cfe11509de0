//! The bytes of a segment.
//!
//! `GLS` and a version byte, then one zstd frame with a checksum. Inside, all integers are LEB128 varints
//! (signed ones zigzag): the streams' names; the count of events; the first event's timestamp, sequence and
//! ingestion time; then each event's differences to the one before, its stream's number and its message.

use crate::limits::SEGMENT_BYTES_MAX;
use crate::model::Event;
use std::collections::HashMap;
use std::sync::Arc;

const MAGIC: [u8; 4] = *b"GLS\x01";
/// zstd's default: about 400 MB/s for text.
const LEVEL: i32 = 3;
/// A segment's size before compression can exceed [`SEGMENT_BYTES_MAX`] by one event and its streams' names.
const DECODED_BYTES_MAX: usize = 4 * SEGMENT_BYTES_MAX;

/// Why bytes are no segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a log segment is damaged: {0}")]
pub struct SegmentError(&'static str);

/// A segment of `events`, which are sorted, and its size before compression.
pub fn encode(events: &[Arc<Event>]) -> Result<(Vec<u8>, usize), SegmentError> {
    let mut streams: Vec<&str> = Vec::new();
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    for event in events {
        numbers.entry(&event.stream).or_insert_with(|| {
            streams.push(&event.stream);
            streams.len() as u64 - 1
        });
    }
    let mut raw = Vec::with_capacity(events.iter().map(|event| event.message.len() + 16).sum());
    put(&mut raw, streams.len() as u64);
    for name in &streams {
        put_text(&mut raw, name);
    }
    put(&mut raw, events.len() as u64);
    let (mut timestamp, mut sequence, mut ingested) = (0i64, 0u64, 0i64);
    for event in events {
        put_signed(&mut raw, event.timestamp_ms.wrapping_sub(timestamp));
        put_signed(&mut raw, event.sequence.wrapping_sub(sequence).cast_signed());
        put_signed(&mut raw, event.ingested_at_ms.wrapping_sub(ingested));
        put(&mut raw, numbers[&*event.stream]);
        put_text(&mut raw, &event.message);
        (timestamp, sequence, ingested) = (event.timestamp_ms, event.sequence, event.ingested_at_ms);
    }
    let failed = |_| SegmentError("it cannot be compressed");
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
    compressor.include_checksum(true).map_err(failed)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&compressor.compress(&raw).map_err(failed)?);
    Ok((bytes, raw.len()))
}

/// The events of a segment, in their order.
pub fn decode(bytes: &[u8]) -> Result<Vec<Arc<Event>>, SegmentError> {
    let frame = bytes.strip_prefix(&MAGIC).ok_or(SegmentError("it is of another format"))?;
    let size = zstd::bulk::Decompressor::upper_bound(frame).ok_or(SegmentError("its size is unknown"))?;
    if size > DECODED_BYTES_MAX {
        return Err(SegmentError("it is too large"));
    }
    let raw = zstd::bulk::decompress(frame, size).map_err(|_| SegmentError("its frame or checksum is wrong"))?;
    let mut input = Input { rest: &raw };
    let streams: Vec<Arc<str>> = (0..input.number()?).map(|_| input.text().map(Arc::from)).collect::<Result<_, _>>()?;
    let count = input.number()?;
    let mut events = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(raw.len() / 5));
    let (mut timestamp_ms, mut sequence, mut ingested_at_ms) = (0i64, 0u64, 0i64);
    for _ in 0..count {
        timestamp_ms = timestamp_ms.wrapping_add(input.signed()?);
        sequence = sequence.wrapping_add(input.signed()?.cast_unsigned());
        ingested_at_ms = ingested_at_ms.wrapping_add(input.signed()?);
        let number = usize::try_from(input.number()?).map_err(|_| SegmentError("a stream is unknown"))?;
        let stream = streams.get(number).ok_or(SegmentError("a stream is unknown"))?.clone();
        let message = input.text()?.to_owned();
        events.push(Arc::new(Event { timestamp_ms, sequence, ingested_at_ms, stream, message }));
    }
    if input.rest.is_empty() { Ok(events) } else { Err(SegmentError("bytes follow its end")) }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn number(&mut self) -> Result<u64, SegmentError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(SegmentError("it ends too early"))?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(SegmentError("a number is too long"))
    }

    fn signed(&mut self) -> Result<i64, SegmentError> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn text(&mut self) -> Result<&'a str, SegmentError> {
        let length = usize::try_from(self.number()?).map_err(|_| SegmentError("it ends too early"))?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(SegmentError("it ends too early"))?;
        self.rest = rest;
        std::str::from_utf8(head).map_err(|_| SegmentError("a text is no UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = Arc<Event>> {
        (any::<i64>(), any::<u64>(), any::<i64>(), "[a-c/]{1,4}", ".{0,40}").prop_map(
            |(timestamp_ms, sequence, ingested_at_ms, stream, message)| {
                Arc::new(Event { timestamp_ms, sequence, ingested_at_ms, stream: stream.into(), message })
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(events in prop::collection::vec(event(), 0..50)) {
            let (bytes, _) = encode(&events).unwrap();
            prop_assert_eq!(decode(&bytes).unwrap(), events);
        }

        #[test]
        fn damage_is_noticed(events in prop::collection::vec(event(), 1..20), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let (mut bytes, _) = encode(&events).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // A flipped bit either is noticed or lies where zstd does not look.
            if let Ok(decoded) = decode(&bytes) {
                prop_assert_eq!(decoded, events);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let mut frame = MAGIC.to_vec();
            frame.extend(zstd::bulk::compress(&bytes, 1).unwrap());
            let _ = decode(&frame);
        }
    }

    #[test]
    fn a_torn_segment_is_refused() {
        let event =
            Event { timestamp_ms: 1, sequence: 2, ingested_at_ms: 3, stream: "s".into(), message: "m".repeat(500) };
        let (bytes, _) = encode(&[Arc::new(event)]).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}
