//! Everything a host says by itself.

use zerocopy::little_endian::U32;

use super::codec::{put, view};
use super::{EncodeError, MessageType, ParseError, Relations, RelationsForm};
use super::{block, eject, relations};

/// A message from the host to the guest, in-band; it wants no completion.
///
/// Parsing borrows from the payload and allocates nothing. Slots stay as they came: a slot that cannot exist is for the
/// engine to count, not for the codec to hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostMessage<'a> {
    /// The functions on the bus; those that are missing are gone.
    BusRelations(Relations<'a>),
    /// The host wants a function back.
    Eject {
        /// The slot as sent.
        slot: u32,
    },
    /// Configuration blocks of a function changed.
    InvalidateBlock {
        /// The slot as sent.
        slot: u32,
        /// Bit n is block n.
        mask: u64,
    },
    /// INVALIDATE_DEVICE, of which no more is known.
    InvalidateDevice {
        /// The bytes behind the code, padding included.
        payload: &'a [u8],
    },
    /// INVALIDATE_BUS, of which no more is known.
    InvalidateBus {
        /// The bytes behind the code, padding included.
        payload: &'a [u8],
    },
    /// QUERY_STOP, of which no more is known.
    QueryStop {
        /// The bytes behind the code, padding included.
        payload: &'a [u8],
    },
    /// REENABLE, of which no more is known.
    Reenable {
        /// The bytes behind the code, padding included.
        payload: &'a [u8],
    },
    /// QUERY_STOP_FAILED, of which no more is known.
    QueryStopFailed {
        /// The bytes behind the code, padding included.
        payload: &'a [u8],
    },
    /// Anything else: to be counted and ignored.
    Unknown {
        /// Its code.
        message_type: MessageType,
        /// The bytes behind the code, padding included.
        payload: &'a [u8],
    },
}

impl<'a> HostMessage<'a> {
    /// Reads a message; bytes behind its fields are padding.
    pub fn parse(payload: &'a [u8]) -> Result<HostMessage<'a>, ParseError> {
        let message_type = MessageType::parse(payload)?;
        let (_, rest) = view::<U32>("message type", payload)?;
        match message_type {
            MessageType::BUS_RELATIONS => relations::parse(RelationsForm::V1, payload),
            MessageType::BUS_RELATIONS2 => relations::parse(RelationsForm::V2, payload),
            MessageType::EJECT => eject::parse_eject(payload),
            MessageType::INVALIDATE_BLOCK => block::parse_invalidate(payload),
            MessageType::INVALIDATE_DEVICE => Ok(HostMessage::InvalidateDevice { payload: rest }),
            MessageType::INVALIDATE_BUS => Ok(HostMessage::InvalidateBus { payload: rest }),
            MessageType::QUERY_STOP => Ok(HostMessage::QueryStop { payload: rest }),
            MessageType::REENABLE => Ok(HostMessage::Reenable { payload: rest }),
            MessageType::QUERY_STOP_FAILED => Ok(HostMessage::QueryStopFailed { payload: rest }),
            _ => Ok(HostMessage::Unknown { message_type, payload: rest }),
        }
    }

    /// Writes the message at the front of `buf` and returns its length, which the carrier pads up to 8.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        match *self {
            HostMessage::BusRelations(ref relations) => relations.encode(buf),
            HostMessage::Eject { slot } => eject::encode_eject(slot, buf),
            HostMessage::InvalidateBlock { slot, mask } => block::encode_invalidate(slot, mask, buf),
            HostMessage::InvalidateDevice { payload }
            | HostMessage::InvalidateBus { payload }
            | HostMessage::QueryStop { payload }
            | HostMessage::Reenable { payload }
            | HostMessage::QueryStopFailed { payload }
            | HostMessage::Unknown { payload, .. } => {
                let code = U32::new(self.message_type().0);
                put(buf, &code, payload, size_of::<U32>().saturating_add(payload.len()))
            }
        }
    }

    /// The code the message is sent with.
    pub const fn message_type(&self) -> MessageType {
        match self {
            HostMessage::BusRelations(relations) => relations.form().message_type(),
            HostMessage::Eject { .. } => MessageType::EJECT,
            HostMessage::InvalidateBlock { .. } => MessageType::INVALIDATE_BLOCK,
            HostMessage::InvalidateDevice { .. } => MessageType::INVALIDATE_DEVICE,
            HostMessage::InvalidateBus { .. } => MessageType::INVALIDATE_BUS,
            HostMessage::QueryStop { .. } => MessageType::QUERY_STOP,
            HostMessage::Reenable { .. } => MessageType::REENABLE,
            HostMessage::QueryStopFailed { .. } => MessageType::QUERY_STOP_FAILED,
            HostMessage::Unknown { message_type, .. } => *message_type,
        }
    }
}
