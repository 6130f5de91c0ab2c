//! Protocol versions.

use core::fmt;

use super::{AssignedForm, CreateForm, RelationsForm};

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

    /// The message that assigns resources: the first form on 1.1, the second from 1.2 on. The third, which 1.4 added, is
    /// needed only for MSI resources with 32-bit vectors; Linux and FreeBSD stay with the second
    /// (`reference/protocol.md` section 2).
    pub fn assigned_form(self) -> AssignedForm {
        if self < Version::V1_2 { AssignedForm::V1 } else { AssignedForm::V2 }
    }

    /// The message that creates interrupts: the first form on 1.1, the second on 1.2 and 1.3, the third from 1.4 on.
    pub fn create_form(self) -> CreateForm {
        if self < Version::V1_2 {
            CreateForm::V1
        } else if self < Version::V1_4 {
            CreateForm::V2
        } else {
            CreateForm::V3
        }
    }

    /// The message in which the host lists the functions: the second form from 1.3 on. A guest takes both at any time.
    pub fn relations_form(self) -> RelationsForm {
        if self < Version::V1_3 { RelationsForm::V1 } else { RelationsForm::V2 }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `reference/protocol.md` section 2.
    #[test]
    fn each_version_uses_its_forms() {
        use {AssignedForm as A, CreateForm as C, RelationsForm as R};
        let table = [
            (Version::V1_1, A::V1, C::V1, R::V1),
            (Version::V1_2, A::V2, C::V2, R::V1),
            (Version::V1_3, A::V2, C::V2, R::V2),
            (Version::V1_4, A::V2, C::V3, R::V2),
            (Version::V1_5, A::V2, C::V3, R::V2),
            (Version::V1_6, A::V2, C::V3, R::V2),
        ];
        assert_eq!(table.len(), Version::SPOKEN.len());
        for (version, assigned, create, relations) in table {
            assert!(version.is_spoken());
            assert_eq!(
                (version.assigned_form(), version.create_form(), version.relations_form()),
                (assigned, create, relations),
                "{version}"
            );
        }
    }

    #[test]
    fn the_oldest_version_is_recognised_and_not_spoken() {
        assert_eq!((Version::V1_0.major(), Version::V1_0.minor()), (1, 0));
        assert_eq!(Version::V1_0.to_string(), "1.0");
        assert!(!Version::V1_0.is_spoken());
        assert!(!Version(0x0001_0007).is_spoken());
        assert!(!Version(0x0002_0001).is_spoken());
        assert!(Version::SPOKEN.is_sorted_by(|a, b| a > b));
    }
}
