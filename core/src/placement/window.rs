//! A range of MMIO space and the need for one.

/// Which side of 4 GiB a window lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aperture {
    /// Below 4 GiB: 32-bit BARs.
    Low,
    /// At or above 4 GiB: 64-bit BARs.
    High,
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
