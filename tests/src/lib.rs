//! What crosses rooms: conformance, golden traces, figures, fuzzing. This crate's library is what its tests have in common.

pub mod bench;
pub mod fuzzing;
