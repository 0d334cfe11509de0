//! Idle environments in the order in which they are wanted: the most recently used first, so that the others grow
//! old and go. Everything that a request does here takes the same time however many there are.

use std::collections::VecDeque;
use tokio::time::Instant;

/// Those that are alike. Each list begins with what has been idle for longest.
#[derive(Debug)]
pub(crate) struct Idle<E> {
    /// They still run, and will be frozen.
    fresh: VecDeque<(Instant, E)>,
    /// Nothing is done about them any more but to end them.
    settled: VecDeque<(Instant, E)>,
}

impl<E> Default for Idle<E> {
    fn default() -> Idle<E> {
        Idle { fresh: VecDeque::new(), settled: VecDeque::new() }
    }
}

impl<E> Idle<E> {
    /// Takes one in that is idle from `since` on and runs.
    pub(crate) fn put(&mut self, since: Instant, environment: E) {
        insert(&mut self.fresh, since, environment);
    }

    /// Takes one in that has been idle since `since` and is frozen, or will not be.
    pub(crate) fn put_settled(&mut self, since: Instant, environment: E) {
        insert(&mut self.settled, since, environment);
    }

    /// The most recently used one.
    pub(crate) fn take(&mut self) -> Option<E> {
        let last = self.fresh.pop_back().or_else(|| self.settled.pop_back());
        last.map(|(_, environment)| environment)
    }

    /// The one that has been idle for longest.
    pub(crate) fn oldest(&self) -> Option<&E> {
        self.settled.front().or_else(|| self.fresh.front()).map(|(_, environment)| environment)
    }

    /// Takes out the one that has been idle for longest.
    pub(crate) fn take_oldest(&mut self) -> Option<E> {
        let oldest = self.settled.pop_front().or_else(|| self.fresh.pop_front());
        oldest.map(|(_, environment)| environment)
    }

    /// Since when the next one runs that will be frozen.
    pub(crate) fn freezes_since(&self) -> Option<Instant> {
        self.fresh.front().map(|(since, _)| *since)
    }

    /// Since when the next one is idle that will be ended.
    pub(crate) fn settled_since(&self) -> Option<Instant> {
        self.settled.front().map(|(since, _)| *since)
    }

    /// Takes out the next one to freeze, if it has run idly since `since` or longer.
    pub(crate) fn take_to_freeze(&mut self, since: Instant) -> Option<(Instant, E)> {
        if self.freezes_since()? <= since { self.fresh.pop_front() } else { None }
    }

    /// Takes out the next one to end, if it has been idle since `since` or longer.
    pub(crate) fn take_to_end(&mut self, since: Instant) -> Option<E> {
        if self.settled_since()? > since {
            return None;
        }
        self.settled.pop_front().map(|(_, environment)| environment)
    }

    /// Takes out all for which `test` holds.
    pub(crate) fn take_if(&mut self, mut test: impl FnMut(&mut E) -> bool) -> Vec<E> {
        let mut taken = Vec::new();
        for list in [&mut self.fresh, &mut self.settled] {
            for (since, mut environment) in std::mem::take(list) {
                if test(&mut environment) {
                    taken.push(environment);
                } else {
                    list.push_back((since, environment));
                }
            }
        }
        taken
    }

    pub(crate) fn len(&self) -> usize {
        self.fresh.len() + self.settled.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.fresh.iter().chain(&self.settled).map(|(_, environment)| environment)
    }
}

/// Keeps the order; what comes is nearly always the youngest.
fn insert<E>(list: &mut VecDeque<(Instant, E)>, since: Instant, environment: E) {
    let younger = list.iter().rev().take_while(|(other, _)| *other > since).count();
    list.insert(list.len() - younger, (since, environment));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Instant {
        // All tests of one thread see the same beginning.
        thread_local! { static BEGAN: Instant = Instant::now(); }
        BEGAN.with(|began| *began + Duration::from_millis(ms))
    }

    fn idle() -> Idle<u64> {
        let mut idle = Idle::default();
        for ms in [10, 20, 30] {
            idle.put(at(ms), ms);
        }
        idle
    }

    #[test]
    fn the_most_recently_used_comes_first() {
        let mut idle = idle();
        idle.put_settled(at(5), 5);
        let taken: Vec<u64> = std::iter::from_fn(|| idle.take()).collect();
        assert_eq!(taken, [30, 20, 10, 5]);
    }

    #[test]
    fn the_oldest_goes_first_and_is_frozen_first() {
        let mut idle = idle();
        assert_eq!(idle.take_to_freeze(at(9)), None);
        let (since, first) = idle.take_to_freeze(at(20)).unwrap();
        assert_eq!(first, 10);
        idle.put_settled(since, first);
        assert_eq!((idle.freezes_since(), idle.settled_since()), (Some(at(20)), Some(at(10))));
        assert_eq!(idle.take_to_end(at(9)), None);
        assert_eq!(idle.oldest(), Some(&10));
        assert_eq!(idle.take_to_end(at(10)), Some(10));
        assert_eq!(idle.take_to_end(at(1_000)), None, "the others still run");
        assert_eq!(std::iter::from_fn(|| idle.take_oldest()).collect::<Vec<_>>(), [20, 30]);
    }

    #[test]
    fn what_comes_late_finds_its_place() {
        let mut idle = idle();
        idle.put(at(15), 15);
        assert_eq!(idle.take_if(|ms| *ms > 20), [30]);
        assert_eq!((idle.len(), idle.iter().copied().collect::<Vec<_>>()), (3, vec![10, 15, 20]));
    }
}
