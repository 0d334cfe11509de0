//! A bounded memory for what was parsed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

/// Values that are made once and shared.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: RwLock<HashMap<K, Arc<V>>>,
    entries_max: usize,
}

impl<K: Hash + Eq, V> Cache<K, V> {
    /// An empty cache of at most `entries_max` values.
    pub fn new(entries_max: usize) -> Cache<K, V> {
        Cache { entries: RwLock::default(), entries_max }
    }

    /// The value of `key`, made now if it is not there.
    pub fn get_or(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        // What a panic leaves behind is whole: a write is one insert.
        if let Some(value) = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return value.clone();
        }
        let value = Arc::new(make());
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.entries_max {
            // Whoever is still asked for is made again; that is cheap, and keeps no order of use on the warm path.
            entries.clear();
        }
        entries.insert(key, value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_made_once_and_the_memory_is_bounded() {
        let cache = Cache::new(2);
        assert_eq!(*cache.get_or(1, || "a"), "a");
        assert_eq!(*cache.get_or(1, || panic!("made twice")), "a");
        for key in 2..100 {
            cache.get_or(key, || "b");
            assert!(cache.entries.read().unwrap().len() <= 2);
        }
    }
}
