//! TDISP_COMMAND: commands of the TEE device interface security protocol, carried as they are.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{put, slot, to_usize, view};
use super::{EncodeError, GuestMessage, MessageType, ParseError, Status, StatusReply};
use crate::Slot;

/// The front both directions share.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Front {
    /// The message type, in a reply the status.
    first: U32,
    slot: U32,
    length: U64,
}

fn data<'a>(what: &'static str, front: &Front, rest: &'a [u8]) -> Result<&'a [u8], ParseError> {
    let count = front.length.get();
    rest.get(..to_usize(count)).ok_or(ParseError::CountDoesNotFit { what, count, bytes: rest.len() })
}

fn put_front(first: u32, slot: u32, data: &[u8], buf: &mut [u8]) -> Result<usize, EncodeError> {
    let wrong = EncodeError::Count { what: "bytes of a TDISP command", count: data.len(), limit: usize::MAX };
    let length = U64::new(u64::try_from(data.len()).map_err(|_| wrong)?);
    let front = Front { first: U32::new(first), slot: U32::new(slot), length };
    put(buf, &front, data, size_of::<Front>().saturating_add(data.len()))
}

pub(super) fn parse(payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let what = "TDISP_COMMAND";
    let (front, rest) = view::<Front>(what, payload)?;
    Ok(GuestMessage::TdispCommand { slot: slot(front.slot)?, data: data(what, front, rest)? })
}

pub(super) fn encode(slot: Slot, data: &[u8], buf: &mut [u8]) -> Result<usize, EncodeError> {
    put_front(MessageType::TDISP_COMMAND.0, slot.to_wire(), data, buf)
}

/// The answer to TDISP_COMMAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TdispReply<'a> {
    /// What became of the request.
    pub status: Status,
    /// The slot as sent back.
    pub slot: u32,
    /// The answer (protobuf), not interpreted.
    pub data: &'a [u8],
}

impl<'a> TdispReply<'a> {
    /// Reads a reply: 16 bytes and the data, or a failed status with anything behind it.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let what = "reply to TDISP_COMMAND";
        let status = StatusReply::parse(payload)?.status;
        if !status.is_success() {
            return Ok(Self { status, slot: 0, data: &[] });
        }
        let (front, rest) = view::<Front>(what, payload)?;
        Ok(Self { status, slot: front.slot.get(), data: data(what, front, rest)? })
    }

    /// Writes the reply and returns its length: 16 and the data.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        put_front(self.status.0, self.slot, self.data, buf)
    }
}
