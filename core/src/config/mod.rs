//! Config space as the guest sees it, in front of the two-page config window.

mod bars;

pub use bars::{Bar, BarDefect, BarDefects, BarLayout};

/// The config half of one bus.
#[derive(Debug)]
pub struct ConfigSpace {}

/// Whether the host may still be spoken to about a function that is being detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// It may.
    Host,
    /// The device is gone.
    Gone,
}
