//! Pure decisions.

pub mod managed;
pub mod page;
pub mod policy;
