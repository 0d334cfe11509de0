//! Background work: committing what waits, merging small segments, deleting what is expired.

pub mod body;
pub mod compact;
pub mod maintenance;
pub mod sweep;
pub mod writer;
