//! Names of config registers.

use std::collections::BTreeMap;

use hvpci_core::backend::Width;

use super::super::event::{ChannelId, EventKind, Section};

/// A register: offset within its structure, bytes, name.
type Register = (u16, u16, &'static str);

/// The type-0 header (PCI Express Base 5.0 section 7.5.1.1 and 7.5.1.2).
const HEADER: &[Register] = &[
    (0x00, 2, "Vendor ID"),
    (0x02, 2, "Device ID"),
    (0x04, 2, "COMMAND"),
    (0x06, 2, "Status"),
    (0x08, 1, "Revision ID"),
    (0x09, 3, "Class Code"),
    (0x0C, 1, "Cache Line Size"),
    (0x0D, 1, "Latency Timer"),
    (0x0E, 1, "Header Type"),
    (0x0F, 1, "BIST"),
    (0x10, 4, "BAR0"),
    (0x14, 4, "BAR1"),
    (0x18, 4, "BAR2"),
    (0x1C, 4, "BAR3"),
    (0x20, 4, "BAR4"),
    (0x24, 4, "BAR5"),
    (0x28, 4, "CardBus CIS Pointer"),
    (0x2C, 2, "Subsystem Vendor ID"),
    (0x2E, 2, "Subsystem ID"),
    (0x30, 4, "Expansion ROM BAR"),
    (0x34, 1, "Capabilities Pointer"),
    (0x35, 7, "reserved"),
    (0x3C, 1, "Interrupt Line"),
    (0x3D, 1, "Interrupt Pin"),
    (0x3E, 1, "Min_Gnt"),
    (0x3F, 1, "Max_Lat"),
];

/// Capability ids that this module decodes (PCI Code and ID Assignment section 2).
pub(super) const POWER_MANAGEMENT: u16 = 0x01;
pub(super) const MSI: u16 = 0x05;
pub(super) const PCI_EXPRESS: u16 = 0x10;
pub(super) const MSI_X: u16 = 0x11;

/// PCI Express Base 5.0 section 7.5.2.
const POWER_MANAGEMENT_REGISTERS: &[Register] =
    &[(2, 2, "PM Capabilities"), (4, 2, "PM Control/Status"), (6, 1, "PM Bridge"), (7, 1, "PM Data")];
/// PCI Express Base 5.0 section 7.7.1; the place of Message Data depends on the 64-bit flag.
const MSI_REGISTERS: &[Register] = &[
    (2, 2, "MSI Message Control"),
    (4, 4, "MSI Message Address"),
    (8, 4, "MSI Upper Address or Data"),
    (12, 2, "MSI Data"),
];
/// PCI Express Base 5.0 section 7.7.2.
const MSI_X_REGISTERS: &[Register] =
    &[(2, 2, "MSI-X Message Control"), (4, 4, "MSI-X Table Offset/BIR"), (8, 4, "MSI-X PBA Offset/BIR")];
/// PCI Express Base 5.0 section 7.5.3.
const PCI_EXPRESS_REGISTERS: &[Register] = &[
    (0x02, 2, "PCIe Capabilities"),
    (0x04, 4, "PCIe Device Capabilities"),
    (0x08, 2, "PCIe Device Control"),
    (0x0A, 2, "PCIe Device Status"),
    (0x0C, 4, "PCIe Link Capabilities"),
    (0x10, 2, "PCIe Link Control"),
    (0x12, 2, "PCIe Link Status"),
    (0x14, 4, "PCIe Slot Capabilities"),
    (0x18, 2, "PCIe Slot Control"),
    (0x1A, 2, "PCIe Slot Status"),
    (0x1C, 2, "PCIe Root Control"),
    (0x1E, 2, "PCIe Root Capabilities"),
    (0x20, 4, "PCIe Root Status"),
    (0x24, 4, "PCIe Device Capabilities 2"),
    (0x28, 2, "PCIe Device Control 2"),
    (0x2A, 2, "PCIe Device Status 2"),
    (0x2C, 4, "PCIe Link Capabilities 2"),
    (0x30, 2, "PCIe Link Control 2"),
    (0x32, 2, "PCIe Link Status 2"),
    (0x34, 4, "PCIe Slot Capabilities 2"),
    (0x38, 2, "PCIe Slot Control 2"),
    (0x3A, 2, "PCIe Slot Status 2"),
];
/// Advanced Features (PCI Express Base 5.0 section 7.9.22).
const ADVANCED_FEATURES_REGISTERS: &[Register] =
    &[(2, 1, "AF Length"), (3, 1, "AF Capabilities"), (4, 1, "AF Control"), (5, 1, "AF Status")];

/// Where PCI-compatible config space ends and extended capabilities begin.
const EXTENDED: u16 = 0x100;
/// A chain longer than what fits in config space is a loop: 48 capabilities below 0x100, 960 above.
const MAX_CAPABILITIES: usize = 1008;

/// One capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    /// Where its header stands.
    pub(super) at: u16,
    /// Its id; an extended capability's is another number space.
    pub(super) id: u16,
    /// Whether it is an extended capability.
    pub(super) extended: bool,
    /// Where the next one in address order, or config space, ends it.
    end: u16,
}

