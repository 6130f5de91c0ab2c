//! Config space as the guest sees it, in front of the two-page config window.

mod bars;

pub use bars::{Bar, BarDefect, BarDefects, BarLayout};

/// The config half of one bus.
#[derive(Debug)]
pub struct ConfigSpace {}
