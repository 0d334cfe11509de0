//! The only place that builds storage keys. Tables 0x0200 to 0x02ff belong to logs.

use crate::limits::STREAM_KEY_BYTES_MAX;
use crate::model::GroupName;
use gust_store::{Key, Range, Table};
use gust_types::{AccountId, Region};
use sha2::{Digest, Sha256};

/// By account, region, name: a group.
const GROUPS: Table = Table(0x0200);
/// By group id, name: a stream.
const STREAMS: Table = Table(0x0201);
/// By group id, last event's time, name: nothing. The order of `LastEventTime`.
const STREAMS_BY_TIME: Table = Table(0x0202);
/// By group id, window, segment id: a segment's index row.
const SEGMENTS: Table = Table(0x0203);
/// By segment id: where its body is, and the body itself if it is small.
const BODIES: Table = Table(0x0204);
/// By group id: what the group holds.
const USAGE: Table = Table(0x0205);
/// By group id, stream: events of the stream up to this sequence are deleted.
const TOMBSTONES: Table = Table(0x0206);
/// By group id: a deleted group whose rows are still there.
const DOOMED: Table = Table(0x0207);
/// The number of starts, from which sequences are made.
const EPOCH: Table = Table(0x0208);

/// By account, region, name: up to which sequence lines belong to a deleted group of the name.
const GRAVES: Table = Table(0x0209);

/// All groups of a region.
pub fn groups(account: &AccountId, region: &Region) -> Key {
    GROUPS.key().text(account.as_str()).text(region.as_str())
}

/// A group.
pub fn group(name: &GroupName) -> Key {
    groups(&name.account, &name.region).text(&name.name)
}

/// A deleted group, by name. Lines of it that are still under way must not make it anew.
pub fn grave(name: &GroupName) -> Key {
    GRAVES.key().text(name.account.as_str()).text(name.region.as_str()).text(&name.name)
}

/// All deleted groups, by name.
pub fn all_graves() -> Key {
    GRAVES.key()
}

/// All groups of all accounts.
pub fn all_groups() -> Key {
    GROUPS.key()
}

/// The name in a group's key.
pub fn group_name(key: &Key) -> Option<GroupName> {
    let mut parts = key.parts();
    Some(GroupName {
        account: AccountId::parse(&parts.text()?)?,
        region: Region::parse(&parts.text()?)?,
        name: parts.text()?.into(),
    })
}

/// Names in `base` that begin with `prefix`, as far as keys can tell: longer names stand by a hash, so the
/// record's name has to be compared too.
fn prefix_range(base: Key, prefix: &str) -> Range {
    // A text part ends with two bytes, which a prefix must not have.
    let cut = (0..=prefix.len().min(HASHED_HEAD_BYTES)).rev().find(|at| prefix.is_char_boundary(*at)).unwrap_or(0);
    let with_end = base.text(&prefix[..cut]);
    let bytes = with_end.as_bytes();
    Range::prefix(&Key::from_bytes(&bytes[..bytes.len() - 2]))
}

/// The groups of a region whose names begin with `prefix`.
pub fn groups_with_prefix(account: &AccountId, region: &Region, prefix: &str) -> Range {
    // Group names have at most 512 bytes of ASCII.
    prefix_range(groups(account, region), prefix)
}

/// How much of a long name its key keeps, in bytes.
const HASHED_HEAD_BYTES: usize = 512;

/// A stream's name as part of a key.
fn stream_part(name: &str) -> String {
    let escaped_bytes = name.len() + name.bytes().filter(|byte| *byte == 0).count();
    if escaped_bytes <= STREAM_KEY_BYTES_MAX {
        return name.to_owned();
    }
    let cut = (0..=HASHED_HEAD_BYTES).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    let digest: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{digest}", &name[..cut])
}

/// All streams of a group.
pub fn streams(group_id: &str) -> Key {
    STREAMS.key().text(group_id)
}

/// A stream.
pub fn stream(group_id: &str, name: &str) -> Key {
    streams(group_id).text(&stream_part(name))
}

/// The streams whose names begin with `prefix`; compare the records' names too.
pub fn streams_with_prefix(group_id: &str, prefix: &str) -> Range {
    prefix_range(streams(group_id), prefix)
}