/// What a recording shows of the layout of one function's config space.
#[derive(Debug, Default)]
pub(super) struct Layout {
    capabilities: Vec<Capability>,
}

/// The layout of a function of which nothing is known: the header.
pub(super) static UNKNOWN: Layout = Layout { capabilities: Vec::new() };

impl Layout {
    /// Learns the layouts of all functions from what a section's reads returned.
    pub(super) fn learn(section: &Section) -> BTreeMap<(ChannelId, u32), Layout> {
        let mut selected: BTreeMap<ChannelId, u32> = BTreeMap::new();
        let mut images: BTreeMap<(ChannelId, u32), BTreeMap<u16, u8>> = BTreeMap::new();
        for event in &section.events {
            match &event.kind {
                EventKind::Select { channel, value } => {
                    selected.insert(*channel, *value);
                }
                EventKind::ConfigRead(read) if read.value != read.width.all_ones() => {
                    let slot = selected.get(&read.channel).copied().unwrap_or(0);
                    let image = images.entry((read.channel, slot)).or_default();
                    for (offset, byte) in (read.offset..read.offset + read.width.bytes()).zip(read.value.to_le_bytes())
                    {
                        image.insert(offset, byte);
                    }
                }
                _ => {}
            }
        }
        images.into_iter().map(|(function, image)| (function, Layout::walk(&image))).collect()
    }

    /// Follows both chains through the bytes that are known.
    fn walk(image: &BTreeMap<u16, u8>) -> Layout {
        let byte = |offset: u16| image.get(&offset).copied();
        let mut capabilities: Vec<Capability> = Vec::new();
        let mut next = byte(0x34).map(|pointer| u16::from(pointer & 0xFC));
        while let Some(at) = next.filter(|&at| at >= 0x40 && capabilities.len() < MAX_CAPABILITIES) {
            let Some(id) = byte(at).filter(|_| !capabilities.iter().any(|capability| capability.at == at)) else {
                break;
            };
            capabilities.push(Capability { at, id: u16::from(id), extended: false, end: EXTENDED });
            next = byte(at + 1).map(|pointer| u16::from(pointer & 0xFC));
        }
        let mut next = Some(EXTENDED);
        while let Some(at) = next.filter(|&at| at >= EXTENDED && capabilities.len() < MAX_CAPABILITIES) {
            let header: Option<Vec<u8>> = (at..at.saturating_add(4)).map(byte).collect();
            let Some(&[b0, b1, b2, b3]) = header.as_deref() else { break };
            let id = u16::from_le_bytes([b0, b1]);
            if (id == 0 && b2 == 0 && b3 == 0) || capabilities.iter().any(|capability| capability.at == at) {
                break;
            }
            capabilities.push(Capability { at, id, extended: true, end: 0x1000 });
            next = Some((u16::from_le_bytes([b2, b3]) >> 4) & 0xFFC);
        }
        let starts: Vec<u16> = capabilities.iter().map(|capability| capability.at).collect();
        for capability in &mut capabilities {
            let following = starts.iter().copied().filter(|&start| start > capability.at).min();
            capability.end = capability.end.min(following.unwrap_or(capability.end));
        }
        Layout { capabilities }
    }

