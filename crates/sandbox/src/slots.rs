//! Host uids for sandboxes: two for each, function and supervisor, from a configured range.

use std::collections::VecDeque;

/// Hands out pairs of uids. A returned pair is used again last, so that ids of different sandboxes stay apart in time.
pub(crate) struct Slots {
    base: u32,
    free: VecDeque<u32>,
    next: u32,
    pub(crate) count: u32,
}

impl Slots {
    pub(crate) fn new(base: u32, uid_count: u32) -> Slots {
        Slots { base, free: VecDeque::new(), next: 0, count: uid_count / 2 }
    }

    /// The first uid of a free pair.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if self.next < self.count {
            self.next += 1;
            return Some(self.base + 2 * (self.next - 1));
        }
        self.free.pop_front()
    }

    pub(crate) fn give_back(&mut self, first: u32) {
        self.free.push_back(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_do_not_overlap_and_come_back() {
        let mut slots = Slots::new(1000, 5);
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(1000), Some(1002), None));
        slots.give_back(1000);
        assert_eq!((slots.take(), slots.take()), (Some(1000), None));
    }
}
