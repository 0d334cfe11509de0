//! How long a function's requests and starts take, and what follows for a request that finds nothing idle: wait for
//! an environment that is busy, or start another.
//!
//! A request waits where that is likely to be shorter than a start; while it waits it starts nothing. What requests
//! have waited is added up, and once that comes to the time of a start, the next one starts an environment without
//! waiting: a function that is used by many at a time soon has as many environments as it needs, and one whose
//! requests meet now and then does not get a second one for that. (The technique is known from CIDRE; the bound is
//! that of renting and buying: never more than twice what the best choice would have cost.)

use crate::limits::{PATIENCE_MAX, RETURNING_WAIT, START_TURN_HELD_MAX, START_TURN_HELD_MIN};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What was measured of a function. Estimates: two that learn at the same time may overwrite each other.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From the moment an environment is taken to its return; 0 as long as that is unknown.
    service_us: AtomicU64,
    /// A start on a machine that starts nothing else; 0 as long as that is unknown.
    start_us: AtomicU64,
    /// What requests have waited since the last start.
    waited_us: AtomicU64,
}

/// Who shares the processors with a start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Environments that are being started, this one included.
    pub(crate) starts: usize,
    pub(crate) cores: usize,
}

impl Load {
    /// How many times longer a start takes for it.
    fn factor(self) -> u64 {
        u64::try_from(self.starts.div_ceil(self.cores.max(1)).max(1)).unwrap_or(u64::MAX)
    }
}

/// What a request meets that finds nothing idle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// Environments that run a request.
    pub(crate) busy: usize,
    /// Of those, the ones that have answered and are just being given back.
    pub(crate) coming: usize,
    /// Requests that wait already.
    pub(crate) ahead: usize,
}

/// Estimates in microseconds; 0 is unknown.
#[derive(Debug, Clone, Copy)]
struct Estimates {
    service_us: u64,
    start_us: u64,
    waited_us: u64,
}

/// How long the request waits before it starts an environment.
fn patience(situation: Situation, estimates: Estimates) -> Duration {
    let Situation { busy, coming, ahead } = situation;
    let Estimates { service_us, start_us, waited_us } = estimates;
    if coming > ahead {
        // A moment: its log lines are being written.
        return RETURNING_WAIT;
    }
    let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
    let busy = u64::try_from(busy).unwrap_or(u64::MAX);
    if busy == 0 || service_us == 0 {
        return Duration::ZERO;
    }
    let wait_us = service_us.saturating_mul(ahead.saturating_add(1)) / busy;
    let left_us = start_us.saturating_sub(waited_us);
    if wait_us < left_us { Duration::from_micros(left_us).min(PATIENCE_MAX) } else { Duration::ZERO }
}

impl Times {
    fn learn(known: &AtomicU64, seen: Duration) {
        let seen_us = micros(seen).max(1);
        let known_us = known.load(Ordering::Relaxed);
        let learned_us = if known_us == 0 { seen_us } else { (7 * known_us + seen_us) / 8 };
        known.store(learned_us.max(1), Ordering::Relaxed);
    }

    /// An environment served a request for this long.
    pub(crate) fn served(&self, time: Duration) {
        Times::learn(&self.service_us, time);
    }

    /// An environment was started under this load.
    pub(crate) fn started(&self, time: Duration, load: Load) {
        Times::learn(&self.start_us, time / u32::try_from(load.factor()).unwrap_or(u32::MAX));
        self.waited_us.store(0, Ordering::Relaxed);
    }