    /// The capability that holds `offset`, where one is known to.
    pub(super) fn capability(&self, offset: u16) -> Option<&Capability> {
        self.capabilities.iter().find(|capability| (capability.at..capability.end).contains(&offset))
    }

    /// The names of the registers that an access touches.
    pub(super) fn name(&self, offset: u16, width: Width) -> String {
        let end = offset + width.bytes();
        if offset < 0x40 {
            return registers(HEADER, 0, offset, end).unwrap_or_else(|| format!("{offset:#05x}"));
        }
        let Some(capability) = self.capability(offset) else {
            return match offset {
                EXTENDED => "extended capability list".to_owned(),
                _ => format!("{offset:#05x}"),
            };
        };
        let title = capability.title();
        let within = offset - capability.at;
        if within == 0 {
            return format!("{title} header");
        }
        let named = registers(capability.registers(), capability.at, offset, end);
        named.unwrap_or_else(|| format!("{title} +{within:#x}"))
    }
}

impl Capability {
    /// The capability's name.
    pub(super) fn title(&self) -> String {
        let name = match (self.extended, self.id) {
            (false, POWER_MANAGEMENT) => "Power Management",
            (false, 0x03) => "Vital Product Data",
            (false, MSI) => "MSI",
            (false, 0x09) => "Vendor-Specific",
            (false, PCI_EXPRESS) => "PCI Express",
            (false, MSI_X) => "MSI-X",
            (false, 0x13) => "Advanced Features",
            (false, 0x14) => "Enhanced Allocation",
            (true, 0x0001) => "Advanced Error Reporting",
            (true, 0x0003) => "Device Serial Number",
            (true, 0x000B) => "Vendor-Specific Extended",
            (true, 0x000D) => "Access Control Services",
            (true, 0x000E) => "ARI",
            (true, 0x000F) => "Address Translation Services",
            (true, 0x0010) => "SR-IOV",
            (true, 0x0013) => "Page Request Interface",
            (true, 0x0015) => "Resizable BAR",
            (true, 0x0018) => "Latency Tolerance Reporting",
            (true, 0x0019) => "Secondary PCI Express",
            (true, 0x001B) => "PASID",
            (true, 0x001E) => "L1 PM Substates",
            (false, id) => return format!("capability {id:#04x}"),
            (true, id) => return format!("extended capability {id:#06x}"),
        };
        name.to_owned()
    }

    fn registers(&self) -> &'static [Register] {
        match (self.extended, self.id) {
            (false, POWER_MANAGEMENT) => POWER_MANAGEMENT_REGISTERS,
            (false, MSI) => MSI_REGISTERS,
            (false, PCI_EXPRESS) => PCI_EXPRESS_REGISTERS,
            (false, MSI_X) => MSI_X_REGISTERS,
            (false, 0x13) => ADVANCED_FEATURES_REGISTERS,
            _ => &[],
        }
    }
}

/// The names of the registers of a structure at `base` that lie within an access, joined; `None` if it touches none.
fn registers(table: &[Register], base: u16, offset: u16, end: u16) -> Option<String> {
    let touched = table.iter().filter(|(at, size, _)| base + at < end && base + at + size > offset);
    let names: Vec<&str> = touched.map(|(_, _, name)| *name).collect();
    if names.is_empty() { None } else { Some(names.join(" + ")) }
}
