//! FDO_D0ENTRY, FDO_D0EXIT and DEVICE_POWER_STATE_CHANGE.

use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{SlotHeader, put, slot, view};
use super::{EncodeError, GuestMessage, MessageType, ParseError, Status, StatusReply};
use crate::Slot;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct D0Entry {
    message_type: U32,
    padding: U32,
    window: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PowerStateChange {
    header: SlotHeader,
    state: U32,
}

/// Bytes to send of DEVICE_POWER_STATE_CHANGE: Linux's struct has a reserved u32 at the end.
const POWER_STATE_CHANGE_LENGTH: usize = 16;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PowerStateReplyLayout {
    status: U32,
    slot: U32,
    state: U32,
}

/// Bytes of the reply's long form in Linux's struct.
const POWER_STATE_REPLY_LENGTH: usize = 16;

/// A device power state as Windows numbers them (`DEVICE_POWER_STATE`). Other numbers are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PowerState(pub u32);

impl PowerState {
    /// On. OpenVMM's host sets memory decode (`reference/protocol.md` section 5).
    pub const D0: PowerState = PowerState(1);
    /// Light sleep.
    pub const D1: PowerState = PowerState(2);
    /// Deeper sleep.
    pub const D2: PowerState = PowerState(3);
    /// Off. OpenVMM's host clears memory decode.
    pub const D3: PowerState = PowerState(4);
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            PowerState::D0 => f.pad("D0"),
            PowerState::D1 => f.pad("D1"),
            PowerState::D2 => f.pad("D2"),
            PowerState::D3 => f.pad("D3"),
            PowerState(other) => write!(f, "power state {other}"),
        }
    }
}

impl fmt::Debug for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PowerState({self})")
    }
}

pub(super) fn parse_d0_entry(payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let (entry, _) = view::<D0Entry>("FDO_D0ENTRY", payload)?;
    Ok(GuestMessage::D0Entry { window: entry.window.get() })
}

pub(super) fn encode_d0_entry(window: u64, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let message_type = U32::new(MessageType::FDO_D0ENTRY.0);
    put(buf, &D0Entry { message_type, padding: U32::ZERO, window: U64::new(window) }, &[], size_of::<D0Entry>())
}

pub(super) fn parse_state_change(payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let (change, _) = view::<PowerStateChange>("DEVICE_POWER_STATE_CHANGE", payload)?;
    Ok(GuestMessage::PowerStateChange { slot: slot(change.header.slot)?, state: PowerState(change.state.get()) })
}

pub(super) fn encode_state_change(slot: Slot, state: PowerState, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let header = SlotHeader::new(MessageType::DEVICE_POWER_STATE_CHANGE, slot.to_wire());
    put(buf, &PowerStateChange { header, state: U32::new(state.0) }, &[], POWER_STATE_CHANGE_LENGTH)
}

/// The answer to DEVICE_POWER_STATE_CHANGE. Only the status is always there: OpenVMM answers with it alone, Linux's
/// struct has more (`reference/protocol.md` section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PowerStateReply {
    /// What became of the request.
    pub status: Status,
    /// The slot as sent and the state the function is in now, where the reply is long enough to hold them.
    pub result: Option<(u32, PowerState)>,
}

impl PowerStateReply {
    /// Reads a reply: 4 bytes, or 12 with the result.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let status = StatusReply::parse(payload)?.status;
        let long = view::<PowerStateReplyLayout>("", payload).ok();
        Ok(Self { status, result: long.map(|(reply, _)| (reply.slot.get(), PowerState(reply.state.get()))) })
    }

    /// Writes the reply and returns its length: 4, or 16 with the result.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let Some((slot, state)) = self.result else {
            return StatusReply { status: self.status }.encode(buf);
        };
        let layout =
            PowerStateReplyLayout { status: U32::new(self.status.0), slot: U32::new(slot), state: U32::new(state.0) };
        put(buf, &layout, &[], POWER_STATE_REPLY_LENGTH)
    }
}
