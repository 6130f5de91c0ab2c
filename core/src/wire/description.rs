//! What the host says of a function.

use crate::Slot;

/// One entry of a BUS_RELATIONS or BUS_RELATIONS2 list, decoded (`reference/protocol.md` section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionDescription {
    /// Where the function sits on the bus.
    pub slot: Slot,
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
    /// PCI revision id.
    pub revision: u8,
    /// PCI class code, programming interface byte.
    pub prog_if: u8,
    /// PCI class code, sub-class byte.
    pub sub_class: u8,
    /// PCI class code, base class byte.
    pub base_class: u8,
    /// PCI subsystem vendor id.
    pub subsystem_vendor: u16,
    /// PCI subsystem id.
    pub subsystem: u16,
    /// Serial number: stable per device, the name of the slot in Linux's sysfs.
    pub serial: u32,
    /// The virtual NUMA node, where the host gave one (1.3 and later, flag bit 0).
    pub numa_node: Option<u16>,
}

impl FunctionDescription {
    /// Whether both entries name the same child: slot, vendor, device and serial agree (section 5).
    pub fn same_function(&self, other: &FunctionDescription) -> bool {
        (self.slot, self.vendor, self.device, self.serial) == (other.slot, other.vendor, other.device, other.serial)
    }
}

/// The answer to QUERY_RESOURCE_REQUIREMENTS: what each BAR register reads after all ones were written to it, attribute
/// bits included; 0 = not implemented; a 64-bit BAR takes two entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProbedBars(pub [u32; 6]);
