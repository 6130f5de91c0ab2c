//! The guest's MMIO space: who has which range.

use std::collections::BTreeMap;

use hvpci_core::backend::PlatformError;
use hvpci_core::placement::{Aperture, Window, WindowNeed};

/// Where config windows are put.
const CONFIG_WINDOWS: (u64, u64) = (0xF800_0000, 0xFE00_0000);
/// Where 32-bit BARs are put.
const LOW: (u64, u64) = (0x8000_0000, 0xF800_0000);
/// Where 64-bit BARs are put: from 64 GiB to the end of a 46-bit guest-physical address space.
const HIGH: (u64, u64) = (0x10_0000_0000, 1 << 46);
/// The two pages of a config window.
const CONFIG_WINDOW_BYTES: u64 = 0x2000;

/// A first-fit allocator of guest-physical ranges that knows what is still out.
#[derive(Debug, Default)]
pub struct MmioSpace {
    /// Base to end.
    taken: BTreeMap<u64, u64>,
}

impl MmioSpace {
    /// Takes the two pages of a config window.
    pub fn reserve_config_window(&mut self) -> Result<u64, PlatformError> {
        self.take(CONFIG_WINDOWS, CONFIG_WINDOW_BYTES, CONFIG_WINDOW_BYTES)
    }

    /// Takes space for BARs.
    pub fn reserve(&mut self, need: WindowNeed) -> Result<Window, PlatformError> {
        let limits = match need.aperture {
            Aperture::Low => LOW,
            Aperture::High => HIGH,
        };
        let base = self.take(limits, need.size, need.align)?;
        Ok(Window { aperture: need.aperture, base, size: need.size })
    }

    /// Gives a range back. False if nothing was taken at `base`.
    pub fn release(&mut self, base: u64) -> bool {
        self.taken.remove(&base).is_some()
    }

    /// The ranges that are out: base and end.
    pub fn taken(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.taken.iter().map(|(&base, &end)| (base, end))
    }

    fn take(&mut self, (start, limit): (u64, u64), size: u64, align: u64) -> Result<u64, PlatformError> {
        let mut base = start.next_multiple_of(align.max(1));
        for (taken, end) in self.taken() {
            if base.checked_add(size).is_some_and(|e| e <= taken) {
                break;
            }
            if end > base {
                base = end.next_multiple_of(align.max(1));
            }
        }
        match base.checked_add(size) {
            Some(end) if end <= limit && size > 0 => {
                self.taken.insert(base, end);
                Ok(base)
            }
            _ => Err(PlatformError::NoMmioSpace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_disjoint_aligned_and_come_back() {
        let mut space = MmioSpace::default();
        let need = |size, align| WindowNeed { aperture: Aperture::High, size, align };
        let a = space.reserve(need(0x1000, 0x1000)).unwrap();
        let b = space.reserve(need(0x1_0000_0000, 0x1_0000_0000)).unwrap();
        let c = space.reserve(need(0x1000, 0x1000)).unwrap();
        assert_eq!((a.base, b.base, c.base), (0x10_0000_0000, 0x11_0000_0000, 0x10_0000_1000));
        assert_eq!(space.reserve(need(1 << 46, 1 << 46)), Err(PlatformError::NoMmioSpace));
        let window = space.reserve_config_window().unwrap();
        assert_eq!(space.taken().count(), 4);
        for base in [a.base, b.base, c.base, window] {
            assert!(space.release(base));
            assert!(!space.release(base));
        }
        assert_eq!(space.taken().count(), 0);
    }
}
