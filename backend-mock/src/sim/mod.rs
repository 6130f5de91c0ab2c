//! Whole boots on a virtual clock: host, core and guest together.

pub mod executor;
pub mod sync;