/// All streams of a group by the time of their last event.
pub fn streams_by_time(group_id: &str) -> Key {
    STREAMS_BY_TIME.key().text(group_id)
}

/// A stream by the time of its last event; 0 without one.
pub fn stream_by_time(group_id: &str, last_ms: i64, name: &str) -> Key {
    streams_by_time(group_id).number(last_ms.max(0).unsigned_abs()).text(&stream_part(name))
}

/// The key of the stream that a key by time refers to.
pub fn stream_of_time(group_id: &str, key: &Key) -> Option<Key> {
    let mut parts = key.parts();
    parts.text()?;
    parts.number()?;
    Some(streams(group_id).text(&parts.text()?))
}

/// All segments of a group.
pub fn segments(group_id: &str) -> Key {
    SEGMENTS.key().text(group_id)
}

/// The segments of a window.
pub fn window(group_id: &str, window: u64) -> Key {
    segments(group_id).number(window)
}

/// A segment.
pub fn segment(group_id: &str, window_number: u64, id: u64) -> Key {
    window(group_id, window_number).number(id)
}

/// Window and id in a segment's key.
pub fn segment_parts(key: &Key) -> Option<(u64, u64)> {
    let mut parts = key.parts();
    parts.text()?;
    Some((parts.number()?, parts.number()?))
}

/// A segment's body.
pub fn body(id: u64) -> Key {
    BODIES.key().number(id)
}

/// What a group holds.
pub fn usage(group_id: &str) -> Key {
    USAGE.key().text(group_id)
}

/// The deleted streams of a group.
pub fn tombstones(group_id: &str) -> Key {
    TOMBSTONES.key().text(group_id)
}

/// A deleted stream.
pub fn tombstone(group_id: &str, stream: &str) -> Key {
    tombstones(group_id).text(&stream_part(stream))
}

/// The part of a stream's tombstone key that stands for its name.
pub fn tombstone_part(key: &Key) -> Option<String> {
    let mut parts = key.parts();
    parts.text()?;
    parts.text()
}

/// How a stream's name reads in [`tombstone_part`].
pub fn tombstone_name(stream: &str) -> String {
    stream_part(stream)
}

/// All deleted groups that are still to be swept.
pub fn all_doomed() -> Key {
    DOOMED.key()
}

/// A deleted group.
pub fn doomed(group_id: &str) -> Key {
    DOOMED.key().text(group_id)
}

/// The group id in the key of a deleted group.
pub fn doomed_id(key: &Key) -> Option<String> {
    key.parts().text()
}

/// The number of starts.
pub fn epoch() -> Key {
    EPOCH.key()
}

/// The folder of segments among the blobs.
pub const BLOBS: &str = "logs/";

/// A segment's blob.
pub fn blob(id: u64) -> String {
    format!("{BLOBS}{id:016x}")
}

/// The segment of a blob.
pub fn blob_segment(key: &str) -> Option<u64> {
    u64::from_str_radix(key.strip_prefix(BLOBS)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_fit() {
        let id = "0".repeat(32);
        for letter in ["a", "\0", "é", "😀"] {
            let name = letter.repeat(512);
            for key in [stream(&id, &name), stream_by_time(&id, i64::MAX, &name), tombstone(&id, &name)] {
                assert!(key.as_bytes().len() <= gust_store::KEY_BYTES_MAX, "{letter:?}");
            }
        }
        let (a, b) = ("😀".repeat(400), format!("{}x", "😀".repeat(400)));
        assert_ne!(stream(&id, &a), stream(&id, &b));
        assert!(stream(&id, &b) >= streams_with_prefix(&id, &a).start);
    }

    #[test]
    fn keys_give_back_what_they_were_made_of() {
        let name = GroupName {
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            name: "/aws/lambda/a".into(),
        };
        assert_eq!(group_name(&group(&name)), Some(name));
        assert_eq!(segment_parts(&segment("g", 7, 9)), Some((7, 9)));
        assert_eq!(blob_segment(&blob(u64::MAX)), Some(u64::MAX));
        assert_eq!(stream_of_time("g", &stream_by_time("g", 5, "s")), Some(stream("g", "s")));
    }
}
