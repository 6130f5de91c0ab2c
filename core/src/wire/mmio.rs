//! The memory resource of one BAR.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::EncodeError;

/// Resource types (`reference/protocol.md` section 5, Windows's `CmResourceType*`).
const TYPE_NULL: u8 = 0;
const TYPE_MEMORY: u8 = 3;
const TYPE_MEMORY_LARGE: u8 = 7;

bitflags::bitflags! {
    /// The flags that say in which unit a large memory resource counts its length. Exactly one is set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct LargeFlags: u16 {
        /// Units of 2^8 bytes.
        const LARGE_40 = 1 << 9;
        /// Units of 2^16 bytes.
        const LARGE_48 = 1 << 10;
        /// Units of 2^32 bytes.
        const LARGE_64 = 1 << 11;
    }
}

/// The flag of each unit and the shift that makes it, smallest first.
const LARGE_UNITS: [(LargeFlags, u32); 3] =
    [(LargeFlags::LARGE_40, 8), (LargeFlags::LARGE_48, 16), (LargeFlags::LARGE_64, 32)];

/// The longest range a descriptor can hold.
pub const MAX_RANGE_LENGTH: u64 = 0xFFFF_FFFF_0000_0000;

/// The 20 bytes of a resource descriptor on the wire.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawDescriptor {
    kind: u8,
    share: u8,
    flags: U16,
    address: U64,
    length: U32,
    padding: U32,
}

/// What is assigned to one BAR register: the resource descriptor of RESOURCES_ASSIGNED, its reply, and the reply to
/// GET_RESOURCES.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MmioDescriptor {
    /// Nothing: a BAR that is not implemented, the upper half of a 64-bit BAR, or any BAR of a guest that programs BARs
    /// by config space. A host programs the BAR to 0.
    #[default]
    Null,
    /// Memory space. Both the plain (type 3) and the large (type 7) descriptor decode to this; which is encoded follows
    /// from the length: large from 4 GiB on, where the length is counted in units of 2^8, 2^16 or 2^32 bytes and
    /// **rounded up** to whole units (BAR sizes, being powers of two, are never changed by that).
    Memory {
        /// First guest-physical address.
        address: u64,
        /// Bytes, at most [`MAX_RANGE_LENGTH`].
        length: u64,
    },
    /// Something else, kept as it came: a port, an interrupt, an unknown type, or a large memory descriptor that does
    /// not say its unit.
    Other {
        /// The resource type.
        kind: u8,
        /// The share disposition.
        share: u8,
        /// The flags.
        flags: u16,
        /// The address field.
        address: u64,
        /// The length field.
        length: u32,
    },
}

impl MmioDescriptor {
    /// The descriptors of a guest that programs its BARs by config space.
    pub const NONE: [MmioDescriptor; 6] = [MmioDescriptor::Null; 6];

    pub(super) fn decode(raw: &RawDescriptor) -> MmioDescriptor {
        let address = raw.address.get();
        match raw.kind {
            TYPE_NULL => MmioDescriptor::Null,
            TYPE_MEMORY => MmioDescriptor::Memory { address, length: u64::from(raw.length.get()) },
            TYPE_MEMORY_LARGE => {
                raw.large_length().map_or_else(|| raw.keep(), |length| MmioDescriptor::Memory { address, length })
            }
            _ => raw.keep(),
        }
    }

    pub(super) fn encode(&self) -> Result<RawDescriptor, EncodeError> {
        let (kind, share, flags, address, length) = match *self {
            MmioDescriptor::Null => (TYPE_NULL, 0, 0, 0, 0),
            MmioDescriptor::Other { kind, share, flags, address, length } => (kind, share, flags, address, length),
            MmioDescriptor::Memory { address, length } => match u32::try_from(length) {
                Ok(length) => (TYPE_MEMORY, 0, 0, address, length),
                Err(_) => {
                    let (flag, units) = large_units(length).ok_or(EncodeError::RangeTooLong { length })?;
                    (TYPE_MEMORY_LARGE, 0, flag.bits(), address, units)
                }
            },
        };
        Ok(RawDescriptor {
            kind,
            share,
            flags: U16::new(flags),
            address: U64::new(address),
            length: U32::new(length),
            padding: U32::ZERO,
        })
    }

    pub(super) fn decode_all(raw: &[RawDescriptor; 6]) -> [MmioDescriptor; 6] {
        raw.each_ref().map(MmioDescriptor::decode)
    }

    pub(super) fn encode_all(bars: &[MmioDescriptor; 6]) -> Result<[RawDescriptor; 6], EncodeError> {
        let mut raw = [RawDescriptor::null(); 6];
        for (to, from) in raw.iter_mut().zip(bars) {
            *to = from.encode()?;
        }
        Ok(raw)
    }
}

/// The smallest unit in which a length fits 32 bits.
fn large_units(length: u64) -> Option<(LargeFlags, u32)> {
    LARGE_UNITS.into_iter().find_map(|(flag, shift)| {
        let units = length.div_ceil(1u64.checked_shl(shift)?);
        Some((flag, u32::try_from(units).ok()?))
    })
}

impl RawDescriptor {
    const fn null() -> RawDescriptor {
        RawDescriptor {
            kind: TYPE_NULL,
            share: 0,
            flags: U16::ZERO,
            address: U64::ZERO,
            length: U32::ZERO,
            padding: U32::ZERO,
        }
    }

    /// The length of a large memory resource, if exactly one unit is named.
    fn large_length(&self) -> Option<u64> {
        let flags = LargeFlags::from_bits_truncate(self.flags.get());
        let (_, shift) = LARGE_UNITS.into_iter().find(|(flag, _)| *flag == flags)?;
        u64::from(self.length.get()).checked_shl(shift)
    }

    fn keep(&self) -> MmioDescriptor {
        MmioDescriptor::Other {
            kind: self.kind,
            share: self.share,
            flags: self.flags.get(),
            address: self.address.get(),
            length: self.length.get(),
        }
    }
}
