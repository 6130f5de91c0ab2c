//! What a platform, or the driver of a function, asks of the host through the engine.

use arrayvec::ArrayVec;

use crate::Slot;
use crate::interrupt::{InterruptError, InterruptRequest};
use crate::wire::{MmioDescriptor, MsiEntry, PowerState, Status, Version};

/// The longest config block (`reference/protocol.md` section 5).
pub const MAX_BLOCK: usize = 128;

/// The content of a config block.
pub type BlockData = ArrayVec<u8, MAX_BLOCK>;

/// A request that was submitted. Its answer is fetched with [`super::Bus::poll_reply`], once; a ticket that is no longer
/// wanted is given back with [`super::Bus::withdraw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

impl Ticket {
    /// The ticket of a request that has no answer. It need not be polled.
    pub(super) const DONE: Ticket = Ticket(0);
}

/// An interrupt that the host created, over its whole life: resume gives it a new address, but not a new handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterruptHandle(pub(super) u64);

impl InterruptHandle {
    /// The number behind it, for platforms that keep it beside what they know of the interrupt. Never used twice.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What can be asked of the host about a function. See [`super::Bus::submit`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Create an interrupt. Room for its record was reserved with [`super::Bus::reserve_interrupts`]. Reply:
    /// [`Reply::Interrupt`].
    CreateInterrupt(InterruptRequest),
    /// Delete an interrupt. The host is not waited for, the ticket need not be polled. Nothing is sent for an alias.
    DeleteInterrupt {
        /// The function.
        slot: Slot,
        /// What the host gave.
        entry: MsiEntry,
    },
    /// Read a config block. Reply: [`Reply::Block`].
    ReadBlock {
        /// The function.
        slot: Slot,
        /// The block.
        block: u32,
        /// How many bytes: 1 to 128.
        bytes: u16,
    },
    /// Write a config block. Reply: [`Reply::Done`].
    WriteBlock {
        /// The function.
        slot: Slot,
        /// The block.
        block: u32,
        /// What to write: 1 to 128 bytes.
        data: BlockData,
    },
    /// Change the power state: D0 makes the host map the BARs, anything else makes it unmap them
    /// (`reference/protocol.md` section 5). One at a time per function. Reply: [`Reply::Done`]; the config half hears of it
    /// by [`super::Action::PowerCompleted`].
    PowerState {
        /// The function.
        slot: Slot,
        /// The state to enter.
        state: PowerState,
    },
    /// Tell the host other BAR addresses than those placed at bring-up (message style, while powered down). They must lie
    /// in the bus's windows: the config half checks that. Reply: [`Reply::Done`].
    AssignResources {
        /// The function.
        slot: Slot,
        /// The addresses by (lower) register.
        bars: [Option<u64>; 6],
    },
    /// Reset the function: 1.5 and later. Reply: [`Reply::Done`].
    ResetDevice {
        /// The function.
        slot: Slot,
    },
    /// Ask which resources the host has on record. Reply: [`Reply::Resources`].
    GetResources {
        /// The function.
        slot: Slot,
    },
}

impl Request {
    /// The function it is about.
    pub fn slot(&self) -> Slot {
        match self {
            Request::CreateInterrupt(request) => request.slot,
            Request::DeleteInterrupt { slot, .. }
            | Request::ReadBlock { slot, .. }
            | Request::WriteBlock { slot, .. }
            | Request::PowerState { slot, .. }
            | Request::AssignResources { slot, .. }
            | Request::ResetDevice { slot }
            | Request::GetResources { slot } => *slot,
        }
    }
}

/// What the host answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// It was done.
    Done,
    /// An interrupt was created.
    Interrupt {
        /// Its name from now on.
        handle: InterruptHandle,
        /// What to write into the MSI capability or the MSI-X table.
        entry: MsiEntry,
    },
    /// The bytes of a config block: at most as many as were asked for.
    Block(BlockData),
    /// The resources on record.
    Resources([MmioDescriptor; 6]),
}

/// Why a request was not taken. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SubmitError {
    /// The bus is not up: not started, suspended, or being brought down.
    #[error("the bus is not up")]
    NotUp,
    /// The host took the bus away.
    #[error("the bus is gone")]
    Rescinded,
    /// There is no such function, or it is leaving.
    #[error("there is no function {0}")]
    NoFunction(Slot),
    /// Too many requests are outstanding.
    #[error("too many requests are outstanding")]
    Full,
    /// No room was reserved for the interrupt's record.
    #[error("no room was reserved for another interrupt")]
    NoInterruptRoom,
    /// The interrupt cannot be asked for.
    #[error(transparent)]
    Interrupt(#[from] InterruptError),
    /// The bus has no such interrupt.
    #[error("there is no such interrupt")]
    NoInterrupt,
    /// A config block of 0 or more than 128 bytes.
    #[error("a config block has 1 to 128 bytes, not {0}")]
    BlockSize(usize),
    /// The negotiated version has no such message.
    #[error("this needs version {needed}; the host speaks {spoken}")]
    Version {
        /// The first version that has it.
        needed: Version,
        /// The bus's version.
        spoken: Version,
    },
    /// The host has not answered an earlier request for an interrupt of the function, which was given up: the next would only
    /// wait as long. Its answer, however late, opens the way again.
    #[error("the host has not answered an earlier request for an interrupt of function {0}")]
    Unanswered(Slot),
    /// The function's last power request has not ended.
    #[error("the last power request of function {0} has not ended")]
    PowerPending(Slot),
}

/// Why a request got no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RequestError {
    /// The host said no.
    #[error("the host refused: {0:?}")]
    Refused(Status),
    /// The host did not answer in time. Whether it did what was asked is not known.
    #[error("the host did not answer in time")]
    Timeout,
    /// The bus was suspended, brought down, or lost its channel.
    #[error("the bus went down")]
    Closed,
    /// The host took the bus away.
    #[error("the bus is gone")]
    Rescinded,
    /// The function left the bus.
    #[error("the function is gone")]
    FunctionGone,
    /// The ticket was polled to its end before, or withdrawn.
    #[error("no such request")]
    UnknownTicket,
}
