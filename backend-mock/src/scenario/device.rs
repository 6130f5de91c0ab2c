//! What a function is.

use hvpci_core::wire::FunctionDescription;

use super::bar::BarSpec;

/// The kinds of device a scenario knows. The kind decides the identity in config space, and the BARs where the scenario
/// gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// A passed-through accelerator with one huge BAR.
    Gpu,
    /// An NVMe controller as Azure passes it through.
    Nvme,
    /// A virtual function of a network card.
    Nic,
    /// Anything: the scenario gives the BARs.
    Custom,
}

/// Ids and class of a device kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Base class, sub-class, programming interface.
    pub class: [u8; 3],
}

impl DeviceKind {
    /// All kinds.
    pub const ALL: [DeviceKind; 4] = [DeviceKind::Gpu, DeviceKind::Nvme, DeviceKind::Nic, DeviceKind::Custom];

    /// The name scenarios use.
    pub const fn name(self) -> &'static str {
        match self {
            DeviceKind::Gpu => "gpu",
            DeviceKind::Nvme => "nvme",
            DeviceKind::Nic => "nic",
            DeviceKind::Custom => "custom",
        }
    }

    /// The kind called `name`.
    pub fn named(name: &str) -> Option<DeviceKind> {
        DeviceKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Ids and class code.
    pub const fn identity(self) -> Identity {
        match self {
            // A 3D controller.
            DeviceKind::Gpu => Identity { vendor: 0x10DE, device: 0x2330, class: [0x03, 0x02, 0x00] },
            DeviceKind::Nvme => Identity { vendor: 0x1414, device: 0xB111, class: [0x01, 0x08, 0x02] },
            DeviceKind::Nic => Identity { vendor: 0x15B3, device: 0x101A, class: [0x02, 0x00, 0x00] },
            // "Does not fit any class".
            DeviceKind::Custom => Identity { vendor: 0x1414, device: 0xFFFE, class: [0xFF, 0x00, 0x00] },
        }
    }

    /// The BARs where the scenario gives none; `None` where it must.
    pub fn default_bars(self) -> Option<Vec<BarSpec>> {
        let bar = |size, prefetchable| BarSpec { size, is_64bit: true, prefetchable };
        match self {
            DeviceKind::Gpu => Some(vec![bar(128 << 30, true)]),
            DeviceKind::Nvme => Some(vec![bar(16 << 10, false), bar(4 << 10, false)]),
            DeviceKind::Nic => Some(vec![bar(1 << 20, true)]),
            DeviceKind::Custom => None,
        }
    }

    /// The description the host gives of a function of this kind.
    pub const fn describe(self, slot: hvpci_core::Slot, serial: u32) -> FunctionDescription {
        let Identity { vendor, device, class: [base_class, sub_class, prog_if] } = self.identity();
        FunctionDescription {
            slot,
            vendor,
            device,
            revision: 0,
            prog_if,
            sub_class,
            base_class,
            subsystem_vendor: vendor,
            subsystem: 1,
            serial,
            numa_node: None,
        }
    }
}
