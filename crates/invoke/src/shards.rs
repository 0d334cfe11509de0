//! A map by text that many threads use at a time: sixteen maps, each with a lock that is held for a look-up.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

type Shard<V> = Mutex<HashMap<String, Arc<V>>>;

/// The map.
pub(crate) struct Shards<V> {
    hasher: RandomState,
    shards: [Shard<V>; SHARDS],
}

impl<V> Default for Shards<V> {
    fn default() -> Shards<V> {
        Shards { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl<V> Shards<V> {
    fn shard(&self, key: &str) -> MutexGuard<'_, HashMap<String, Arc<V>>> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let at = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<V>> {
        self.shard(key).get(key).cloned()
    }

    /// The value under `key`, made if it is missing.
    pub(crate) fn get_or_insert(&self, key: &str, make: impl FnOnce() -> V) -> Arc<V> {
        let mut shard = self.shard(key);
        if let Some(value) = shard.get(key) {
            return value.clone();
        }
        let value = Arc::new(make());
        shard.insert(key.to_owned(), value.clone());
        value
    }

    /// Removes the value under `key` if `test` holds for it.
    pub(crate) fn remove_if(&self, key: &str, test: impl FnOnce(&V) -> bool) {
        let mut shard = self.shard(key);
        if shard.get(key).is_some_and(|value| test(value)) {
            shard.remove(key);
        }
    }

    /// Removes the value under `key` if nobody else holds it and `test` holds for it.
    pub(crate) fn remove_unused(&self, key: &str, test: impl FnOnce(&V) -> bool) {
        let mut shard = self.shard(key);
        if shard.get(key).is_some_and(|value| Arc::strong_count(value) == 1 && test(value)) {
            shard.remove(key);
        }
    }

    /// All values.
    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        let lock = |shard: &Shard<V>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().cloned().collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(lock).collect()
    }
}
