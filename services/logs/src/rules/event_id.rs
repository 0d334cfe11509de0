//! Event ids and the numbers in page tokens: 56 decimal digits, as AWS's look.

use crate::model::{Event, Position};
use sha2::{Digest, Sha256};

/// What the first digit always is: AWS's ids begin with it, too.
const LEAD: char = '3';

/// A number that stands for a group or for one of its streams.
pub fn fingerprint(group_id: &str, stream: Option<&str>) -> u64 {
    let mut hash = Sha256::new();
    hash.update(group_id.as_bytes());
    if let Some(stream) = stream {
        hash.update([0]);
        hash.update(stream.as_bytes());
    }
    let digest = hash.finalize();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head)
}

/// 56 digits of a position and a fingerprint: the lead, 15 of the timestamp, 20 of the sequence, 20 more.
pub fn digits(position: Position, fingerprint: u64) -> String {
    let timestamp = position.timestamp_ms.clamp(0, 999_999_999_999_999);
    format!("{LEAD}{timestamp:015}{:020}{fingerprint:020}", position.sequence)
}

/// The position in 56 digits, if they carry this fingerprint.
pub fn parse(text: &str, fingerprint: u64) -> Option<Position> {
    if text.len() != 56 || !text.bytes().all(|byte| byte.is_ascii_digit()) || !text.starts_with(LEAD) {
        return None;
    }
    let position = Position { timestamp_ms: text[1..16].parse().ok()?, sequence: text[16..36].parse().ok()? };
    (text[36..].parse() == Ok(fingerprint)).then_some(position)
}

/// The id of an event of a group: unique, stable, in the order of reading.
pub fn event_id(group_id: &str, event: &Event) -> String {
    digits(event.position(), fingerprint(group_id, Some(&event.stream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_round_trip_and_keep_the_order() {
        let mark = fingerprint("g", Some("s"));
        let positions = [
            Position::before(0),
            Position { timestamp_ms: 5, sequence: 1 },
            Position { timestamp_ms: 5, sequence: 10 },
            Position::after(5),
            Position { timestamp_ms: 1_700_000_000_000, sequence: 3 },
        ];
        let texts: Vec<String> = positions.iter().map(|position| digits(*position, mark)).collect();
        assert!(texts.is_sorted());
        for (text, position) in texts.iter().zip(positions) {
            assert_eq!(text.len(), 56);
            assert_eq!(parse(text, mark), Some(position));
            assert_eq!(parse(text, mark ^ 1), None);
        }
        for text in ["", "3", &"9".repeat(56), &"3".repeat(57), &format!("3{}", "é".repeat(27))] {
            assert_eq!(parse(text, mark), None, "{text}");
        }
    }
}
