//! Why something has no place.

use super::{Aperture, Bytes, Window};
use crate::{OutOfMemory, Slot};

/// Why a function's BARs could not be placed. The pool or survey is as it was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PlacementError {
    /// There is not enough room of the right kind, or the platform found no window.
    #[error(
        "function {slot}: no room for BAR {bar} of {}: {} more {aperture} needed, {} free in this bus's windows; shut the \
         VM down, give it at least that much more with {} and start it again",
        Bytes(*.size), Bytes(*.missing), Bytes(*.free), .aperture.setting()
    )]
    NoSpace {
        /// The function.
        slot: Slot,
        /// The (lower) register of the largest BAR that found no room.
        bar: u8,
        /// Bytes that BAR decodes.
        size: u64,
        /// Where it has to lie.
        aperture: Aperture,
        /// Bytes free in the bus's windows there, perhaps in pieces too small or not aligned.
        free: u64,
        /// Bytes that all BARs of the function which found no room there take: a further window of this size, aligned
        /// to the largest power of two in it, holds them.
        missing: u64,
    },
    /// The host claims a BAR, or a sum of BARs, that no address space can hold.
    #[error("function {slot}: BAR {bar} of {} cannot lie in {aperture}: the host's sizes make no sense", Bytes(*.size))]
    Impossible {
        /// The function.
        slot: Slot,
        /// The (lower) register.
        bar: u8,
        /// Bytes that BAR claims to decode.
        size: u64,
        /// Where it would have to lie.
        aperture: Aperture,
    },
    /// The function holds placements already: free or quarantine them first.
    #[error("function {slot}: its BARs have a place already")]
    AlreadyPlaced {
        /// The function.
        slot: Slot,
    },
    /// The addresses to restore cannot be had.
    #[error("function {slot}: BAR {bar} cannot have {address:#x} again: {defect}")]
    NotRestorable {
        /// The function.
        slot: Slot,
        /// The (lower) register.
        bar: u8,
        /// The address asked for; 0 where none was given.
        address: u64,
        /// What is wrong with it.
        defect: RestoreDefect,
    },
    /// The table of placements is full: more functions, or more quarantined ranges, than were reserved for.
    #[error("function {slot}: the bus has no room for more placements in its tables")]
    TableFull {
        /// The function.
        slot: Slot,
    },
}

/// What is wrong with an address to restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RestoreDefect {
    /// The function has this BAR but no address was given, or the other way round.
    #[error("the addresses do not match the BARs")]
    Mismatch,
    /// Not a multiple of the BAR's footprint.
    #[error("it is not naturally aligned")]
    Misaligned,
    /// Not inside a window of the BAR's aperture.
    #[error("it lies outside the bus's windows")]
    Outside,
    /// Placed or quarantined range there.
    #[error("the range is taken")]
    Taken,
}

/// Why a window was not taken into the pool, or not let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum WindowError {
    /// Empty, not page-aligned, at address 0, or not inside the aperture it claims.
    #[error("the window at {:#x} of {} is empty, not page-aligned, or not inside the {}", .0.base, Bytes(.0.size), .0.aperture)]
    Malformed(Window),
    /// It overlaps a window that is in the pool.
    #[error("the window at {:#x} of {} overlaps another window of the bus", .0.base, Bytes(.0.size))]
    Overlaps(Window),
    /// There is no such window in the pool.
    #[error("the bus has no window at {:#x} of {}", .0.base, Bytes(.0.size))]
    Unknown(Window),
    /// A BAR is placed in it, or the host may still map a quarantined range of it.
    #[error("the window at {:#x} of {} is still in use", .0.base, Bytes(.0.size))]
    InUse(Window),
    /// More windows than were reserved for.
    #[error("the bus has no room for more windows in its tables")]
    TableFull,
    /// No memory.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}
