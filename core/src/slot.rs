//! The number of a function on its bus, in the order the wire uses.

use core::fmt;

/// A function's place on its bus: the low byte of the protocol's `wslot`.
///
/// On the wire the device number is in bits 0-4 and the function number in bits 5-7 ("Windows slot number",
/// `reference/protocol.md` section 4); Linux's `devfn` has them the other way round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// Device 0, function 0: where Hyper-V puts a bus's only function.
    pub const ZERO: Slot = Slot(0);

    /// A slot from a device number (0-31) and a function number (0-7); `None` when either is out of range.
    pub const fn new(device: u8, function: u8) -> Option<Slot> {
        if device > 31 || function > 7 {
            return None;
        }
        Some(Slot((function << 5) | device))
    }

    /// A slot from the u32 of a message. `None` for a number above 255: such a slot cannot exist (section 4).
    pub const fn from_wire(wslot: u32) -> Option<Slot> {
        if wslot > 0xFF {
            return None;
        }
        #[allow(clippy::cast_possible_truncation)] // checked above
        Some(Slot(wslot as u8))
    }

    /// The u32 that messages and the config window's selector carry.
    pub const fn to_wire(self) -> u32 {
        self.0 as u32
    }

    /// A slot from Linux's `devfn` (device in bits 3-7, function in bits 0-2).
    pub const fn from_devfn(devfn: u8) -> Slot {
        Slot(((devfn & 0x07) << 5) | (devfn >> 3))
    }

    /// Linux's `devfn` of this slot.
    pub const fn devfn(self) -> u8 {
        (self.device() << 3) | self.function()
    }

    /// The device number, 0-31.
    pub const fn device(self) -> u8 {
        self.0 & 0x1F
    }

    /// The function number, 0-7.
    pub const fn function(self) -> u8 {
        self.0 >> 5
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}.{}", self.device(), self.function())
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_slot_survives_the_round_trips() {
        for wslot in 0..=255u32 {
            let slot = Slot::from_wire(wslot).unwrap();
            assert_eq!(slot.to_wire(), wslot);
            assert_eq!(Slot::from_devfn(slot.devfn()), slot);
            assert_eq!(Slot::new(slot.device(), slot.function()), Some(slot));
        }
        assert_eq!(Slot::from_wire(256), None);
        assert_eq!(Slot::new(32, 0), None);
        assert_eq!(Slot::new(0, 8), None);
    }

    #[test]
    fn the_two_orders_differ() {
        // Device 3, function 2: wire 2<<5|3, devfn 3<<3|2.
        let slot = Slot::new(3, 2).unwrap();
        assert_eq!((slot.to_wire(), slot.devfn()), (0x43, 0x1A));
        assert_eq!(slot.to_string(), "03.2");
    }
}
