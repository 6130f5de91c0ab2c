//! BAR registers.

use alloc::vec::Vec;

use super::{BAR0, Device};

/// Attribute bits of a memory BAR (PCI Express Base 7.5.1.2.1).
const IS_64BIT: u32 = 1 << 2;
const PREFETCHABLE: u32 = 1 << 3;

/// A BAR as a test wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BarSpec {
    /// The register, 0 to 5; a 64-bit BAR takes the next one too.
    pub register: u8,
    /// Bytes; rounded up to a power of two of at least 16.
    pub size: u64,
    /// Whether it takes two registers.
    pub is_64bit: bool,
    /// Whether it is prefetchable.
    pub prefetchable: bool,
}

impl BarSpec {
    /// A 64-bit prefetchable BAR, the kind GPUs and the recorded NVMe controller have.
    pub const fn wide(register: u8, size: u64) -> BarSpec {
        BarSpec { register, size, is_64bit: true, prefetchable: true }
    }

    /// A 32-bit BAR, not prefetchable.
    pub const fn narrow(register: u8, size: u64) -> BarSpec {
        BarSpec { register, size, is_64bit: false, prefetchable: false }
    }
}

/// One register of config space offsets 0x10 to 0x27.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BarRegister {
    /// The bits that can be written.
    pub(super) mask: u32,
    /// The bits that are fixed to 1.
    pub(super) attributes: u32,
    /// What was written, masked.
    pub(super) value: u32,
    /// Whether all ones were ever written.
    pub(super) probed: bool,
    /// Whether this is the upper half of the BAR below.
    pub(super) upper: bool,
}

impl Device {
    /// Adds a BAR. One that does not fit its register is left out.
    #[must_use]
    pub fn with_bar(mut self, spec: BarSpec) -> Device {
        let size = spec.size.max(16).checked_next_power_of_two().unwrap_or(1 << 63);
        self.place_bar(spec.register, size, spec.is_64bit, spec.prefetchable);
        self
    }

    /// Makes register `register` a BAR of `size` bytes, a power of two.
    pub(super) fn place_bar(&mut self, register: u8, size: u64, is_64bit: bool, prefetchable: bool) {
        let at = usize::from(register);
        if at.saturating_add(usize::from(is_64bit)) >= self.bars.len() {
            return;
        }
        let mask = !size.wrapping_sub(1);
        let mut attributes = if is_64bit { IS_64BIT } else { 0 };
        if prefetchable {
            attributes |= PREFETCHABLE;
        }
        if let Some(low) = self.bars.get_mut(at) {
            let mask = u32::try_from(mask & 0xFFFF_FFFF).unwrap_or(0);
            *low = BarRegister { mask, attributes, ..BarRegister::default() };
        }
        if let (true, Some(high)) = (is_64bit, self.bars.get_mut(at.saturating_add(1))) {
            let mask = u32::try_from(mask >> 32).unwrap_or(0);
            *high = BarRegister { mask, upper: true, ..BarRegister::default() };
        }
    }

    /// The implemented BARs as they are programmed: register, address, bytes.
    pub fn ranges(&self) -> Vec<(u8, u64, u64)> {
        let mut ranges = Vec::new();
        for register in 0..6u8 {
            if let Some((address, size)) = self.range(register) {
                ranges.push((register, address, size));
            }
        }
        ranges
    }

    /// Address and bytes of the BAR at `register`; `None` where there is none.
    pub fn range(&self, register: u8) -> Option<(u64, u64)> {
        let low = self.bars.get(usize::from(register))?;
        if low.upper || low.mask | low.attributes == 0 {
            return None;
        }
        let (mut mask, mut address) = (u64::from(low.mask) | 0xFFFF_FFFF_0000_0000, u64::from(low.value));
        if low.attributes & IS_64BIT != 0 {
            let high = self.bars.get(usize::from(register).saturating_add(1))?;
            mask = u64::from(low.mask) | (u64::from(high.mask) << 32);
            address |= u64::from(high.value) << 32;
        }
        Some((address, (!mask).wrapping_add(1)))
    }

    /// Whether the BAR at `register` takes two registers.
    pub fn is_64bit(&self, register: u8) -> bool {
        self.bars.get(usize::from(register)).is_some_and(|bar| bar.attributes & IS_64BIT != 0)
    }

    /// The bytes that a map of the function maps: every BAR, rounded up to pages.
    pub fn map_bytes(&self) -> u64 {
        self.ranges().iter().fold(0, |sum: u64, (_, _, size)| sum.saturating_add((*size).max(4096)))
    }

    /// Programs the BAR at `register`, as RESOURCES_ASSIGNED with a descriptor does.
    pub(crate) fn program_bar(&mut self, register: u8, address: u64) {
        let at = usize::from(register);
        if let Some(low) = self.bars.get_mut(at) {
            low.value = u32::try_from(address & 0xFFFF_FFFF).unwrap_or(0) & low.mask;
        }
        if let Some(high) = self.bars.get_mut(at.saturating_add(1))
            && high.upper
        {
            high.value = u32::try_from(address >> 32).unwrap_or(0) & high.mask;
        }
    }

    /// Zeroes all BARs.
    pub(crate) fn clear_bars(&mut self) {
        for bar in &mut self.bars {
            bar.value = 0;
        }
    }

    /// What the host holds in the six registers, attribute bits included.
    pub fn bar_values(&self) -> [u32; 6] {
        let mut values = [0; 6];
        for (value, bar) in values.iter_mut().zip(&self.bars) {
            *value = bar.value | bar.attributes;
        }
        values
    }

    /// Reads the register at `offset` (dword-aligned); `None` if it is no BAR register.
    pub(super) fn read_bar(&self, offset: u16, attributes_late: bool) -> Option<u32> {
        let bar = self.bars.get(bar_index(offset)?)?;
        let attributes = if attributes_late && !bar.probed { 0 } else { bar.attributes };
        Some(bar.value | attributes)
    }

    /// Writes the register at `offset` (dword-aligned). Returns whether it is a BAR register.
    pub(super) fn write_bar(&mut self, offset: u16, value: u32) -> bool {
        let Some(bar) = bar_index(offset).and_then(|index| self.bars.get_mut(index)) else { return false };
        bar.value = value & bar.mask;
        bar.probed |= value == u32::MAX;
        true
    }
}

/// The register number behind a dword-aligned config offset.
pub(super) fn bar_index(offset: u16) -> Option<usize> {
    let index = usize::from(offset.checked_sub(BAR0)? / 4);
    (index < 6).then_some(index)
}
