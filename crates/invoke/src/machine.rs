//! What becomes of an asynchronous event, before and after an attempt: pure functions.
//!
//! A function's error is retried after one and then two minutes, as often as the settings say. Errors of the platform
//! are retried with growing pauses until the event is too old, and do not count as attempts. A throttled event keeps
//! its place: its function's lane waits (see `lanes.rs`). An event that has become too old is not run any more.
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use crate::limits::{EVENT_AGE_MS_MAX, RETRY_ATTEMPTS_DEFAULT};
use gust_kit::ports::{EventSettings, ThrottleReason};
use serde::{Deserialize, Serialize};

/// What an event has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Attempts that ended in a function's error.
    pub failures: u32,
    /// Attempts that failed by the platform's fault, since the last failure.
    pub postponed: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The function responded.
    Success,
    /// The function failed, or its environment did.
    FunctionError,
    /// Its concurrency is used up.
    Throttled(ThrottleReason),
    /// None of its requests may run at all: its reserved concurrency is zero.
    NoConcurrency,
    /// It is part of a loop that has reached it too often.
    RecursiveLoop,
    /// gust could not run it.
    Postponed,
    /// There is no such function any more.
    FunctionGone,
    /// gust is shutting down: the event stays where it is.
    Interrupted,
}

/// How often and how long is retried.
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

impl From<&EventSettings> for RetryPolicy {
    fn from(settings: &EventSettings) -> RetryPolicy {
        let default = RetryPolicy::default();
        RetryPolicy {
            retries_max: settings.retries_max.unwrap_or(default.retries_max),
            age_ms_max: settings.age_ms_max.unwrap_or(default.age_ms_max),
        }
    }
}

impl RetryPolicy {
    /// When an event that was accepted at `accepted_at_ms` is too old.
    pub fn expires_at_ms(&self, accepted_at_ms: i64) -> i64 {
        accepted_at_ms.saturating_add(self.age_ms_max)
    }
}

/// What is written down: at most one durable write.
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
    /// It is given up: the record goes, to wherever failures go.
    Discard(DiscardReason),
    /// Nothing is written: it waits in memory for its function to have room, at most until it is too old.
    Wait {
        /// Why there is no room.
        reason: ThrottleReason,
        /// When it is too old, in milliseconds since the epoch.
        expires_at_ms: i64,
    },
    /// Nothing is written: the event is loaded again by whoever owns the queue next.
    Leave,
}

/// Why an event was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardReason {
    /// The function failed as often as it may.
    RetriesExhausted,
    /// It is too old.
    EventAgeExceeded,
    /// The function's reserved concurrency is zero.
    ZeroReservedConcurrency,
    /// A recursive loop was detected.
    RecursiveInvocation,
    /// The function was deleted.
    FunctionGone,
}

impl DiscardReason {
    /// What a failure's record calls it. Documented are the first two
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>); the third is known from
    /// records that AWS wrote; the others are inferred.
    pub fn condition(self) -> &'static str {
        match self {
            DiscardReason::RetriesExhausted => "RetriesExhausted",
            DiscardReason::EventAgeExceeded => "EventAgeExceeded",
            DiscardReason::ZeroReservedConcurrency => "ZeroReservedConcurrency",
            DiscardReason::RecursiveInvocation => "RecursiveInvocation",
            DiscardReason::FunctionGone => "FunctionNotFound",
        }
    }
}

const MINUTE_MS: i64 = 60_000;
/// The first pause after throttling or an error of the platform.
const POSTPONE_MS_MIN: i64 = 1_000;
/// The longest pause after throttling or an error of the platform.
const POSTPONE_MS_MAX: i64 = 5 * MINUTE_MS;

/// The pause before the next attempt, after `before` postponed ones: from 1 second to 5 minutes.
pub fn pause_ms(before: u32) -> i64 {
    (POSTPONE_MS_MIN << before.min(16)).min(POSTPONE_MS_MAX)
}

/// Whether an event is run at all at `now_ms`.
pub fn before(policy: RetryPolicy, accepted_at_ms: i64, now_ms: i64) -> Option<Settlement> {
    let is_expired = now_ms >= policy.expires_at_ms(accepted_at_ms);
    is_expired.then_some(Settlement::Discard(DiscardReason::EventAgeExceeded))
}

