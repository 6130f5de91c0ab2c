//! The two ways a guest tells the host of BARs and decode.

use core::fmt;

/// How a decision of the policy reaches the host (`reference/protocol.md` section 6). The policy itself is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GuestStyle {
    /// BARs and COMMAND.Memory are written through the config window: Linux, FreeBSD.
    #[default]
    ConfigSpace,
    /// BARs go by RESOURCES_ASSIGNED descriptors, decode by POWER_STATE_CHANGE: Windows, UEFI.
    Messages,
}

impl GuestStyle {
    /// The name used in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            GuestStyle::ConfigSpace => "config-space",
            GuestStyle::Messages => "messages",
        }
    }
}

impl fmt::Display for GuestStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
