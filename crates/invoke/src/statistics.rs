//! What is counted of a function: how often it ran, failed, was refused or started, and how long that took.
//!
//! Counters are atomics of fixed size, so that a warm invocation pays for a few additions and a busy function takes no
//! more memory than a quiet one. They live as long as the engine: a restart begins anew.

use std::sync::atomic::{AtomicU64, Ordering};

/// Steps in which a doubling of the time is resolved: what is read off is at most an eighth too long.
const STEPS: usize = 8;
/// The longest time that is told apart: 2^32 microseconds, more than an hour. Longer ones count as this.
const OCTAVES_MAX: usize = 32;
const BUCKETS: usize = (OCTAVES_MAX - STEPS_LOG2 + 1) * STEPS;
const STEPS_LOG2: usize = STEPS.trailing_zeros() as usize;

/// The counters of one function.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    errors: AtomicU64,
    throttles: AtomicU64,
    durations: Histogram,
    /// Of those that started an environment and initialised it at the first try.
    inits: Histogram,
    cold_starts: AtomicU64,
}

/// An invocation that has ended, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub duration_us: u64,
    /// Whether an environment was started for it.
    pub is_cold: bool,
    /// How long that took, if it succeeded at once.
    pub init_us: Option<u64>,
    pub is_error: bool,
}

/// What has been counted of a function since gust started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionStatistics {
    /// The function's ARN.
    pub arn: String,
    /// Invocations that ran, whatever came of them.
    pub invocations: u64,
    /// Of those, the ones that failed: errors of the function, time-outs, crashes.
    pub errors: u64,
    /// Invocations that were refused because a limit was reached. They did not run.
    pub throttles: u64,
    /// Invocations for which an environment was started.
    pub cold_starts: u64,
    /// How long the handler ran.
    pub duration: Percentiles,
    /// How long initialisation took.
    pub init: Percentiles,
}

/// Where the values of a distribution lie, in microseconds; all zero if there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of all are at most this.
    pub p50_us: u64,
    /// Nine of ten.
    pub p90_us: u64,
    /// Ninety-nine of a hundred.
    pub p99_us: u64,
    /// The longest; exact, while the others are at most an eighth too long.
    pub max_us: u64,
}

impl Counters {
    pub(crate) fn throttled(&self) {
        self.throttles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, ended: Ended) {
        self.durations.add(ended.duration_us);
        if ended.is_error {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if ended.is_cold {
            self.cold_starts.fetch_add(1, Ordering::Relaxed);
            if let Some(init_us) = ended.init_us {
                self.inits.add(init_us);
            }
        }
    }

    pub(crate) fn read(&self, arn: &str) -> FunctionStatistics {
        let (invocations, duration) = self.durations.read();
        FunctionStatistics {
            arn: arn.to_owned(),
            invocations,
            errors: self.errors.load(Ordering::Relaxed),
            throttles: self.throttles.load(Ordering::Relaxed),
            cold_starts: self.cold_starts.load(Ordering::Relaxed),
            duration,
            init: self.inits.read().1,
        }
    }
}

/// Counts values on a scale whose steps grow with them.
#[derive(Debug)]
struct Histogram {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }
}

impl Histogram {
    fn add(&self, value: u64) {
        self.buckets[bucket_of(value)].fetch_add(1, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// How many values there are, and where they lie.
    fn read(&self) -> (u64, Percentiles) {
        let counts: Vec<u64> = self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let (total, max_us) = (counts.iter().sum::<u64>(), self.max.load(Ordering::Relaxed));
        let at = |hundredths: u64| {
            // The rank of the value that so many hundredths of all do not exceed.
            let rank = (u128::from(total) * u128::from(hundredths)).div_ceil(100);
            let mut seen = 0_u128;
            let found = counts.iter().position(|count| {
                seen += u128::from(*count);
                seen >= rank
            });
            found.filter(|_| total > 0).map_or(0, |bucket| upper_bound(bucket).min(max_us))
        };
        (total, Percentiles { p50_us: at(50), p90_us: at(90), p99_us: at(99), max_us })
    }
}

/// The first values have a bucket each; from then on every doubling has [`STEPS`].
fn bucket_of(value: u64) -> usize {
    let Some(octave) = value.checked_ilog2().map(|octave| octave as usize).filter(|octave| *octave >= STEPS_LOG2)
    else {
        return usize::try_from(value).unwrap_or_default();
    };
    let step = usize::try_from(value >> (octave - STEPS_LOG2)).unwrap_or_default() % STEPS;
    ((octave - STEPS_LOG2 + 1) * STEPS + step).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let (octave, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    match octave {
        0 => step,
        _ => ((STEPS as u64 + step + 1) << (octave - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..BUCKETS - 1 {
            let bound = upper_bound(bucket);
            assert_eq!(bucket_of(bound), bucket, "{bound}");
            assert_eq!(bucket_of(bound + 1), bucket + 1, "{bound}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert!(upper_bound(BUCKETS - 1) >= 3_600_000_000, "an hour is told apart");
    }

    #[test]
    fn percentiles_are_at_most_an_eighth_too_long() {
        let counters = Counters::default();
        for duration_us in 1..=1_000 {
            let is_cold = duration_us % 100 == 0;
            let init_us = (duration_us != 100).then_some(5);
            counters.ended(Ended { duration_us, is_cold, init_us, is_error: duration_us > 990 });
        }
        counters.throttled();
        let read = counters.read("arn");
        assert_eq!((read.invocations, read.errors, read.throttles, read.cold_starts), (1_000, 10, 1, 10));
        for (exact, shown) in [(500, read.duration.p50_us), (900, read.duration.p90_us), (990, read.duration.p99_us)] {
            assert!((exact..=exact * 9 / 8).contains(&shown), "{exact}: {shown}");
        }
        assert_eq!(read.duration.max_us, 1_000);
        assert_eq!(read.init, Percentiles { p50_us: 5, p90_us: 5, p99_us: 5, max_us: 5 });
    }

    #[test]
    fn nothing_counted_is_nothing_shown() {
        let read = Counters::default().read("arn");
        assert_eq!((read.invocations, read.duration, read.init), (0, Percentiles::default(), Percentiles::default()));
    }

    #[test]
    fn a_single_value_is_every_percentile() {
        let counters = Counters::default();
        counters.ended(Ended { duration_us: 1_234_567, is_cold: false, init_us: None, is_error: false });
        let all = Percentiles { p50_us: 1_234_567, p90_us: 1_234_567, p99_us: 1_234_567, max_us: 1_234_567 };
        assert_eq!(counters.read("arn").duration, all);
    }
}
