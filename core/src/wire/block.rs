//! READ_BLOCK, WRITE_BLOCK and INVALIDATE_BLOCK: a function's configuration blocks.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{SlotHeader, put, slot, to_usize, view};
use super::{EncodeError, GuestMessage, HostMessage, MessageType, ParseError, Status, StatusReply};
use crate::Slot;

/// The most bytes of a configuration block (`reference/protocol.md` section 11).
pub const MAX_BLOCK_BYTES: usize = 128;

/// **Quirk**: zero bytes sent behind the data of WRITE_BLOCK. Hosts up to 2018 or so check the size wrongly and want
/// them; later ones do not mind (section 5).
pub const WRITE_BLOCK_EXTRA: usize = 4;

/// **Quirk**: in these two messages the block comes before the slot, unlike in every other (section 5).
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BlockHeader {
    message_type: U32,
    block: U32,
    slot: U32,
    bytes: U32,
}

impl BlockHeader {
    fn new(message_type: MessageType, slot: Slot, block: u32, bytes: u32) -> BlockHeader {
        BlockHeader {
            message_type: U32::new(message_type.0),
            block: U32::new(block),
            slot: U32::new(slot.to_wire()),
            bytes: U32::new(bytes),
        }
    }
}

pub(super) fn parse_read(payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let (header, _) = view::<BlockHeader>("READ_BLOCK", payload)?;
    Ok(GuestMessage::ReadBlock { slot: slot(header.slot)?, block: header.block.get(), bytes: header.bytes.get() })
}

pub(super) fn encode_read(slot: Slot, block: u32, bytes: u32, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let count = to_usize(u64::from(bytes));
    if !(1..=MAX_BLOCK_BYTES).contains(&count) {
        return Err(EncodeError::Count { what: "bytes of a block", count, limit: MAX_BLOCK_BYTES });
    }
    put(buf, &BlockHeader::new(MessageType::READ_BLOCK, slot, block, bytes), &[], size_of::<BlockHeader>())
}

pub(super) fn parse_write(payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let what = "WRITE_BLOCK";
    let (header, rest) = view::<BlockHeader>(what, payload)?;
    let count = u64::from(header.bytes.get());
    let data = rest.get(..to_usize(count)).ok_or(ParseError::CountDoesNotFit { what, count, bytes: rest.len() })?;
    Ok(GuestMessage::WriteBlock { slot: slot(header.slot)?, block: header.block.get(), data })
}

pub(super) fn encode_write(slot: Slot, block: u32, data: &[u8], buf: &mut [u8]) -> Result<usize, EncodeError> {
    let wrong = EncodeError::Count { what: "bytes of a block", count: data.len(), limit: MAX_BLOCK_BYTES };
    if !(1..=MAX_BLOCK_BYTES).contains(&data.len()) {
        return Err(wrong);
    }
    let bytes = u32::try_from(data.len()).map_err(|_| wrong)?;
    let header = BlockHeader::new(MessageType::WRITE_BLOCK, slot, block, bytes);
    let length = size_of::<BlockHeader>().saturating_add(data.len()).saturating_add(WRITE_BLOCK_EXTRA);
    put(buf, &header, data, length)
}

/// The answer to READ_BLOCK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadBlockReply<'a> {
    /// What became of the request.
    pub status: Status,
    /// The bytes read; none when the request failed.
    pub data: &'a [u8],
}

impl<'a> ReadBlockReply<'a> {
    /// Reads the reply to a request for `requested` bytes. The reply does not say how long its data is and the ring adds
    /// up to 7 bytes of junk, so the data is clipped to what was asked for; it may be less.
    pub fn parse(payload: &'a [u8], requested: u32) -> Result<Self, ParseError> {
        let (status, data) = view::<U32>("reply to READ_BLOCK", payload)?;
        let status = Status(status.get());
        let wanted = if status.is_success() { to_usize(u64::from(requested)) } else { 0 };
        Ok(Self { status, data: data.get(..wanted).unwrap_or(data) })
    }

    /// Writes the reply and returns its length: 4 and the data.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let length = size_of::<U32>().saturating_add(self.data.len());
        put(buf, &U32::new(self.status.0), self.data, length)
    }
}

/// The answer to WRITE_BLOCK: a status and nothing else.
pub type WriteBlockReply = StatusReply;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct InvalidateBlock {
    header: SlotHeader,
    mask: U64,
}

pub(super) fn parse_invalidate(payload: &[u8]) -> Result<HostMessage<'_>, ParseError> {
    let (layout, _) = view::<InvalidateBlock>("INVALIDATE_BLOCK", payload)?;
    Ok(HostMessage::InvalidateBlock { slot: layout.header.slot.get(), mask: layout.mask.get() })
}

pub(super) fn encode_invalidate(slot: u32, mask: u64, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let header = SlotHeader::new(MessageType::INVALIDATE_BLOCK, slot);
    put(buf, &InvalidateBlock { header, mask: U64::new(mask) }, &[], size_of::<InvalidateBlock>())
}
