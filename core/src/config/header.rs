//! The registers of the header that never come from the host.

use crate::wire::FunctionDescription;

/// Part of a dword that can be answered without the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    /// The bits, 0 outside `lanes`.
    pub value: u32,
    /// Which bits they are.
    pub lanes: u32,
}

impl Served {
    pub const fn new(value: u32, lanes: u32) -> Served {
        Served { value: value & lanes, lanes }
    }

    pub const fn all(value: u32) -> Served {
        Served { value, lanes: u32::MAX }
    }

    /// These bits, and where they are silent those of `other`.
    #[must_use]
    pub const fn or(self, other: Served) -> Served {
        Served { value: self.value | (other.value & !self.lanes), lanes: self.lanes | other.lanes }
    }
}

/// Vendor and device id.
pub(super) const IDS: u16 = 0x00;
/// COMMAND and Status.
pub(super) const COMMAND: u16 = 0x04;
/// Revision id and class code.
const CLASS: u16 = 0x08;
/// The first BAR register.
pub(super) const BAR0: u16 = 0x10;
/// The first byte after the BAR registers.
const AFTER_BARS: u16 = 0x28;
/// Subsystem ids.
const SUBSYSTEM: u16 = 0x2C;
/// The expansion ROM BAR.
const ROM: u16 = 0x30;
/// The capabilities pointer.
pub(super) const CAPABILITIES: u16 = 0x34;
/// Interrupt line and pin, Min_Gnt, Max_Lat.
pub(super) const INTERRUPT: u16 = 0x3C;

/// The BAR register at a dword's offset.
pub(super) fn bar_register(dword: u16) -> Option<u8> {
    if !(BAR0..AFTER_BARS).contains(&dword) {
        return None;
    }
    u8::try_from(dword.checked_sub(BAR0)?.wrapping_shr(2)).ok()
}

/// What a dword reads without asking the host (`reference/protocol.md` section 7): ids, class and subsystem come from
/// the description; there is no ROM and no INTx.
pub(super) fn served(description: &FunctionDescription, dword: u16) -> Served {
    let d = description;
    match dword {
        IDS => Served::all(words(d.vendor, d.device)),
        CLASS => Served::all(u32::from_le_bytes([d.revision, d.prog_if, d.sub_class, d.base_class])),
        SUBSYSTEM => Served::all(words(d.subsystem_vendor, d.subsystem)),
        ROM => Served::all(0),
        INTERRUPT => Served::new(0, 0x0000_FFFF),
        _ => Served::default(),
    }
}

/// Whether writes to a dword are dropped here: nothing in it that is not read-only (or read-only to the guest, as the
/// interrupt line, which always reads 0).
pub(super) const fn drops_writes(dword: u16) -> bool {
    matches!(dword, IDS | CLASS | SUBSYSTEM | ROM | INTERRUPT)
}

const fn words(low: u16, high: u16) -> u32 {
    let ([a, b], [c, d]) = (low.to_le_bytes(), high.to_le_bytes());
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slot;

    #[test]
    fn identity_comes_from_the_description() {
        let description = FunctionDescription {
            slot: Slot::ZERO,
            vendor: 0x1414,
            device: 0xC03E,
            revision: 1,
            prog_if: 2,
            sub_class: 8,
            base_class: 1,
            subsystem_vendor: 0x1234,
            subsystem: 0x5678,
            serial: 0,
            numa_node: None,
        };
        let read = |dword| served(&description, dword);
        assert_eq!(read(0x00), Served::all(0xC03E_1414));
        assert_eq!(read(0x08), Served::all(0x0108_0201));
        assert_eq!(read(0x2C), Served::all(0x5678_1234));
        assert_eq!(read(0x30), Served::all(0));
        assert_eq!(read(0x3C), Served::new(0, 0xFFFF));
        assert_eq!(read(0x40), Served::default());
    }

    #[test]
    fn six_bar_registers() {
        assert_eq!([0x0C, 0x10, 0x14, 0x24, 0x28].map(bar_register), [None, Some(0), Some(1), Some(5), None]);
    }
}
