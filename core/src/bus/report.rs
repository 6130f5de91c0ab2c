//! What the engine tells the platform.

use crate::Slot;
use crate::backend::PlatformError;
use crate::config::BarDefect;
use crate::placement::{PlacementError, WindowError};
use crate::wire::{FunctionDescription, Status, Version};

use super::{BusError, InterruptHandle};

/// Something the platform acts on or prints. Reports wait in a queue of fixed length; what does not fit is counted in
/// [`super::Counters::reports_dropped`]. [`Report::BlocksInvalidated`] is never lost: it is made from a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// The host agreed to a version.
    Negotiated(Version),
    /// The host refused D0 entry; the leftovers of a previous kernel are cleared away before the one retry.
    D0Retry(Status),
    /// The bus failed and is being brought down.
    Failed(BusError),
    /// The host took the bus away.
    Rescinded,
    /// The bus has a new function.
    FunctionFound(FunctionDescription),
    /// A function will not be shown to the OS, or is taken away from it, while the rest of the bus goes on.
    FunctionFailed {
        /// The function.
        slot: Slot,
        /// Why.
        error: FunctionError,
    },
    /// The host wants the function back.
    EjectRequested(Slot),
    /// The OS has not let go of an ejected function in time; the host may now take it by force.
    EjectOverdue(Slot),
    /// The function's background map has not ended in time; the function is shown to the OS all the same.
    PrefetchOverdue(Slot),
    /// The function has left the bus.
    FunctionGone(Slot),
    /// A BAR is left out because what the host says of it makes no sense.
    BadBar {
        /// The function.
        slot: Slot,
        /// The register.
        bar: u8,
        /// What is wrong.
        defect: BarDefect,
    },
    /// MMIO space that the platform gave could not be used and is given back.
    BadWindow(WindowError),
    /// MMIO space is kept out of use until the host can no longer map it.
    Quarantined {
        /// The function it was for.
        slot: Slot,
        /// Bytes.
        bytes: u64,
    },
    /// Config blocks of a function changed: bit n is block n. Handed on to the function's driver.
    BlocksInvalidated {
        /// The function.
        slot: Slot,
        /// Which of the first 64 blocks.
        mask: u64,
    },
    /// An interrupt could not be created again after a resume: it stays silent until its driver asks for a new one.
    InterruptLost(InterruptHandle),
    /// The host sent something odd, which was ignored.
    Odd(Odd),
}

/// Why a function is not shown to the OS, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FunctionError {
    /// The host would not say what BARs the function has.
    #[error("the host failed the query for its BARs: {0:?}; remove the device from the VM and add it again")]
    Requirements(Status),
    /// No place for its BARs.
    #[error(transparent)]
    Placement(PlacementError),
    /// The host refused the resources.
    #[error("the host refused its resources: {0:?}; remove the device from the VM and add it again")]
    Assignment(Status),
    /// The host did not answer.
    #[error("the host did not answer ({0:?}); its MMIO space stays reserved until the bus is closed")]
    Timeout(FunctionStep),
    /// The config half did not take it.
    #[error("its config space could not be taken over: {0}")]
    Attach(PlatformError),
    /// The OS did not take it.
    #[error("the operating system did not take it: {0}")]
    Publish(PlatformError),
}

/// The question to the host that went unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionStep {
    /// What BARs it has.
    Requirements,
    /// To take note of its resources.
    Assignment,
    /// To power it.
    Power,
}

/// Odd input from the host. Each is counted in [`super::Counters`] too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Odd {
    /// An in-band packet that does not parse; its length in bytes.
    Malformed(u32),
    /// An in-band packet with an unexpected message id.
    UnknownMessage(u32),
    /// A completion too short for its request.
    MalformedCompletion(u64),
    /// A completion with an id that was never used.
    UnknownCompletion(u64),
    /// A second completion of the same request.
    DuplicateCompletion(u64),
    /// A completion of a request that had been given up.
    LateCompletion(u64),
    /// A slot above 255.
    BadSlot(u32),
    /// A slot without a function.
    UnknownSlot(Slot),
    /// The same slot twice in one list.
    DuplicateSlot(Slot),
    /// More functions than the bus has room for; this is the first left out.
    TooManyFunctions(Slot),
    /// A second eject of the same function.
    DuplicateEject(Slot),
}
