//! Sleep and reset.

use core::time::Duration;

use super::Function;
use crate::guest::access::{ConfigAccess, GuestError, Registers};
use crate::guest::registers::{COMMAND, COMMAND_INTX_DISABLE, express, power};

/// The time a function is given to enter or leave D3hot (`pci_pm_d3hot_delay`; PCI Express Base 5.9).
const D3_DELAY: Duration = Duration::from_millis(10);
/// The time a function is given to reset itself (PCI Express Base 6.6.2).
const FLR_DELAY: Duration = Duration::from_millis(100);
/// How long `pci_dev_wait` goes on asking after a reset (`PCIE_RESET_READY_POLL_MS`): waits of 1, 2, 4 ... ms.
const LONGEST_RESET: Duration = Duration::from_secs(60);

impl Function {
    /// `pci_pm_suspend_noirq`: config space is saved and the function put into D3hot, if it can be.
    ///
    /// # Errors
    /// [`GuestError::Vanished`].
    pub async fn suspend_d3<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        self.save_state(access).await;
        let Some(at) = self.power_management else { return Ok(()) };
        let control = access.live_word(at + power::CONTROL).await?;
        access.set_word(at + power::CONTROL, (control & !power::STATE) | power::D3_HOT).await;
        access.delay(D3_DELAY).await;
        Ok(())
    }

    /// `pci_pm_resume_noirq` (`pci_power_up`, `pci_restore_bars`, `pci_restore_state`): a function that loses its
    /// registers on the way from D3hot to D0 gets its BARs written first.
    ///
    /// # Errors
    /// [`GuestError::Vanished`].
    pub async fn resume_d0<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        if let Some(at) = self.power_management {
            let control = access.live_word(at + power::CONTROL).await?;
            if control & power::STATE != 0 {
                access.set_word(at + power::CONTROL, control & !power::STATE).await;
                access.delay(D3_DELAY).await;
                access.live_word(at + power::CONTROL).await?;
                if control & power::STATE == power::D3_HOT && control & power::NO_SOFT_RESET == 0 {
                    self.restore_bars(access).await?;
                }
            }
        }
        self.restore_state(access).await
    }

    /// `pci_restore_bars`: `pci_update_resource` for every BAR, in register order.
    async fn restore_bars<A: ConfigAccess>(&self, access: &mut A) -> Result<(), GuestError> {
        for bar in self.layout.iter() {
            self.update_resource(access, bar).await?;
        }
        Ok(())
    }

    /// `pci_reset_function` by function level reset: `pci_dev_save_and_disable`, `pcie_flr`, `pci_dev_restore`.
    ///
    /// # Errors
    /// [`GuestError::NoReset`] if the function has no FLR (the other reset methods are not modelled);
    /// [`GuestError::Vanished`] if it does not come back.
    pub async fn reset<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        let pcie = self.express.filter(|pcie| pcie.can_flr).ok_or(GuestError::NoReset)?;
        self.save_state(access).await;
        // Everything off but INTx Disable: the unmap of a reset.
        access.set_word(COMMAND, COMMAND_INTX_DISABLE).await;
        access.live_word(pcie.at + express::DEVICE_STATUS).await?; // pci_wait_for_pending_transaction
        let control = access.live_word(pcie.at + express::DEVICE_CONTROL).await?;
        access.set_word(pcie.at + express::DEVICE_CONTROL, control | express::INITIATE_FLR).await;
        access.delay(FLR_DELAY).await;
        wait_until_back(access).await?;
        self.restore_state(access).await
    }
}

/// `pci_dev_wait`: COMMAND and Status read all ones while the function is resetting.
async fn wait_until_back<A: ConfigAccess>(access: &mut A) -> Result<(), GuestError> {
    let mut pause = Duration::from_millis(1);
    while access.dword(COMMAND).await == u32::MAX {
        if pause > LONGEST_RESET {
            return Err(GuestError::Vanished);
        }
        access.delay(pause).await;
        pause = pause.saturating_mul(2);
    }
    Ok(())
}
