//! Which guest kernel is modelled.

use core::fmt;
use core::str::FromStr;

pub use hvpci_core::decode::GuestStyle;

/// A guest kernel whose PCI core is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuestKind {
    /// Linux 5.18, the last release before deferred decode. Its PCI core makes the accesses of 6.1; what made it pay 8
    /// maps was pci-hyperv setting decode at bootstrap, which is the Eager policy and no part of a guest model.
    Linux518,
    /// Linux 6.1: recorded.
    Linux61,
    /// Linux 6.12 with the fixes of its stable releases (6.12.117): recorded.
    Linux612,
    /// Linux with batched BAR sizing: decode is switched off once for all BARs (commit 4453f360862e, after 6.12).
    LinuxBatched,
    /// Windows: resources and power by message. Inferred from public text and from UEFI's driver; not recorded.
    Windows,
}

impl GuestKind {
    /// All kinds, oldest Linux first.
    pub const ALL: [GuestKind; 5] =
        [GuestKind::Linux518, GuestKind::Linux61, GuestKind::Linux612, GuestKind::LinuxBatched, GuestKind::Windows];

    /// The name used on command lines, in scenarios and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            GuestKind::Linux518 => "linux-5.18",
            GuestKind::Linux61 => "linux-6.1",
            GuestKind::Linux612 => "linux-6.12",
            GuestKind::LinuxBatched => "linux-batched",
            GuestKind::Windows => "windows",
        }
    }

    /// One line that says what is special about it.
    pub const fn description(self) -> &'static str {
        match self {
            GuestKind::Linux518 => {
                "sizes each BAR with decode switched off around it; the last kernel before deferred decode"
            }
            GuestKind::Linux61 => "sizes each BAR with decode switched off around it, where it was on",
            GuestKind::Linux612 => "as linux-6.1, and saves config space when a function is added",
            GuestKind::LinuxBatched => "as linux-6.12, with decode switched off once around the sizing of all BARs",
            GuestKind::Windows => "assigns BARs and powers functions by message; config space is only read",
        }
    }

    /// How the guest reaches the host.
    pub const fn style(self) -> GuestStyle {
        match self {
            GuestKind::Windows => GuestStyle::Messages,
            _ => GuestStyle::ConfigSpace,
        }
    }

    /// Whether decode is switched off once around the sizing of all BARs (`pci_read_bases` of commit 4453f360862e).
    pub(super) const fn sizes_in_one_batch(self) -> bool {
        matches!(self, GuestKind::LinuxBatched)
    }

    /// Whether the accesses that came between 6.1 and 6.12.117 are made: link capabilities read while the PCIe
    /// capability is found, a save buffer for L1SS, the DOE lookup, config space saved by `pci_bus_add_device`.
    pub(super) const fn is_6_12_or_later(self) -> bool {
        matches!(self, GuestKind::Linux612 | GuestKind::LinuxBatched)
    }

    /// Whether restoring MSI-X sets Memory first and puts COMMAND back afterwards (`reference/decode.md` section 2; a
    /// change of 2026, so not in the releases modelled by number).
    pub(super) const fn restores_msix_with_memory_on(self) -> bool {
        matches!(self, GuestKind::LinuxBatched)
    }
}

impl fmt::Display for GuestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text names no guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseGuestKindError;

impl fmt::Display for ParseGuestKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown guest; the guests are linux-5.18, linux-6.1, linux-6.12, linux-batched, windows")
    }
}

impl core::error::Error for ParseGuestKindError {}

impl FromStr for GuestKind {
    type Err = ParseGuestKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        GuestKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or(ParseGuestKindError)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn names_parse_back() {
        for kind in GuestKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert!(ParseGuestKindError.to_string().contains(kind.name()));
        }
        assert_eq!("linux".parse::<GuestKind>(), Err(ParseGuestKindError));
    }
}
