//! Which events of a PutLogEvents batch are taken.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>

use crate::api::{InputLogEvent, RejectedLogEventsInfo};
use crate::error::LogsError;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_SPAN_MS_MAX, EVENT_AGE_MS_MAX, EVENT_BYTES_MAX, EVENT_FUTURE_MS_MAX, EVENT_OVERHEAD_BYTES,
};
use std::ops::Range;

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The events that are taken.
    pub accepted: Range<usize>,
    /// The others, as the response tells of them.
    pub rejected: Option<RejectedLogEventsInfo>,
}

/// Judges a batch. `expiry_ms` is the oldest time that the group's retention keeps.
///
/// Errors: AWS's InvalidParameterException for a batch that is refused whole.
pub fn judge(events: &[InputLogEvent], now_ms: i64, expiry_ms: i64) -> Result<Verdict, LogsError> {
    let refused = |message: String| Err(LogsError::InvalidParameter(message));
    let mut batch_bytes = 0;
    for event in events {
        let bytes = event.message.len() + EVENT_OVERHEAD_BYTES;
        if bytes > EVENT_BYTES_MAX {
            return refused(format!("Log event too large: {bytes} bytes exceeds limit of {EVENT_BYTES_MAX}"));
        }
        batch_bytes += bytes;
    }
    if batch_bytes > BATCH_BYTES_MAX {
        return refused(format!("Upload too large: {batch_bytes} bytes exceeds limit of {BATCH_BYTES_MAX}"));
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return refused("Log events in a single PutLogEvents request must be in chronological order.".to_owned());
    }
    let too_old = events.partition_point(|event| event.timestamp < now_ms - EVENT_AGE_MS_MAX);
    let expired = events.partition_point(|event| event.timestamp < expiry_ms);
    let too_new = events.partition_point(|event| event.timestamp <= now_ms + EVENT_FUTURE_MS_MAX);
    let accepted = too_old.max(expired).min(too_new)..too_new;
    if let [first, .., last] = &events[accepted.clone()]
        && last.timestamp - first.timestamp > BATCH_SPAN_MS_MAX
    {
        return refused(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.".to_owned(),
        );
    }
    let index = |index: usize| i32::try_from(index).ok();
    let rejected = RejectedLogEventsInfo {
        too_new_log_event_start_index: (too_new < events.len()).then(|| index(too_new)).flatten(),
        too_old_log_event_end_index: (too_old > 0).then(|| index(too_old)).flatten(),
        // Events that are too old for any group are told of as such only.
        expired_log_event_end_index: (expired > too_old).then(|| index(expired)).flatten(),
    };
    let any = accepted.len() < events.len();
    Ok(Verdict { accepted, rejected: any.then_some(rejected) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DAY_MS;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn events(timestamps: &[i64]) -> Vec<InputLogEvent> {
        timestamps.iter().map(|timestamp| InputLogEvent { timestamp: *timestamp, message: "m".to_owned() }).collect()
    }

    fn message(result: Result<Verdict, LogsError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn the_edges_of_time_are_inclusive() {
        let (oldest, newest) = (NOW_MS - EVENT_AGE_MS_MAX, NOW_MS + EVENT_FUTURE_MS_MAX);
        let all = judge(&events(&[oldest]), NOW_MS, i64::MIN).unwrap();
        assert_eq!(all, Verdict { accepted: 0..1, rejected: None });
        let all = judge(&events(&[newest]), NOW_MS, i64::MIN).unwrap();
        assert_eq!(all, Verdict { accepted: 0..1, rejected: None });
        let none = judge(&events(&[oldest - 1]), NOW_MS, i64::MIN).unwrap();
        assert_eq!(none.accepted, 1..1);
        assert_eq!(none.rejected.unwrap().too_old_log_event_end_index, Some(1));
        let none = judge(&events(&[newest + 1]), NOW_MS, i64::MIN).unwrap();
        assert_eq!(none.accepted, 0..0);
        assert_eq!(none.rejected.unwrap().too_new_log_event_start_index, Some(0));
    }

    #[test]
    fn the_rest_of_a_batch_is_taken() {
        let batch = events(&[0, NOW_MS - 2, NOW_MS, NOW_MS + 2 * EVENT_FUTURE_MS_MAX]);
        let verdict = judge(&batch, NOW_MS, i64::MIN).unwrap();
        assert_eq!(verdict.accepted, 1..3);
        let rejected = verdict.rejected.unwrap();
        assert_eq!(rejected.too_old_log_event_end_index, Some(1));
        assert_eq!(rejected.too_new_log_event_start_index, Some(3));
        assert_eq!(rejected.expired_log_event_end_index, None);
    }

    #[test]
    fn retention_expires_events() {
        let batch = events(&[NOW_MS - 2 * DAY_MS, NOW_MS]);
        let verdict = judge(&batch, NOW_MS, NOW_MS - DAY_MS).unwrap();
        assert_eq!(verdict.accepted, 1..2);
        assert_eq!(verdict.rejected.unwrap().expired_log_event_end_index, Some(1));
    }

    #[test]
    fn order_and_span_are_checked() {
        let unordered = judge(&events(&[NOW_MS, NOW_MS - 1]), NOW_MS, i64::MIN);
        assert_eq!(message(unordered), "Log events in a single PutLogEvents request must be in chronological order.");
        assert!(judge(&events(&[NOW_MS - DAY_MS, NOW_MS]), NOW_MS, i64::MIN).is_ok());
        let long = judge(&events(&[NOW_MS - DAY_MS - 1, NOW_MS]), NOW_MS, i64::MIN);
        assert_eq!(
            message(long),
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        );
        // Only valid events count for the span.
        assert!(judge(&events(&[0, NOW_MS]), NOW_MS, i64::MIN).is_ok());
    }

    #[test]
    fn sizes_are_bounded() {
        let of = |sizes: &[usize]| {
            let events: Vec<InputLogEvent> =
                sizes.iter().map(|size| InputLogEvent { timestamp: NOW_MS, message: "x".repeat(*size) }).collect();
            judge(&events, NOW_MS, i64::MIN)
        };
        assert!(of(&[1_048_576 - 26]).is_ok());
        assert_eq!(message(of(&[1_048_576 - 25])), "Log event too large: 1048577 bytes exceeds limit of 1048576");
        assert!(of(&[524_288 - 26, 524_288 - 26]).is_ok());
        assert_eq!(
            message(of(&[524_288 - 26, 524_288 - 25])),
            "Upload too large: 1048577 bytes exceeds limit of 1048576"
        );
    }
}
