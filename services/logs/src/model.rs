//! Records and values of the service.

use crate::limits::{EVENT_OVERHEAD_BYTES, WAITING_OVERHEAD_BYTES, WINDOW_MS};
use gust_store::Record;
use gust_types::{AccountId, Arn, Region};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A log group by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// Its name.
    pub name: Arc<str>,
}

impl GroupName {
    /// Its ARN without the `:*` that `arn` has in responses.
    pub fn arn(&self) -> String {
        Arn::new("logs", &self.region, &self.account, format!("log-group:{}", self.name)).to_string()
    }

    /// The topic that is woken when the group gets lines.
    pub fn topic(&self) -> String {
        format!("logs/{}/{}/{}", self.account, self.region, self.name)
    }
}

/// A log group. All that belongs to it is kept under `id`, so that a group of the same name made later
/// never sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Unique, never used again.
    pub id: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Events that came before it belong to an earlier group of the name.
    pub first_sequence: u64,
    /// `STANDARD`, `INFREQUENT_ACCESS`, ...
    pub class: String,
    /// How long events are kept, in days; `None` is for ever.
    pub retention_days: Option<i32>,
    /// Echoed; without effect.
    pub kms_key_id: Option<String>,
    /// Whether it and its streams cannot be deleted.
    pub deletion_protected: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Record for GroupRecord {
    const VERSION: u8 = 1;
}

impl GroupRecord {
    /// A group with nothing set.
    pub fn new(id: String, created_at_ms: i64, first_sequence: u64) -> GroupRecord {
        GroupRecord {
            id,
            created_at_ms,
            first_sequence,
            class: "STANDARD".to_owned(),
            retention_days: None,
            kms_key_id: None,
            deletion_protected: false,
            tags: BTreeMap::new(),
        }
    }

    /// Events older than this are expired, in milliseconds since the epoch.
    pub fn expiry_ms(&self, now_ms: i64) -> i64 {
        self.retention_days.map_or(i64::MIN, |days| now_ms - i64::from(days) * crate::limits::DAY_MS)
    }
}

/// A log stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Its full name (the key may hold a hash).
    pub name: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// What its events say of it; `None` until the first.
    pub events: Option<StreamEvents>,
}

impl Record for StreamRecord {
    const VERSION: u8 = 1;
}

/// The extent of a stream's events, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEvents {
    /// The least timestamp.
    pub first_ms: i64,
    /// The greatest timestamp.
    pub last_ms: i64,
    /// When the newest came in.
    pub last_ingested_ms: i64,
}

impl StreamEvents {
    /// The extent of both.
    pub fn join(self, other: StreamEvents) -> StreamEvents {
        StreamEvents {
            first_ms: self.first_ms.min(other.first_ms),
            last_ms: self.last_ms.max(other.last_ms),
            last_ingested_ms: self.last_ingested_ms.max(other.last_ingested_ms),
        }
    }
}

/// One event. `sequence` is unique in the store and rises with ingestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Its place in the order of ingestion.
    pub sequence: u64,
    /// When it came in, in milliseconds since the epoch.
    pub ingested_at_ms: i64,
    /// Its stream.
    pub stream: Arc<str>,
    /// Its text.
    pub message: String,
}

impl Event {
    /// Its place in the order in which events are read.
    pub fn position(&self) -> Position {
        Position { timestamp_ms: self.timestamp_ms, sequence: self.sequence }
    }

    /// What AWS counts it for, in bytes.
    pub fn billed_bytes(&self) -> usize {
        self.message.len() + EVENT_OVERHEAD_BYTES
    }

    /// What it costs while it waits to be written, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.message.len() + WAITING_OVERHEAD_BYTES
    }
}

/// A place among the events of a group: by timestamp, then by ingestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The timestamp.
    pub timestamp_ms: i64,
    /// The sequence; no event has 0 or `u64::MAX`.
    pub sequence: u64,
}

impl Position {
    /// Before every event of `timestamp_ms`.
    pub fn before(timestamp_ms: i64) -> Position {
        Position { timestamp_ms, sequence: 0 }
    }

    /// After every event of `timestamp_ms`.
    pub fn after(timestamp_ms: i64) -> Position {
        Position { timestamp_ms, sequence: u64::MAX }
    }
}

/// The window that `timestamp_ms` falls into. Timestamps are never negative.
pub fn window_of(timestamp_ms: i64) -> u64 {
    timestamp_ms.max(0).unsigned_abs() / WINDOW_MS.unsigned_abs()
}

/// The index row of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRow {
    /// Its least timestamp.
    pub min_ms: i64,
    /// Its greatest timestamp.
    pub max_ms: i64,
    /// How many events it has.
    pub events: u64,
    /// What its events count for, in bytes.
    pub billed_bytes: u64,
    /// Its size before compression, in bytes.
    pub raw_bytes: u64,
    /// Its size in bytes.
    pub stored_bytes: u64,
    /// Its streams; `None` if they are too many to be named.
    pub streams: Option<Vec<String>>,
}

impl Record for SegmentRow {
    const VERSION: u8 = 1;
}

/// What a group holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The sum of what its events count for, in bytes.
    pub billed_bytes: u64,
}

impl Record for UsageRecord {
    const VERSION: u8 = 1;
}
