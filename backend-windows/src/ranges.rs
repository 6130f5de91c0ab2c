//! The bus's MMIO space: the memory ranges that the PnP manager gave the bus device, shared out as config window and BAR
//! windows.

use arrayvec::ArrayVec;
use hvpci_core::placement::{Aperture, Window, WindowNeed};

use crate::resources::Memory;

/// The memory ranges a bus can be given; further ones stay unused.
pub const MAX_RANGES: usize = 8;
/// The windows that can be out at once: the core asks for one per aperture at a time, and more only after hot plug.
pub const MAX_TAKEN: usize = 64;
/// Bytes of the config window, which is also aligned to a page of the host.
pub const CONFIG_WINDOW: u64 = 0x2000;

const PAGE: u64 = 0x1000;

/// The MMIO space of one bus.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    given: ArrayVec<Memory, MAX_RANGES>,
    taken: ArrayVec<Memory, MAX_TAKEN>,
}

impl Ranges {
    /// Forgets every range.
    pub fn clear(&mut self) {
        self.given.clear();
        self.taken.clear();
    }

    /// Adds a range that the PnP manager gave. False if it is too small to be of use, or one too many.
    pub fn give(&mut self, memory: Memory) -> bool {
        let Some(end) = memory.base.checked_add(memory.size) else { return false };
        let Some(base) = memory.base.checked_next_multiple_of(PAGE) else { return false };
        let end = end & !PAGE.wrapping_sub(1);
        let size = end.saturating_sub(base);
        size != 0 && self.given.try_push(Memory { base, size }).is_ok()
    }

    /// Takes the config window, wherever there is room: below 4 GiB if possible.
    pub fn take_config_window(&mut self) -> Option<u64> {
        [Aperture::Low, Aperture::High].into_iter().find_map(|aperture| self.take(aperture, CONFIG_WINDOW, PAGE))
    }

    /// Takes a window for BARs.
    pub fn take_window(&mut self, need: WindowNeed) -> Option<Window> {
        let base = self.take(need.aperture, need.size, need.align)?;
        Some(Window { aperture: need.aperture, base, size: need.size })
    }

    /// Gives back what was taken at `base`. False if nothing was.
    pub fn give_back(&mut self, base: u64) -> bool {
        match self.taken.iter().position(|taken| taken.base == base) {
            Some(at) => {
                self.taken.remove(at);
                true
            }
            None => false,
        }
    }

    /// The bytes given in one aperture.
    pub fn given_bytes(&self, aperture: Aperture) -> u64 {
        let inside = |m: &&Memory| m.base >= aperture.start() && m.base < aperture.end();
        self.given.iter().filter(inside).fold(0, |sum, m| sum.saturating_add(m.size))
    }

    fn take(&mut self, aperture: Aperture, size: u64, align: u64) -> Option<u64> {
        if size == 0 || !align.is_power_of_two() || self.taken.is_full() {
            return None;
        }
        let base = self.given.iter().find_map(|range| self.first_fit(range, aperture, size, align.max(PAGE)))?;
        self.taken.try_push(Memory { base, size }).ok()?;
        Some(base)
    }

    /// The lowest free, aligned place in one range. Ends after as many steps as there are windows out.
    fn first_fit(&self, range: &Memory, aperture: Aperture, size: u64, align: u64) -> Option<u64> {
        let limit = range.base.checked_add(range.size)?.min(aperture.end());
        let mut base = range.base.max(aperture.start()).checked_next_multiple_of(align)?;
        for _ in 0..=self.taken.len() {
            let end = base.checked_add(size).filter(|end| *end <= limit)?;
            let in_the_way = |t: &&Memory| t.base < end && t.base.saturating_add(t.size) > base;
            match self.taken.iter().find(in_the_way) {
                None => return Some(base),
                Some(t) => base = t.base.checked_add(t.size)?.checked_next_multiple_of(align)?,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Ranges {
        let mut ranges = Ranges::default();
        assert!(ranges.give(Memory { base: 0xF800_0000, size: 0x10_0000 }));
        assert!(ranges.give(Memory { base: 0x10_0000_0000, size: 0x40_0000_0000 }));
        ranges
    }

    fn need(aperture: Aperture, size: u64, align: u64) -> WindowNeed {
        WindowNeed { aperture, size, align }
    }

    #[test]
    fn windows_are_aligned_and_disjoint_and_come_back() {
        let mut ranges = space();
        assert_eq!(ranges.take_config_window(), Some(0xF800_0000));
        let low = ranges.take_window(need(Aperture::Low, 0x4000, 0x4000)).unwrap();
        assert_eq!(low.base, 0xF800_4000);
        let big = ranges.take_window(need(Aperture::High, 128 << 30, 128 << 30)).unwrap();
        assert_eq!(big.base, 0x20_0000_0000);
        let small = ranges.take_window(need(Aperture::High, 0x1000, 0x1000)).unwrap();
        assert_eq!(small.base, 0x10_0000_0000);
        assert_eq!(ranges.take_window(need(Aperture::High, 128 << 30, 128 << 30)), None);
        assert!(ranges.give_back(big.base));
        assert!(!ranges.give_back(big.base));
        assert!(ranges.take_window(need(Aperture::High, 128 << 30, 128 << 30)).is_some());
    }

    #[test]
    fn an_aperture_without_space_gives_nothing() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.take_config_window(), None);
        assert!(ranges.give(Memory { base: 0x10_0000_0000, size: 0x10_0000 }));
        assert_eq!(ranges.take_window(need(Aperture::Low, 0x1000, 0x1000)), None);
        assert_eq!(ranges.take_config_window(), Some(0x10_0000_0000), "high space will do for the config window");
        assert_eq!((ranges.given_bytes(Aperture::Low), ranges.given_bytes(Aperture::High)), (0, 0x10_0000));
    }

    #[test]
    fn a_range_across_4_gib_serves_both_apertures() {
        let mut ranges = Ranges::default();
        assert!(ranges.give(Memory { base: 0xFFFF_0000, size: 0x2_0000 }));
        assert_eq!(ranges.take_window(need(Aperture::High, 0x1_0000, 0x1000)).unwrap().base, 1 << 32);
        assert_eq!(ranges.take_window(need(Aperture::Low, 0x1_0000, 0x1000)).unwrap().base, 0xFFFF_0000);
        assert_eq!(ranges.take_window(need(Aperture::Low, 0x1000, 0x1000)), None);
    }

    #[test]
    fn odd_input_is_refused() {
        let mut ranges = space();
        assert!(!ranges.give(Memory { base: u64::MAX, size: 2 }));
        assert!(!ranges.give(Memory { base: 0x1001, size: 0xFFE }));
        assert_eq!(ranges.take_window(need(Aperture::High, 0, 0x1000)), None);
        assert_eq!(ranges.take_window(need(Aperture::High, 0x1000, 3)), None);
        assert_eq!(ranges.take_window(need(Aperture::High, u64::MAX, 0x1000)), None);
    }
}
