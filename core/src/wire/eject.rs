//! EJECT and EJECTION_COMPLETE.

use super::codec::{SlotHeader, put, view};
use super::{EncodeError, HostMessage, MessageType, ParseError};
use crate::Slot;

/// Bytes to send of EJECTION_COMPLETE: Linux and FreeBSD send a zero status behind the slot, OpenVMM's client does not;
/// both are accepted (`reference/protocol.md` section 5).
const EJECTION_COMPLETE_LENGTH: usize = 12;

pub(super) fn parse_eject(payload: &[u8]) -> Result<HostMessage<'_>, ParseError> {
    let (header, _) = view::<SlotHeader>("EJECT", payload)?;
    Ok(HostMessage::Eject { slot: header.slot.get() })
}

pub(super) fn encode_eject(slot: u32, buf: &mut [u8]) -> Result<usize, EncodeError> {
    put(buf, &SlotHeader::new(MessageType::EJECT, slot), &[], size_of::<SlotHeader>())
}

pub(super) fn encode_complete(slot: Slot, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let header = SlotHeader::new(MessageType::EJECTION_COMPLETE, slot.to_wire());
    put(buf, &header, &[], EJECTION_COMPLETE_LENGTH)
}
