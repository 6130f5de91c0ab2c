//! `pci_save_state` and `pci_restore_state`.

use core::time::Duration;

use super::capabilities::find_capability;
use super::{Express, Function};
use crate::guest::access::{ConfigAccess, GuestError, Registers};
use crate::guest::registers::{capability, express, extended};

/// The dwords of the standard header.
const HEADER_DWORDS: u16 = 16;
/// How often a BAR is written again if it does not read back (`pci_restore_config_space`).
const BAR_RETRIES: u8 = 10;
/// The capabilities `pci_save_vc_state` looks for.
pub(super) const VIRTUAL_CHANNELS: [u16; 3] =
    [extended::MULTI_FUNCTION_VC, extended::VIRTUAL_CHANNEL, extended::VIRTUAL_CHANNEL_9];

/// What `pci_save_state` read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SavedState {
    header: [u32; HEADER_DWORDS as usize],
    device_control: u16,
    link_control: u16,
    device_control_2: u16,
    link_control_2: u16,
}

impl Function {
    /// `pci_save_state`: the header, the PCIe control registers, and the lookups of what else could be saved.
    pub async fn save_state<A: ConfigAccess>(&mut self, access: &mut A) {
        let mut saved =
            SavedState { header: [0; 16], device_control: 0, link_control: 0, device_control_2: 0, link_control_2: 0 };
        for (offset, place) in (0..).step_by(4).zip(&mut saved.header) {
            *place = access.dword(offset).await;
        }
        if let Some(pcie) = self.express {
            saved.device_control = access.word(pcie.at + express::DEVICE_CONTROL).await;
            if pcie.has_link() {
                saved.link_control = access.word(pcie.at + express::LINK_CONTROL).await;
            }
            if pcie.is_v2() {
                saved.device_control_2 = access.word(pcie.at + express::DEVICE_CONTROL_2).await;
            }
            if pcie.is_v2() && pcie.has_link() {
                saved.link_control_2 = access.word(pcie.at + express::LINK_CONTROL_2).await;
            }
        }
        // 6.12 saves LTR with the PCIe registers, older kernels after PCI-X.
        if self.kind.is_6_12_or_later() {
            self.find_extended(access, extended::LTR).await;
            find_capability(access, capability::PCI_X).await;
        } else {
            find_capability(access, capability::PCI_X).await;
            self.find_extended(access, extended::LTR).await;
        }
        self.find_each_extended(access, &VIRTUAL_CHANNELS).await;
        self.saved = Some(saved);
    }

    /// `pci_restore_state`: PCIe first, then the header from the top down, BARs before COMMAND, then MSI-X. Nothing if
    /// nothing is saved; what was saved is used up.
    ///
    /// Dwords that read as saved are skipped: a vPCI driver that served stale values here after a reset would lose the
    /// write that turns decode back on.
    ///
    /// # Errors
    /// [`GuestError::Vanished`].
    pub async fn restore_state<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        let Some(saved) = self.saved.take() else { return Ok(()) };
        self.find_extended(access, extended::LTR).await;
        if let Some(pcie) = self.express {
            restore_express(access, pcie, &saved).await;
        }
        self.find_each_extended(access, &VIRTUAL_CHANNELS).await;
        self.find_extended(access, extended::RESIZABLE_BAR).await;
        restore_header(access, &saved).await;
        find_capability(access, capability::PCI_X).await;
        self.msix_restore(access).await
    }
}

/// `pci_restore_pcie_state`: written whether they differ or not.
async fn restore_express<A: ConfigAccess>(access: &mut A, pcie: Express, saved: &SavedState) {
    access.set_word(pcie.at + express::DEVICE_CONTROL, saved.device_control).await;
    if pcie.has_link() {
        access.set_word(pcie.at + express::LINK_CONTROL, saved.link_control).await;
    }
    if pcie.is_v2() {
        access.set_word(pcie.at + express::DEVICE_CONTROL_2, saved.device_control_2).await;
    }
    if pcie.is_v2() && pcie.has_link() {
        access.set_word(pcie.at + express::LINK_CONTROL_2, saved.link_control_2).await;
    }
}

/// `pci_restore_config_space` of a type 0 header: dwords 15 to 10, then 9 to 4 (the BARs), then 3 to 0. COMMAND is in
/// dword 1 and goes out as a 32-bit write, Status with it.
async fn restore_header<A: ConfigAccess>(access: &mut A, saved: &SavedState) {
    for (index, &value) in (0..HEADER_DWORDS).rev().zip(saved.header.iter().rev()) {
        let retries = if (4..10).contains(&index) { BAR_RETRIES } else { 0 };
        restore_dword(access, 4 * index, value, retries).await;
    }
}

/// `pci_restore_config_dword`.
async fn restore_dword<A: ConfigAccess>(access: &mut A, offset: u16, saved: u32, retries: u8) {
    if access.dword(offset).await == saved {
        return;
    }
    for left in (0..=retries).rev() {
        access.set_dword(offset, saved).await;
        if left == 0 || access.dword(offset).await == saved {
            return;
        }
        access.delay(Duration::from_millis(1)).await;
    }
}
