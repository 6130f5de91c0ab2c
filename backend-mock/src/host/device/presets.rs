//! Devices ready to use.

use hvpci_core::Slot;
use hvpci_core::wire::FunctionDescription;

use super::{BarSpec, Capability, Device, PcieRegisters};
use crate::host::FunctionSpec;

impl FunctionSpec {
    /// The recorded function: OpenVMM's NVMe controller. The ids are those of its BUS_RELATIONS2, the registers those it
    /// answered config reads with; what no guest read (the pending-bit offset, the link width of unread fields) is chosen.
    pub fn nvme() -> FunctionSpec {
        let description = FunctionDescription {
            slot: Slot::ZERO,
            vendor: 0x1414,
            device: 0xC03E,
            revision: 0,
            prog_if: 0x02,
            sub_class: 0x08,
            base_class: 0x01,
            subsystem_vendor: 0,
            subsystem: 0,
            serial: 0x3F5A_E738,
            numa_node: None,
        };
        let device = Device::new(&description)
            .with_bar(BarSpec::wide(0, 64 << 10))
            .with_bar(BarSpec::wide(4, 4 << 10))
            .with_capability(&Capability::MsiX { vectors: 64, bar: 4, table: 0, pending: 0x400, function_mask: false })
            .with_capability(&Capability::PciExpress(PcieRegisters {
                capabilities: 0x0002,
                device_capabilities: 0x0000_8000,
                device_control: 0x2810,
                link_capabilities: 0x0040_0105,
                link_control: 0,
                link_status: 0x0105,
                device_capabilities_2: 0,
                device_control_2: 0,
                link_capabilities_2: 0x0000_003E,
                link_control_2: 0x0005,
            }));
        FunctionSpec::new(description, device)
    }

    /// A GPU: one 64-bit prefetchable BAR of `bar_size` bytes, power management without soft reset, six MSI-X vectors with
    /// their table at the start of the BAR, PCI Express with FLR.
    pub fn gpu(bar_size: u64) -> FunctionSpec {
        FunctionSpec::gpu_with_bars(&[BarSpec::wide(0, bar_size)])
    }

    /// The same, but D3hot to D0 resets it (No_Soft_Reset clear), and there is no other way to reset it.
    pub fn gpu_with_soft_reset(bar_size: u64) -> FunctionSpec {
        FunctionSpec::gpu_like(&[BarSpec::wide(0, bar_size)], false)
    }

    /// A GPU as [`FunctionSpec::gpu`], with 32 messages of plain MSI instead of MSI-X.
    pub fn gpu_with_msi(bar_size: u64) -> FunctionSpec {
        let description = FunctionSpec::gpu_with_bars(&[]).description;
        let device = Device::new(&description)
            .with_bar(BarSpec::wide(0, bar_size))
            .with_capability(&Capability::PowerManagement { no_soft_reset: true })
            .with_capability(&Capability::Msi { messages_log2: 5, is_64bit: true });
        FunctionSpec::new(description, device)
    }

    /// A GPU with other BARs. The MSI-X table lies at the start of the first BAR that is there.
    pub fn gpu_with_bars(bars: &[BarSpec]) -> FunctionSpec {
        FunctionSpec::gpu_like(bars, true)
    }

    fn gpu_like(bars: &[BarSpec], no_soft_reset: bool) -> FunctionSpec {
        let description = FunctionDescription {
            slot: Slot::ZERO,
            vendor: 0x10DE,
            device: 0x20B5,
            revision: 0xA1,
            prog_if: 0,
            sub_class: 0x02,
            base_class: 0x03,
            subsystem_vendor: 0x10DE,
            subsystem: 0x1533,
            serial: 0,
            numa_node: None,
        };
        let mut device = Device::new(&description);
        for bar in bars {
            device = device.with_bar(*bar);
        }
        device = device.with_capability(&Capability::PowerManagement { no_soft_reset });
        if let Some(first) = bars.first() {
            device = device.with_capability(&Capability::MsiX {
                vectors: 6,
                bar: first.register,
                table: 0,
                pending: 0x800,
                function_mask: true,
            });
        }
        let device = device.with_capability(&Capability::PciExpress(PcieRegisters {
            capabilities: 0x0002,
            // FLR beside what every function has
            device_capabilities: if no_soft_reset { 0x1000_8000 } else { 0x8000 },
            device_control: 0x2810,
            link_capabilities: 0x0040_0104,
            link_status: 0x0104,
            link_capabilities_2: 0x0000_001E,
            link_control_2: 0x0004,
            ..PcieRegisters::default()
        }));
        FunctionSpec::new(description, device)
    }
}
