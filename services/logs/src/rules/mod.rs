//! Pure decisions: what a request means and whether AWS would take it.

pub mod batch;
pub mod event_id;
pub mod identifier;
pub mod token;
