//! What becomes of an asynchronous event after an attempt: a pure function.
//!
//! A function's error is retried twice, after one and then two minutes. Throttling and errors of the
//! platform are retried with growing pauses for up to six hours, and do not count as attempts.
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use crate::limits::{EVENT_AGE_MS_MAX, RETRY_ATTEMPTS_DEFAULT};
use serde::{Deserialize, Serialize};

/// What an event has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Attempts that ended in a function's error.
    pub failures: u32,
    /// Attempts that were throttled or failed by the platform's fault, since the last failure.
    pub postponed: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The function responded.
    Success,
    /// The function failed, or its environment did.
    FunctionError,
    /// There was no place, or gust could not run it.
    Postponed,
    /// There is no such function any more.
    FunctionGone,
    /// gust is shutting down: the event stays where it is.
    Interrupted,
}

/// How often and how long is retried. The place for PutFunctionEventInvokeConfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries after a function's error, 0 to 2.
    pub retries_max: u32,
    /// Greatest age of an event in milliseconds.
    pub age_ms_max: i64,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { retries_max: RETRY_ATTEMPTS_DEFAULT, age_ms_max: EVENT_AGE_MS_MAX }
    }
}

/// What is written down: exactly one durable write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is done: the record goes.
    Done,
    /// It is tried again.
    RetryAt {
        /// When, in milliseconds since the epoch.
        due_at_ms: i64,
        /// What it has been through by then.
        attempts: Attempts,
    },
    /// It is given up: the record goes. The place for dead letters and failure destinations.
    Discard(DiscardReason),
    /// Nothing is written: the event is loaded again by whoever owns the queue next.
    Leave,
}

/// Why an event was given up, as a failure record's `condition` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardReason {
    /// `RetriesExhausted`
    RetriesExhausted,
    /// `EventAgeExceeded`
    EventAgeExceeded,
    /// The function was deleted.
    FunctionGone,
}

const MINUTE_MS: i64 = 60_000;
/// The longest pause after throttling.
const POSTPONE_MS_MAX: i64 = 5 * MINUTE_MS;

/// Decides what becomes of an event that was accepted at `accepted_at_ms`.
pub fn settle(
    policy: RetryPolicy,
    accepted_at_ms: i64,
    attempts: Attempts,
    outcome: AttemptOutcome,
    now_ms: i64,
) -> Settlement {
    let ends_at_ms = accepted_at_ms.saturating_add(policy.age_ms_max);
    let retry = |pause_ms: i64, attempts: Attempts| {
        let due_at_ms = now_ms.saturating_add(pause_ms);
        if due_at_ms > ends_at_ms {
            Settlement::Discard(DiscardReason::EventAgeExceeded)
        } else {
            Settlement::RetryAt { due_at_ms, attempts }
        }
    };
    match outcome {
        AttemptOutcome::Success => Settlement::Done,
        AttemptOutcome::FunctionGone => Settlement::Discard(DiscardReason::FunctionGone),
        AttemptOutcome::Interrupted => Settlement::Leave,
        AttemptOutcome::FunctionError => {
            let failures = attempts.failures + 1;
            if failures > policy.retries_max {
                return Settlement::Discard(DiscardReason::RetriesExhausted);
            }
            retry(i64::from(failures) * MINUTE_MS, Attempts { failures, postponed: 0 })
        }
        AttemptOutcome::Postponed => {
            let pause_ms = (1_000_i64 << attempts.postponed.min(16)).min(POSTPONE_MS_MAX);
            retry(pause_ms, Attempts { postponed: attempts.postponed.saturating_add(1), ..attempts })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(attempts: Attempts, outcome: AttemptOutcome, now_ms: i64) -> Settlement {
        settle(RetryPolicy::default(), 0, attempts, outcome, now_ms)
    }

    fn failed(failures: u32) -> Attempts {
        Attempts { failures, postponed: 0 }
    }

    #[test]
    fn a_failing_event_is_tried_three_times_in_all() {
        use AttemptOutcome::FunctionError;
        let first = step(failed(0), FunctionError, 0);
        assert_eq!(first, Settlement::RetryAt { due_at_ms: 60_000, attempts: failed(1) });
        let second = step(failed(1), FunctionError, 60_000);
        assert_eq!(second, Settlement::RetryAt { due_at_ms: 180_000, attempts: failed(2) });
        let third = step(failed(2), FunctionError, 180_000);
        assert_eq!(third, Settlement::Discard(DiscardReason::RetriesExhausted));
    }

    #[test]
    fn throttling_pauses_grow_to_five_minutes_and_end_after_six_hours() {
        let (mut now_ms, mut attempts, mut pauses) = (0, Attempts::default(), Vec::new());
        loop {
            match step(attempts, AttemptOutcome::Postponed, now_ms) {
                Settlement::RetryAt { due_at_ms, attempts: next } => {
                    pauses.push(due_at_ms - now_ms);
                    (now_ms, attempts) = (due_at_ms, next);
                }
                end => {
                    assert_eq!(end, Settlement::Discard(DiscardReason::EventAgeExceeded));
                    break;
                }
            }
        }
        assert_eq!(pauses[..4], [1_000, 2_000, 4_000, 8_000]);
        assert!(pauses[9..].iter().all(|pause| *pause == 300_000));
        assert!(now_ms <= EVENT_AGE_MS_MAX && now_ms > EVENT_AGE_MS_MAX - 300_000);
        assert_eq!(attempts.failures, 0, "throttling does not use up retries");
    }

    #[test]
    fn the_other_outcomes_end_or_leave_it() {
        assert_eq!(step(failed(1), AttemptOutcome::Success, 5), Settlement::Done);
        assert_eq!(step(failed(1), AttemptOutcome::Interrupted, 5), Settlement::Leave);
        let gone = Settlement::Discard(DiscardReason::FunctionGone);
        assert_eq!(step(failed(1), AttemptOutcome::FunctionGone, 5), gone);
    }
}
