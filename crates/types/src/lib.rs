//! The words every other crate shares: identifiers, errors, time and randomness.
//!
//! No I/O and no async runtime here, so that every crate may depend on it.

mod arn;
mod clock;
mod doc;
mod error;
mod event_stream;
mod ids;

pub use arn::{AccountId, Arn, ArnError, Region};
pub use clock::{CLOCK_AHEAD_MS_MAX, Clock, ManualClock, MovableClock, SharedClock, SystemClock};
pub use doc::Doc;
pub use error::{AwsError, Fault};
pub use event_stream::EventStream;
pub use ids::{Ids, RequestId, SeededIds, SharedIds, SystemIds};
