//! Segments: the files of log text. A segment holds events of one group and one window, sorted.

mod format;
mod prepare;

pub use format::decode;
pub use prepare::{Prepared, prepare};
