//! What function drivers do to config space.

use super::Function;
use crate::guest::access::{ConfigAccess, GuestError};

impl Function {
    /// A driver as most are: `pci_enable_device`, `pci_set_master`, `pci_alloc_irq_vectors`.
    ///
    /// # Errors
    /// Those of [`Function::enable`].
    pub async fn probe<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        self.enable(access).await?;
        self.set_master(access).await?;
        self.msix_enable(access).await
    }

    /// The nvme driver, as recorded: one vector for the admin queue, config space saved, then the vectors given up and
    /// as many taken as there are queues.
    ///
    /// # Errors
    /// Those of [`Function::enable`].
    pub async fn probe_nvme<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        self.probe(access).await?;
        self.save_state(access).await;
        self.msix_disable(access).await?;
        self.msix_enable(access).await
    }

    /// A driver letting go (unbind, remove, shutdown): `pci_free_irq_vectors`, `pci_disable_device`.
    ///
    /// # Errors
    /// [`GuestError::Vanished`].
    pub async fn unbind<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        self.msix_disable(access).await?;
        self.disable(access).await
    }
}