    /// A request waited instead of starting one.
    pub(crate) fn waited(&self, time: Duration) {
        self.waited_us.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// What a start costs on a quiet machine, if that is known.
    pub(crate) fn start(&self) -> Option<Duration> {
        Some(self.start_us.load(Ordering::Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }

    /// How long a request waits before it starts an environment.
    pub(crate) fn patience(&self, situation: Situation, load: Load) -> Duration {
        let start_us = self.start_us.load(Ordering::Relaxed).saturating_mul(load.factor());
        let service_us = self.service_us.load(Ordering::Relaxed);
        patience(situation, Estimates { service_us, start_us, waited_us: self.waited_us.load(Ordering::Relaxed) })
    }

    /// How long a start under this load keeps its turn: one that takes several times as long as usual probably sleeps.
    pub(crate) fn turn_limit(&self, load: Load) -> Duration {
        let usual = Duration::from_micros(self.start_us.load(Ordering::Relaxed).saturating_mul(load.factor()));
        if usual.is_zero() { START_TURN_HELD_MAX } else { (4 * usual).clamp(START_TURN_HELD_MIN, START_TURN_HELD_MAX) }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Estimates = Estimates { service_us: 2_000, start_us: 10_000, waited_us: 0 };

    fn busy(busy: usize, ahead: usize) -> Situation {
        Situation { busy, coming: 0, ahead }
    }

    #[test]
    fn a_request_waits_where_that_is_shorter_than_a_start() {
        let start = Duration::from_millis(10);
        assert_eq!(patience(busy(1, 0), KNOWN), start);
        assert_eq!(patience(busy(1, 3), KNOWN), start, "8 ms");
        assert_eq!(patience(busy(1, 4), KNOWN), Duration::ZERO, "10 ms");
        assert_eq!(patience(busy(2, 8), KNOWN), start, "9 ms");
        assert_eq!(patience(busy(0, 0), KNOWN), Duration::ZERO, "nothing will become free");
        let slow = Estimates { service_us: 1_000_000, ..KNOWN };
        assert_eq!(patience(busy(50, 0), slow), Duration::ZERO);
        assert_eq!(patience(busy(200, 0), slow), start, "with so many, one becomes free every 5 ms");
    }

    #[test]
    fn what_is_not_known_is_not_waited_for() {
        assert_eq!(patience(busy(1, 0), Estimates { service_us: 0, ..KNOWN }), Duration::ZERO);
        assert_eq!(patience(busy(1, 0), Estimates { start_us: 0, ..KNOWN }), Duration::ZERO);
        assert_eq!(Times::default().patience(busy(9, 0), Load { starts: 1, cores: 2 }), Duration::ZERO);
    }

    #[test]
    fn waiting_is_paid_for_until_a_start_is_cheaper() {
        let after = |waited_us| patience(busy(1, 0), Estimates { waited_us, ..KNOWN });
        assert_eq!(after(7_000), Duration::from_millis(3));
        assert_eq!(after(8_000), Duration::ZERO);
        assert_eq!(after(u64::MAX), Duration::ZERO);
    }

    #[test]
    fn what_is_just_coming_back_is_waited_for() {
        let coming = Situation { busy: 1, coming: 1, ahead: 0 };
        let slow = Estimates { service_us: 9_000_000, ..KNOWN };
        assert_eq!(patience(coming, slow), RETURNING_WAIT);
        assert_eq!(patience(Situation { ahead: 1, ..coming }, slow), Duration::ZERO, "it is another's");
    }

    #[test]
    fn starts_are_measured_without_their_neighbours() {
        let times = Times::default();
        times.served(Duration::from_millis(2));
        times.started(Duration::from_millis(80), Load { starts: 16, cores: 2 });
        assert_eq!(times.start(), Some(Duration::from_millis(10)));
        let quiet = Load { starts: 1, cores: 2 };
        assert_eq!(times.patience(busy(1, 0), quiet), Duration::from_millis(10));
        assert_eq!(times.patience(busy(1, 0), Load { starts: 16, cores: 2 }), Duration::from_millis(80));
        times.waited(Duration::from_millis(9));
        assert_eq!(times.patience(busy(1, 0), quiet), Duration::ZERO);
        times.started(Duration::from_millis(10), quiet);
        assert_eq!(times.patience(busy(1, 0), quiet), Duration::from_millis(10), "paid for");
    }

    #[test]
    fn a_turn_is_kept_for_as_long_as_a_start_may_need() {
        let times = Times::default();
        let alone = Load { starts: 1, cores: 2 };
        assert_eq!(times.turn_limit(alone), START_TURN_HELD_MAX);
        times.started(Duration::from_millis(100), alone);
        assert_eq!(times.turn_limit(alone), Duration::from_millis(400));
        assert_eq!(times.turn_limit(Load { starts: 100, cores: 2 }), START_TURN_HELD_MAX);
    }
}
