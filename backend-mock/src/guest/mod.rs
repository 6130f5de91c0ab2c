//! Models of the guest kernels' PCI cores.
//!
//! A model is a sequence of config accesses, issued as the kernel issues them *above* the vPCI driver: what the kernel
//! asks of `struct pci_ops` or, on Windows, of the bus interface. What the vPCI driver does on its own account (BAR
//! prepopulation, decode at bootstrap, vendor-id polls) belongs to the driver and its policy and is not modelled here.
//! Reads that a driver answers without the host (ids, class, subsystem, ROM, INTx) are issued, since the PCI core issues
//! them.
//!
//! Models run over [`ConfigAccess`], whose calls an executor makes take virtual time; they know no clock and no host.

mod access;
mod kind;
pub mod linux;
mod registers;
#[cfg(test)]
mod tests;
pub mod windows;

use hvpci_core::config::BarLayout;

pub use access::{ConfigAccess, DevicePower, GuestError, InterruptStep, InterruptsRefused, PowerAccess, PowerRefused};
pub use kind::{GuestKind, GuestStyle, ParseGuestKindError};
pub use linux::BarAddresses;

/// A function in use by a guest.
#[derive(Clone, Debug)]
pub enum Guest {
    /// By a Linux guest.
    Linux(linux::Function),
    /// By a Windows guest.
    Windows(windows::Function),
}

/// Brings one function into use, in the order of the guest's kernel. Linux: scan, assign, add to the bus, and a driver's
/// probe (enable, bus mastering, MSI-X). Windows: enumerate, D0.
///
/// `layout` is what the host reported; `addresses` is where the BARs shall be. A rescan after [`Guest::remove`] is the
/// same call again: the kernel makes the same accesses, and what they cost depends on whether Memory was left on.
///
/// # Errors
/// [`GuestError::Vanished`] as soon as the function is seen to be gone; [`GuestError::BarsDiffer`] if Linux, by sizing
/// through config space, found other BARs than `layout`; what the single steps return.
pub async fn boot_function<A: ConfigAccess + PowerAccess>(
    kind: GuestKind,
    access: &mut A,
    layout: &BarLayout,
    addresses: &BarAddresses,
) -> Result<Guest, GuestError> {
    match kind.style() {
        GuestStyle::ConfigSpace => {
            let mut function = linux::Function::scan(kind, access).await?;
            if function.layout() != layout {
                return Err(GuestError::BarsDiffer);
            }
            function.assign(access, addresses).await?;
            function.bus_add(access).await;
            access.driver_bound(true);
            function.probe(access).await?;
            Ok(Guest::Linux(function))
        }
        GuestStyle::Messages => {
            let mut function = windows::Function::enumerate(access, layout).await?;
            access.driver_bound(true);
            function.start(access).await?;
            Ok(Guest::Windows(function))
        }
    }
}

impl Guest {
    /// The BARs of the function.
    pub fn layout(&self) -> &BarLayout {
        match self {
            Guest::Linux(function) => function.layout(),
            Guest::Windows(function) => function.layout(),
        }
    }

    /// Takes the function out of use: the driver lets go and the kernel forgets the function. On Linux Memory stays on;
    /// on Windows the function goes to D3.
    ///
    /// # Errors
    /// [`GuestError::Vanished`] (on Linux, where a driver notices), [`GuestError::PowerRefused`].
    pub async fn remove<A: ConfigAccess + PowerAccess>(self, access: &mut A) -> Result<(), GuestError> {
        match self {
            Guest::Linux(mut function) => {
                let unbound = function.unbind(access).await;
                access.driver_bound(false);
                function.remove();
                unbound
            }
            Guest::Windows(mut function) => {
                let stopped = function.stop(access).await;
                access.driver_bound(false);
                stopped
            }
        }
    }

    /// Puts the function to sleep. Linux: config space saved, D3hot if the function can; Windows: D3.
    ///
    /// # Errors
    /// [`GuestError::Vanished`], [`GuestError::PowerRefused`].
    pub async fn suspend<A: ConfigAccess + PowerAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        match self {
            Guest::Linux(function) => function.suspend_d3(access).await,
            Guest::Windows(function) => function.stop(access).await,
        }
    }

    /// Wakes the function up again.
    ///
    /// # Errors
    /// [`GuestError::Vanished`], [`GuestError::PowerRefused`].
    pub async fn resume<A: ConfigAccess + PowerAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        match self {
            Guest::Linux(function) => function.resume_d0(access).await,
            Guest::Windows(function) => function.start(access).await,
        }
    }
}
