//! Messages in words. Decoded by offset from `reference/protocol.md` sections 3 and 5, and not by core's wire code, so that
//! what `show` says of a recording can be held against what the core makes of it.

use hvpci_core::backend::Width;
use hvpci_core::wire::Version;

use super::super::event::Packet;
use super::slot_name;
use super::values::digits;

/// What every message type starts from.
const BASE: u32 = 0x4249_0000;

/// `QUERY_PROTOCOL_VERSION` and the others whose fields are decoded, as numbers above [`BASE`].
mod id {
    pub const BUS_RELATIONS: u32 = 0x00;
    pub const POWER_STATE_CHANGE: u32 = 0x04;
    pub const RESOURCE_REQUIREMENTS: u32 = 0x05;
    pub const GET_RESOURCES: u32 = 0x06;
    pub const D0_ENTRY: u32 = 0x07;
    pub const READ_BLOCK: u32 = 0x09;
    pub const WRITE_BLOCK: u32 = 0x0A;
    pub const EJECT: u32 = 0x0B;
    pub const EJECTION_COMPLETE: u32 = 0x0F;
    pub const RESOURCES_ASSIGNED: u32 = 0x10;
    pub const RESOURCES_RELEASED: u32 = 0x11;
    pub const INVALIDATE_BLOCK: u32 = 0x12;
    pub const QUERY_PROTOCOL_VERSION: u32 = 0x13;
    pub const CREATE_INTERRUPT: u32 = 0x14;
    pub const DELETE_INTERRUPT: u32 = 0x15;
    pub const RESOURCES_ASSIGNED2: u32 = 0x16;
    pub const CREATE_INTERRUPT2: u32 = 0x17;
    pub const DELETE_INTERRUPT2: u32 = 0x18;
    pub const BUS_RELATIONS2: u32 = 0x19;
    pub const RESOURCES_ASSIGNED3: u32 = 0x1A;
    pub const CREATE_INTERRUPT3: u32 = 0x1B;
    pub const RESET_DEVICE: u32 = 0x1C;
    pub const TDISP_COMMAND: u32 = 0x1D;
}

/// Names by number above [`BASE`].
const NAMES: [&str; 0x1E] = [
    "BUS_RELATIONS",
    "QUERY_BUS_RELATIONS",
    "INVALIDATE_DEVICE",
    "INVALIDATE_BUS",
    "POWER_STATE_CHANGE",
    "QUERY_RESOURCE_REQUIREMENTS",
    "GET_RESOURCES",
    "FDO_D0ENTRY",
    "FDO_D0EXIT",
    "READ_BLOCK",
    "WRITE_BLOCK",
    "EJECT",
    "QUERY_STOP",
    "REENABLE",
    "QUERY_STOP_FAILED",
    "EJECTION_COMPLETE",
    "RESOURCES_ASSIGNED",
    "RESOURCES_RELEASED",
    "INVALIDATE_BLOCK",
    "QUERY_PROTOCOL_VERSION",
    "CREATE_INTERRUPT",
    "DELETE_INTERRUPT",
    "RESOURCES_ASSIGNED2",
    "CREATE_INTERRUPT2",
    "DELETE_INTERRUPT2",
    "BUS_RELATIONS2",
    "RESOURCES_ASSIGNED3",
    "CREATE_INTERRUPT3",
    "RESET_DEVICE",
    "TDISP_COMMAND",
];

/// The most functions of a relations list that are spelled out: more do not fit on a bus.
const MAX_FUNCTIONS: usize = 256;

/// The name of a request, from its message type; `None` if the recording does not show the request.
pub(super) fn request_name(message_type: Option<u32>) -> String {
    message_type.map_or_else(|| "a request that the recording does not show".to_owned(), type_name)
}

fn type_name(message_type: u32) -> String {
    let name = message_type.checked_sub(BASE).and_then(|number| NAMES.get(usize::try_from(number).ok()?));
    name.map_or_else(|| format!("message {message_type:#010x}"), |name| (*name).to_owned())
}

/// An in-band message, either way.
pub(super) fn message(packet: &Packet) -> String {
    let Some(message_type) = packet.u32_at(0) else {
        return format!("{} bytes, too short for a message", packet.payload.len());
    };
    let name = type_name(message_type);
    let fields = message_type.checked_sub(BASE).and_then(|number| fields(number, packet));
    let ask = if packet.descriptor.wants_completion() { "" } else { " (wants no completion)" };
    let ask = if packet.direction == super::Direction::GuestToHost { ask } else { "" };
    match fields {
        Some(text) if text.is_empty() => format!("{name}{ask}"),
        Some(text) => format!("{name}: {text}{ask}"),
        None => format!("{name}: {} bytes, fields not decoded{ask}", packet.payload.len()),
    }
}

