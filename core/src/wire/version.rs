//! Protocol versions.

use core::fmt;

/// A vPCI protocol version as it crosses the wire: major number in the high half, minor in the low half
/// (`reference/protocol.md` section 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// 1.0, Windows 8: the model before the config window. Recognised and refused.
    pub const V1_0: Version = Version(0x0001_0000);
    /// 1.1, Windows 10 / Server 2016: config window, at most 64 VPs.
    pub const V1_1: Version = Version(0x0001_0001);
    /// 1.2, RS1: more than 64 VPs, CREATE_INTERRUPT2, RESOURCES_ASSIGNED2.
    pub const V1_2: Version = Version(0x0001_0002);
    /// 1.3, Vibranium: BUS_RELATIONS2 with virtual NUMA nodes.
    pub const V1_3: Version = Version(0x0001_0003);
    /// 1.4, Server 2022: 32-bit vectors, CREATE_INTERRUPT3.
    pub const V1_4: Version = Version(0x0001_0004);
    /// 1.5: RESET_DEVICE.
    pub const V1_5: Version = Version(0x0001_0005);
    /// 1.6: dynamic interrupt mapping for Windows guests.
    pub const V1_6: Version = Version(0x0001_0006);

    /// Every version the core speaks, highest first: the order of negotiation.
    pub const SPOKEN: [Version; 6] =
        [Version::V1_6, Version::V1_5, Version::V1_4, Version::V1_3, Version::V1_2, Version::V1_1];

    /// The major number.
    pub const fn major(self) -> u16 {
        let [_, _, b2, b3] = self.0.to_le_bytes();
        u16::from_le_bytes([b2, b3])
    }

    /// The minor number.
    pub const fn minor(self) -> u16 {
        let [b0, b1, ..] = self.0.to_le_bytes();
        u16::from_le_bytes([b0, b1])
    }

    /// Whether the core speaks this version.
    pub fn is_spoken(self) -> bool {
        Version::SPOKEN.contains(&self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{self}")
    }
}
