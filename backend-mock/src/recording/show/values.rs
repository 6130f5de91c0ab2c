//! What register values mean.

use hvpci_core::backend::Width;

use super::registers::{Layout, MSI, MSI_X, PCI_EXPRESS, POWER_MANAGEMENT};

/// Bits of COMMAND (PCI Express Base 5.0 section 7.5.1.1.3).
const COMMAND_BITS: &[(u32, &str)] = &[
    (0, "I/O"),
    (1, "Memory"),
    (2, "Bus Master"),
    (3, "Special Cycle"),
    (4, "MWI"),
    (5, "VGA Snoop"),
    (6, "Parity Error Response"),
    (7, "Stepping"),
    (8, "SERR# Enable"),
    (9, "Fast Back-to-Back"),
    (10, "INTx Disable"),
];

/// Bits of Status (PCI Express Base 5.0 section 7.5.1.1.4).
const STATUS_BITS: &[(u32, &str)] = &[
    (0, "Immediate Readiness"),
    (3, "Interrupt"),
    (4, "Capabilities List"),
    (5, "66 MHz"),
    (7, "Fast Back-to-Back"),
    (8, "Master Data Parity Error"),
    (11, "Signaled Target Abort"),
    (12, "Received Target Abort"),
    (13, "Received Master Abort"),
    (14, "Signaled System Error"),
    (15, "Detected Parity Error"),
];

/// The value as a trace prints it.
pub(super) fn digits(width: Width, value: u32) -> String {
    format!("{value:0digits$x}", digits = usize::from(width.bytes()) * 2)
}

/// What a value read from a register says; empty where there is nothing to add to its digits.
pub(super) fn meaning(layout: &Layout, offset: u16, width: Width, value: u32) -> String {
    if width != Width::Byte && value == width.all_ones() && !(0x10..0x28).contains(&offset) {
        return "all ones: nothing answers".to_owned();
    }
    match (offset, width) {
        (0x00, Width::Dword) => format!("device {:04x}:{:04x}", value & 0xFFFF, value >> 16),
        (0x04, Width::Word) => bits(COMMAND_BITS, value),
        (0x04, Width::Dword) => {
            format!("COMMAND: {}; Status: {}", bits(COMMAND_BITS, value & 0xFFFF), bits(STATUS_BITS, value >> 16))
        }
        (0x06, Width::Word) => bits(STATUS_BITS, value),
        (0x0E, Width::Byte) => {
            let functions = if value & 0x80 == 0 { "single function" } else { "multi-function" };
            format!("type {}, {functions}", value & 0x7F)
        }
        (0x10..0x28, Width::Dword) => bar(value),
        (0x34, _) if value & 0xFF != 0 => format!("first capability at {:#04x}", value & 0xFF),
        (0x34, _) => "no capabilities".to_owned(),
        _ => capability(layout, offset, width, value),
    }
}

/// What a write of a value asks for.
pub(super) fn meaning_of_write(layout: &Layout, offset: u16, width: Width, value: u32) -> String {
    if (0x10..0x28).contains(&offset) && width == Width::Dword {
        return if value == u32::MAX { "sizing: all ones".to_owned() } else { String::new() };
    }
    if offset == 0x04 && width != Width::Byte {
        let command = bits(COMMAND_BITS, value & 0xFFFF);
        let cleared = bits(STATUS_BITS, value >> 16);
        return if value >> 16 == 0 { command } else { format!("COMMAND: {command}; Status, clears: {cleared}") };
    }
    if offset == 0x06 {
        return format!("clears: {}", bits(STATUS_BITS, value));
    }
    capability(layout, offset, width, value)
}

/// A BAR register; the upper half of a 64-bit BAR cannot be told from a lower half by its value, so only the attribute
/// bits of what looks like a lower half are named.
fn bar(value: u32) -> String {
    match value & 0xF {
        0xC => "64-bit prefetchable".to_owned(),
        0x4 => "64-bit".to_owned(),
        0x8 => "32-bit prefetchable".to_owned(),
        _ => String::new(),
    }
}

fn capability(layout: &Layout, offset: u16, width: Width, value: u32) -> String {
    let Some(capability) = layout.capability(offset) else {
        return if offset == 0x100 && value == 0 { "no extended capabilities".to_owned() } else { String::new() };
    };
    let within = offset - capability.at;
    if capability.extended {
        return match (within, width) {
            (0, Width::Dword) => format!(
                "id {:#06x} ({}), version {}, {}",
                value & 0xFFFF,
                capability.title(),
                (value >> 16) & 0xF,
                next(value >> 20)
            ),
            _ => String::new(),
        };
    }
    match (capability.id, within, width) {
        (_, 0, Width::Word | Width::Dword) => {
            format!("id {:#04x} ({}), {}", value & 0xFF, capability.title(), next((value >> 8) & 0xFF))
        }
        (MSI_X, 2, Width::Word) => {
            let state = if value & 1 << 15 == 0 { "off" } else { "enabled" };
            let mask = if value & 1 << 14 == 0 { "" } else { ", all masked" };
            format!("{state}{mask}, table of {}", (value & 0x7FF) + 1)
        }
        (MSI_X, 4 | 8, Width::Dword) => format!("BAR{} offset {:#x}", value & 7, value & !7),
        (MSI, 2, Width::Word) => {
            let state = if value & 1 == 0 { "off" } else { "enabled" };
            format!("{state}, {} of {} vectors", 1u32 << ((value >> 4) & 7), 1u32 << ((value >> 1) & 7))
        }
        (POWER_MANAGEMENT, 4, Width::Word) => format!("D{}", value & 3),
        (PCI_EXPRESS, 2, Width::Word) => {
            let kind = match (value >> 4) & 0xF {
                0 => "endpoint",
                1 => "legacy endpoint",
                9 => "root complex integrated endpoint",
                _ => "not an endpoint",
            };
            format!("version {}, {kind}", value & 0xF)
        }
        (PCI_EXPRESS, 4, Width::Dword) => {
            let flr = if value & 1 << 28 == 0 { "no function-level reset" } else { "function-level reset" };
            format!("max payload {} bytes, {flr}", 128u32 << (value & 7))
        }
        (PCI_EXPRESS, 8, Width::Word) => {
            let flr = if value & 1 << 15 == 0 { "" } else { ", FUNCTION-LEVEL RESET" };
            format!(
                "payload {}, read request {} bytes{flr}",
                128u32 << ((value >> 5) & 7),
                128u32 << ((value >> 12) & 7)
            )
        }
        (PCI_EXPRESS, 0x12, Width::Word) => format!("generation {}, x{}", value & 0xF, (value >> 4) & 0x3F),
        _ => String::new(),
    }
}

fn next(pointer: u32) -> String {
    if pointer == 0 { "last".to_owned() } else { format!("next at {pointer:#04x}") }
}

/// The names of the bits that are set.
fn bits(names: &[(u32, &str)], value: u32) -> String {
    let mut left = value;
    let mut set = Vec::new();
    for (bit, name) in names.iter().filter(|(bit, _)| value & 1 << bit != 0) {
        left &= !(1 << bit);
        set.push((*name).to_owned());
    }
    if left != 0 {
        set.push(format!("reserved {left:#x}"));
    }
    if set.is_empty() { "no bit set".to_owned() } else { set.join(", ") }
}
