//! One function of a bus.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hvpci_core::wire::FunctionDescription;
use hvpci_core::{Slot, Time};

use super::Interrupt;
use super::device::Device;

/// A function as a test wants it: what the host says of it and the hardware behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    /// What the relations say.
    pub description: FunctionDescription,
    /// The hardware.
    pub device: Device,
    /// The config blocks that exist, by number.
    pub blocks: BTreeMap<u32, Vec<u8>>,
}

impl FunctionSpec {
    /// A function without config blocks.
    pub fn new(description: FunctionDescription, device: Device) -> FunctionSpec {
        FunctionSpec { description, device, blocks: BTreeMap::new() }
    }

    /// The same at another slot.
    #[must_use]
    pub fn at(mut self, slot: Slot) -> FunctionSpec {
        self.description.slot = slot;
        self
    }

    /// The same with another serial number.
    #[must_use]
    pub fn with_serial(mut self, serial: u32) -> FunctionSpec {
        self.description.serial = serial;
        self
    }

    /// The same on a virtual NUMA node.
    #[must_use]
    pub fn on_node(mut self, node: u16) -> FunctionSpec {
        self.description.numa_node = Some(node);
        self
    }

    /// The same with a config block.
    #[must_use]
    pub fn with_block(mut self, block: u32, data: &[u8]) -> FunctionSpec {
        self.blocks.insert(block, data.to_vec());
        self
    }
}

/// What the host holds of a function, for a test to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionState {
    /// What the relations say.
    pub description: FunctionDescription,
    /// COMMAND.
    pub command: u16,
    /// Whether it decodes its BARs.
    pub decodes: bool,
    /// When its last map was or will be done.
    pub mapped_at: Time,
    /// The six BAR registers, attribute bits included.
    pub bars: [u32; 6],
    /// Whether its resources are assigned.
    pub assigned: bool,
    /// The last power state asked for (1 = D0 .. 4 = D3); 0 if none was.
    pub power_state: u32,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
    /// Whether the guest has been asked to give it back.
    pub ejecting: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) description: FunctionDescription,
    pub(super) device: Device,
    pub(super) blocks: BTreeMap<u32, Vec<u8>>,
    pub(super) assigned: bool,
    pub(super) power_state: u32,
    pub(super) interrupts: Vec<Interrupt>,
    /// When the map that is running, or ran last, is done.
    pub(super) mapped_at: Time,
    /// When the host loses patience over an EJECT.
    pub(super) eject_deadline: Option<Time>,
    /// The device does not answer: config reads are all ones.
    pub(super) gone: bool,
}

impl Function {
    pub(super) fn new(spec: FunctionSpec) -> Function {
        Function {
            description: spec.description,
            device: spec.device,
            blocks: spec.blocks,
            assigned: false,
            power_state: 0,
            interrupts: Vec::new(),
            mapped_at: Time::ZERO,
            eject_deadline: None,
            gone: false,
        }
    }

    pub(super) fn state(&self) -> FunctionState {
        FunctionState {
            description: self.description,
            command: self.device.command(),
            decodes: self.device.decodes(),
            mapped_at: self.mapped_at,
            bars: self.device.bar_values(),
            assigned: self.assigned,
            power_state: self.power_state,
            interrupts: self.interrupts.clone(),
            ejecting: self.eject_deadline.is_some(),
        }
    }
}
