//! The sans-I/O engine: one bus, its functions, their life from offer to rescind.

use crate::wire::FunctionDescription;

/// The engine half of one bus.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bus {}

/// The VMBus descriptor of a packet to be sent; its payload goes beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transmit {
    /// The transaction id; 0 where no completion is requested.
    pub transaction_id: u64,
    /// Whether the host is asked for a completion.
    pub wants_completion: bool,
}

/// What a platform needs to show a function to its OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionInfo {
    /// What the host says of it.
    pub description: FunctionDescription,
}

/// Something the platform acts on or prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Report {}
