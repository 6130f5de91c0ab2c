//! MSI-X, as `drivers/pci/msi` switches it on and off. The table itself lies behind a BAR and is no config access; the
//! interrupt messages are created between the reads of the table's geometry and the second COMMAND write.

use super::Function;
use super::resources::set_command_bit;
use crate::guest::access::{ConfigAccess, GuestError, InterruptStep, Registers};
use crate::guest::registers::{COMMAND, COMMAND_INTX_DISABLE, COMMAND_MEMORY, msi};

impl Function {
    /// `pci_enable_msix_range` (`msix_capability_init`). Nothing if the function has no MSI-X.
    ///
    /// # Errors
    /// [`GuestError::Vanished`]; [`GuestError::NoInterrupts`], with MSI-X switched off again.
    pub async fn msix_enable<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        let Some(at) = self.msix else { return Ok(()) };
        access.live_word(at + msi::CONTROL).await?; // pci_msix_vec_count
        change_control(access, at, 0, msi::MSIX_MASK_ALL | msi::MSIX_ENABLE).await?;
        let size = access.word(at + msi::CONTROL).await; // the size of the table
        let table = access.dword(at + msi::TABLE).await; // msix_map_region
        access.word(at + msi::CONTROL).await; // msix_setup_interrupts
        let vectors = (size & msi::MSIX_SIZE) + 1;
        let allocate = InterruptStep::Allocate { vectors, table: self.table_address(table) };
        if access.interrupts(allocate).await.is_err() {
            change_control(access, at, msi::MSIX_MASK_ALL | msi::MSIX_ENABLE, 0).await?;
            return Err(GuestError::NoInterrupts);
        }
        set_command_bit(access, COMMAND_INTX_DISABLE, true).await?; // pci_intx_for_msi
        change_control(access, at, msi::MSIX_MASK_ALL, 0).await?;
        self.msix_enabled = true;
        // The driver's `request_irq`, which is no config access. It is not refused.
        let _ = access.interrupts(InterruptStep::Request).await;
        Ok(())
    }

    /// Where the table lies: the BAR that the table register names, and the offset in it.
    fn table_address(&self, table: u32) -> Option<u64> {
        let bar = self.addresses.get(usize::try_from(table & msi::TABLE_BAR).ok()?).copied().flatten()?;
        bar.checked_add(u64::from(table & !msi::TABLE_BAR))
    }

    /// `pci_disable_msix` (`pci_msix_shutdown`, `pci_free_msi_irqs`). The vectors are given up even if the function is
    /// gone.
    ///
    /// # Errors
    /// [`GuestError::Vanished`].
    pub async fn msix_disable<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        let Some(at) = self.msix.filter(|_| self.msix_enabled) else { return Ok(()) };
        self.msix_enabled = false;
        let shut = shutdown(access, at).await;
        let _ = access.interrupts(InterruptStep::Free).await;
        shut
    }

    /// `__pci_restore_msix_state`. Kernels of 2026 switch Memory on around it: a map and an unmap if it was off, two
    /// writes that change nothing if it was on.
    pub(super) async fn msix_restore<A: ConfigAccess>(&self, access: &mut A) -> Result<(), GuestError> {
        let Some(at) = self.msix.filter(|_| self.msix_enabled) else { return Ok(()) };
        set_command_bit(access, COMMAND_INTX_DISABLE, true).await?;
        change_control(access, at, 0, msi::MSIX_ENABLE | msi::MSIX_MASK_ALL).await?;
        if self.kind.restores_msix_with_memory_on() {
            let command = access.live_word(COMMAND).await?;
            access.set_word(COMMAND, command | COMMAND_MEMORY).await;
            let _ = access.interrupts(InterruptStep::Restore).await;
            access.set_word(COMMAND, command).await;
        } else {
            let _ = access.interrupts(InterruptStep::Restore).await;
        }
        change_control(access, at, msi::MSIX_MASK_ALL, 0).await
    }
}

/// `pci_msix_shutdown`.
async fn shutdown<A: ConfigAccess>(access: &mut A, at: u16) -> Result<(), GuestError> {
    change_control(access, at, msi::MSIX_ENABLE, 0).await?;
    set_command_bit(access, COMMAND_INTX_DISABLE, false).await
}

/// `pci_msix_clear_and_set_ctrl`: always written, changed or not.
async fn change_control<A: ConfigAccess>(access: &mut A, at: u16, clear: u16, set: u16) -> Result<(), GuestError> {
    let control = access.live_word(at + msi::CONTROL).await?;
    access.set_word(at + msi::CONTROL, (control & !clear) | set).await;
    Ok(())
}
