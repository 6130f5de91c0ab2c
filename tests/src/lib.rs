//! Helpers shared by the tests that cross rooms.

pub mod fuzzing;
