//! The bodies of the fuzz targets. Each takes any bytes, and panics if they break a promise.
//!
//! They run in two places: under cargo-fuzz (`tests/fuzz`), and, with pseudo-random bytes and the seeds of that crate, in
//! the ordinary tests (`tests/tests/fuzz_smoke.rs`).

mod bus;
mod config;
mod device;
mod recording;
mod scenario;
mod wire;

pub use bus::bus;
pub use config::config;
pub use recording::recording;
pub use scenario::scenario;
pub use wire::wire;
