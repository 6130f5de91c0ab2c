//! The allow-list of the read cache: every register that may be cached, why that is safe, and what drops it.
//!
//! Not in the list, on purpose, although they are read-only: Device Capabilities (the captured slot power limit in it
//! changes when the link comes up, 7.5.3.3), PCI Express Capabilities (its interrupt message number follows the number of
//! enabled messages, 7.5.3.2), Link Capabilities (exit latencies follow the common clock configuration, 7.5.3.6), and
//! everything that is status or control: Status, BIST, PMCSR, Device, Link and Slot Status. The one exception is MSI-X Message
//! Control, which the guest reads a dozen times for each time it writes it.

use super::capability::Capabilities;

/// Where a register of the list is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// At a fixed offset of the header.
    Header,
    /// At an offset inside every capability of the list that starts at the capabilities pointer.
    AnyCapability,
    /// At an offset inside the capability with this id.
    Capability(u8),
    /// At an offset inside every extended capability of the list that starts at 0x100.
    AnyExtendedCapability,
}

/// One register, or one run of bytes, that the read cache may keep. Every entry is dropped by what [`DROPPED_BY`] says,
/// and by a guest write to the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CachedRegister {
    /// What it is called.
    pub name: &'static str,
    /// Where it is.
    pub home: Home,
    /// The first byte, counted from the start of its home. The bytes do not cross a dword.
    pub offset: u8,
    /// The number of bytes, 1 to 4.
    pub bytes: u8,
    /// The section of the PCI Express Base Specification 5.0 that defines it.
    pub section: &'static str,
    /// Why it cannot change by itself.
    pub why: &'static str,
}

/// What empties the read cache of a function: all events after which the host may answer differently (invariant I7).
pub const DROPPED_BY: &str = "FLR, AF FLR, D3hot to D0 without No_Soft_Reset, RESET_DEVICE, D0 re-entry, resume, \
                              re-offer, a Resizable BAR control write, the function's switch";

const fn header(name: &'static str, offset: u8, bytes: u8, section: &'static str, why: &'static str) -> CachedRegister {
    CachedRegister { name, home: Home::Header, offset, bytes, section, why }
}

const fn capability(
    id: u8,
    name: &'static str,
    offset: u8,
    bytes: u8,
    section: &'static str,
    why: &'static str,
) -> CachedRegister {
    CachedRegister { name, home: Home::Capability(id), offset, bytes, section, why }
}

const ZERO: &str = "hardwired to zero in PCI Express functions";
const RESERVED: &str = "reserved: reads zero";
const FIXED: &str = "read-only or hardware-initialised, fixed once the function answers";

static REGISTERS: [CachedRegister; 16] = [
    header("Latency Timer", 0x0D, 1, "7.5.1.1.8", ZERO),
    header("Header Type", 0x0E, 1, "7.5.1.1.9", "read-only: the layout of the header"),
    header("Cardbus CIS Pointer", 0x28, 4, "7.5.1.2.2", ZERO),
    header("Capabilities Pointer", 0x34, 1, "7.5.1.1.11", "read-only: the place of the first capability"),
    header("Reserved", 0x35, 3, "7.5.1.2", RESERVED),
    header("Reserved", 0x38, 4, "7.5.1.2", RESERVED),
    header("Min_Gnt", 0x3E, 1, "7.5.1.2.5", ZERO),
    header("Max_Lat", 0x3F, 1, "7.5.1.2.5", ZERO),
    CachedRegister {
        name: "Capability header (id, next)",
        home: Home::AnyCapability,
        offset: 0,
        bytes: 2,
        section: "7.5.2.1, 7.5.3.1, 7.7.1.1, 7.7.2.1",
        why: "read-only: the list of capabilities is fixed",
    },
    capability(POWER_MANAGEMENT, "Power Management Capabilities", 2, 2, "7.5.2.1", FIXED),
    capability(PCI_EXPRESS, "Device Capabilities 2", 0x24, 4, "7.5.3.15", FIXED),
    capability(PCI_EXPRESS, "Link Capabilities 2", 0x2C, 4, "7.5.3.18", FIXED),
    capability(
        MSI_X,
        "MSI-X Message Control",
        2,
        2,
        "7.7.2.2",
        "the table size is fixed, Enable and Function Mask are the guest's: only its writes change them, and these drop it",
    ),
    capability(MSI_X, "MSI-X Table Offset/Table BIR", 4, 4, "7.7.2.3", FIXED),
    capability(MSI_X, "MSI-X PBA Offset/PBA BIR", 8, 4, "7.7.2.4", FIXED),
    CachedRegister {
        name: "Extended capability header (also of an absent list)",
        home: Home::AnyExtendedCapability,
        offset: 0,
        bytes: 4,
        section: "7.6.3",
        why: "read-only: the list is fixed; a header of zero at 0x100 says that there is none",
    },
];

