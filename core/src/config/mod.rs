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

/// What is needed to take a function over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionSeed {
    /// What the host says of it.
    pub description: crate::wire::FunctionDescription,
    /// What its BAR registers read after all ones were written to them.
    pub probed: crate::wire::ProbedBars,
    /// Where its BARs were placed, by (lower) register.
    pub bars: [Option<u64>; 6],
    /// Whether the host was told of them by message.
    pub host_bars_known: bool,
}
