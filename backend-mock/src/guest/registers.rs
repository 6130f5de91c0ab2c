//! The config-space registers the models touch, by their names in the PCI Express Base specification (7.5.1, 7.5.2,
//! 7.5.3, 7.7.2) and the PCI Local Bus specification 3.0.

pub(super) const VENDOR_ID: u16 = 0x00;
pub(super) const COMMAND: u16 = 0x04;
pub(super) const STATUS: u16 = 0x06;
pub(super) const REVISION_AND_CLASS: u16 = 0x08;
pub(super) const LATENCY_TIMER: u16 = 0x0D;
pub(super) const HEADER_TYPE: u16 = 0x0E;
pub(super) const BAR0: u16 = 0x10;
pub(super) const SUBSYSTEM_VENDOR_ID: u16 = 0x2C;
pub(super) const SUBSYSTEM_ID: u16 = 0x2E;
pub(super) const ROM_BAR: u16 = 0x30;
pub(super) const CAPABILITIES_POINTER: u16 = 0x34;
pub(super) const INTERRUPT_LINE: u16 = 0x3C;
pub(super) const INTERRUPT_PIN: u16 = 0x3D;
/// Where extended config space starts.
pub(super) const EXTENDED: u16 = 0x100;

/// COMMAND: decode I/O BARs.
pub(super) const COMMAND_IO: u16 = 1 << 0;
/// COMMAND: decode memory BARs. This is the bit the host maps and unmaps by.
pub(super) const COMMAND_MEMORY: u16 = 1 << 1;
/// COMMAND: the function may send memory requests.
pub(super) const COMMAND_MASTER: u16 = 1 << 2;
/// COMMAND: INTx is off.
pub(super) const COMMAND_INTX_DISABLE: u16 = 1 << 10;
/// STATUS: there is a capability list.
pub(super) const STATUS_CAPABILITIES: u16 = 1 << 4;

/// The address bits of the ROM BAR: what sizing writes to it.
pub(super) const ROM_ADDRESS_MASK: u32 = 0xFFFF_F800;
/// The attribute bits of a memory BAR.
pub(super) const BAR_ATTRIBUTES: u32 = 0xF;
/// The type field of a memory BAR says 64-bit.
pub(super) const BAR_IS_64BIT: u32 = 1 << 2;
/// An I/O BAR.
pub(super) const BAR_IS_IO: u32 = 1 << 0;

/// Capability ids.
pub(super) mod capability {
    pub(in crate::guest) const POWER_MANAGEMENT: u8 = 0x01;
    pub(in crate::guest) const VPD: u8 = 0x03;
    pub(in crate::guest) const MSI: u8 = 0x05;
    pub(in crate::guest) const PCI_X: u8 = 0x07;
    pub(in crate::guest) const PCI_EXPRESS: u8 = 0x10;
    pub(in crate::guest) const MSI_X: u8 = 0x11;
    pub(in crate::guest) const ADVANCED_FEATURES: u8 = 0x13;
    pub(in crate::guest) const ENHANCED_ALLOCATION: u8 = 0x14;
}

/// Extended capability ids.
pub(super) mod extended {
    pub(in crate::guest) const AER: u16 = 0x01;
    pub(in crate::guest) const VIRTUAL_CHANNEL: u16 = 0x02;
    pub(in crate::guest) const MULTI_FUNCTION_VC: u16 = 0x08;
    pub(in crate::guest) const VIRTUAL_CHANNEL_9: u16 = 0x09;
    pub(in crate::guest) const ACS: u16 = 0x0D;
    pub(in crate::guest) const ATS: u16 = 0x0F;
    pub(in crate::guest) const SR_IOV: u16 = 0x10;
    pub(in crate::guest) const PRI: u16 = 0x13;
    pub(in crate::guest) const RESIZABLE_BAR: u16 = 0x15;
    pub(in crate::guest) const LTR: u16 = 0x18;
    pub(in crate::guest) const PASID: u16 = 0x1B;
    pub(in crate::guest) const DPC: u16 = 0x1D;
    pub(in crate::guest) const L1_SUBSTATES: u16 = 0x1E;
    pub(in crate::guest) const PTM: u16 = 0x1F;
    pub(in crate::guest) const DOE: u16 = 0x2E;
}

