//! Keys in memory: the way of a request must not lead to the disk each time. Bounded, and in parts, so that requests
//! with different keys seldom meet at one lock.

use crate::limits::{CACHE_PARTS, CACHED_KEYS_MAX, UNKNOWN_KEPT_MS};
use gust_kit::ports::KeyOwner;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{PoisonError, RwLock};

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// Whose it is.
    Owner(Box<KeyOwner>),
    /// It is nobody's. Other nodes make keys too, so this is soon forgotten.
    Nobody,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    /// When it is forgotten, in milliseconds since the epoch.
    until_ms: i64,
}

/// The cache.
#[derive(Debug)]
pub struct KeyCache {
    parts: [RwLock<HashMap<String, Entry>>; CACHE_PARTS],
}

impl KeyCache {
    /// An empty cache.
    pub fn new() -> KeyCache {
        KeyCache { parts: std::array::from_fn(|_| RwLock::default()) }
    }

    /// What is known of a key, if anything.
    pub fn get(&self, access_key_id: &str, now_ms: i64) -> Option<Known> {
        // A part that a panic left behind is whole all the same: its only writes are single inserts.
        let part = self.part(access_key_id).read().unwrap_or_else(PoisonError::into_inner);
        part.get(access_key_id).filter(|entry| now_ms < entry.until_ms).map(|entry| entry.known.clone())
    }

    /// Remembers whose a key is, or that it is nobody's.
    pub fn set(&self, access_key_id: &str, known: Known, now_ms: i64) {
        let until_ms = match &known {
            Known::Owner(_) => i64::MAX,
            Known::Nobody => now_ms.saturating_add(UNKNOWN_KEPT_MS),
        };
        let mut part = self.part(access_key_id).write().unwrap_or_else(PoisonError::into_inner);
        if part.len() >= CACHED_KEYS_MAX {
            part.retain(|_, entry| now_ms < entry.until_ms && !has_ended(&entry.known, now_ms));
        }
        if part.len() >= CACHED_KEYS_MAX {
            part.clear();
        }
        part.insert(access_key_id.to_owned(), Entry { known, until_ms });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for part in &self.parts {
            part.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn part(&self, access_key_id: &str) -> &RwLock<HashMap<String, Entry>> {
        let mut hasher = DefaultHasher::new();
        access_key_id.hash(&mut hasher);
        &self.parts[(hasher.finish() % CACHE_PARTS as u64) as usize]
    }
}

fn has_ended(known: &Known, now_ms: i64) -> bool {
    match known {
        Known::Owner(owner) => owner.credentials.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms),
        Known::Nobody => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_kit::Principal;
    use gust_kit::ports::Credentials;
    use gust_types::AccountId;

    fn owner(expires_at_ms: Option<i64>) -> Known {
        let credentials = Credentials {
            access_key_id: "k".to_owned(),
            secret_access_key: "s".to_owned(),
            session_token: None,
            expires_at_ms,
        };
        let principal = Principal::root(AccountId::parse("000000000000").unwrap(), None);
        Known::Owner(Box::new(KeyOwner { credentials, principal }))
    }

    #[test]
    fn owners_stay_and_strangers_are_soon_forgotten() {
        let cache = KeyCache::new();
        assert_eq!(cache.get("a", 0), None);
        cache.set("a", owner(None), 0);
        cache.set("b", Known::Nobody, 0);
        assert_eq!(cache.get("a", 1_000_000), Some(owner(None)));
        assert_eq!(cache.get("b", UNKNOWN_KEPT_MS - 1), Some(Known::Nobody));
        assert_eq!(cache.get("b", UNKNOWN_KEPT_MS), None);
        cache.clear();
        assert_eq!(cache.get("a", 0), None);
    }

    #[test]
    fn it_is_bounded() {
        let cache = KeyCache::new();
        for number in 0..CACHE_PARTS * CACHED_KEYS_MAX * 3 {
            let known = if number % 2 == 0 { owner(Some(number as i64)) } else { Known::Nobody };
            cache.set(&format!("k{number}"), known, number as i64);
        }
        for part in &cache.parts {
            assert!(part.read().unwrap().len() <= CACHED_KEYS_MAX);
        }
    }
}
