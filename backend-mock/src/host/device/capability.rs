//! The capability list below 0x100.

use alloc::vec;
use alloc::vec::Vec;

use super::{Device, MsixTable, STATUS, STATUS_CAPABILITIES};

/// Capability ids (PCI Code and ID Assignment Specification).
const ID_PM: u8 = 0x01;
const ID_MSI: u8 = 0x05;
const ID_VENDOR: u8 = 0x09;
const ID_PCIE: u8 = 0x10;
const ID_MSIX: u8 = 0x11;
const ID_AF: u8 = 0x13;

/// The registers of the PCI Express capability that matter to a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the PCI Express Base Specification, section 7.5.3
pub struct PcieRegisters {
    pub capabilities: u16,
    pub device_capabilities: u32,
    pub device_control: u16,
    pub link_capabilities: u32,
    pub link_control: u16,
    pub link_status: u16,
    pub device_capabilities_2: u32,
    pub device_control_2: u16,
    pub link_capabilities_2: u32,
    pub link_control_2: u16,
}

/// Device Capabilities: Function Level Reset.
pub(super) const DEVCAP_FLR: u32 = 1 << 28;

/// A capability of a test's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Power Management.
    PowerManagement {
        /// Whether D3hot to D0 keeps the registers.
        no_soft_reset: bool,
    },
    /// MSI.
    Msi {
        /// log2 of the messages it can ask for, 0 to 5.
        messages_log2: u8,
        /// Whether the address has 64 bits.
        is_64bit: bool,
    },
    /// MSI-X.
    MsiX {
        /// Vectors, 1 to 2048.
        vectors: u16,
        /// The BAR of the table and the pending bits.
        bar: u8,
        /// Offset of the table in it, a multiple of 8.
        table: u32,
        /// Offset of the pending bits in it, a multiple of 8.
        pending: u32,
        /// Whether Function Mask can be set; the recorded device drops writes of it.
        function_mask: bool,
    },
    /// PCI Express.
    PciExpress(PcieRegisters),
    /// Advanced Features, with function level reset.
    AdvancedFeatures,
    /// Vendor specific.
    Vendor(Vec<u8>),
}

impl Device {
    /// Appends a capability to the list. One that no longer fits below 0x100 is left out.
    #[must_use]
    pub fn with_capability(mut self, capability: &Capability) -> Device {
        let (id, body, writable) = layout(capability);
        let at = self.next_capability;
        let end = at.saturating_add(u16::try_from(body.len()).unwrap_or(u16::MAX)).saturating_add(2);
        if end > 0x100 {
            return self;
        }
        let status = self.read_word(STATUS) | STATUS_CAPABILITIES;
        self.set(STATUS, &status.to_le_bytes());
        self.set(self.capability_link, &[at.to_le_bytes()[0]]);
        self.set(at, &[id, 0]);
        self.set(at.saturating_add(2), &body);
        self.allow(at.saturating_add(2), &writable);
        self.capability_link = at.saturating_add(1);
        self.next_capability = end.next_multiple_of(4);
        self.hook(capability, at);
        self.initial.clone_from(&self.config);
        self
    }

    fn hook(&mut self, capability: &Capability, at: u16) {
        match capability {
            Capability::PowerManagement { no_soft_reset } => {
                self.hooks.power_control = Some(at.saturating_add(4));
                self.hooks.no_soft_reset = *no_soft_reset;
            }
            Capability::Msi { is_64bit, .. } => self.hooks.msi = Some((at, *is_64bit)),
            Capability::MsiX { vectors, bar, table, .. } => {
                self.hooks.msix_control = Some(at.saturating_add(2));
                self.msix = Some(MsixTable::new((*vectors).clamp(1, 2048), *bar, *table));
            }
            Capability::PciExpress(registers) if registers.device_capabilities & DEVCAP_FLR != 0 => {
                self.hooks.pcie_device_control = Some(at.saturating_add(8));
            }
            Capability::AdvancedFeatures => self.hooks.af_control = Some(at.saturating_add(4)),
            Capability::PciExpress(_) | Capability::Vendor(_) => {}
        }
    }
}

