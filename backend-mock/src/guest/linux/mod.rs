//! The PCI core of Linux, per kernel generation.
//!
//! [`Function`] stands for `struct pci_dev`: it is made by [`Function::scan`] and remembers what the kernel remembers.
//! Each method makes the config accesses of the kernel function its documentation names, in order. The sequences are
//! checked, access by access, against recordings of 6.1 and 6.12 (`tests/recording.rs`) and against the measured
//! sequences of `reference/linux-kernel.md` section 3 (`tests/facts.rs`).
//!
//! Modelled reads: all of the standard header, every walk of the capability lists, and the bodies of the PCIe, power
//! management, MSI and MSI-X capabilities as far as the scan and the steps below read them. Not modelled: bodies of
//! other capabilities (AER, VC, ATS, SR-IOV, VPD, ...), vendor-id reads of other slots by a bus scan, quirks of single
//! devices, and reads of config space by user space.

mod capabilities;
mod msix;
mod power;
mod probe;
mod resources;
mod scan;
mod sizing;
mod state;

use hvpci_core::config::BarLayout;

use super::GuestKind;
use super::access::{ConfigAccess, GuestError};
use state::SavedState;

/// BAR addresses by register: `None` for registers without a BAR and for upper halves.
pub type BarAddresses = [Option<u64>; 6];

/// A function that Linux has found.
#[derive(Clone, Debug)]
pub struct Function {
    kind: GuestKind,
    layout: BarLayout,
    addresses: BarAddresses,
    express: Option<Express>,
    power_management: Option<u16>,
    msix: Option<u16>,
    msix_enabled: bool,
    has_extended_space: bool,
    saved: Option<SavedState>,
}

/// The PCI Express capability.
#[derive(Clone, Copy, Debug)]
struct Express {
    at: u16,
    /// The PCI Express Capabilities register: version in bits 0-3, type in bits 4-7.
    capabilities: u16,
    can_flr: bool,
}

impl Express {
    /// Whether the second set of device registers exists.
    const fn is_v2(&self) -> bool {
        self.capabilities & 0xF >= 2
    }

    /// Whether the function is at the end of a link (`pcie_cap_has_lnkctl`): an endpoint, legacy or not, but not one
    /// integrated in a root complex.
    const fn has_link(&self) -> bool {
        (self.capabilities >> 4) & 0xF <= 1
    }
}

impl Function {
    fn new(kind: GuestKind) -> Function {
        Function {
            kind,
            layout: BarLayout::default(),
            addresses: [None; 6],
            express: None,
            power_management: None,
            msix: None,
            msix_enabled: false,
            has_extended_space: false,
            saved: None,
        }
    }

    /// The BARs that sizing found.
    pub fn layout(&self) -> &BarLayout {
        &self.layout
    }

    /// Where the BARs are, as far as they were assigned.
    pub fn addresses(&self) -> &BarAddresses {
        &self.addresses
    }

    /// Whether MSI-X is on.
    pub fn msix_enabled(&self) -> bool {
        self.msix_enabled
    }

    /// `pci_bus_add_device`: 6.12's stable releases save config space here, so that the function can be recovered before
    /// it has a driver.
    pub async fn bus_add<A: ConfigAccess>(&mut self, access: &mut A) {
        if self.kind.is_6_12_or_later() {
            self.save_state(access).await;
        }
    }

    /// `pci_stop_and_remove_bus_device`, once the driver has let go: no config access. Memory stays on, which is why a
    /// rescan pays again.
    pub fn remove(self) {}

    /// `pci_rescan_bus`, seen from one function: scan, assign, add. With Memory left on by the function's last driver,
    /// kernels without batched sizing pay 7 pairs of unmap and map.
    ///
    /// # Errors
    /// Those of [`Function::scan`] and [`Function::assign`].
    pub async fn rescan<A: ConfigAccess>(
        kind: GuestKind,
        access: &mut A,
        addresses: &BarAddresses,
    ) -> Result<Function, GuestError> {
        let mut function = Function::scan(kind, access).await?;
        function.assign(access, addresses).await?;
        function.bus_add(access).await;
        Ok(function)
    }
}
