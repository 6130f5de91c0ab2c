//! Walks of the capability lists. Linux walks a list anew for nearly every capability it looks for, which is most of
//! the config reads of a scan.

use alloc::vec::Vec;

use super::Function;
use crate::guest::access::{ConfigAccess, Registers};
use crate::guest::registers::{CAPABILITIES_POINTER, EXTENDED, STATUS, STATUS_CAPABILITIES};

/// The longest capability list Linux follows (`PCI_FIND_CAP_TTL`).
const LONGEST_LIST: usize = 48;
/// The longest extended list: as many 8-byte capabilities as extended config space holds.
const LONGEST_EXTENDED_LIST: usize = (4096 - 256) / 8;

/// `pci_find_capability`: Status, the pointer, then one word per capability up to the one wanted.
pub(super) async fn find_capability<A: ConfigAccess>(access: &mut A, wanted: u8) -> Option<u16> {
    if access.word(STATUS).await & STATUS_CAPABILITIES == 0 {
        return None;
    }
    let mut at = access.byte(CAPABILITIES_POINTER).await;
    for _ in 0..LONGEST_LIST {
        if at < 0x40 {
            return None;
        }
        let offset = u16::from(at & !3);
        let [id, next] = access.word(offset).await.to_le_bytes();
        if id == 0xFF {
            return None;
        }
        if id == wanted {
            return Some(offset);
        }
        at = next;
    }
    None
}

impl Function {
    /// `pci_find_ext_capability`: one dword per capability up to the one wanted; none without extended config space.
    pub(super) async fn find_extended<A: ConfigAccess>(&self, access: &mut A, wanted: u16) -> Option<u16> {
        if !self.has_extended_space {
            return None;
        }
        let mut offset = EXTENDED;
        for _ in 0..LONGEST_EXTENDED_LIST {
            let header = access.dword(offset).await;
            // All ones: the function is gone. Older kernels follow that to the end of the longest list.
            if header == 0 || header == u32::MAX {
                return None;
            }
            if header & 0xFFFF == u32::from(wanted) {
                return Some(offset);
            }
            offset = (header >> 20) as u16 & 0xFFC;
            if offset < EXTENDED {
                return None;
            }
        }
        None
    }

    /// Looks for each of `wanted` in turn, each time from the start of the list; returns those found.
    pub(super) async fn find_each_extended<A: ConfigAccess>(&self, access: &mut A, wanted: &[u16]) -> Vec<u16> {
        let mut found = Vec::new();
        for &id in wanted {
            if self.find_extended(access, id).await.is_some() {
                found.push(id);
            }
        }
        found
    }
}
