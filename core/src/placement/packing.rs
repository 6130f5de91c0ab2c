//! Naturally aligned blocks inside free ranges.

use crate::config::Bar;

/// The unit of placement.
pub(super) const PAGE: u64 = Bar::MIN_FOOTPRINT;

/// The largest power of two not above `value`; a page for anything less than a page.
pub(super) const fn floor_power_of_two(value: u64) -> u64 {
    match value.checked_ilog2() {
        Some(exponent) if value >= PAGE => 1 << exponent,
        _ => PAGE,
    }
}

/// `value` rounded up to a page; saturates at the last page boundary.
pub(super) const fn page_up(value: u64) -> u64 {
    match value.checked_next_multiple_of(PAGE) {
        Some(rounded) => rounded,
        None => !PAGE.wrapping_sub(1),
    }
}

/// A naturally aligned free block: the smaller the better, then the lower the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block {
    pub size: u64,
    pub base: u64,
}

/// The best block of at least `size` bytes in the free range `from..to` (page-aligned ends).
///
/// The range is cut into its largest naturally aligned blocks from `from` upwards: at most two per power of two.
pub(super) fn best_block(from: u64, to: u64, size: u64) -> Option<Block> {
    let mut best: Option<Block> = None;
    let mut base = from;
    while base < to {
        let room = floor_power_of_two(to.saturating_sub(base));
        let aligned = if base == 0 { room } else { 1 << base.trailing_zeros() };
        let block = Block { size: room.min(aligned), base };
        if block.size >= size && best.is_none_or(|best| block < best) {
            best = Some(block);
        }
        base = base.saturating_add(block.size);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_at_its_natural_boundaries() {
        // 0x3000..0x9000 = 0x1000 at 0x3000, 0x4000 at 0x4000, 0x1000 at 0x8000.
        let find = |size| best_block(0x3000, 0x9000, size).map(|b| (b.base, b.size));
        assert_eq!(find(0x1000), Some((0x3000, 0x1000)));
        assert_eq!(find(0x2000), Some((0x4000, 0x4000)));
        assert_eq!(find(0x4000), Some((0x4000, 0x4000)));
        assert_eq!(find(0x8000), None);
        assert_eq!(best_block(0, 0x5000, 0x1000), Some(Block { base: 0x4000, size: 0x1000 }));
        assert_eq!(best_block(0x5000, 0x5000, 0x1000), None);
    }

    #[test]
    fn rounding_never_overflows() {
        assert_eq!((page_up(0), page_up(1), page_up(4096)), (0, 4096, 4096));
        assert_eq!(page_up(u64::MAX), u64::MAX - 4095);
        assert_eq!((floor_power_of_two(0), floor_power_of_two(0x1_1000)), (4096, 0x1_0000));
        assert_eq!(floor_power_of_two(u64::MAX), 1 << 63);
    }
}
