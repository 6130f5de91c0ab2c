//! One access to config space, seen as bits of the dword it lies in.

use crate::backend::Width;

/// A naturally aligned access inside the 4 KiB of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    offset: u16,
    width: Width,
}

impl Access {
    /// `None` for what config space does not have: odd widths, unaligned accesses, offsets from 4096 on.
    pub fn new(offset: u16, bytes: usize) -> Option<Access> {
        let width = Width::from_bytes(bytes)?;
        let low_bits = width.bytes().saturating_sub(1);
        (offset < 4096 && offset & low_bits == 0).then_some(Access { offset, width })
    }

    pub const fn offset(self) -> u16 {
        self.offset
    }

    pub const fn width(self) -> Width {
        self.width
    }

    /// The offset of the dword.
    pub const fn dword(self) -> u16 {
        self.offset & !3
    }

    const fn shift(self) -> u32 {
        ((self.offset & 3) as u32).wrapping_mul(8)
    }

    /// The bits of the dword that are accessed.
    pub const fn lanes(self) -> u32 {
        self.width.all_ones().wrapping_shl(self.shift())
    }

    /// The accessed value, at its place in the dword.
    pub const fn place(self, value: u32) -> u32 {
        (value & self.width.all_ones()).wrapping_shl(self.shift())
    }

    /// The accessed part of a dword.
    pub const fn pick(self, dword: u32) -> u32 {
        dword.wrapping_shr(self.shift()) & self.width.all_ones()
    }

    /// The smallest word or dword access inside this one that covers `lanes`.
    pub const fn narrowed(self, lanes: u32) -> Access {
        match self.width {
            Width::Dword if lanes & 0xFFFF_0000 == 0 => Access { offset: self.offset, width: Width::Word },
            Width::Dword if lanes & 0x0000_FFFF == 0 => Access { offset: self.offset | 2, width: Width::Word },
            _ => self,
        }
    }

    /// Whether `value` is what a read of nothing returns.
    pub const fn is_all_ones(self, value: u32) -> bool {
        value & self.width.all_ones() == self.width.all_ones()
    }
}

/// The low half of a dword.
pub(super) const fn low_word(value: u32) -> u16 {
    let [a, b, ..] = value.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// The high half of a dword.
pub(super) const fn high_word(value: u32) -> u16 {
    let [.., c, d] = value.to_le_bytes();
    u16::from_le_bytes([c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_config_space_has() {
        for (offset, bytes, legal) in [
            (0, 4, true),
            (4095, 1, true),
            (4094, 2, true),
            (4092, 4, true),
            (4096, 1, false),
            (4094, 4, false),
            (1, 2, false),
            (2, 4, false),
            (0, 3, false),
            (0, 0, false),
            (0, 8, false),
            (65535, 1, false),
        ] {
            assert_eq!(Access::new(offset, bytes).is_some(), legal, "{offset} {bytes}");
        }
    }

    #[test]
    fn lanes_follow_the_offset() {
        let access = Access::new(0x0E, 1).unwrap();
        assert_eq!((access.dword(), access.lanes()), (0x0C, 0x00FF_0000));
        assert_eq!((access.place(0xAB12), access.pick(0x1234_5678)), (0x0012_0000, 0x34));
        let dword = Access::new(0x3C, 4).unwrap();
        assert_eq!(dword.narrowed(0xFFFF_0000), Access::new(0x3E, 2).unwrap());
        assert_eq!(dword.narrowed(0x0000_00F0), Access::new(0x3C, 2).unwrap());
        assert_eq!(dword.narrowed(0x00FF_FF00), dword);
    }
}
