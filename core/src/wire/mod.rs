//! Bytes <-> messages.

mod description;
mod version;

pub use description::{FunctionDescription, ProbedBars};
pub use version::Version;
