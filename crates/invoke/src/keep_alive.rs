//! Which idle environment goes first when memory is short: the one that is worth the least.
//!
//! An environment's worth is what it would cost to start it again, times how often it is used, for each byte that its
//! end would free (GreedyDual-Size-Frequency). To that comes the worth of what was evicted last when it was used
//! last: those that nobody uses any more are overtaken by the others sooner or later, however much they were used.
//!
//! Each pool names its least useful environment. The evictor keeps them in a heap, made when memory becomes short: a
//! warm request takes no part in it, and a decision costs the logarithm of the number of functions.

use crate::limits::{EVICTION_VIEW_AFTER, MEMORY_GUESS_BYTES, START_GUESS, USES_HALF_LIFE};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// How often an environment is used: its uses, of which older ones count less.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Uses(f64);

impl Uses {
    /// One use more, `pause` after the last one.
    pub(crate) fn again(self, pause: Duration) -> Uses {
        Uses(self.after(pause).0 + 1.0)
    }

    /// What they count for `pause` later.
    pub(crate) fn after(self, pause: Duration) -> Uses {
        Uses(self.0 * (-pause.as_secs_f64() / USES_HALF_LIFE.as_secs_f64()).exp2())
    }
}

/// What the worth of an environment is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// What the worth of the last one evicted was when it was used last.
    pub(crate) floor: f64,
    pub(crate) uses: Uses,
    pub(crate) idle_for: Duration,
    /// What starting another one takes, if that is known.
    pub(crate) start: Option<Duration>,
    /// What its end would free; 0 if that is not known.
    pub(crate) memory_bytes: u64,
}

/// What an environment is worth: microseconds of starting, for each MiB.
#[expect(clippy::cast_precision_loss, reason = "an order is wanted, no exact figure")]
pub(crate) fn worth(facts: Facts) -> f64 {
    let memory = if facts.memory_bytes == 0 { MEMORY_GUESS_BYTES } else { facts.memory_bytes };
    let start_us = facts.start.unwrap_or(START_GUESS).as_micros() as f64;
    let memory_mb = memory as f64 / f64::from(1 << 20);
    facts.floor + facts.uses.after(facts.idle_for).0 * start_us / memory_mb.max(1.0)
}

/// The worth of the last one evicted: read on every return of an environment, written on evictions only.
#[derive(Debug, Default)]
pub(crate) struct Floor(AtomicU64);

impl Floor {
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn raise(&self, worth: f64) {
        if worth > self.get() {
            self.0.store(worth.to_bits(), Relaxed);
        }
    }
}

/// A pool and the worth of its least useful environment.
struct Candidate<P> {
    worth: f64,
    pool: P,
}

