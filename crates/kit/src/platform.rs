//! What gust gives every service: the store, the time, randomness.

use gust_store::Store;
use gust_types::{Clock, Ids, SharedClock, SharedIds, SystemClock, SystemIds};
use std::sync::Arc;

/// Shared by all services of one gust.
#[derive(Clone)]
pub struct Platform {
    /// All that gust remembers.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Randomness.
    pub ids: SharedIds,
}

impl Platform {
    /// The platform of a running gust: real time, real randomness.
    pub fn system(store: Store) -> Platform {
        Platform { store, clock: Arc::new(SystemClock), ids: Arc::new(SystemIds) }
    }

    /// Now, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        Clock::now_ms(&*self.clock)
    }

    /// A new random UUID.
    pub fn uuid(&self) -> String {
        Ids::uuid(&*self.ids)
    }
}
