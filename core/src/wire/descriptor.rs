//! The VMBus packet descriptor in front of every payload.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{put, view};
use super::{EncodeError, ParseError};

/// Bytes of the descriptor.
pub const PACKET_DESCRIPTOR_LENGTH: usize = 16;

/// Packets and their headers are whole numbers of 8 bytes; the receiver sees the payload padded up
/// (`reference/protocol.md` section 1).
pub const PACKET_ALIGNMENT: usize = 8;

/// The first transaction id to use. Hyper-V does not like 0 in a request that wants a completion (section 1, seen by
/// OpenVMM's client).
pub const FIRST_TRANSACTION_ID: u64 = 1;

/// The longest packet Linux's VMBus layer receives by default (section 1, `VMBUS_DEFAULT_MAX_PKT_SIZE`).
pub const DEFAULT_RECEIVED_PACKET_LIMIT: usize = 4096;

/// The longest payload OpenVMM's host sends or takes: an answer to RESOURCES_ASSIGNED3 with 494 messages (section 1).
pub const MAX_PAYLOAD_LENGTH: usize = 39_656;

/// The type of a VMBus packet. Others than the two used here exist and are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketType(pub u16);

impl PacketType {
    /// Data in-band: requests of the guest and messages of the host.
    pub const IN_BAND: PacketType = PacketType(6);
    /// A completion, which carries its request's transaction id.
    pub const COMPLETION: PacketType = PacketType(0xB);
}

bitflags::bitflags! {
    /// The flags of a VMBus packet.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PacketFlags: u16 {
        /// The sender wants a completion.
        const COMPLETION_REQUESTED = 1 << 0;
        // Flags we have no name for are kept.
        const _ = !0;
    }
}

/// The 16-byte header of a packet in a VMBus ring (`reference/protocol.md` section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketDescriptor {
    /// What kind of packet it is.
    pub packet_type: PacketType,
    /// Bytes from the start of the packet to its payload, divided by 8.
    pub offset8: u16,
    /// Bytes of the whole packet, divided by 8.
    pub len8: u16,
    /// Flags.
    pub flags: PacketFlags,
    /// What ties a completion to its request; 0 in what the host sends by itself.
    pub transaction_id: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    packet_type: U16,
    offset8: U16,
    len8: U16,
    flags: U16,
    transaction_id: U64,
}

impl PacketDescriptor {
    /// The descriptor of a packet with a payload of `payload_length` bytes, which is padded up to 8.
    pub fn for_payload(
        packet_type: PacketType,
        flags: PacketFlags,
        transaction_id: u64,
        payload_length: usize,
    ) -> Result<PacketDescriptor, EncodeError> {
        let limit = usize::from(u16::MAX).saturating_mul(PACKET_ALIGNMENT).saturating_sub(PACKET_DESCRIPTOR_LENGTH);
        let too_long = EncodeError::Count { what: "bytes of payload", count: payload_length, limit };
        let total = payload_length.checked_add(PACKET_DESCRIPTOR_LENGTH).ok_or(too_long)?;
        let len8 = u16::try_from(total.div_ceil(PACKET_ALIGNMENT)).map_err(|_| too_long)?;
        Ok(PacketDescriptor { packet_type, offset8: 2, len8, flags, transaction_id })
    }

    /// Reads the descriptor at the front of a packet. The lengths in it are not yet checked: see
    /// [`PacketDescriptor::payload`].
    pub fn parse(packet: &[u8]) -> Result<PacketDescriptor, ParseError> {
        let (layout, _) = view::<Layout>("packet descriptor", packet)?;
        Ok(PacketDescriptor {
            packet_type: PacketType(layout.packet_type.get()),
            offset8: layout.offset8.get(),
            len8: layout.len8.get(),
            flags: PacketFlags::from_bits_retain(layout.flags.get()),
            transaction_id: layout.transaction_id.get(),
        })
    }

    /// Writes the descriptor and returns its length, 16.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let layout = Layout {
            packet_type: U16::new(self.packet_type.0),
            offset8: U16::new(self.offset8),
            len8: U16::new(self.len8),
            flags: U16::new(self.flags.bits()),
            transaction_id: U64::new(self.transaction_id),
        };
        put(buf, &layout, &[], PACKET_DESCRIPTOR_LENGTH)
    }

    /// The payload, padding included, of the `packet` that this descriptor was read from.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Result<&'a [u8], ParseError> {
        let offset = usize::from(self.offset8).saturating_mul(PACKET_ALIGNMENT);
        let length = usize::from(self.len8).saturating_mul(PACKET_ALIGNMENT);
        let wrong = ParseError::PacketLengths { offset, length, have: packet.len() };
        if offset < PACKET_DESCRIPTOR_LENGTH {
            return Err(wrong);
        }
        packet.get(offset..length).ok_or(wrong)
    }
}
