//! What crosses rooms: conformance, golden traces, figures, fuzzing. This crate's library is what its tests have in common.

pub mod bench;
mod cases;
pub mod fuzzing;

pub use cases::cases;