/// Capability ids (PCI Code and ID Assignment Specification).
pub(super) const POWER_MANAGEMENT: u8 = 0x01;
pub(super) const PCI_EXPRESS: u8 = 0x10;
pub(super) const MSI_X: u8 = 0x11;
pub(super) const ADVANCED_FEATURES: u8 = 0x13;
/// Extended capability id of Resizable BAR.
pub(super) const RESIZABLE_BAR: u16 = 0x0015;

/// The registers that the read cache may keep, for documentation and tests.
pub fn cached_registers() -> impl Iterator<Item = &'static CachedRegister> {
    REGISTERS.iter()
}

impl CachedRegister {
    /// The register's bits of the dword at `dword`, when its home starts at `home`.
    fn lanes_in(&self, home: u16, dword: u16) -> u32 {
        let first = home.saturating_add(u16::from(self.offset));
        if first & !3 != dword {
            return 0;
        }
        let bits = u32::from(self.bytes).wrapping_mul(8);
        let mask = u32::MAX.checked_shr(32u32.saturating_sub(bits)).unwrap_or(0);
        mask.wrapping_shl(u32::from(first & 3).wrapping_mul(8))
    }
}

/// The bits of a dword that may be cached, given what is known of the function's capabilities.
pub(super) fn cacheable(capabilities: &Capabilities, dword: u16) -> u32 {
    let mut lanes = 0;
    for register in &REGISTERS {
        match register.home {
            Home::Header => lanes |= register.lanes_in(0, dword),
            Home::AnyCapability => {
                capabilities.each(|_, at| lanes |= register.lanes_in(at, dword));
                if let Some(at) = capabilities.frontier() {
                    lanes |= register.lanes_in(at, dword);
                }
            }
            Home::Capability(wanted) => capabilities.each(|id, at| {
                if id == wanted {
                    lanes |= register.lanes_in(at, dword);
                }
            }),
            Home::AnyExtendedCapability => {
                if capabilities.is_extended_header(dword) {
                    lanes |= register.lanes_in(dword, dword);
                }
            }
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_names_its_reason_and_stays_inside_a_dword() {
        for register in cached_registers() {
            assert!(!register.name.is_empty() && !register.why.is_empty());
            assert!(register.section.starts_with("7."), "{register:?}");
            assert!((1..=4).contains(&register.bytes));
            assert!((register.offset % 4) + register.bytes <= 4, "{register:?}");
        }
        assert!(DROPPED_BY.contains("FLR") && DROPPED_BY.contains("resume"));
    }

    #[test]
    fn volatile_registers_are_not_in_the_list() {
        // Of the header, exactly these bytes: not COMMAND, Status, Cache Line Size, BIST, BARs.
        let none = Capabilities::default();
        for dword in (0..0x40).step_by(4) {
            let expected = match dword {
                0x0C => 0x00FF_FF00,
                0x28 | 0x34 | 0x38 => u32::MAX,
                0x3C => 0xFFFF_0000,
                _ => 0,
            };
            assert_eq!(cacheable(&none, dword), expected, "{dword:#x}");
        }
    }
}
