//! What can be wrong with bytes that come in, and with values that are to go out.

/// Why bytes are not the message they claim to be. Nothing of the message has been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// Fewer bytes than the fields we use.
    #[error("{what}: {have} bytes, at least {need} needed")]
    TooShort {
        /// The message or the part of it.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// A count or length field promises more than the bytes that follow it.
    #[error("{what}: a count of {count} does not fit the {bytes} bytes that follow")]
    CountDoesNotFit {
        /// The message.
        what: &'static str,
        /// The count or length as sent.
        count: u64,
        /// The bytes there are for it.
        bytes: usize,
    },
    /// A count above what the protocol allows (`reference/protocol.md` section 11), though the bytes are there.
    #[error("{what}: a count of {count}, at most {limit} allowed")]
    TooMany {
        /// The message.
        what: &'static str,
        /// The count as sent.
        count: u64,
        /// The most that is legal.
        limit: usize,
    },
    /// A message names a slot that cannot exist.
    #[error(transparent)]
    Slot(#[from] InvalidSlot),
    /// The lengths in a VMBus packet descriptor contradict each other or the bytes.
    #[error("packet descriptor: payload from {offset} to {length} in a packet of {have} bytes")]
    PacketLengths {
        /// Bytes of header claimed.
        offset: usize,
        /// Bytes of packet claimed.
        length: usize,
        /// Bytes there.
        have: usize,
    },
}

/// A slot number above 255 (`reference/protocol.md` section 4), kept as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("slot {0:#x} cannot exist")]
pub struct InvalidSlot(pub u32);

/// Why a message cannot be put into bytes. The buffer's content is unspecified then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EncodeError {
    /// The buffer is smaller than the message.
    #[error("a buffer of {have} bytes for a message of {need}")]
    BufferTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// More data or entries than the message may carry, or none where it needs some.
    #[error("{what}: {count}, which is not in 1 to {limit}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The most that is legal.
        limit: usize,
    },
    /// A vector that the form of CREATE_INTERRUPT has no room for (8 bits before protocol 1.4).
    #[error("vector {vector:#x} does not fit 8 bits")]
    Vector {
        /// The vector.
        vector: u32,
    },
    /// A virtual processor beyond the 64 of a CREATE_INTERRUPT of protocol 1.1.
    #[error("virtual processor {vp} does not fit a mask of 64")]
    VpOutsideMask {
        /// The virtual processor's index.
        vp: u16,
    },
    /// A memory range too long for a resource descriptor: above `0xFFFF_FFFF << 32` bytes.
    #[error("a memory range of {length:#x} bytes does not fit a resource descriptor")]
    RangeTooLong {
        /// The length in bytes.
        length: u64,
    },
    /// MSI resources were built for another form of the message than the one that is to carry them.
    #[error("MSI resources of another form of the message")]
    FormMismatch,
}
