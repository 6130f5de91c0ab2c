//! BAR registers: from probed masks to sizes.

use crate::wire::ProbedBars;

/// Bit 0 of a BAR: I/O space. vPCI never has I/O BARs (`reference/protocol.md` section 8).
const IO_SPACE: u32 = 1 << 0;
/// Bits 1-2 of a memory BAR: 0 = 32-bit, 2 = 64-bit, the rest reserved (PCI Express Base 7.5.1.2.1).
const TYPE_SHIFT: u32 = 1;
const TYPE_MASK: u32 = 0x3;
const TYPE_64: u32 = 2;
/// Bit 3 of a memory BAR: prefetchable.
const PREFETCHABLE: u32 = 1 << 3;
/// The attribute bits of a memory BAR.
const ATTRIBUTES: u32 = 0xF;
/// The hypervisor maps whole pages: a smaller BAR takes one page (`reference/protocol.md` section 8).
pub const PAGE: u64 = 4096;

/// One implemented memory BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bar {
    /// The register: 0-5; for a 64-bit BAR the lower of its two.
    pub index: u8,
    /// Whether the BAR takes two registers and may lie above 4 GiB.
    pub is_64bit: bool,
    /// Whether the BAR is prefetchable.
    pub prefetchable: bool,
    /// Bytes the BAR decodes: a power of two, at least 16.
    pub size: u64,
}

impl Bar {
    /// The least a BAR takes from a window, and the unit of all placement: one page.
    pub const MIN_FOOTPRINT: u64 = PAGE;

    /// Bytes of MMIO space the BAR takes from a window: its size rounded up to a page, which it also must be aligned to.
    pub const fn footprint(&self) -> u64 {
        if self.size < PAGE { PAGE } else { self.size }
    }

    /// The attribute bits a read of the low register returns.
    pub const fn attributes(&self) -> u32 {
        let kind = if self.is_64bit { TYPE_64 << TYPE_SHIFT } else { 0 };
        if self.prefetchable { kind | PREFETCHABLE } else { kind }
    }

    /// The address bits that can be written, over both registers.
    pub const fn address_mask(&self) -> u64 {
        let mask = !self.size.wrapping_sub(1);
        if self.is_64bit { mask } else { mask & 0xFFFF_FFFF }
    }
}

/// What is wrong with a probed BAR value; the BAR is then treated as not implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BarDefect {
    /// An I/O BAR, which vPCI does not have.
    #[error("an I/O BAR")]
    IoSpace,
    /// A reserved type code.
    #[error("a reserved BAR type")]
    ReservedType,
    /// A 64-bit BAR in register 5, with no register left for its upper half.
    #[error("a 64-bit BAR without an upper half")]
    NoUpperHalf,
    /// The writable bits are not one run up to the top: no power-of-two size.
    #[error("a BAR size that is no power of two")]
    NotAPowerOfTwo,
}

/// The defects found, by register.
pub type BarDefects = [Option<BarDefect>; 6];

/// The implemented BARs of a function, by register; `None` for registers without a BAR and for upper halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BarLayout {
    bars: [Option<Bar>; 6],
}

impl BarLayout {
    /// Decodes probed masks. The host is not trusted: what makes no sense is left out and named in the second value.
    pub fn from_probed(probed: &ProbedBars) -> (BarLayout, BarDefects) {
        let mut layout = BarLayout::default();
        let mut defects: BarDefects = [None; 6];
        let mut upper_half = false;
        for index in 0..6u8 {
            if core::mem::take(&mut upper_half) {
                continue;
            }
            let at = usize::from(index);
            let low = probed.0.get(at).copied().unwrap_or(0);
            if low == 0 {
                continue;
            }
            let high = probed.0.get(at.saturating_add(1)).copied();
            upper_half = low & IO_SPACE == 0 && (low >> TYPE_SHIFT) & TYPE_MASK == TYPE_64;
            let found = decode(index, low, high);
            if let (Ok(bar), Some(place)) = (found, layout.bars.get_mut(at)) {
                *place = Some(bar);
            }
            if let (Err(defect), Some(place)) = (found, defects.get_mut(at)) {
                *place = Some(defect);
            }
        }
        (layout, defects)
    }

