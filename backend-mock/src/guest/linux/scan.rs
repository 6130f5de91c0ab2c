//! Discovery of a function: `pci_scan_single_device`, that is `pci_setup_device` and then `pci_device_add` with
//! `pci_configure_device` and `pci_init_capabilities`.

use super::capabilities::find_capability;
use super::sizing::read_bases;
use super::{Express, Function};
use crate::guest::GuestKind;
use crate::guest::access::{ConfigAccess, GuestError, Registers};
use crate::guest::registers::{
    COMMAND, COMMAND_INTX_DISABLE, EXTENDED, HEADER_TYPE, INTERRUPT_LINE, INTERRUPT_PIN, REVISION_AND_CLASS, STATUS,
    SUBSYSTEM_ID, SUBSYSTEM_VENDOR_ID, VENDOR_ID, capability, express, extended, msi, power,
};

impl Function {
    /// `pci_scan_single_device`: everything the PCI core does to a function before it assigns resources.
    ///
    /// Reads of capability *bodies* are modelled for PCIe, power management, MSI and MSI-X; of the others only the
    /// lookups, which is all there is on a function that lacks them.
    ///
    /// # Errors
    /// [`GuestError::Vanished`] and [`GuestError::NotAnEndpoint`].
    pub async fn scan<A: ConfigAccess>(kind: GuestKind, access: &mut A) -> Result<Function, GuestError> {
        read_vendor_id(access).await?;
        let mut function = setup_device(kind, access).await?;
        function.configure_device(access).await;
        function.init_capabilities(access).await?;
        Ok(function)
    }

    /// `pci_cfg_space_size`: PCIe functions have extended config space unless it reads all ones or repeats the first
    /// 256 bytes (`pci_ext_cfg_is_aliased`).
    async fn config_space_size<A: ConfigAccess>(&mut self, access: &mut A) {
        if self.express.is_none() {
            find_capability(access, capability::PCI_X).await;
            return;
        }
        if access.dword(EXTENDED).await == u32::MAX {
            return;
        }
        let ids = access.dword(VENDOR_ID).await;
        for window in (EXTENDED..4096).step_by(256) {
            if access.dword(window).await != ids {
                self.has_extended_space = true;
                return;
            }
        }
    }

    /// `pci_configure_device`: extended tags (switched on if they can be), relaxed ordering, LTR, ASPM L1SS, end-to-end
    /// prefixes. vPCI shows no root port above the function, so nothing else is written.
    async fn configure_device<A: ConfigAccess>(&mut self, access: &mut A) {
        let Some(pcie) = self.express else { return };
        configure_extended_tags(access, pcie).await;
        access.word(pcie.at + express::DEVICE_CONTROL).await; // pci_configure_relaxed_ordering
        if self.kind.is_6_12_or_later() {
            configure_ltr(access, pcie).await;
            // pci_configure_aspm_l1ss: once to find it, once to reserve the buffer it is saved in.
            self.find_each_extended(access, &[extended::L1_SUBSTATES; 2]).await;
        } else {
            self.find_extended(access, extended::L1_SUBSTATES).await;
            configure_ltr(access, pcie).await;
        }
        if pcie.is_v2() {
            access.dword(pcie.at + express::DEVICE_CAPABILITIES_2).await; // pci_configure_eetlp_prefix
        }
    }

    /// `pci_init_capabilities`, and the lookups of the sysfs attributes that `device_add` makes.
    async fn init_capabilities<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        // pci_ea_init, pci_msi_init, pci_msix_init
        find_capability(access, capability::ENHANCED_ALLOCATION).await;
        if let Some(at) = find_capability(access, capability::MSI).await {
            clear_enable(access, at, msi::MSI_ENABLE).await?;
        }
        self.msix = find_capability(access, capability::MSI_X).await;
        if let Some(at) = self.msix {
            clear_enable(access, at, msi::MSIX_ENABLE).await?;
        }
        // pci_allocate_cap_save_buffers
        find_capability(access, capability::PCI_EXPRESS).await;
        find_capability(access, capability::PCI_X).await;
        self.find_extended(access, extended::LTR).await;
        self.find_each_extended(access, &super::state::VIRTUAL_CHANNELS).await;
        self.power_management_init(access).await?;
        find_capability(access, capability::VPD).await;
        self.find_each_extended(
            access,
            &[
                extended::SR_IOV,
                extended::ATS,
                extended::PRI,
                extended::PASID,
                extended::ACS,
                extended::PTM,
                extended::AER,
                extended::DPC,
            ],
        )
        .await;
        if self.kind.is_6_12_or_later() {
            self.find_extended(access, extended::DOE).await;
        }
        self.report_downtraining(access).await;
        // pci_init_reset_methods
        find_capability(access, capability::ADVANCED_FEATURES).await;
        // The visibility of resource0_resize to resource5_resize in sysfs.
        self.find_each_extended(access, &[extended::RESIZABLE_BAR; 6]).await;
        Ok(())
    }

    /// `pci_pm_init`.
    async fn power_management_init<A: ConfigAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        self.power_management = find_capability(access, capability::POWER_MANAGEMENT).await;
        let Some(at) = self.power_management else { return Ok(()) };
        let capabilities = access.live_word(at + power::CAPABILITIES).await?;
        if capabilities & power::PME_SUPPORT != 0 {
            // pci_pme_active(false): PME off, and a pending one cleared.
            let control = access.live_word(at + power::CONTROL).await?;
            access.set_word(at + power::CONTROL, (control | power::PME_STATUS) & !power::PME_ENABLE).await;
        }
        access.word(STATUS).await;
        Ok(())
    }

    /// `pcie_report_downtraining`: link speed and width, for the message about a slow link.
    async fn report_downtraining<A: ConfigAccess>(&self, access: &mut A) {
        let Some(pcie) = self.express.filter(Express::has_link) else { return };
        if !self.kind.is_6_12_or_later() {
            // 6.12 knows the supported speeds since set_pcie_port_type.
            let speeds = if pcie.is_v2() { access.dword(pcie.at + express::LINK_CAPABILITIES_2).await } else { 0 };
            if speeds == 0 {
                access.dword(pcie.at + express::LINK_CAPABILITIES).await;
            }
        }
        access.dword(pcie.at + express::LINK_CAPABILITIES).await;
        access.word(pcie.at + express::LINK_STATUS).await;
    }
}

