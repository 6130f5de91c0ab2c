//! The buses and devices a test starts with.

use alloc::vec::Vec;
use core::time::Duration;

use hvpci_core::wire::Version;
use hvpci_core::{InstanceId, Slot};
use hvpci_mock::host::{BusSpec, CostModel, FunctionSpec, Host, HostOptions};

/// The module's parameters, as the C side has them.
#[repr(C)]
pub struct Scene {
    /// How many buses.
    pub buses: u32,
    /// How many functions each has.
    pub functions: u32,
    /// The size of a GPU's BAR.
    pub bar_gb: u32,
    /// 0 GPU, 1 NVMe, 2 both in turn, 3 a GPU that D3hot resets, 4 a GPU with MSI instead of MSI-X.
    pub device: u32,
    /// Memory decode and BARs as a previous kernel left them.
    pub leftover: u32,
    /// The time to map 128 GiB.
    pub map_ms: u32,
    /// How many maps run at once.
    pub parallel: u32,
    /// The time of a config access.
    pub trap_us: u32,
    /// The time of a message round trip.
    pub message_us: u32,
    /// The highest minor version the host accepts; 0 for all it knows.
    pub highest_minor: u32,
    /// All buses ask for the same PCI domain.
    pub twins: u32,
    /// The virtual NUMA node of all functions, plus 1; 0 when they have none.
    pub node: u32,
}

/// Where leftover BARs are made to lie, 32 TiB up: no kernel of the tests puts anything there.
const LEFTOVER_BASE: u64 = 0x2000_0000_0000;

/// The config block every function has, for drivers that read one in their probe.
pub const BLOCK: u32 = 7;

pub fn build(scene: &Scene) -> Host {
    let cost = CostModel {
        map_128_gib: Duration::from_millis(scene.map_ms.into()),
        parallel: scene.parallel,
        trap: Duration::from_micros(scene.trap_us.into()),
        message: Duration::from_micros(scene.message_us.into()),
    };
    let mut options = HostOptions::default().with_cost(cost);
    let highest = scene.highest_minor;
    if highest != 0 {
        let keep = |version: &Version| u32::from(version.minor()) <= highest;
        let versions: Vec<Version> = options.versions.iter().copied().filter(keep).collect();
        options = options.with_versions(&versions);
    }
    let mut host = Host::new(options);
    for bus in 0..scene.buses {
        let instance = instance(bus, scene.twins != 0);
        let functions = (0..scene.functions.clamp(1, 256)).filter_map(|at| {
            let slot = Slot::new((at % 32) as u8, (at / 32) as u8)?;
            let kind = if scene.device == 2 { (bus + at) % 2 } else { scene.device };
            let function = function(kind, scene.bar_gb).at(slot).with_serial(instance.first_dword() + at);
            Some(if scene.node == 0 { function } else { function.on_node((scene.node - 1) as u16) })
        });
        let spec = BusSpec { instance, functions: functions.collect() };
        let id = host.add_bus(spec);
        if scene.leftover != 0 {
            leave_over(&mut host, id, bus);
        }
    }
    host
}

/// Decode on and the first BAR set, in every function of a bus.
pub fn leave_over(host: &mut Host, id: hvpci_mock::host::BusId, bus: u32) {
    for (at, slot) in host.slots(id).into_iter().enumerate() {
        let place = u64::from(bus) * 8 + at as u64;
        host.set_leftover(id, slot, true, &[(0, LEFTOVER_BASE + (place << 37))]);
    }
}

/// A GPU, an NVMe controller or a GPU that D3hot resets, with one config block.
pub fn function(kind: u32, bar_gb: u32) -> FunctionSpec {
    let bar = u64::from(bar_gb.clamp(1, 1024)) << 30;
    let function = match kind {
        1 => FunctionSpec::nvme(),
        3 => FunctionSpec::gpu_with_soft_reset(bar),
        4 => FunctionSpec::gpu_with_msi(bar),
        _ => FunctionSpec::gpu(bar),
    };
    function.with_block(BLOCK, b"hvpci test block")
}

/// GUIDs that differ in the first dword, the device id and, except for twins, the domain number.
fn instance(bus: u32, twins: bool) -> InstanceId {
    let [b0, b1, ..] = (bus + 1).to_le_bytes();
    InstanceId::from_bytes([
        b0,
        b1,
        0x76,
        0x70,
        if twins { 1 } else { b0 },
        0x10 + b1,
        0x81,
        if twins { b0 } else { 0x87 },
        0x85,
        0x49,
        0x40,
        0xAB,
        0xCF,
        0x27,
        0x14,
        0xDF,
    ])
}