/// The fields of an in-band message; `None` if it is of an unknown kind or shorter than its fields.
fn fields(number: u32, packet: &Packet) -> Option<String> {
    let slot = |offset: usize| packet.u32_at(offset).map(slot_name);
    Some(match number {
        id::QUERY_PROTOCOL_VERSION => format!("version {}?", Version(packet.u32_at(4)?)),
        id::BUS_RELATIONS => relations(packet, 20)?,
        id::BUS_RELATIONS2 => relations(packet, 28)?,
        id::D0_ENTRY => format!("config window at {:#x}", u64_at(packet, 8)?),
        id::POWER_STATE_CHANGE => format!("{} to {}", slot(4)?, power_state(packet.u32_at(8)?)),
        id::RESOURCE_REQUIREMENTS | id::GET_RESOURCES | id::EJECT | id::RESOURCES_RELEASED | id::RESET_DEVICE => {
            slot(4)?
        }
        id::EJECTION_COMPLETE => slot(4)?,
        id::RESOURCES_ASSIGNED | id::RESOURCES_ASSIGNED2 | id::RESOURCES_ASSIGNED3 => {
            format!("{}, {}, {} MSI(s)", slot(4)?, resources(packet, 8)?, packet.u32_at(128)?)
        }
        id::CREATE_INTERRUPT => {
            let (vector, count) = (u16_at(packet, 8)? & 0xFF, u16_at(packet, 10)?);
            format!("{}, vector {vector:#x}, {count} message(s), CPU mask {:#x}", slot(4)?, u64_at(packet, 16)?)
        }
        id::CREATE_INTERRUPT2 => {
            let (vector, count) = (u16_at(packet, 8)? & 0xFF, u16_at(packet, 10)?);
            format!("{}, vector {vector:#x}, {count} message(s), {}", slot(4)?, processors(packet, 12)?)
        }
        id::CREATE_INTERRUPT3 => {
            let (vector, count) = (packet.u32_at(8)?, u16_at(packet, 14)?);
            format!("{}, vector {vector:#x}, {count} message(s), {}", slot(4)?, processors(packet, 16)?)
        }
        id::DELETE_INTERRUPT | id::DELETE_INTERRUPT2 => format!("{}, {}", slot(4)?, interrupt(packet, 8)?),
        id::READ_BLOCK => format!("{}, block {}, {} bytes", slot(8)?, packet.u32_at(4)?, packet.u32_at(12)?),
        id::WRITE_BLOCK => format!("{}, block {}, {} bytes", slot(8)?, packet.u32_at(4)?, packet.u32_at(12)?),
        id::INVALIDATE_BLOCK => format!("{}, block mask {:#x}", slot(4)?, u64_at(packet, 8)?),
        id::TDISP_COMMAND => format!("{}, {} bytes", slot(4)?, u64_at(packet, 8)?),
        _ if usize::try_from(number).is_ok_and(|number| number < NAMES.len()) => String::new(),
        _ => return None,
    })
}

/// A completion, by the type of what it completes.
pub(super) fn reply(request: Option<u32>, packet: &Packet) -> String {
    let number = request.and_then(|message_type| message_type.checked_sub(BASE));
    if number == Some(id::GET_RESOURCES) {
        return resources(packet, 8).unwrap_or_else(|| "too short".to_owned());
    }
    let Some(status) = packet.u32_at(0) else {
        return format!("{} bytes, no status", packet.payload.len());
    };
    let text = status_name(status);
    let fields = number.filter(|_| succeeded(status)).and_then(|number| reply_fields(number, packet));
    match fields {
        Some(fields) => format!("{text}, {fields}"),
        None => text,
    }
}