/// The PCI Express capability: registers as offsets from it, and the bits used.
pub(super) mod express {
    pub(in crate::guest) const CAPABILITIES: u16 = 0x02;
    pub(in crate::guest) const DEVICE_CAPABILITIES: u16 = 0x04;
    pub(in crate::guest) const DEVICE_CONTROL: u16 = 0x08;
    pub(in crate::guest) const DEVICE_STATUS: u16 = 0x0A;
    pub(in crate::guest) const LINK_CAPABILITIES: u16 = 0x0C;
    pub(in crate::guest) const LINK_CONTROL: u16 = 0x10;
    pub(in crate::guest) const LINK_STATUS: u16 = 0x12;
    pub(in crate::guest) const DEVICE_CAPABILITIES_2: u16 = 0x24;
    pub(in crate::guest) const DEVICE_CONTROL_2: u16 = 0x28;
    pub(in crate::guest) const LINK_CAPABILITIES_2: u16 = 0x2C;
    pub(in crate::guest) const LINK_CONTROL_2: u16 = 0x30;

    /// Device Capabilities: the function can make 8-bit tags.
    pub(in crate::guest) const EXTENDED_TAG: u32 = 1 << 5;
    /// Device Capabilities: function level reset.
    pub(in crate::guest) const FLR_CAPABLE: u32 = 1 << 28;
    /// Device Capabilities 2: latency tolerance reporting.
    pub(in crate::guest) const LTR_SUPPORTED: u32 = 1 << 11;
    /// Device Control: use 8-bit tags.
    pub(in crate::guest) const EXTENDED_TAG_ENABLE: u16 = 1 << 8;
    /// Device Control: start a function level reset.
    pub(in crate::guest) const INITIATE_FLR: u16 = 1 << 15;
}

/// The power management capability: registers as offsets from it, and the bits used.
pub(super) mod power {
    pub(in crate::guest) const CAPABILITIES: u16 = 0x02;
    pub(in crate::guest) const CONTROL: u16 = 0x04;

    /// Capabilities: the states PME can be sent from.
    pub(in crate::guest) const PME_SUPPORT: u16 = 0xF800;
    /// Control: the power state field.
    pub(in crate::guest) const STATE: u16 = 0x3;
    /// Control: D3hot in that field.
    pub(in crate::guest) const D3_HOT: u16 = 0x3;
    /// Control: the function keeps its registers from D3hot to D0.
    pub(in crate::guest) const NO_SOFT_RESET: u16 = 1 << 3;
    /// Control: PME may be sent.
    pub(in crate::guest) const PME_ENABLE: u16 = 1 << 8;
    /// Control: PME was sent (write 1 to clear).
    pub(in crate::guest) const PME_STATUS: u16 = 1 << 15;
}

/// The MSI and MSI-X capabilities: registers as offsets from them, and the bits used.
pub(super) mod msi {
    pub(in crate::guest) const CONTROL: u16 = 0x02;
    pub(in crate::guest) const TABLE: u16 = 0x04;

    /// MSI control: enable.
    pub(in crate::guest) const MSI_ENABLE: u16 = 1 << 0;
    /// MSI-X control: the last vector of the table.
    pub(in crate::guest) const MSIX_SIZE: u16 = 0x07FF;
    /// MSI-X table register: which BAR the table is in.
    pub(in crate::guest) const TABLE_BAR: u32 = 7;
    /// MSI-X control: enable.
    pub(in crate::guest) const MSIX_ENABLE: u16 = 1 << 15;
    /// MSI-X control: all vectors masked.
    pub(in crate::guest) const MSIX_MASK_ALL: u16 = 1 << 14;
}
