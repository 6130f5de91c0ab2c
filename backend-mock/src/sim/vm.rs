//! From a scenario to a VM: the host with its functions, and a platform for each bus.

use std::sync::Arc;
use std::time::Duration;

use hvpci_core::bus::BusOptions;
use hvpci_core::config::ConfigOptions;
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::interrupt::Architecture;
use hvpci_core::{InstanceId, Slot};

use super::machine::Machine;
use super::platform::MockPlatform;
use super::run::SimError;
use crate::guest::GuestKind;
use crate::host::device::{BarSpec, Capability, Device, PcieRegisters};
use crate::host::{BusSpec, CostModel, FunctionSpec, HostOptions};
use crate::scenario::{Group, Scenario};

/// A VM with the scenario's buses, and the guest's side of each.
pub fn build(
    scenario: &Scenario,
    guest: GuestKind,
    policy: Policy,
) -> Result<(Machine, Vec<Arc<MockPlatform>>), SimError> {
    let plan = &scenario.host;
    let cost =
        CostModel { map_128_gib: plan.map_per_128g, parallel: plan.parallel, trap: plan.trap, message: plan.message };
    let patience = longest_map(scenario, &cost);
    let machine = Machine::new(HostOptions::default().with_versions(&plan.versions).with_cost(cost), guest);
    let mut platforms = Vec::new();
    for plan in scenario.buses() {
        let functions = (0..plan.functions).map(|n| function(plan.group, n, plan.first_function + n)).collect();
        let spec = BusSpec { instance: instance_of(plan.first_function), functions };
        let mut bus = BusOptions::new(guest.style(), Architecture::X86);
        bus.policy = policy;
        // 1.5 and 1.6 are opt-in: a host that accepts nothing else is the opting in.
        if let Some(lowest) = scenario.host.versions.iter().min().filter(|lowest| **lowest > bus.highest) {
            bus.highest = *lowest;
        }
        // This host is slow, not mute: in a VM of any size the last map is waited for.
        bus.deadlines.map = bus.deadlines.map.max(patience);
        bus.max_functions = u16::try_from(plan.functions).unwrap_or(256);
        // Room for one function: the pump makes more.
        let config = ConfigOptions { policy, style: guest.style(), ..ConfigOptions::default() };
        platforms.push(machine.add_bus(spec, bus, config)?);
    }
    Ok((machine, platforms))
}

/// What the host takes to map everything twice over, one after the other: longer than any map may have to wait.
fn longest_map(scenario: &Scenario, cost: &CostModel) -> Duration {
    let bytes = |group: &Group| group.bars.iter().map(|bar| bar.size).fold(0u64, u64::saturating_add);
    let time = |group: &Group| cost.map_time(bytes(group)).saturating_mul(group.functions);
    scenario.groups.iter().map(time).fold(Duration::ZERO, Duration::saturating_add).saturating_mul(2)
}

/// An instance GUID for the bus whose first function has this number: distinct PCI domains and serial numbers.
fn instance_of(number: u32) -> InstanceId {
    let [n0, n1, n2, n3] = number.wrapping_add(1).to_le_bytes();
    InstanceId::from_bytes([n0, n1, n2, n3, n0, n1, 0x81, 0x87, 0x85, 0x49, 0x40, 0xAB, 0xCF, 0x27, 0x14, 0xDF])
}

/// The `n`th function of a bus; `number` counts over the whole VM.
fn function(group: &Group, n: u32, number: u32) -> FunctionSpec {
    let slot = Slot::from_wire(n).unwrap_or(Slot::ZERO);
    let description = group.device.describe(slot, number.wrapping_add(1));
    let mut device = Device::new(&description);
    let mut register = 0;
    let mut first = None;
    for bar in &group.bars {
        let spec = BarSpec { register, size: bar.size, is_64bit: bar.is_64bit, prefetchable: bar.prefetchable };
        device = device.with_bar(spec);
        first.get_or_insert(register);
        register += if bar.is_64bit { 2 } else { 1 };
    }
    device = device.with_capability(&Capability::PowerManagement { no_soft_reset: true });
    if let Some(bar) = first {
        device = device.with_capability(&Capability::MsiX {
            vectors: 6,
            bar,
            table: 0,
            pending: 0x800,
            function_mask: true,
        });
    }
    let registers = PcieRegisters {
        capabilities: 0x0002,
        device_capabilities: 0x1000_8000,
        device_control: 0x2810,
        link_capabilities: 0x0040_0104,
        link_status: 0x0104,
        ..PcieRegisters::default()
    };
    FunctionSpec::new(description, device.with_capability(&Capability::PciExpress(registers)))
}

/// The policies under which a guest of this style may run.
pub fn check_pair(guest: GuestKind, policy: Policy) -> Result<(), SimError> {
    match (guest.style(), policy) {
        (GuestStyle::Messages, Policy::Eager | Policy::Absorbing | Policy::Prefetch) => {
            Err(SimError::Pair { guest, policy })
        }
        _ => Ok(()),
    }
}