/// Decides what becomes of an event that was accepted at `accepted_at_ms`.
pub fn settle(
    policy: RetryPolicy,
    accepted_at_ms: i64,
    attempts: Attempts,
    outcome: AttemptOutcome,
    now_ms: i64,
) -> Settlement {
    let expires_at_ms = policy.expires_at_ms(accepted_at_ms);
    let retry = |pause_ms: i64, attempts: Attempts| {
        let due_at_ms = now_ms.saturating_add(pause_ms);
        if due_at_ms >= expires_at_ms {
            Settlement::Discard(DiscardReason::EventAgeExceeded)
        } else {
            Settlement::RetryAt { due_at_ms, attempts }
        }
    };
    match outcome {
        AttemptOutcome::Success => Settlement::Done,
        AttemptOutcome::FunctionGone => Settlement::Discard(DiscardReason::FunctionGone),
        AttemptOutcome::NoConcurrency => Settlement::Discard(DiscardReason::ZeroReservedConcurrency),
        AttemptOutcome::RecursiveLoop => Settlement::Discard(DiscardReason::RecursiveInvocation),
        AttemptOutcome::Interrupted => Settlement::Leave,
        AttemptOutcome::Throttled(reason) => Settlement::Wait { reason, expires_at_ms },
        AttemptOutcome::FunctionError => {
            let failures = attempts.failures + 1;
            if failures > policy.retries_max {
                return Settlement::Discard(DiscardReason::RetriesExhausted);
            }
            retry(i64::from(failures) * MINUTE_MS, Attempts { failures, postponed: 0 })
        }
        AttemptOutcome::Postponed => {
            let postponed = attempts.postponed.saturating_add(1);
            retry(pause_ms(attempts.postponed), Attempts { postponed, ..attempts })
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
    fn settings_say_how_often_and_how_long() {
        let policy = RetryPolicy::from(&EventSettings {
            retries_max: Some(1),
            age_ms_max: Some(90_000),
            ..EventSettings::default()
        });
        let after = |failures, now_ms| settle(policy, 0, failed(failures), AttemptOutcome::FunctionError, now_ms);
        assert_eq!(after(0, 29_999), Settlement::RetryAt { due_at_ms: 89_999, attempts: failed(1) });
        assert_eq!(after(0, 30_000), Settlement::Discard(DiscardReason::EventAgeExceeded), "too old when it is due");
        assert_eq!(after(1, 0), Settlement::Discard(DiscardReason::RetriesExhausted));
        assert_eq!(before(policy, 0, 89_999), None);
        assert_eq!(before(policy, 0, 90_000), Some(Settlement::Discard(DiscardReason::EventAgeExceeded)));
        let never = RetryPolicy { retries_max: 0, ..policy };
        let once = settle(never, 0, failed(0), AttemptOutcome::FunctionError, 0);
        assert_eq!(once, Settlement::Discard(DiscardReason::RetriesExhausted));
        assert_eq!(RetryPolicy::from(&EventSettings::default()), RetryPolicy::default());
    }

    #[test]
    fn pauses_after_errors_of_the_platform_grow_to_five_minutes_and_end_after_six_hours() {
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
        assert!((EVENT_AGE_MS_MAX - 300_000..=EVENT_AGE_MS_MAX).contains(&now_ms));
        assert_eq!(attempts.failures, 0, "errors of the platform do not use up retries");
    }

    #[test]
    fn the_other_outcomes_end_leave_or_keep_it() {
        assert_eq!(step(failed(1), AttemptOutcome::Success, 5), Settlement::Done);
        assert_eq!(step(failed(1), AttemptOutcome::Interrupted, 5), Settlement::Leave);
        let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
        let wait = Settlement::Wait { reason, expires_at_ms: EVENT_AGE_MS_MAX };
        assert_eq!(step(failed(1), AttemptOutcome::Throttled(reason), 5), wait);
        for (outcome, reason) in [
            (AttemptOutcome::FunctionGone, DiscardReason::FunctionGone),
            (AttemptOutcome::NoConcurrency, DiscardReason::ZeroReservedConcurrency),
            (AttemptOutcome::RecursiveLoop, DiscardReason::RecursiveInvocation),
        ] {
            assert_eq!(step(failed(1), outcome, 5), Settlement::Discard(reason));
        }
    }
}
