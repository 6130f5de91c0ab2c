//! Memory in resource lists: `CM_PARTIAL_RESOURCE_DESCRIPTOR` (what the bus was given) and `IO_RESOURCE_DESCRIPTOR`
//! (what is asked for), as bytes in the layout that wdm.h documents for 64-bit Windows.

/// Bytes of a `CM_PARTIAL_RESOURCE_DESCRIPTOR`.
pub const CM_BYTES: usize = 20;
/// Bytes of an `IO_RESOURCE_DESCRIPTOR`.
pub const IO_BYTES: usize = 32;

const TYPE_MEMORY: u8 = 3;
const TYPE_MEMORY_LARGE: u8 = 7;
const SHARE_DEVICE_EXCLUSIVE: u8 = 1;
const LARGE_40: u16 = 0x200;
const LARGE_48: u16 = 0x400;
const LARGE_64: u16 = 0x800;
const READ_WRITE: u16 = 0;
const PREFETCHABLE: u16 = 4;
const OPTION_ALTERNATIVE: u8 = 8;

/// The lengths of `CmResourceTypeMemoryLarge` are kept shifted right by this much.
const fn large_shift(flags: u16) -> Option<u32> {
    match flags & (LARGE_40 | LARGE_48 | LARGE_64) {
        LARGE_40 => Some(8),
        LARGE_48 => Some(16),
        LARGE_64 => Some(32),
        _ => None,
    }
}

/// A range of physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The first address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// The memory that a `CM_PARTIAL_RESOURCE_DESCRIPTOR` gives; `None` for any other kind of resource.
pub fn decode_cm(descriptor: &[u8; CM_BYTES]) -> Option<Memory> {
    let [kind, _, f0, f1, start @ .., l0, l1, l2, l3, _, _, _, _] = *descriptor;
    let flags = u16::from_le_bytes([f0, f1]);
    let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
    let size = match kind {
        TYPE_MEMORY => length,
        TYPE_MEMORY_LARGE => length.checked_shl(large_shift(flags)?)?,
        _ => return None,
    };
    Some(Memory { base: u64::from_le_bytes(start), size })
}

/// A wish for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Bytes.
    pub size: u64,
    /// Alignment in bytes, a power of two.
    pub align: u64,
    /// The first address allowed.
    pub lowest: u64,
    /// The last address allowed.
    pub highest: u64,
    /// Whether the memory is prefetchable.
    pub prefetchable: bool,
    /// Whether this is another way to meet the wish before it in the list.
    pub alternative: bool,
}

impl MemoryNeed {
    /// Exactly this range.
    pub const fn fixed(base: u64, size: u64, prefetchable: bool) -> MemoryNeed {
        let highest = base.saturating_add(size.saturating_sub(1));
        MemoryNeed { size, align: 1, lowest: base, highest, prefetchable, alternative: false }
    }
}

