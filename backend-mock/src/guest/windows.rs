//! Windows, as far as public text tells (`reference/decode.md` section 6): the in-box bus driver reports the functions,
//! sends the BAR addresses with RESOURCES_ASSIGNED2 and powers a function with POWER_STATE_CHANGE, so config space is
//! read for identification only and COMMAND and the BARs are never written.
//!
//! Not verified on Windows: which registers are read, and whether MSI-X Enable is written by config access or by the
//! host; the model leaves it to the host.

use hvpci_core::config::BarLayout;

use super::access::{ConfigAccess, DevicePower, GuestError, PowerAccess, Registers};
use super::registers::{
    CAPABILITIES_POINTER, HEADER_TYPE, REVISION_AND_CLASS, STATUS, STATUS_CAPABILITIES, SUBSYSTEM_VENDOR_ID, VENDOR_ID,
};

/// A capability list has at most this many entries: (256 - 64) / 4.
const LONGEST_LIST: usize = 48;

/// A function that the bus driver has reported to PnP.
#[derive(Clone, Debug)]
pub struct Function {
    layout: BarLayout,
}

impl Function {
    /// Bus enumeration: ids, class, subsystem, header type, and the headers of the capability list. The BAR sizes come
    /// with the host's answer to QUERY_RESOURCE_REQUIREMENTS.
    ///
    /// # Errors
    /// [`GuestError::Vanished`] and [`GuestError::NotAnEndpoint`].
    pub async fn enumerate<A: ConfigAccess>(access: &mut A, layout: &BarLayout) -> Result<Function, GuestError> {
        if access.dword(VENDOR_ID).await == u32::MAX {
            return Err(GuestError::Vanished);
        }
        access.dword(REVISION_AND_CLASS).await;
        let header = access.byte(HEADER_TYPE).await;
        if header & 0x7F != 0 {
            return Err(GuestError::NotAnEndpoint(header));
        }
        access.dword(SUBSYSTEM_VENDOR_ID).await;
        if access.live_word(STATUS).await? & STATUS_CAPABILITIES != 0 {
            let mut at = access.byte(CAPABILITIES_POINTER).await;
            for _ in 0..LONGEST_LIST {
                if at < 0x40 || at == u8::MAX {
                    break;
                }
                let [_, next] = access.word(u16::from(at & !3)).await.to_le_bytes();
                at = next;
            }
        }
        Ok(Function { layout: *layout })
    }

    /// The BARs of the function.
    pub fn layout(&self) -> &BarLayout {
        &self.layout
    }

    /// START_DEVICE: D0 entry, one map.
    ///
    /// # Errors
    /// [`GuestError::PowerRefused`].
    pub async fn start<A: PowerAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        Ok(access.set_power(DevicePower::D0).await?)
    }

    /// Stop, remove, idle or a PnP rebalance: D3, one unmap.
    ///
    /// # Errors
    /// [`GuestError::PowerRefused`].
    pub async fn stop<A: PowerAccess>(&mut self, access: &mut A) -> Result<(), GuestError> {
        Ok(access.set_power(DevicePower::D3).await?)
    }
}