impl<P> PartialEq for Candidate<P> {
    fn eq(&self, other: &Candidate<P>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<P> Eq for Candidate<P> {}

impl<P> PartialOrd for Candidate<P> {
    fn partial_cmp(&self, other: &Candidate<P>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Candidate<P> {
    /// The least worth is the greatest.
    fn cmp(&self, other: &Candidate<P>) -> Ordering {
        other.worth.total_cmp(&self.worth)
    }
}

/// Finds what is worth the least among all pools.
pub(crate) struct Evictor<P> {
    heap: BinaryHeap<Candidate<P>>,
    made_at: Option<Instant>,
}

impl<P> Default for Evictor<P> {
    fn default() -> Evictor<P> {
        Evictor { heap: BinaryHeap::new(), made_at: None }
    }
}

impl<P> Evictor<P> {
    /// The least useful one. `all` lists the pools, `worth` tells what a pool's least useful environment is worth now,
    /// `take` takes it out. `None`: nothing is idle.
    pub(crate) fn next<E>(
        &mut self,
        floor: &Floor,
        now: Instant,
        all: impl Fn() -> Vec<P>,
        worth: impl Fn(&P) -> Option<f64>,
        take: impl Fn(&P) -> Option<E>,
    ) -> Option<E> {
        let is_fresh = self.made_at.is_some_and(|made_at| now < made_at + EVICTION_VIEW_AFTER);
        if !is_fresh {
            self.make(now, &all, &worth);
        }
        self.pop(floor, &worth, &take).or_else(|| {
            if !is_fresh {
                return None;
            }
            // Others have become idle since it was made.
            self.make(now, &all, &worth);
            self.pop(floor, &worth, &take)
        })
    }

    fn make(&mut self, now: Instant, all: &impl Fn() -> Vec<P>, worth: &impl Fn(&P) -> Option<f64>) {
        let candidates = all().into_iter().filter_map(|pool| Some(Candidate { worth: worth(&pool)?, pool }));
        self.heap = candidates.collect();
        self.made_at = Some(now);
    }

    fn pop<E>(
        &mut self,
        floor: &Floor,
        worth: &impl Fn(&P) -> Option<f64>,
        take: &impl Fn(&P) -> Option<E>,
    ) -> Option<E> {
        while let Some(Candidate { worth: known, pool }) = self.heap.pop() {
            // It may have been used, or ended, since it was put there.
            let Some(now) = worth(&pool) else { continue };
            let is_still_least = self.heap.peek().is_none_or(|next| now <= next.worth);
            if now > known && !is_still_least {
                self.heap.push(Candidate { worth: now, pool });
                continue;
            }
            let Some(taken) = take(&pool) else { continue };
            floor.raise(now);
            if let Some(worth) = worth(&pool) {
                self.heap.push(Candidate { worth, pool });
            }
            return Some(taken);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    const FACTS: Facts = Facts {
        floor: 0.0,
        uses: Uses(4.0),
        idle_for: Duration::ZERO,
        start: Some(Duration::from_millis(10)),
        memory_bytes: 20 << 20,
    };

    #[test]
    fn worth_is_the_cost_of_a_start_times_the_uses_for_the_memory() {
        assert_eq!(worth(FACTS), 2_000.0);
        assert_eq!(worth(Facts { memory_bytes: 40 << 20, ..FACTS }), 1_000.0);
        assert_eq!(worth(Facts { start: Some(Duration::from_millis(100)), ..FACTS }), 20_000.0);
        assert_eq!(worth(Facts { uses: Uses(1.0), ..FACTS }), 500.0);
        assert_eq!(worth(Facts { floor: 7.0, ..FACTS }), 2_007.0);
        assert_eq!(worth(Facts { idle_for: USES_HALF_LIFE, ..FACTS }), 1_000.0);
        let unknown = worth(Facts { start: None, memory_bytes: 0, ..FACTS });
        assert!(unknown.is_finite() && unknown > 0.0);
    }

    #[test]
    fn uses_count_less_the_older_they_are() {
        let once = Uses::default().again(Duration::from_secs(9));
        assert_eq!(once, Uses(1.0));
        assert_eq!(once.again(Duration::ZERO), Uses(2.0));
        assert_eq!(once.again(USES_HALF_LIFE), Uses(1.5));
        let often = (0..100_000).fold(Uses::default(), |uses, _| uses.again(Duration::from_millis(10)));
        assert!(often.0.is_finite() && often.0 < 100_000.0);
    }

    /// Pools by name, with what each of their environments is worth, in order.
    struct World(RefCell<BTreeMap<&'static str, Vec<f64>>>);

    impl World {
        fn new<const N: usize>(pools: [(&'static str, &[f64]); N]) -> World {
            World(RefCell::new(pools.into_iter().map(|(name, worths)| (name, worths.to_vec())).collect()))
        }

        fn evict(&self, evictor: &mut Evictor<&'static str>, floor: &Floor, now: Instant) -> Option<&'static str> {
            evictor.next(
                floor,
                now,
                || self.0.borrow().keys().copied().collect(),
                |name| self.0.borrow().get(name)?.first().copied(),
                |name| {
                    let mut pools = self.0.borrow_mut();
                    let worths = pools.get_mut(name)?;
                    (!worths.is_empty()).then(|| {
                        worths.remove(0);
                        *name
                    })
                },
            )
        }
    }

    #[test]
    fn the_least_useful_goes_first() {
        let world = World::new([("slow", &[9.0, 12.0]), ("big", &[1.0, 2.0, 30.0]), ("rare", &[3.0])]);
        let (mut evictor, floor, now) = (Evictor::default(), Floor::default(), Instant::now());
        let order: Vec<_> = std::iter::from_fn(|| world.evict(&mut evictor, &floor, now)).collect();
        assert_eq!(order, ["big", "big", "rare", "slow", "slow", "big"]);
        assert_eq!(floor.get(), 30.0);
    }

    #[test]
    fn what_was_used_meanwhile_is_looked_at_again() {
        let world = World::new([("a", &[1.0]), ("b", &[2.0])]);
        let (mut evictor, floor, now) = (Evictor::default(), Floor::default(), Instant::now());
        world.0.borrow_mut().insert("c", vec![1.5]);
        assert_eq!(world.evict(&mut evictor, &floor, now), Some("a"));
        world.0.borrow_mut().insert("c", vec![5.0]);
        world.0.borrow_mut().insert("b", Vec::new());
        world.0.borrow_mut().insert("d", vec![4.0]);
        assert_eq!(world.evict(&mut evictor, &floor, now), Some("c"), "d was not there when it looked");
        assert_eq!(world.evict(&mut evictor, &floor, now), Some("d"), "and is found before it gives up");
        assert_eq!(world.evict(&mut evictor, &floor, now + EVICTION_VIEW_AFTER), None);
    }

    #[test]
    fn those_of_old_are_overtaken() {
        let floor = Floor::default();
        let old = worth(Facts { floor: floor.get(), uses: Uses(10.0), ..FACTS });
        floor.raise(old + 1.0);
        assert!(worth(Facts { floor: floor.get(), uses: Uses(1.0), ..FACTS }) > old);
        floor.raise(0.0);
        assert_eq!(floor.get(), old + 1.0, "it never falls");
    }
}
