//! The 20-byte resource descriptor.

use super::{Reader, Writer};

const NULL: u8 = 0;
const MEMORY: u8 = 3;
const MEMORY_LARGE: u8 = 7;
const LARGE_40: u16 = 1 << 9;
const LARGE_48: u16 = 1 << 10;
const LARGE_64: u16 = 1 << 11;

/// One resource descriptor as it stood in a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// 0 null, 3 memory, 7 large memory.
    pub kind: u8,
    /// How it may be shared.
    pub share: u8,
    /// For large memory: how `length` is scaled.
    pub flags: u16,
    /// First address.
    pub address: u64,
    /// Bytes, scaled by the flags of large memory.
    pub length: u32,
    /// Ignored.
    pub pad: u32,
}

impl Descriptor {
    /// Bytes of a descriptor.
    pub const SIZE: usize = 20;

    /// Takes one from a packet.
    pub fn read(reader: &mut Reader<'_>) -> Option<Descriptor> {
        Some(Descriptor {
            kind: reader.u8()?,
            share: reader.u8()?,
            flags: reader.u16()?,
            address: reader.u64()?,
            length: reader.u32()?,
            pad: reader.u32()?,
        })
    }

    /// Puts it into a packet.
    #[must_use]
    pub fn write(&self, packet: Writer) -> Writer {
        packet.u8(self.kind).u8(self.share).u16(self.flags).u64(self.address).u32(self.length).u32(self.pad)
    }

    /// A memory descriptor; large where the length needs it.
    pub fn memory(address: u64, bytes: u64) -> Descriptor {
        let (kind, flags, length) = match u32::try_from(bytes) {
            Ok(length) => (MEMORY, 0, length),
            Err(_) => {
                let (flags, length) = large_length(bytes);
                (MEMORY_LARGE, flags, length)
            }
        };
        Descriptor { kind, share: 0, flags, address, length, pad: 0 }
    }

    /// Whether the descriptor assigns nothing.
    pub const fn is_null(&self) -> bool {
        self.kind == NULL
    }

    /// The bytes it assigns; `None` for a descriptor that is not memory or whose flags make no sense.
    pub const fn bytes(&self) -> Option<u64> {
        let length = self.length as u64;
        match (self.kind, self.flags & (LARGE_40 | LARGE_48 | LARGE_64)) {
            (MEMORY, 0) => Some(length),
            (MEMORY_LARGE, LARGE_40) => Some(length << 8),
            (MEMORY_LARGE, LARGE_48) => Some(length << 16),
            (MEMORY_LARGE, LARGE_64) => Some(length << 32),
            _ => None,
        }
    }
}

/// The flags and the scaled length of a large memory descriptor for `bytes`, rounded up.
pub fn large_length(bytes: u64) -> (u16, u32) {
    for (flag, shift) in [(LARGE_40, 8), (LARGE_48, 16), (LARGE_64, 32)] {
        let scaled = bytes.div_ceil(1 << shift);
        if let Ok(length) = u32::try_from(scaled) {
            return (flag, length);
        }
    }
    (LARGE_64, u32::MAX)
}
