//! How a function is named to the PnP manager: the strings of Windows' own PCI bus driver, from "Identifiers for PCI
//! Devices" and "PCI Multifunction devices" of the Windows driver documentation.

use core::fmt::{self, Write};

use hvpci_core::wire::FunctionDescription;

/// The longest identifier, in UTF-16 units.
pub const MAX_ID: usize = 64;

/// A short string in UTF-16, without a terminator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Id(arrayvec::ArrayVec<u16, MAX_ID>);

impl Id {
    /// The units.
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    fn new(text: fmt::Arguments<'_>) -> Id {
        let mut id = Id::default();
        // Every string below is shorter than MAX_ID, which a test holds.
        let _ = id.write_fmt(text);
        id
    }
}

impl Write for Id {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for unit in text.encode_utf16() {
            self.0.try_push(unit).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}

/// The identifiers of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids<'a>(pub &'a FunctionDescription);

/// How many hardware ids a function has.
pub const HARDWARE_IDS: usize = 4;
/// How many compatible ids a function has.
pub const COMPATIBLE_IDS: usize = 7;

impl Ids<'_> {
    /// The device id, which is the first hardware id.
    pub fn device(&self) -> Id {
        let f = self.0;
        Id::new(format_args!(
            "PCI\\VEN_{:04X}&DEV_{:04X}&SUBSYS_{:04X}{:04X}&REV_{:02X}",
            f.vendor, f.device, f.subsystem, f.subsystem_vendor, f.revision
        ))
    }

    /// The hardware ids, the most specific first.
    pub fn hardware(&self) -> [Id; HARDWARE_IDS] {
        let f = self.0;
        let device = format_args!("PCI\\VEN_{:04X}&DEV_{:04X}", f.vendor, f.device).to_id();
        [
            self.device(),
            format_args!("{device}&SUBSYS_{:04X}{:04X}", f.subsystem, f.subsystem_vendor).to_id(),
            format_args!("{device}&CC_{}", Class(f, true)).to_id(),
            format_args!("{device}&CC_{}", Class(f, false)).to_id(),
        ]
    }

    /// The compatible ids, the most specific first.
    pub fn compatible(&self) -> [Id; COMPATIBLE_IDS] {
        let f = self.0;
        let vendor = format_args!("PCI\\VEN_{:04X}", f.vendor).to_id();
        [
            format_args!("{vendor}&DEV_{:04X}&REV_{:02X}", f.device, f.revision).to_id(),
            format_args!("{vendor}&DEV_{:04X}", f.device).to_id(),
            format_args!("{vendor}&CC_{}", Class(f, true)).to_id(),
            format_args!("{vendor}&CC_{}", Class(f, false)).to_id(),
            vendor,
            format_args!("PCI\\CC_{}", Class(f, true)).to_id(),
            format_args!("PCI\\CC_{}", Class(f, false)).to_id(),
        ]
    }

    /// The instance id, unique on this bus: the serial number, which stays with the device, and the slot. The PnP manager
    /// prefixes it for the parent, since the device does not claim `UniqueID`.
    pub fn instance(&self) -> Id {
        Id::new(format_args!("{:08X}{:02X}", self.0.serial, self.0.slot.to_wire()))
    }

    /// The location, as Windows' PCI bus driver words it.
    pub fn location(&self, bus: u32) -> Id {
        let slot = self.0.slot;
        Id::new(format_args!("PCI bus {bus}, device {}, function {}", slot.device(), slot.function()))
    }

    /// What the device is called before a driver is installed.
    pub fn description(&self) -> Id {
        let name = match (self.0.base_class, self.0.sub_class) {
            (0x01, _) => "PCI Storage Controller",
            (0x02, 0x00) => "Ethernet Controller",
            (0x02, _) => "Network Controller",
            (0x03, 0x00) => "Video Controller (VGA Compatible)",
            (0x03, 0x02) => "3D Video Controller",
            (0x03, _) => "Video Controller",
            (0x12, _) => "Processing Accelerator",
            _ => "PCI Device",
        };
        Id::new(format_args!("{name}"))
    }

    /// The address of `DEVICE_CAPABILITIES`: the device in the upper, the function in the lower word.
    pub fn address(&self) -> u32 {
        let slot = self.0.slot;
        u32::from(slot.device()) << 16 | u32::from(slot.function())
    }
}

/// A class code, with (`true`) or without the programming interface.
struct Class<'a>(&'a FunctionDescription, bool);

impl fmt::Display for Class<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}{:02X}", self.0.base_class, self.0.sub_class)?;
        if self.1 { write!(f, "{:02X}", self.0.prog_if) } else { Ok(()) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        char::decode_utf16(self.0.iter().copied())
            .try_for_each(|unit| f.write_char(unit.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}

trait ToId {
    fn to_id(self) -> Id;
}

impl ToId for fmt::Arguments<'_> {
    fn to_id(self) -> Id {
        Id::new(self)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use hvpci_core::Slot;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn gpu() -> FunctionDescription {
        FunctionDescription {
            slot: Slot::new(2, 1).unwrap(),
            vendor: 0x10DE,
            device: 0x2330,
            revision: 0xA1,
            prog_if: 0,
            sub_class: 2,
            base_class: 3,
            subsystem_vendor: 0x10DE,
            subsystem: 0x16C1,
            serial: 0xDEAD_BEEF,
            numa_node: None,
        }
    }

    fn text(ids: &[Id]) -> Vec<String> {
        ids.iter().map(Id::to_string).collect()
    }

    #[test]
    fn the_ids_are_those_of_the_windows_pci_bus() {
        let gpu = gpu();
        let ids = Ids(&gpu);
        assert_eq!(ids.device().to_string(), "PCI\\VEN_10DE&DEV_2330&SUBSYS_16C110DE&REV_A1");
        assert_eq!(
            text(&ids.hardware()),
            [
                "PCI\\VEN_10DE&DEV_2330&SUBSYS_16C110DE&REV_A1",
                "PCI\\VEN_10DE&DEV_2330&SUBSYS_16C110DE",
                "PCI\\VEN_10DE&DEV_2330&CC_030200",
                "PCI\\VEN_10DE&DEV_2330&CC_0302",
            ]
        );
        assert_eq!(
            text(&ids.compatible()),
            [
                "PCI\\VEN_10DE&DEV_2330&REV_A1",
                "PCI\\VEN_10DE&DEV_2330",
                "PCI\\VEN_10DE&CC_030200",
                "PCI\\VEN_10DE&CC_0302",
                "PCI\\VEN_10DE",
                "PCI\\CC_030200",
                "PCI\\CC_0302",
            ]
        );
        assert_eq!(ids.instance().to_string(), "DEADBEEF22");
        assert_eq!(ids.location(0).to_string(), "PCI bus 0, device 2, function 1");
        assert_eq!(ids.description().to_string(), "3D Video Controller");
        assert_eq!(ids.address(), 0x0002_0001);
    }

    #[test]
    fn nothing_is_cut_off() {
        let mut longest = gpu();
        longest.slot = Slot::new(31, 7).unwrap();
        let ids = Ids(&longest);
        assert!(ids.location(u32::MAX).to_string().ends_with("function 7"));
        for (base_class, sub_class) in [(0, 0), (1, 0), (2, 0), (2, 1), (3, 0), (3, 2), (3, 9), (0x12, 0)] {
            let description = FunctionDescription { base_class, sub_class, ..longest };
            assert!(Ids(&description).description().units().len() < MAX_ID);
        }
    }
}
