//! A test's hand in a platform: it sees what the platform is about to do, may refuse it, and knows when core code runs.

use hvpci_core::Slot;
use hvpci_core::backend::PlatformError;

use crate::host::packet::MessageType;

/// Something a platform is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlatformStep {
    /// Open the channel.
    OpenChannel,
    /// Close the channel. Refused: the host is not told.
    CloseChannel,
    /// Reserve the config window.
    ReserveConfigWindow,
    /// Give the config window back. Refused: it stays reserved.
    ReleaseConfigWindow,
    /// Reserve MMIO space for BARs.
    ReserveWindow,
    /// Give MMIO space back. Refused: it stays reserved.
    ReleaseWindow,
    /// Show a function to the OS.
    Publish,
    /// The OS has taken a function. Refused: it has not.
    Published,
    /// Take a function away from the OS. A refusal changes nothing.
    Unpublish,
    /// A packet of the host was handed to the core. A refusal changes nothing.
    PacketArrived,
    /// One config access of the guest's PCI core or of a driver. A refusal changes nothing.
    ConfigAccess,
    /// A driver lets go of its interrupts. Refused: it keeps them.
    FreeInterrupts(Slot),
    /// Send a message. Refused: it is lost on the way. The platform's locks are held.
    Send(MessageType),
}

/// What a test does at a platform's steps. See [`super::MockPlatform::set_hook`].
pub trait Hook: Send + Sync {
    /// The platform is about to do this; an error keeps it from it.
    ///
    /// # Errors
    /// What the platform shall say, where it may say something.
    fn step(&self, step: PlatformStep) -> Result<(), PlatformError> {
        let _ = step;
        Ok(())
    }

    /// Code of the core begins (`true`) or ends (`false`) to run under one of the platform's two locks. What the core
    /// calls of the platform meanwhile is outside.
    fn in_core(&self, inside: bool) {
        let _ = inside;
    }
}