/// The `IO_RESOURCE_DESCRIPTOR` of a wish; `None` where its size or alignment cannot be written down.
pub fn encode_io(need: &MemoryNeed) -> Option<[u8; IO_BYTES]> {
    let (kind, large, shift) = match need.size {
        0 => return None,
        size if size <= u64::from(u32::MAX) && need.align <= u64::from(u32::MAX) => (TYPE_MEMORY, 0, 0),
        size => {
            let fits = |shift: u32| (size >> shift) <= u64::from(u32::MAX) && size.trailing_zeros() >= shift;
            let (flag, shift) = [(LARGE_40, 8), (LARGE_48, 16), (LARGE_64, 32)].into_iter().find(|(_, s)| fits(*s))?;
            (TYPE_MEMORY_LARGE, flag, shift)
        }
    };
    let length = u32::try_from(need.size >> shift).ok()?;
    // An alignment below the unit is met by any multiple of the unit.
    let align = u32::try_from((need.align >> shift).max(1)).ok()?;
    let flags = READ_WRITE | large | if need.prefetchable { PREFETCHABLE } else { 0 };
    let mut bytes = [0; IO_BYTES];
    let fields: [(usize, &[u8]); 7] = [
        (0, &[if need.alternative { OPTION_ALTERNATIVE } else { 0 }, kind, SHARE_DEVICE_EXCLUSIVE]),
        (4, &flags.to_le_bytes()),
        (8, &length.to_le_bytes()),
        (12, &align.to_le_bytes()),
        (16, &need.lowest.to_le_bytes()),
        (24, &need.highest.to_le_bytes()),
        (32, &[]),
    ];
    for (at, field) in fields {
        let end = at.checked_add(field.len())?;
        bytes.get_mut(at..end)?.copy_from_slice(field);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cm(kind: u8, flags: u16, start: u64, length: u32) -> [u8; CM_BYTES] {
        let mut bytes = [0; CM_BYTES];
        bytes[0] = kind;
        bytes[2..4].copy_from_slice(&flags.to_le_bytes());
        bytes[4..12].copy_from_slice(&start.to_le_bytes());
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    #[test]
    fn memory_is_read() {
        let ordinary = cm(3, 0, 0xF800_0000, 0x10_0000);
        assert_eq!(decode_cm(&ordinary), Some(Memory { base: 0xF800_0000, size: 0x10_0000 }));
        for (flags, shift) in [(0x200, 8), (0x400, 16), (0x800, 32)] {
            let large = cm(7, flags | 4, 0x10_0000_0000, 0x20);
            assert_eq!(decode_cm(&large), Some(Memory { base: 0x10_0000_0000, size: 0x20 << shift }));
        }
    }

    #[test]
    fn other_resources_and_nonsense_are_passed_over() {
        assert_eq!(decode_cm(&cm(2, 0, 5, 6)), None, "an interrupt");
        assert_eq!(decode_cm(&cm(1, 0, 5, 6)), None, "a port");
        assert_eq!(decode_cm(&cm(7, 0, 5, 6)), None, "large without a size class");
        assert_eq!(decode_cm(&cm(7, 0x600, 5, 6)), None, "two size classes");
    }

    #[test]
    fn a_fixed_small_range_is_an_ordinary_descriptor() {
        let bytes = encode_io(&MemoryNeed::fixed(0xF800_0000, 0x2000, false)).unwrap();
        assert_eq!(bytes[..8], [0, 3, 1, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..16], [0, 0x20, 0, 0, 1, 0, 0, 0]);
        assert_eq!(bytes[16..24], 0xF800_0000u64.to_le_bytes());
        assert_eq!(bytes[24..32], 0xF800_1FFFu64.to_le_bytes());
    }

    #[test]
    fn what_is_asked_for_is_what_comes_back() {
        for size in [0x1000, 0xFFFF_F000, 1 << 32, 128 << 30, 1 << 45] {
            let bytes = encode_io(&MemoryNeed::fixed(1 << 46, size, true)).unwrap();
            let flags = u16::from_le_bytes([bytes[4], bytes[5]]);
            let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
            assert_eq!(
                decode_cm(&cm(bytes[1], flags, 1 << 46, length)),
                Some(Memory { base: 1 << 46, size }),
                "{size:#x}"
            );
        }
    }

    #[test]
    fn alignment_is_kept_in_the_unit_of_the_length() {
        let need = MemoryNeed { align: 128 << 30, ..MemoryNeed::fixed(1 << 40, 128 << 30, true) };
        let bytes = encode_io(&MemoryNeed { alternative: true, ..need }).unwrap();
        assert_eq!((bytes[0], bytes[1]), (8, 7));
        assert_eq!(
            u32::from_le_bytes(bytes[12..16].try_into().unwrap()),
            u32::from_le_bytes(bytes[8..12].try_into().unwrap())
        );
        assert_eq!(encode_io(&MemoryNeed { size: 0, ..need }), None);
        assert_eq!(encode_io(&MemoryNeed { size: (1 << 40) + 1, ..need }), None, "odd size too large for any unit");
    }
}
