//! BUS_RELATIONS and BUS_RELATIONS2.

use alloc::vec::Vec;

use hvpci_core::wire::{FunctionDescription, Version};

use super::{MessageType, Writer};

/// Flag of a BUS_RELATIONS2 entry: the NUMA node is valid.
const NUMA_NODE_VALID: u32 = 1 << 0;

/// The list a host of `version` sends for `functions`.
pub fn relations<'a>(
    version: Option<Version>,
    functions: impl ExactSizeIterator<Item = &'a FunctionDescription>,
) -> Vec<u8> {
    let second = version.is_some_and(|version| version >= Version::V1_3);
    let kind = if second { MessageType::BUS_RELATIONS2 } else { MessageType::BUS_RELATIONS };
    let mut packet = Writer::starting(kind.0).u32(u32::try_from(functions.len()).unwrap_or(u32::MAX));
    for function in functions {
        packet = packet
            .u16(function.vendor)
            .u16(function.device)
            .u8(function.revision)
            .u8(function.prog_if)
            .u8(function.sub_class)
            .u8(function.base_class)
            .u16(function.subsystem_vendor)
            .u16(function.subsystem)
            .u32(function.slot.to_wire())
            .u32(function.serial);
        if second {
            let flags = if function.numa_node.is_some() { NUMA_NODE_VALID } else { 0 };
            packet = packet.u32(flags).u16(function.numa_node.unwrap_or(0)).u16(0);
        }
    }
    packet.finish()
}
