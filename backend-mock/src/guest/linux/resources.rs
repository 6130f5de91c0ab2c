//! Resources and the COMMAND register: assign, claim, enable, bus mastering, disable.

use alloc::vec::Vec;
use core::cmp::Reverse;

use hvpci_core::config::Bar;

use super::{BarAddresses, Function};
use crate::guest::access::{ConfigAccess, GuestError, Registers};
use crate::guest::registers::{
    BAR0, COMMAND, COMMAND_INTX_DISABLE, COMMAND_MASTER, COMMAND_MEMORY, INTERRUPT_PIN, LATENCY_TIMER, power,
};

/// A latency timer below this is raised (`pcibios_set_master`) ...
const LATENCY_TOO_SMALL: u8 = 16;
/// ... to this.
const LATENCY: u8 = 64;

impl Function {
    /// `pci_bus_assign_resources`, seen from one function: the BARs are written largest first.
    ///
    /// # Errors
    /// [`GuestError::Vanished`]. A BAR without an address stays unassigned, as in the kernel.
    pub async fn assign<A: ConfigAccess>(
        &mut self,
        access: &mut A,
        addresses: &BarAddresses,
    ) -> Result<(), GuestError> {
        self.addresses = *addresses;
        let mut bars: Vec<Bar> = self.layout.iter().copied().collect();
        bars.sort_by_key(|bar| Reverse(bar.size)); // stable: register order among equals
        for bar in &bars {
            self.update_resource(access, bar).await?;
        }
        Ok(())
    }

    /// `pci_bus_claim_resources`, the alternative to [`Function::assign`] for a bus whose BARs are where they shall be:
    /// no config access.
    pub fn claim(&mut self, addresses: &BarAddresses) {
        self.addresses = *addresses;
    }

    /// `pci_std_update_resource`. Memory is switched off around a 64-bit BAR, whose halves cannot be written at once,
    /// and COMMAND is written twice even if Memory was off; a 32-bit BAR is written as it is, even if Memory is on.
    pub(super) async fn update_resource<A: ConfigAccess>(&self, access: &mut A, bar: &Bar) -> Result<(), GuestError> {
        let Some(address) = self.address_of(bar) else { return Ok(()) };
        let offset = BAR0 + 4 * u16::from(bar.index);
        let low = address as u32 | bar.attributes();
        if !bar.is_64bit {
            write_and_check(access, offset, low).await;
            return Ok(());
        }
        let command = access.live_word(COMMAND).await?;
        access.set_word(COMMAND, command & !COMMAND_MEMORY).await;
        write_and_check(access, offset, low).await;
        write_and_check(access, offset + 4, (address >> 32) as u32).await;
        access.set_word(COMMAND, command).await;
        Ok(())
    }

    pub(super) fn address_of(&self, bar: &Bar) -> Option<u64> {
        self.addresses.get(usize::from(bar.index)).copied().flatten()
    }

    /// `pci_enable_device` (`pci_enable_device_flags`, `do_pci_enable_device`, `pci_enable_resources`): Memory is set if
    /// it is not already. This is the write that maps under every policy but Eager.
    ///
    /// # Errors
    /// [`GuestError::BarNotAssigned`] before anything is written; [`GuestError::Vanished`].
    pub async fn enable<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        if let Some(at) = self.power_management {
            access.live_word(at + power::CONTROL).await?; // pci_update_current_state
        }
        let command = access.live_word(COMMAND).await?;
        if let Some(bar) = self.layout.iter().find(|bar| self.address_of(bar).is_none()) {
            return Err(GuestError::BarNotAssigned(bar.index));
        }
        let has_bars = self.layout.iter().next().is_some();
        let wanted = if has_bars { command | COMMAND_MEMORY } else { command };
        if wanted != command {
            access.set_word(COMMAND, wanted).await;
        }
        if access.byte(INTERRUPT_PIN).await != 0 {
            set_command_bit(access, COMMAND_INTX_DISABLE, false).await?;
        }
        Ok(())
    }

    /// `pci_set_master`, and `pcibios_set_master` for functions that are not PCIe.
    ///
    /// # Errors
    /// [`GuestError::Vanished`].
    pub async fn set_master<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        set_command_bit(access, COMMAND_MASTER, true).await?;
        if self.express.is_none() && access.byte(LATENCY_TIMER).await < LATENCY_TOO_SMALL {
            access.set_byte(LATENCY_TIMER, LATENCY).await;
        }
        Ok(())
    }

    /// `pci_disable_device` (`do_pci_disable_device`): bus mastering off. Memory stays on, so a driver bound again pays
    /// nothing.
    ///
    /// # Errors
    /// [`GuestError::Vanished`].
    pub async fn disable<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        set_command_bit(access, COMMAND_MASTER, false).await
    }
}

/// Reads COMMAND and writes it with `bit` as wanted, if that changes it.
pub(super) async fn set_command_bit<A: ConfigAccess>(access: &mut A, bit: u16, on: bool) -> Result<(), GuestError> {
    let command = access.live_word(COMMAND).await?;
    let wanted = if on { command | bit } else { command & !bit };
    if wanted != command {
        access.set_word(COMMAND, wanted).await;
    }
    Ok(())
}

/// Linux reads every BAR half back; a difference is only logged.
async fn write_and_check<A: ConfigAccess>(access: &mut A, offset: u16, value: u32) {
    access.set_dword(offset, value).await;
    access.dword(offset).await;
}
