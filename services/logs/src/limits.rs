//! The documented numbers of CloudWatch Logs, and gust's own bounds.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html> and
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>. What the interface
//! description has (10,000 events in a batch, lengths and patterns of names) is checked before an operation runs.

/// What AWS counts for an event beside its message, in bytes.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// Greatest size of an event, its overhead included, in bytes (1 MB since 2025, before 256 KB).
pub const EVENT_BYTES_MAX: usize = 1_048_576;
/// Greatest size of a batch, the events' overhead included, in bytes.
pub const BATCH_BYTES_MAX: usize = 1_048_576;
/// Longest time between a batch's oldest and newest event, in milliseconds.
pub const BATCH_SPAN_MS_MAX: i64 = DAY_MS;
/// How old an event may be, in milliseconds.
pub const EVENT_AGE_MS_MAX: i64 = 14 * DAY_MS;
/// How far in the future an event may be, in milliseconds.
pub const EVENT_FUTURE_MS_MAX: i64 = 2 * 3_600_000;
/// Most events on a page of GetLogEvents and FilterLogEvents, and the default.
pub const PAGE_EVENTS_MAX: usize = 10_000;
/// Greatest size of such a page, the events' overhead included, in bytes.
pub const PAGE_BYTES_MAX: usize = 1_048_576;
/// Most log groups or streams on a page, and the default.
pub const PAGE_ITEMS_MAX: usize = 50;
/// How long a page token of FilterLogEvents holds, in milliseconds.
pub const TOKEN_AGE_MS_MAX: i64 = DAY_MS;
/// The least `startTime` with which FilterLogEvents reads backwards: 2024-01-01T00:00:00Z.
pub const BACKWARD_START_MS_MIN: i64 = 1_704_067_200_000;
/// Most tags of a log group.
pub const TAGS_MAX: usize = 50;
/// The permitted retention periods in days.
///
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
pub const RETENTION_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// A day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;
/// The time that one window of segments covers, in milliseconds: retention counts in days.
pub const WINDOW_MS: i64 = DAY_MS;
/// Greatest size of a segment before compression, in bytes: what a reader holds of it in memory.
pub const SEGMENT_BYTES_MAX: usize = 4 * 1_048_576;
/// A compressed segment up to this size, in bytes, lies in the store; a larger one is a blob.
pub const INLINE_BYTES_MAX: usize = 65_536;
/// A segment names its streams up to this number; with more, readers have to look inside.
pub const SEGMENT_STREAMS_MAX: usize = 256;
/// The same for the sum of their names' sizes, in bytes: an index row has to fit into a value of the store.
pub const SEGMENT_STREAM_BYTES_MAX: usize = 65_536;
/// What a waiting event costs in memory beside its message, in bytes.
pub const WAITING_OVERHEAD_BYTES: usize = 128;
/// Most streams that are counted apart when lines are dropped; more are counted with another.
pub const DROPPED_STREAMS_MAX: usize = 1_024;
/// Most stream rows that one transaction of the writer touches.
pub const COMMIT_STREAMS_MAX: usize = 1_000;
/// Greatest sum of inline segments that one transaction of the writer holds, in bytes.
pub const COMMIT_BYTES_MAX: usize = 4 * 1_048_576;
/// Segments that a reader lists of one window; more means that compaction is far behind.
pub const WINDOW_SEGMENTS_MAX: usize = 200_000;
/// How much a reader looks at for one page, before compression, in bytes.
pub const SCAN_BYTES_MAX: usize = 64 * 1_048_576;
/// How often a reader begins anew because compaction took a segment away.
pub const SCAN_ATTEMPTS_MAX: u32 = 8;
/// A stream's name up to this size, in bytes, stands in keys as it is; a longer one by its hash.
pub const STREAM_KEY_BYTES_MAX: usize = 1_024;
/// Small segments of one size class that start a compaction of their window.
pub const COMPACT_SEGMENTS_MIN: usize = 16;
/// Most segments that one compaction merges.
pub const COMPACT_SEGMENTS_MAX: usize = 256;
/// Tasks that wait for the slow worker; more are left to its next round.
pub const TASKS_MAX: usize = 1_024;
/// Rows that one transaction of the sweeper deletes.
pub const SWEEP_ROWS_MAX: usize = 500;
