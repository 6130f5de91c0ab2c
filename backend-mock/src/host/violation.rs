//! What a guest did wrong.

use core::fmt;

use hvpci_core::wire::Version;
use hvpci_core::{Slot, Time};

use super::BusId;
use super::packet::MessageType;

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Known drivers do it and hosts live with it.
    Info,
    /// A correct guest never does it.
    Error,
}

/// One thing a guest did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub time: Time,
    /// On which bus.
    pub bus: BusId,
    /// To which function, where one is concerned.
    pub slot: Option<Slot>,
    /// What.
    pub kind: ViolationKind,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// A message before a version was agreed.
    NotNegotiated(MessageType),
    /// A second version query after one succeeded.
    NegotiatedTwice,
    /// A message whose turn has not come: before D0ENTRY, or before the function's resources were assigned.
    OutOfOrder(MessageType),
    /// A message after D0EXIT that only makes sense before it.
    AfterD0Exit(MessageType),
    /// A packet on a rescinded or closed channel.
    ChannelGone,
    /// A message that the agreed version does not have.
    NewerThanVersion(MessageType, Version),
    /// A message nobody knows, or one that only hosts send.
    UnknownMessage(MessageType),
    /// A message too short for its own fields, or with field values out of range.
    Malformed(MessageType),
    /// A message for a slot without a function.
    UnknownSlot(MessageType, u32),
    /// A completion is asked for under transaction id 0.
    ZeroTransactionId(MessageType),
    /// A transaction id that is still waiting for its completion.
    TransactionIdInUse(u64),
    /// RESOURCES_ASSIGNED for a function that has its resources.
    AssignedTwice,
    /// A MMIO descriptor that fits no BAR: wrong register, type, alignment or length.
    BadDescriptor {
        /// The BAR register.
        register: u8,
    },
    /// DELETE_INTERRUPT for an interrupt that does not exist.
    UnknownInterrupt {
        /// The message address.
        address: u64,
        /// The message data.
        data: u32,
    },
    /// A BAR written while the function decodes: ignored.
    BarWriteWhileDecoding {
        /// The BAR register.
        register: u8,
    },
    /// Decode turned on with a BAR at address 0.
    DecodeAtZero {
        /// The BAR register.
        register: u8,
    },
    /// Decode turned on for a BAR that overlaps another mapped one, of this or another function.
    DecodeOverlap {
        /// The BAR register.
        register: u8,
        /// The bus of the other function.
        other_bus: BusId,
        /// The other function.
        other_slot: Slot,
    },
    /// Decode turned on for a BAR that does not begin on a page: whole pages are mapped.
    DecodeOffPage {
        /// The BAR register.
        register: u8,
        /// Where it lay.
        address: u64,
    },
    /// Decode turned on for a BAR outside the apertures given to the bus.
    DecodeOutsideAperture {
        /// The BAR register.
        register: u8,
        /// Where it lay.
        address: u64,
    },
    /// D0ENTRY with a config window that is 0, unaligned, or over a mapped BAR.
    BadWindow(u64),
    /// An access to the selector page other than a 4-byte write at offset 0.
    SelectorAccess,
    /// An access to the config page of odd width, unaligned, or outside the page.
    BadConfigAccess {
        /// The offset in the window.
        offset: u32,
        /// The width in bytes.
        bytes: u32,
    },
    /// An access to the config window outside D0ENTRY..D0EXIT.
    WindowNotMapped,
    /// EJECTION_COMPLETE without EJECT.
    UnexpectedEjectionComplete,
    /// The guest did not answer EJECT within the limit; the function was removed by force.
    EjectTimedOut,
    /// D0EXIT while a function still has its resources.
    NotReleasedBeforeD0Exit,
    /// RELEASED for a slot that has no function or no resources: the kdump path does that.
    ReleasedUnassigned(u32),
}

impl ViolationKind {
    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        match self {
            ViolationKind::NotReleasedBeforeD0Exit | ViolationKind::ReleasedUnassigned(_) => Severity::Info,
            _ => Severity::Error,
        }
    }
}

impl Violation {
    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.time.as_nanos();
        write!(f, "{}.{:06} s, bus {}", nanos / 1_000_000_000, nanos / 1_000 % 1_000_000, self.bus.0)?;
        if let Some(slot) = self.slot {
            write!(f, ", function {slot}")?;
        }
        write!(f, ": {:?}", self.kind)
    }
}
