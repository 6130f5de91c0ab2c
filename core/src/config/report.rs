//! What happened in the config half that somebody should hear of, and why calls fail.

use arrayvec::ArrayVec;

use crate::Slot;
use crate::decode::Policy;

/// Why host decode was not turned on (invariant I3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EnableRefused {
    /// The slot has no function.
    #[error("no function in slot {slot}")]
    NoFunction {
        /// The slot.
        slot: Slot,
    },
    /// A BAR does not lie wholly in a window of this bus.
    #[error("BAR {bar} of function {slot} at {address:#x} is outside the bus's windows")]
    OutsideWindows {
        /// The function.
        slot: Slot,
        /// The BAR, by its (lower) register.
        bar: u8,
        /// Where the guest put it.
        address: u64,
    },
    /// A BAR shares a page with a BAR of another function that is mapped, or about to be.
    #[error("BAR {bar} of function {slot} at {address:#x} overlaps function {other}")]
    Overlaps {
        /// The function.
        slot: Slot,
        /// The BAR, by its (lower) register.
        bar: u8,
        /// Where the guest put it.
        address: u64,
        /// The function in the way, whose decode the guest has on or is turning on.
        other: Slot,
    },
    /// The host does not hold the BAR addresses that the guest has: nothing may be mapped behind the guest's back.
    #[error("the host was not told the BARs of function {slot}")]
    BarsNotTold {
        /// The function.
        slot: Slot,
    },
}

/// Reports waiting to be taken. When nobody takes them the oldest stay and the rest is counted: what went wrong first
/// says most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reports {
    waiting: ArrayVec<ConfigReport, 16>,
    lost: u64,
}

impl Reports {
    pub fn push(&mut self, report: ConfigReport) {
        if self.waiting.try_push(report).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
    }

    pub fn take(&mut self) -> Option<ConfigReport> {
        self.waiting.pop_at(0)
    }

    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

/// An event of the config half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigReport {
    /// The guest set Memory and was refused: COMMAND reads with Memory clear.
    EnableRefused(EnableRefused),
    /// The guest moved a BAR with decode on. The host stays on the old address until the next 0->1 (I1).
    StaleBar {
        /// The function.
        slot: Slot,
        /// The BAR register, 0-5.
        register: u8,
    },
    /// A write of the guest reset the function (FLR, AF FLR, D3hot to D0): both views start afresh (I7).
    Reset {
        /// The function.
        slot: Slot,
    },
    /// The BARs were probed again after a write to a Resizable BAR control register.
    BarsResized {
        /// The function.
        slot: Slot,
    },
}

/// Why a call of the config half failed. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ConfigError {
    /// In an isolated VM a falling decode edge must reach the host at once (I8).
    #[error("the {0} policy is not allowed in an isolated VM")]
    NotAllowedWhenIsolated(Policy),
    /// No memory for the function table.
    #[error("out of memory")]
    OutOfMemory,
    /// A bus has 1 to 256 functions.
    #[error("a bus has 1 to 256 functions")]
    Capacity,
    /// The function table is full.
    #[error("no room for another function")]
    Full,
    /// The slot has a function already.
    #[error("slot {0} has a function already")]
    AlreadyAttached(Slot),
    /// More windows than a bus can have.
    #[error("too many windows")]
    TooManyWindows,
    /// A window that is empty, not page-aligned, or runs past the end of the address space.
    #[error("a malformed window")]
    BadWindow,
}
