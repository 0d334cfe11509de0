//! One ordered, transactional key-value store that holds everything gust remembers.
//!
//! Engines: memory, fjall (one machine) and PostgreSQL (many machines), behind one interface and one
//! suite of tests. No engine's type leaks out of this crate.

mod committer;
mod disk;
mod engine;
mod error;
mod format;
mod key;
mod lease;
mod limits;
mod local;
mod memory;
mod options;
mod pool;
mod postgres;
mod record;
mod sequencer;
mod space;
mod store;
mod tables;
mod tail;
mod timer;
mod transaction;
mod tx;
mod wake;

pub use disk::Restoration;
pub use error::StoreError;
pub use format::{DATA_FORMAT, check_folder_format};
pub use key::{Key, KeyParts, Table};
pub use lease::{Acquisition, Lease, check_claim};
pub use limits::*;
pub use options::StoreOptions;
pub use record::Record;
pub use store::{Committed, Store};
pub use tail::{News, Tail, Told};
pub use timer::{CLOCK_MOVED_TOPIC, Timer, TimerWaiter, Timers};
pub use tx::{Appended, Order, Pair, Range, Read, Tx};
pub use wake::Subscription;
