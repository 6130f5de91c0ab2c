//! MMIO windows: survey of probed BARs, sizes, packing, claim, quarantine.
//!
//! A [`Survey`] turns the BARs of a bus's functions into the windows the platform has to find; a [`Pool`] holds the
//! windows it found and hands out their pages to BARs. The two fit together: see [`Survey`] for the rule that makes
//! everything that was surveyed fit, in whatever order the functions are placed.
//!
//! Nothing here reaches the host. Every call is for bring-up, hot plug and teardown (sleepable contexts); only
//! [`Pool::reserve`] allocates.

mod bytes;
mod error;
mod packing;
mod pool;
mod survey;
mod window;

pub use bytes::Bytes;
pub use error::{PlacementError, RestoreDefect, WindowError};
pub use pool::{BarAddresses, Claim, Pool};
pub use survey::{Headroom, Survey, survey};
pub use window::{Aperture, Window, WindowNeed};

#[cfg(test)]
mod tests;