/// Id, the bytes from offset 2 of the capability, and which of their bits can be written.
fn layout(capability: &Capability) -> (u8, Vec<u8>, Vec<u8>) {
    match capability {
        // Version 3, no PME; PMCSR: power state writable, bit 3 No_Soft_Reset.
        Capability::PowerManagement { no_soft_reset } => {
            (ID_PM, vec![3, 0, u8::from(*no_soft_reset) << 3, 0, 0, 0], vec![0, 0, 3, 0, 0, 0])
        }
        Capability::Msi { messages_log2, is_64bit } => {
            let control = u8::from(*is_64bit) << 7 | (*messages_log2).min(5) << 1;
            let mut body = vec![control, 0];
            let mut writable = vec![0x71, 0, 0xFC, 0xFF, 0xFF, 0xFF];
            if *is_64bit {
                writable.extend_from_slice(&[0xFF; 4]);
            }
            writable.extend_from_slice(&[0xFF; 2]);
            body.resize(writable.len(), 0);
            (ID_MSI, body, writable)
        }
        Capability::MsiX { vectors, bar, table, pending, function_mask } => {
            let control = (*vectors).clamp(1, 2048).wrapping_sub(1);
            let bir = u32::from(*bar & 7);
            let mut body = control.to_le_bytes().to_vec();
            body.extend_from_slice(&((table & !7) | bir).to_le_bytes());
            body.extend_from_slice(&((pending & !7) | bir).to_le_bytes());
            // Enable, and Function Mask below it.
            (ID_MSIX, body, vec![0, 0x80 | u8::from(*function_mask) << 6])
        }
        Capability::PciExpress(registers) => pci_express(registers),
        // Length 6; Transactions Pending and FLR; control and status.
        Capability::AdvancedFeatures => (ID_AF, vec![6, 3, 0, 0], Vec::new()),
        Capability::Vendor(data) => {
            let data = data.get(..data.len().min(0x80)).unwrap_or(&[]);
            let mut body = vec![u8::try_from(data.len().saturating_add(3)).unwrap_or(0)];
            body.extend_from_slice(data);
            (ID_VENDOR, body, Vec::new())
        }
    }
}

fn pci_express(registers: &PcieRegisters) -> (u8, Vec<u8>, Vec<u8>) {
    let mut body = vec![0; 0x3A];
    let mut writable = vec![0; 0x3A];
    let mut put = |offset: usize, value: &[u8], open: &[u8]| {
        // Offsets are those of the capability, whose first two bytes are its header.
        let at = offset.saturating_sub(2);
        for (place, byte) in body.iter_mut().skip(at).zip(value) {
            *place = *byte;
        }
        for (place, byte) in writable.iter_mut().skip(at).zip(open) {
            *place = *byte;
        }
    };
    put(0x02, &registers.capabilities.to_le_bytes(), &[]);
    put(0x04, &registers.device_capabilities.to_le_bytes(), &[]);
    put(0x08, &registers.device_control.to_le_bytes(), &[0xFF, 0x7F]);
    put(0x0C, &registers.link_capabilities.to_le_bytes(), &[]);
    put(0x10, &registers.link_control.to_le_bytes(), &[0xFF, 0x0F]);
    put(0x12, &registers.link_status.to_le_bytes(), &[]);
    put(0x24, &registers.device_capabilities_2.to_le_bytes(), &[]);
    put(0x28, &registers.device_control_2.to_le_bytes(), &[0xFF, 0xFF]);
    put(0x2C, &registers.link_capabilities_2.to_le_bytes(), &[]);
    put(0x30, &registers.link_control_2.to_le_bytes(), &[0xFF, 0xFF]);
    (ID_PCIE, body, writable)
}
