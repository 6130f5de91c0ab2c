//! MMIO windows: survey of probed BARs, sizes, packing, claim, quarantine.

mod window;

pub use window::{Aperture, Window, WindowNeed};