    /// The implemented BARs, in register order.
    pub fn iter(&self) -> impl Iterator<Item = &Bar> {
        self.bars.iter().flatten()
    }

    /// The BAR whose (lower) register is `index`.
    pub fn get(&self, index: u8) -> Option<&Bar> {
        self.bars.get(usize::from(index)).and_then(Option::as_ref)
    }
}

fn decode(index: u8, low: u32, high: Option<u32>) -> Result<Bar, BarDefect> {
    if low & IO_SPACE != 0 {
        return Err(BarDefect::IoSpace);
    }
    let prefetchable = low & PREFETCHABLE != 0;
    let (is_64bit, high) = match (low >> TYPE_SHIFT) & TYPE_MASK {
        0 => (false, u32::MAX),
        TYPE_64 => (true, high.ok_or(BarDefect::NoUpperHalf)?),
        _ => return Err(BarDefect::ReservedType),
    };
    let mask = (u64::from(high) << 32) | u64::from(low & !ATTRIBUTES);
    let size = (!mask).wrapping_add(1);
    if !size.is_power_of_two() {
        return Err(BarDefect::NotAPowerOfTwo);
    }
    Ok(Bar { index, is_64bit, prefetchable, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(probed: [u32; 6]) -> (Vec<Bar>, BarDefects) {
        let (layout, defects) = BarLayout::from_probed(&ProbedBars(probed));
        (layout.iter().copied().collect(), defects)
    }

    #[test]
    fn the_recorded_nvme_function() {
        let (bars, defects) = layout([0xFFFF_000C, 0xFFFF_FFFF, 0, 0, 0xFFFF_F00C, 0xFFFF_FFFF]);
        assert_eq!(defects, [None; 6]);
        assert_eq!(
            bars,
            [
                Bar { index: 0, is_64bit: true, prefetchable: true, size: 0x1_0000 },
                Bar { index: 4, is_64bit: true, prefetchable: true, size: 0x1000 }
            ]
        );
        assert_eq!(bars[0].attributes(), 0xC);
        assert_eq!(bars[0].address_mask(), 0xFFFF_FFFF_FFFF_0000);
    }

    #[test]
    fn sizes_from_sixteen_bytes_to_128_gib() {
        let (bars, _) = layout([0xFFFF_FFF0, 0x0000_000C, 0xFFFF_FFE0, 0, 0xFFFF_FF00, 0]);
        assert_eq!(bars[0].size, 16);
        assert_eq!(bars[0].footprint(), PAGE);
        assert_eq!(bars[1], Bar { index: 1, is_64bit: true, prefetchable: true, size: 128 << 30 });
        assert_eq!(bars[2], Bar { index: 4, is_64bit: false, prefetchable: false, size: 256 });
        assert_eq!(bars[2].address_mask(), 0xFFFF_FF00);
    }

    #[test]
    fn nonsense_is_left_out_and_named() {
        let (bars, defects) = layout([0xFFFF_FF01, 0xFFFF_FFF2, 0xFF0F_0000, 0, 0, 0xFFFF_000C]);
        assert_eq!(bars, []);
        assert_eq!(
            defects,
            [
                Some(BarDefect::IoSpace),
                Some(BarDefect::ReservedType),
                Some(BarDefect::NotAPowerOfTwo),
                None,
                None,
                Some(BarDefect::NoUpperHalf)
            ]
        );
        // A 64-bit BAR whose upper mask is missing bits is one defect, and its upper half is not taken for a BAR.
        let (bars, defects) = layout([0xFFFF_000C, 0x0000_00F0, 0, 0, 0, 0]);
        assert_eq!((bars.len(), defects[0], defects[1]), (0, Some(BarDefect::NotAPowerOfTwo), None));
    }

    #[test]
    fn bar_zero_may_be_missing() {
        let (bars, _) = layout([0, 0xFFFF_F000, 0, 0, 0, 0]);
        assert_eq!((bars.len(), bars[0].index, bars[0].size), (1, 1, 4096));
    }
}
