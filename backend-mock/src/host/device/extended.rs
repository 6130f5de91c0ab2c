//! Extended capabilities from 0x100 on, resizable BARs among them.

use alloc::vec;
use alloc::vec::Vec;

use super::{CONFIG_BYTES, Device};

const ID_RESIZABLE_BAR: u16 = 0x15;
/// Resizable BARs speak in powers of two from 1 MiB (PCI Express Base 7.8.6).
const SMALLEST_LOG2: u32 = 20;

/// An extended capability of a test's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtendedCapability {
    /// One resizable BAR.
    ResizableBar {
        /// The BAR register; the BAR must have been added.
        bar: u8,
        /// The sizes it can take: bit n stands for 2^n MiB, n up to 27.
        sizes: u32,
    },
    /// Anything else, read-only.
    Other {
        /// Its id.
        id: u16,
        /// Its version.
        version: u8,
        /// What follows the header.
        body: Vec<u8>,
    },
}

impl Device {
    /// Appends an extended capability. One that does not fit is left out.
    #[must_use]
    pub fn with_extended_capability(mut self, capability: &ExtendedCapability) -> Device {
        let at = self.next_extended;
        let (id, version, body, writable) = match capability {
            ExtendedCapability::ResizableBar { bar, sizes } => {
                let Some((_, size)) = self.range(*bar) else { return self };
                let mut body = ((sizes & 0x0FFF_FFFF) << 4).to_le_bytes().to_vec();
                // Control: BAR index, one resizable BAR, current size.
                let code = size.trailing_zeros().saturating_sub(SMALLEST_LOG2);
                body.extend_from_slice(&(u32::from(*bar & 7) | 1 << 5 | code << 8).to_le_bytes());
                self.hooks.rebar_control = Some(at.saturating_add(8));
                (ID_RESIZABLE_BAR, 1, body, vec![0, 0, 0, 0, 0, 0x3F])
            }
            ExtendedCapability::Other { id, version, body } => (*id, *version, body.clone(), Vec::new()),
        };
        let end = u32::from(at).saturating_add(4).saturating_add(u32::try_from(body.len()).unwrap_or(u32::MAX));
        if end > u32::from(CONFIG_BYTES) {
            return self;
        }
        let header = u32::from(id) | u32::from(version & 0xF) << 16;
        self.set(at, &header.to_le_bytes());
        self.set(at.saturating_add(4), &body);
        self.allow(at.saturating_add(4), &writable);
        if let Some(link) = self.extended_link {
            // The next pointer is in bits 20 to 31 of the header before.
            let [low, high] = (at << 4).to_le_bytes();
            let version = self.byte(link.saturating_add(2)) & 0x0F;
            self.set(link.saturating_add(2), &[version | low, high]);
        }
        self.extended_link = Some(at);
        self.next_extended = u16::try_from(end).unwrap_or(CONFIG_BYTES).next_multiple_of(4);
        self.initial.clone_from(&self.config);
        self
    }

    /// Takes over a new BAR size after a write of the resizable-BAR control register at `dword`.
    pub(super) fn resize_bar(&mut self, dword: u16) {
        let Some(control) = self.hooks.rebar_control.filter(|control| *control == dword) else { return };
        let register = self.byte(control) & 7;
        let Some((_, size)) = self.range(register) else { return };
        let code = u32::from(self.byte(control.saturating_add(1)) & 0x3F);
        let supported = u32::from(self.read_word(control.saturating_sub(4)))
            | u32::from(self.read_word(control.saturating_sub(2))) << 16;
        let allowed = code < 28 && (supported >> code.saturating_add(4)) & 1 == 1;
        let current = size.trailing_zeros().saturating_sub(SMALLEST_LOG2);
        if !allowed || self.decodes() {
            let kept = u8::try_from(current).unwrap_or(0) & 0x3F;
            self.set(control.saturating_add(1), &[kept]);
            return;
        }
        let (wide, prefetchable) = self.bar_kind(register);
        self.place_bar(register, 1u64 << code.saturating_add(SMALLEST_LOG2), wide, prefetchable);
    }

    fn bar_kind(&self, register: u8) -> (bool, bool) {
        let attributes = self.bars.get(usize::from(register)).map_or(0, |bar| bar.attributes);
        (attributes & (1 << 2) != 0, attributes & (1 << 3) != 0)
    }
}
