//! What the models run over.

use core::fmt;
use core::time::Duration;

use hvpci_core::backend::Width;

/// Config space of one function as the guest kernel's PCI core reaches it: above the vPCI driver, so ids, class, ROM and
/// INTx bytes are asked for too. An executor lets virtual time pass in each call.
#[allow(async_fn_in_trait)] // the executors that drive these are single-threaded: no Send bound is wanted
pub trait ConfigAccess {
    /// Reads `width` at `offset` (0 to 4095, naturally aligned).
    async fn read(&mut self, offset: u16, width: Width) -> u32;

    /// Writes `value` at `offset` (0 to 4095, naturally aligned).
    async fn write(&mut self, offset: u16, width: Width, value: u32);

    /// Lets `duration` pass: the waits that the PCI core makes after a reset and after a change of power state. Passes
    /// at once unless implemented.
    async fn delay(&mut self, duration: Duration) {
        let _ = duration;
    }

    /// A function driver is bound to the function (`true`, before its probe) or has let go of it (`false`): what the
    /// kernel's driver model knows and config space does not show.
    fn driver_bound(&mut self, bound: bool) {
        let _ = bound;
    }

    /// What a kernel does about a function's MSI-X vectors that is no config access: messages asked of the host, and the
    /// table behind a BAR. Nothing unless implemented.
    ///
    /// # Errors
    /// [`InterruptsRefused`] for [`InterruptStep::Allocate`] alone.
    async fn interrupts(&mut self, step: InterruptStep) -> Result<(), InterruptsRefused> {
        let _ = step;
        Ok(())
    }
}

/// Where a kernel is with a function's MSI-X vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InterruptStep {
    /// Messages are created and written into the table, masked (`msix_setup_interrupts`).
    Allocate {
        /// How many vectors.
        vectors: u16,
        /// The guest-physical address of the table.
        table: Option<u64>,
    },
    /// The driver takes its vectors: they are aimed and unmasked (`request_irq`).
    Request,
    /// The table is written again after the function may have lost it (`__pci_restore_msix_state`).
    Restore,
    /// The vectors are given up (`pci_free_irq_vectors`).
    Free,
}

/// The host or the engine gave no interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterruptsRefused;

/// A device power state of a message guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DevicePower {
    /// Working: the host maps the BARs.
    D0,
    /// Off: the host unmaps them.
    D3,
}

/// The way a message guest powers a function: the bus driver turns it into POWER_STATE_CHANGE and waits for the answer.
/// Linux guests never call it.
#[allow(async_fn_in_trait)]
pub trait PowerAccess {
    /// Brings the function to `state`. D0 entry comes after the bus driver has sent the BAR addresses, which is no
    /// access of the guest's.
    async fn set_power(&mut self, state: DevicePower) -> Result<(), PowerRefused>;
}

/// The host or the policy refused a change of power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PowerRefused;

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuestError {
    /// The function is gone: a register that is never all ones read as all ones.
    Vanished,
    /// The header type is not that of an endpoint; vPCI has no bridges.
    NotAnEndpoint(u8),
    /// Sizing found BARs other than those the caller knows of.
    BarsDiffer,
    /// The BAR at this register was given no address, so the function cannot be enabled.
    BarNotAssigned(u8),
    /// The function has no reset that the PCI core could use.
    NoReset,
    /// A change of power state was refused.
    PowerRefused,
    /// There are no interrupts for the function's driver.
    NoInterrupts,
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuestError::Vanished => f.write_str("the function is gone"),
            GuestError::NotAnEndpoint(header) => write!(f, "header type {header:#04x} is not that of an endpoint"),
            GuestError::BarsDiffer => f.write_str("sizing found other BARs than the function has"),
            GuestError::BarNotAssigned(bar) => write!(f, "BAR {bar} has no address"),
            GuestError::NoReset => f.write_str("the function cannot be reset"),
            GuestError::PowerRefused => f.write_str("the power state was refused"),
            GuestError::NoInterrupts => f.write_str("its driver got no interrupts"),
        }
    }
}

impl core::error::Error for GuestError {}

impl From<PowerRefused> for GuestError {
    fn from(PowerRefused: PowerRefused) -> Self {
        GuestError::PowerRefused
    }
}

/// Accesses by width, in the types of the registers.
pub(super) trait Registers: ConfigAccess {
    async fn byte(&mut self, offset: u16) -> u8 {
        self.read(offset, Width::Byte).await as u8
    }

    async fn word(&mut self, offset: u16) -> u16 {
        self.read(offset, Width::Word).await as u16
    }

    /// A word that cannot be all ones while the function is there.
    async fn live_word(&mut self, offset: u16) -> Result<u16, GuestError> {
        match self.word(offset).await {
            u16::MAX => Err(GuestError::Vanished),
            value => Ok(value),
        }
    }

    async fn dword(&mut self, offset: u16) -> u32 {
        self.read(offset, Width::Dword).await
    }

    async fn set_byte(&mut self, offset: u16, value: u8) {
        self.write(offset, Width::Byte, value.into()).await;
    }

    async fn set_word(&mut self, offset: u16, value: u16) {
        self.write(offset, Width::Word, value.into()).await;
    }

    async fn set_dword(&mut self, offset: u16, value: u32) {
        self.write(offset, Width::Dword, value).await;
    }
}

impl<A: ConfigAccess + ?Sized> Registers for A {}