fn reply_fields(number: u32, packet: &Packet) -> Option<String> {
    Some(match number {
        id::QUERY_PROTOCOL_VERSION => format!("the host's highest version is {}", Version(packet.u32_at(4)?)),
        id::RESOURCE_REQUIREMENTS => {
            let bars: Option<Vec<String>> =
                (0..6).map(|bar| Some(digits(Width::Dword, packet.u32_at(4 + bar * 4)?))).collect();
            format!("BARs probe as {}", bars?.join(" "))
        }
        id::POWER_STATE_CHANGE => power_state(packet.u32_at(8)?),
        id::RESOURCES_ASSIGNED | id::RESOURCES_ASSIGNED2 | id::RESOURCES_ASSIGNED3 => {
            format!("{}, {}", slot_name(packet.u32_at(4)?), resources(packet, 8)?)
        }
        id::CREATE_INTERRUPT | id::CREATE_INTERRUPT2 | id::CREATE_INTERRUPT3 => interrupt(packet, 8)?,
        id::READ_BLOCK => format!("{} bytes", packet.payload.len().saturating_sub(4)),
        _ => return None,
    })
}

/// The success test of section 4: the sign bit.
fn succeeded(status: u32) -> bool {
    status >> 31 == 0
}

fn status_name(status: u32) -> String {
    match status {
        0 => "success".to_owned(),
        0xC000_0059 => "REVISION_MISMATCH".to_owned(),
        0xC000_00BB => "NOT_SUPPORTED".to_owned(),
        0xC000_090B => "BAD_DATA".to_owned(),
        status if succeeded(status) => format!("success ({status:#010x})"),
        status => format!("failure {status:#010x}"),
    }
}

/// Windows's DEVICE_POWER_STATE.
fn power_state(state: u32) -> String {
    if (1..=4).contains(&state) { format!("D{}", state - 1) } else { format!("power state {state}") }
}

fn relations(packet: &Packet, size: usize) -> Option<String> {
    let count = usize::try_from(packet.u32_at(4)?).ok()?;
    let mut text = format!("{count} function(s)");
    for index in 0..count.min(MAX_FUNCTIONS) {
        let at = 8 + index * size;
        let Some(wslot) = packet.u32_at(at + 12).filter(|_| packet.payload.len() >= at + size) else {
            text.push_str("; the rest of the list is missing");
            break;
        };
        let (ids, class, serial) = (packet.u32_at(at)?, packet.u32_at(at + 4)?, packet.u32_at(at + 16)?);
        let (vendor, device) = (ids & 0xFFFF, ids >> 16);
        text.push_str(&format!(
            "; {} is {vendor:04x}:{device:04x} class {:06x} serial {serial:#x}",
            slot_name(wslot),
            class >> 8
        ));
        if size == 28 && packet.u32_at(at + 20)? & 1 != 0 {
            text.push_str(&format!(" NUMA node {}", u16_at(packet, at + 24)?));
        }
    }
    Some(text)
}

/// Six MMIO descriptors.
fn resources(packet: &Packet, offset: usize) -> Option<String> {
    let mut bars = Vec::new();
    for bar in 0..6 {
        let at = offset + bar * 20;
        let (head, length) = (packet.u32_at(at)?, packet.u32_at(at + 12)?);
        let large = match head >> 16 {
            flags if flags & 1 << 9 != 0 => 8,
            flags if flags & 1 << 10 != 0 => 16,
            flags if flags & 1 << 11 != 0 => 32,
            _ => 0,
        };
        if head & 0xFF != 0 {
            bars.push(format!("BAR{bar} at {:#x} for {:#x}", u64_at(packet, at + 4)?, u64::from(length) << large));
        }
    }
    Some(if bars.is_empty() { "no BARs given (they go through config space)".to_owned() } else { bars.join(", ") })
}

fn processors(packet: &Packet, offset: usize) -> Option<String> {
    let count = usize::from(u16_at(packet, offset)?);
    let list: Option<Vec<String>> =
        (0..count.min(32)).map(|index| Some(u16_at(packet, offset + 2 + index * 2)?.to_string())).collect();
    Some(format!("VP {}", list?.join(", ")))
}

fn interrupt(packet: &Packet, offset: usize) -> Option<String> {
    Some(format!(
        "address {:#x}, data {:#x}, {} message(s)",
        u64_at(packet, offset + 8)?,
        packet.u32_at(offset + 4)?,
        u16_at(packet, offset + 2)?
    ))
}

fn u16_at(packet: &Packet, offset: usize) -> Option<u16> {
    let bytes = packet.payload.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_at(packet: &Packet, offset: usize) -> Option<u64> {
    let (low, high) = (packet.u32_at(offset)?, packet.u32_at(offset.checked_add(4)?)?);
    Some(u64::from(high) << 32 | u64::from(low))
}
