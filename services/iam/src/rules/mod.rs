//! Pure decisions.

pub mod managed;
pub mod page;
pub mod policy;
pub mod provider;
pub mod service_role;