/// `pci_bus_generic_read_dev_vendor_id`: some broken boards read as zeros or half ones where there is nothing.
async fn read_vendor_id<A: ConfigAccess>(access: &mut A) -> Result<(), GuestError> {
    match access.dword(VENDOR_ID).await {
        0 | 0x0000_FFFF | 0xFFFF_0000 | 0xFFFF_FFFF => Err(GuestError::Vanished),
        _ => Ok(()),
    }
}

/// `pci_setup_device` for a type 0 header.
async fn setup_device<A: ConfigAccess>(kind: GuestKind, access: &mut A) -> Result<Function, GuestError> {
    let header = access.byte(HEADER_TYPE).await;
    if header == u8::MAX {
        return Err(GuestError::Vanished);
    }
    let mut function = Function::new(kind);
    function.express = set_pcie_port_type(kind, access).await?;
    access.dword(REVISION_AND_CLASS).await;
    function.config_space_size(access).await;
    test_intx_mask(access).await?;
    if header & 0x7F != 0 {
        return Err(GuestError::NotAnEndpoint(header));
    }
    // pci_read_irq
    if access.byte(INTERRUPT_PIN).await != 0 {
        access.byte(INTERRUPT_LINE).await;
    }
    function.layout = read_bases(kind, access).await?;
    // pci_subsystem_ids
    access.word(SUBSYSTEM_VENDOR_ID).await;
    access.word(SUBSYSTEM_ID).await;
    Ok(function)
}

/// `set_pcie_port_type`.
async fn set_pcie_port_type<A: ConfigAccess>(kind: GuestKind, access: &mut A) -> Result<Option<Express>, GuestError> {
    let Some(at) = find_capability(access, capability::PCI_EXPRESS).await else { return Ok(None) };
    let capabilities = access.live_word(at + express::CAPABILITIES).await?;
    let device_capabilities = access.dword(at + express::DEVICE_CAPABILITIES).await;
    let pcie = Express { at, capabilities, can_flr: device_capabilities & express::FLR_CAPABLE != 0 };
    if kind.is_6_12_or_later() && pcie.has_link() {
        // Whether link-up is reported, then the supported speeds (pcie_get_supported_speeds).
        access.dword(at + express::LINK_CAPABILITIES).await;
        if pcie.is_v2() {
            access.dword(at + express::LINK_CAPABILITIES_2).await;
        }
        access.dword(at + express::LINK_CAPABILITIES).await;
    }
    Ok(Some(pcie))
}

/// `pci_configure_extended_tags`.
async fn configure_extended_tags<A: ConfigAccess>(access: &mut A, pcie: Express) {
    if access.dword(pcie.at + express::DEVICE_CAPABILITIES).await & express::EXTENDED_TAG == 0 {
        return;
    }
    let offset = pcie.at + express::DEVICE_CONTROL;
    if access.word(offset).await & express::EXTENDED_TAG_ENABLE == 0 {
        let control = access.word(offset).await;
        access.set_word(offset, control | express::EXTENDED_TAG_ENABLE).await;
    }
}

/// `pci_configure_ltr`.
async fn configure_ltr<A: ConfigAccess>(access: &mut A, pcie: Express) {
    if pcie.is_v2() && access.dword(pcie.at + express::DEVICE_CAPABILITIES_2).await & express::LTR_SUPPORTED != 0 {
        access.dword(pcie.at + express::DEVICE_CONTROL_2).await;
    }
}

/// `pci_intx_mask_broken`: flips INTx Disable and back to see whether it can be written. The rest of COMMAND is written
/// as it was, so no map and no unmap.
async fn test_intx_mask<A: ConfigAccess>(access: &mut A) -> Result<(), GuestError> {
    let command = access.live_word(COMMAND).await?;
    access.set_word(COMMAND, command ^ COMMAND_INTX_DISABLE).await;
    access.word(COMMAND).await;
    access.set_word(COMMAND, command).await;
    Ok(())
}

/// Reads the control word of MSI or MSI-X and switches it off if a previous kernel left it on.
async fn clear_enable<A: ConfigAccess>(access: &mut A, at: u16, enable: u16) -> Result<(), GuestError> {
    let control = access.live_word(at + msi::CONTROL).await?;
    if control & enable != 0 {
        access.set_word(at + msi::CONTROL, control & !enable).await;
    }
    Ok(())
}
