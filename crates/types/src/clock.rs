//! Time as a capability, so that tests and simulations can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where "now" comes from. Services ask this and never the system.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
}

/// A clock that is passed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The machine's wall clock, moved forward by whoever wants to see what will be due.
#[derive(Debug, Default)]
pub struct MovableClock {
    ahead_ms: AtomicI64,
}

/// How far a clock can be moved in all, in milliseconds: ten years.
pub const CLOCK_AHEAD_MS_MAX: i64 = 10 * 365 * 24 * 3_600_000;

impl MovableClock {
    /// Moves the clock forward; says whether it could. In all it moves at most by [`CLOCK_AHEAD_MS_MAX`].
    pub fn advance_ms(&self, by_ms: i64) -> bool {
        let moved = self.ahead_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |ahead_ms| {
            let ahead_ms = ahead_ms.checked_add(by_ms).filter(|_| by_ms >= 0)?;
            (ahead_ms <= CLOCK_AHEAD_MS_MAX).then_some(ahead_ms)
        });
        moved.is_ok()
    }
}

impl Clock for MovableClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms().saturating_add(self.ahead_ms.load(Ordering::SeqCst))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now_ms`.
    pub fn at(now_ms: i64) -> ManualClock {
        ManualClock(AtomicI64::new(now_ms))
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_movable_clock_goes_on_from_where_it_was_moved_to() {
        let clock = MovableClock::default();
        assert!(clock.advance_ms(3_600_000) && clock.advance_ms(0));
        let ahead_ms = clock.now_ms() - SystemClock.now_ms();
        assert!((3_595_000..=3_605_000).contains(&ahead_ms), "{ahead_ms}");
        for by_ms in [-1, i64::MAX, CLOCK_AHEAD_MS_MAX] {
            assert!(!clock.advance_ms(by_ms), "{by_ms}");
        }
        assert!(clock.advance_ms(CLOCK_AHEAD_MS_MAX - 3_600_000));
    }
}
