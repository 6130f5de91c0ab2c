//! What the guest believes of a function's decode.

use crate::config::{Bar, BarLayout};

/// The guest's view: COMMAND.Memory and the BAR registers as the guest last wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GuestView {
    layout: BarLayout,
    memory: bool,
    /// Address bits only, already cut to what can be written.
    registers: [u32; 6],
}

impl GuestView {
    /// A function with decode off and its BARs at `addresses` (by lower register; `None` is address 0).
    pub fn new(layout: BarLayout, addresses: &[Option<u64>; 6]) -> GuestView {
        let mut view = GuestView { layout, memory: false, registers: [0; 6] };
        view.place(addresses);
        view
    }

    /// The implemented BARs.
    pub const fn layout(&self) -> &BarLayout {
        &self.layout
    }

    /// Whether the function has any memory BAR at all.
    pub fn has_bars(&self) -> bool {
        self.layout.iter().next().is_some()
    }

    /// Whether the guest believes that decode is on.
    pub const fn memory(&self) -> bool {
        self.memory
    }

    pub(super) const fn set_memory(&mut self, on: bool) {
        self.memory = on;
    }

    /// The writable bits of a register: 0 for one that is not implemented.
    pub fn mask(&self, register: u8) -> u32 {
        if let Some(bar) = self.layout.get(register) {
            return low_half(bar.address_mask());
        }
        match self.lower_of(register) {
            Some(bar) => high_half(bar.address_mask()),
            None => 0,
        }
    }

    /// The attribute bits of a register: 0 for upper halves and for registers that are not implemented.
    pub fn attributes(&self, register: u8) -> u32 {
        self.layout.get(register).map_or(0, Bar::attributes)
    }

    fn lower_of(&self, register: u8) -> Option<&Bar> {
        self.layout.get(register.checked_sub(1)?).filter(|bar| bar.is_64bit)
    }

    /// The address bits of a register.
    pub fn address_bits(&self, register: u8) -> u32 {
        self.registers.get(usize::from(register)).copied().unwrap_or(0)
    }

    /// What a read of a register returns.
    pub fn register(&self, register: u8) -> u32 {
        self.address_bits(register) | self.attributes(register)
    }

    /// Writes the bits of `value` that are in `lanes`. Returns whether the register changed.
    pub(super) fn write(&mut self, register: u8, value: u32, lanes: u32) -> bool {
        let mask = self.mask(register) & lanes;
        let Some(place) = self.registers.get_mut(usize::from(register)) else {
            return false;
        };
        let before = *place;
        *place = (before & !mask) | (value & mask);
        *place != before
    }

    /// The address of a BAR of this function.
    pub fn address(&self, bar: &Bar) -> u64 {
        let low = u64::from(self.address_bits(bar.index));
        if bar.is_64bit {
            return (u64::from(self.address_bits(bar.index.saturating_add(1))) << 32) | low;
        }
        low
    }

    /// The addresses of all BARs, by lower register.
    pub fn addresses(&self) -> [Option<u64>; 6] {
        let mut addresses = [None; 6];
        for bar in self.layout.iter() {
            if let Some(place) = addresses.get_mut(usize::from(bar.index)) {
                *place = Some(self.address(bar));
            }
        }
        addresses
    }

    /// Moves all BARs to `addresses`.
    pub(super) fn place(&mut self, addresses: &[Option<u64>; 6]) {
        let layout = self.layout;
        for bar in layout.iter() {
            let address = addresses.get(usize::from(bar.index)).copied().flatten().unwrap_or(0);
            self.write(bar.index, low_half(address), u32::MAX);
            if bar.is_64bit {
                self.write(bar.index.saturating_add(1), high_half(address), u32::MAX);
            }
        }
    }

    /// Takes the values of a reset: decode off, BARs at 0, attributes as ever (I7).
    pub(super) fn reset(&mut self) {
        self.memory = false;
        self.registers = [0; 6];
    }

    /// Takes a new layout after the sizes changed (Resizable BAR); addresses lose the bits that no longer exist.
    pub(super) fn relayout(&mut self, layout: BarLayout) {
        self.layout = layout;
        for register in 0..6 {
            let mask = self.mask(register);
            if let Some(place) = self.registers.get_mut(usize::from(register)) {
                *place &= mask;
            }
        }
    }
}

const fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

const fn high_half(value: u64) -> u32 {
    let [.., a, b, c, d] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ProbedBars;

    fn view() -> GuestView {
        let probed = ProbedBars([0xFFFF_000C, 0xFFFF_FFFF, 0xFFFF_FF00, 0, 0, 0]);
        GuestView::new(
            BarLayout::from_probed(&probed).0,
            &[Some(0x1_2345_0000), None, Some(0xF800_0100), None, None, None],
        )
    }

    #[test]
    fn reads_are_address_and_attributes() {
        let view = view();
        assert_eq!([0, 1, 2, 3].map(|r| view.register(r)), [0x2345_000C, 1, 0xF800_0100, 0]);
        assert_eq!(view.addresses(), [Some(0x1_2345_0000), None, Some(0xF800_0100), None, None, None]);
    }

    #[test]
    fn sizing_answers_the_probed_mask_in_either_half_alone() {
        let mut view = view();
        assert!(view.write(1, u32::MAX, u32::MAX));
        assert_eq!((view.register(0), view.register(1)), (0x2345_000C, u32::MAX));
        view.write(0, u32::MAX, u32::MAX);
        assert_eq!(view.register(0), 0xFFFF_000C);
        view.write(3, u32::MAX, u32::MAX);
        assert_eq!(view.register(3), 0);
    }

    #[test]
    fn a_byte_write_changes_one_byte() {
        let mut view = view();
        view.write(2, 0xAAAA_AAAA, 0x00FF_0000);
        assert_eq!(view.register(2), 0xF8AA_0100);
    }
}
