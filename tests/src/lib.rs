//! What crosses rooms: conformance, golden traces, figures, models, fuzzing. This crate's library is what its tests have in
//! common.

pub mod bench;
pub mod fuzzing;
