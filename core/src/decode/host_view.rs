//! What the host was last told of a function's decode.

use crate::config::{Bar, BarLayout};

/// The host's side of COMMAND.Memory, as far as we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HostDecode {
    /// The host may have lost or changed its state.
    #[default]
    Unknown,
    /// Off: nothing of the function is mapped.
    Off,
    /// A background map was started and has not been reported complete.
    Mapping,
    /// On.
    On,
}

/// The host's view of a function: its decode and its BAR registers, as last told or read, or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HostView {
    decode: HostDecode,
    /// Address bits. Kept, as a guess, when the host may have lost them.
    registers: [u32; 6],
    /// Bit n: register n is known.
    known: u8,
}

impl HostView {
    /// What is known of the host's decode.
    pub const fn decode(&self) -> HostDecode {
        self.decode
    }

    /// Whether decode is on, or being turned on.
    pub const fn is_mapped(&self) -> bool {
        matches!(self.decode, HostDecode::On | HostDecode::Mapping)
    }

    /// Whether decode may be on: everything but known to be off.
    pub const fn may_be_mapped(&self) -> bool {
        !matches!(self.decode, HostDecode::Off)
    }

    pub(super) const fn set_decode(&mut self, decode: HostDecode) {
        self.decode = decode;
    }

    /// The address bits of a BAR register as the host holds them; `None` if unknown.
    pub fn register(&self, register: u8) -> Option<u32> {
        if self.known & bit(register) == 0 {
            return None;
        }
        self.registers.get(usize::from(register)).copied()
    }

    pub(super) fn set_register(&mut self, register: u8, address_bits: u32) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = address_bits;
            self.known |= bit(register);
        }
    }

    /// Where the host has, or last had, a BAR.
    pub fn last_address(&self, bar: &Bar) -> u64 {
        let at = |register: u8| u64::from(self.registers.get(usize::from(register)).copied().unwrap_or(0));
        let low = at(bar.index);
        if bar.is_64bit { (at(bar.index.saturating_add(1)) << 32) | low } else { low }
    }

    /// The addresses the host holds, by lower register; `None` where they are not known.
    pub fn addresses(&self, layout: &BarLayout) -> [Option<u64>; 6] {
        let mut addresses = [None; 6];
        for bar in layout.iter() {
            let known = self.register(bar.index).is_some()
                && (!bar.is_64bit || self.register(bar.index.saturating_add(1)).is_some());
            if let Some(place) = addresses.get_mut(usize::from(bar.index)).filter(|_| known) {
                *place = Some(self.last_address(bar));
            }
        }
        addresses
    }

    /// What a BAR register holds is not known any more; what was last written stays the guess.
    pub(super) const fn forget_register(&mut self, register: u8) {
        self.known &= !bit(register);
    }

    /// The host's BARs are not known any more.
    pub(super) const fn forget_bars(&mut self) {
        self.known = 0;
    }
}

const fn bit(register: u8) -> u8 {
    1u8.wrapping_shl(register as u32)
}
