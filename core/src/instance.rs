//! The GUID of a bus instance and the numbers derived from it.

use core::fmt;
use core::str::FromStr;

use crate::Slot;

/// A GUID in memory order: the first three fields little-endian, as VMBus offers carry it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId([u8; 16]);

/// The VMBus class GUID of vPCI channels, {44C4F61D-4444-4400-9D52-802E27EDE19F} (`reference/protocol.md` section 0).
pub const VPCI_CLASS: InstanceId =
    InstanceId([0x1D, 0xF6, 0xC4, 0x44, 0x44, 0x44, 0x00, 0x44, 0x9D, 0x52, 0x80, 0x2E, 0x27, 0xED, 0xE1, 0x9F]);

impl InstanceId {
    /// A GUID from its 16 bytes in memory order.
    pub const fn from_bytes(bytes: [u8; 16]) -> InstanceId {
        InstanceId(bytes)
    }

    /// The 16 bytes in memory order.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The PCI domain (segment) number this instance asks for: bytes 4 and 5, little-endian
    /// (`reference/protocol.md` section 8, pci-hyperv's `hv_pci_probe`). Domain 0 is the platform's own and is never
    /// asked for: `None` then. A platform that finds the number taken picks another from 1 to 0xFFFF.
    pub const fn preferred_domain(self) -> Option<u16> {
        let [_, _, _, _, b4, b5, ..] = self.0;
        match u16::from_le_bytes([b4, b5]) {
            0 => None,
            domain => Some(domain),
        }
    }

    /// The logical device id that the interrupt-retarget hypercall wants for a function of this bus
    /// (`reference/protocol.md` section 9, pci-hyperv's `hv_build_logical_dev_id`).
    pub const fn logical_device_id(self, slot: Slot) -> u64 {
        let [_, _, _, _, b4, b5, b6, b7, ..] = self.0;
        ((b5 as u64) << 24) | ((b4 as u64) << 16) | ((b7 as u64) << 8) | ((b6 & 0xF8) as u64) | (slot.function() as u64)
    }

    /// The first dword, which OpenVMM uses as the function's serial number and traces print as the channel's name.
    pub const fn first_dword(self) -> u32 {
        let [b0, b1, b2, b3, ..] = self.0;
        u32::from_le_bytes([b0, b1, b2, b3])
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, e0, e1, e2, e3, e4, e5] = self.0;
        write!(
            f,
            "{a3:02x}{a2:02x}{a1:02x}{a0:02x}-{b1:02x}{b0:02x}-{c1:02x}{c0:02x}-{d0:02x}{d1:02x}-\
             {e0:02x}{e1:02x}{e2:02x}{e3:02x}{e4:02x}{e5:02x}"
        )
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// Why a text is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a GUID looks like 3f5ae738-5c79-8781-8549-40abcf2714df")]
pub struct ParseInstanceError;

impl FromStr for InstanceId {
    type Err = ParseInstanceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let mut fields = text.split('-');
        let mut field = |digits: usize| {
            let f = fields.next().filter(|f| f.len() == digits && f.bytes().all(|b| b.is_ascii_hexdigit()));
            f.and_then(|f| u64::from_str_radix(f, 16).ok()).ok_or(ParseInstanceError)
        };
        let (a, b, c, d, e) = (field(8)?, field(4)?, field(4)?, field(4)?, field(12)?);
        if fields.next().is_some() {
            return Err(ParseInstanceError);
        }
        let [a3, a2, a1, a0] = low_bytes(a);
        let [_, _, b1, b0] = low_bytes(b);
        let [_, _, c1, c0] = low_bytes(c);
        let [_, _, d0, d1] = low_bytes(d);
        let [_, _, e0, e1, e2, e3, e4, e5] = e.to_be_bytes();
        Ok(InstanceId([a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, e0, e1, e2, e3, e4, e5]))
    }
}

/// The low four bytes, most significant first.
fn low_bytes(value: u64) -> [u8; 4] {
    let [_, _, _, _, b3, b2, b1, b0] = value.to_be_bytes();
    [b3, b2, b1, b0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_instance_gives_the_recorded_device_id() {
        // shared/data: instance and the devid of its HVCALL RETARGET_INTERRUPT lines.
        let id: InstanceId = "3f5ae738-5c79-8781-8549-40abcf2714df".parse().unwrap();
        assert_eq!(id.logical_device_id(Slot::ZERO), 0x5C79_8780);
        assert_eq!(id.first_dword(), 0x3F5A_E738);
        assert_eq!(id.preferred_domain(), Some(0x5C79));
        assert_eq!(id.to_string(), "3f5ae738-5c79-8781-8549-40abcf2714df");
        assert_eq!(id.logical_device_id(Slot::new(0, 5).unwrap()), 0x5C79_8785);
    }

    #[test]
    fn the_class_guid_reads_as_documented() {
        assert_eq!(VPCI_CLASS, "{44C4F61D-4444-4400-9D52-802E27EDE19F}".parse().unwrap());
    }

    #[test]
    fn what_is_not_a_guid_is_refused() {
        for text in [
            "",
            "3f5ae738",
            "3f5ae738-5c79-8781-8549-40abcf2714d",
            "+f5ae738-5c79-8781-8549-40abcf2714df",
            "3f5ae738-5c79-8781-8549-40abcf2714df-00",
        ] {
            assert_eq!(text.parse::<InstanceId>(), Err(ParseInstanceError), "{text}");
        }
    }
}
