//! QUERY_RESOURCE_REQUIREMENTS, GET_RESOURCES and RESOURCES_RELEASED.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{SlotHeader, put, reply, view};
use super::mmio::RawDescriptor;
use super::{EncodeError, MessageType, MmioDescriptor, ParseError, ProbedBars, Status, StatusReply};
use crate::Slot;

/// Bytes of GET_RESOURCES: the header and 24 reserved bytes.
const GET_RESOURCES_LENGTH: usize = 32;

pub(super) fn encode_get_resources(slot: Slot, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let header = SlotHeader::new(MessageType::GET_RESOURCES, slot.to_wire());
    put(buf, &header, &[], GET_RESOURCES_LENGTH)
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Requirements {
    status: U32,
    probed: [U32; 6],
}

/// The answer to QUERY_RESOURCE_REQUIREMENTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResourceRequirementsReply {
    /// What became of the request.
    pub status: Status,
    /// What each BAR register reads after all ones were written to it.
    pub bars: ProbedBars,
}

impl ResourceRequirementsReply {
    /// Reads a reply: 28 bytes, or a failed status alone.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let layout: Requirements = reply("reply to QUERY_RESOURCE_REQUIREMENTS", payload)?;
        Ok(Self { status: Status(layout.status.get()), bars: ProbedBars(layout.probed.map(U32::get)) })
    }

    /// Writes the reply and returns its length, 28.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let layout = Requirements { status: U32::new(self.status.0), probed: self.bars.0.map(U32::new) };
        put(buf, &layout, &[], size_of::<Requirements>())
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Resources {
    version: U16,
    revision: U16,
    count: U32,
    bars: [RawDescriptor; 6],
}

/// The version and revision in the reply to GET_RESOURCES (`reference/protocol.md` section 5).
const RESOURCE_LIST_VERSION: u16 = 1;
const RESOURCE_LIST_REVISION: u16 = 1;
/// The number of descriptors in it.
const RESOURCE_LIST_COUNT: u32 = 6;

/// The answer to GET_RESOURCES.
///
/// **Quirk**: this reply begins with the version of its list and not with a status. A host that fails the request
/// answers with a status alone, which is told from a list by its sign bit: a list's revision is never that high.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GetResourcesReply {
    /// What each BAR register is assigned.
    Resources([MmioDescriptor; 6]),
    /// The request failed.
    Failed(Status),
}

impl GetResourcesReply {
    /// Reads a reply: 128 bytes, or a failed status alone. A count below 6 leaves the rest null; the version is not
    /// looked at.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let what = "reply to GET_RESOURCES";
        let status = StatusReply::parse(payload)?.status;
        if !status.is_success() {
            return Ok(GetResourcesReply::Failed(status));
        }
        let (layout, _) = view::<Resources>(what, payload)?;
        let count = layout.count.get();
        if count > RESOURCE_LIST_COUNT {
            return Err(ParseError::TooMany { what, count: u64::from(count), limit: 6 });
        }
        let mut bars = MmioDescriptor::decode_all(&layout.bars);
        for (index, bar) in bars.iter_mut().enumerate() {
            if u32::try_from(index).is_ok_and(|index| index >= count) {
                *bar = MmioDescriptor::Null;
            }
        }
        Ok(GetResourcesReply::Resources(bars))
    }

    /// Writes the reply and returns its length: 128, or 4 for a failure.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let bars = match self {
            GetResourcesReply::Failed(status) => return StatusReply { status: *status }.encode(buf),
            GetResourcesReply::Resources(bars) => MmioDescriptor::encode_all(bars)?,
        };
        let layout = Resources {
            version: U16::new(RESOURCE_LIST_VERSION),
            revision: U16::new(RESOURCE_LIST_REVISION),
            count: U32::new(RESOURCE_LIST_COUNT),
            bars,
        };
        put(buf, &layout, &[], size_of::<Resources>())
    }
}
