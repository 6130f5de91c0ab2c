//! A range of MMIO space and the need for one.

use core::fmt;

use crate::config::Bar;

/// The first address above the low aperture.
const FOUR_GIB: u64 = 1 << 32;
/// The first address above the high aperture: 52 bits are the widest physical address of x86-64 and of arm64.
const ADDRESS_LIMIT: u64 = 1 << 52;

/// Which side of 4 GiB a window lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aperture {
    /// Below 4 GiB: 32-bit BARs.
    Low,
    /// At or above 4 GiB: 64-bit BARs.
    High,
}

impl Aperture {
    /// Both, low first.
    pub const BOTH: [Aperture; 2] = [Aperture::Low, Aperture::High];

    /// Where a BAR goes: by its type, not by its size (`reference/protocol.md` section 8).
    pub const fn of(bar: &Bar) -> Aperture {
        if bar.is_64bit { Aperture::High } else { Aperture::Low }
    }

    /// The first address of the aperture.
    pub const fn start(self) -> u64 {
        match self {
            Aperture::Low => 0,
            Aperture::High => FOUR_GIB,
        }
    }

    /// The first address after the aperture.
    pub const fn end(self) -> u64 {
        match self {
            Aperture::Low => FOUR_GIB,
            Aperture::High => ADDRESS_LIMIT,
        }
    }

    /// Bytes the aperture can hold: no need is ever larger.
    pub const fn capacity(self) -> u64 {
        self.end().saturating_sub(self.start())
    }

    /// What an administrator of the VM raises, with the VM off, to give it more MMIO space of this kind
    /// (the Hyper-V PowerShell module).
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Aperture::Low => "Set-VM -LowMemoryMappedIoSpace",
            Aperture::High => "Set-VM -HighMemoryMappedIoSpace",
        }
    }
}

impl fmt::Display for Aperture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Aperture::Low => "low MMIO space (below 4 GiB)",
            Aperture::High => "high MMIO space (above 4 GiB)",
        })
    }
}

/// MMIO space that the platform must find for a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowNeed {
    /// Where it must lie.
    pub aperture: Aperture,
    /// Bytes, a multiple of a page.
    pub size: u64,
    /// Alignment of the base in bytes, a power of two, at least a page.
    pub align: u64,
}

/// A range of guest-physical addresses that the platform gave to this bus alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Where it lies.
    pub aperture: Aperture,
    /// First address, page-aligned.
    pub base: u64,
    /// Bytes, a multiple of a page; `base + size` does not overflow.
    pub size: u64,
}

impl Window {
    /// The first address after the window. Saturates for a window that no [`super::Pool`] would accept.
    pub const fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// Whether the `size` bytes at `base` all lie in the window. An empty or overflowing range lies nowhere.
    pub const fn contains(&self, base: u64, size: u64) -> bool {
        match base.checked_add(size) {
            Some(end) => size != 0 && base >= self.base && end <= self.end(),
            None => false,
        }
    }
}
