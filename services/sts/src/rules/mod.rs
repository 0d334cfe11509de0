//! Pure decisions.

pub mod session;
