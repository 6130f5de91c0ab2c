//! Reads and writes of config space, and what a write does beyond changing bits.

use super::bars::bar_index;
use super::{COMMAND, COMMAND_MEMORY, Device, STATUS, STATUS_RW1C};
use crate::host::Quirks;

/// PMCSR: the power state.
const POWER_STATE: u16 = 0x3;
const D3_HOT: u16 = 3;
/// Device Control: Initiate Function Level Reset.
const INITIATE_FLR: u16 = 1 << 15;

/// Where the registers are whose writes do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hooks {
    pub(super) power_control: Option<u16>,
    pub(super) no_soft_reset: bool,
    pub(super) pcie_device_control: Option<u16>,
    pub(super) af_control: Option<u16>,
    pub(super) msix_control: Option<u16>,
    /// The MSI capability and whether its address has 64 bits.
    pub(super) msi: Option<(u16, bool)>,
    /// The control register of resizable BARs.
    pub(super) rebar_control: Option<u16>,
}

/// What a config write asks of the host beyond the bits it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigEffect {
    /// Nothing.
    None,
    /// COMMAND.Memory shall become this value, which it does not have. The bit itself has not been changed yet.
    Decode(bool),
    /// A BAR was written while the function decodes: the write was dropped.
    BarIgnored(u8),
    /// The function shall be reset: FLR, AF-FLR, or D3hot to D0 without No_Soft_Reset.
    Reset,
}

impl Device {
    /// Reads `bytes` (1, 2 or 4) at a naturally aligned `offset`.
    pub fn read(&self, offset: u16, bytes: u16, quirks: &Quirks) -> u32 {
        let dword = offset & !3;
        let mut value = match self.read_bar(dword, quirks.bar_attributes_late) {
            Some(value) => value,
            None => u32::from(self.read_word(dword)) | u32::from(self.read_word(dword | 2)) << 16,
        };
        if quirks.memory_bit_reads_zero && dword == COMMAND {
            value &= !u32::from(COMMAND_MEMORY);
        }
        if quirks.intx_bytes_garbage && dword == 0x3C {
            value ^= 0x0000_01A5;
        }
        (value >> (8 * u32::from(offset & 3))) & mask(bytes)
    }

    /// Writes `bytes` (1, 2 or 4) at a naturally aligned `offset`. COMMAND.Memory is left to the caller, who maps first.
    pub fn write(&mut self, offset: u16, bytes: u16, value: u32) -> ConfigEffect {
        let dword = offset & !3;
        let shift = 8 * u32::from(offset & 3);
        let written = mask(bytes) << shift;
        let value = (value << shift) & written;
        if let Some(index) = bar_index(dword) {
            if self.decodes() {
                return ConfigEffect::BarIgnored(u8::try_from(index).unwrap_or(0));
            }
            let merged = (self.read_bar(dword, false).unwrap_or(0) & !written) | value;
            self.write_bar(dword, merged);
            return ConfigEffect::None;
        }
        let decoded = self.decodes();
        let power = self.hooks.power_control.map(|at| self.read_word(at) & POWER_STATE);
        for (at, (byte, open)) in (dword..).zip(value.to_le_bytes().into_iter().zip(written.to_le_bytes())) {
            self.write_byte(at, byte, open);
        }
        if dword == COMMAND && self.decodes() != decoded {
            let wanted = self.decodes();
            self.set_decode(decoded);
            return ConfigEffect::Decode(wanted);
        }
        if self.wants_reset(dword, value, power) {
            return ConfigEffect::Reset;
        }
        self.resize_bar(dword);
        ConfigEffect::None
    }

    fn write_byte(&mut self, at: u16, byte: u8, open: u8) {
        let index = usize::from(at);
        let status_bits = STATUS_RW1C.to_le_bytes();
        let clears = match at.checked_sub(STATUS).map(usize::from) {
            Some(high) => status_bits.get(high).copied().unwrap_or(0) & open & byte,
            None => 0,
        };
        let writable = self.writable.get(index).copied().unwrap_or(0) & open;
        if let Some(place) = self.config.get_mut(index) {
            *place = ((*place & !writable) | (byte & writable)) & !clears;
        }
    }

    /// Whether a write at `dword` starts a reset. `power` is the power state before it.
    fn wants_reset(&self, dword: u16, value: u32, power: Option<u16>) -> bool {
        let low = u16::try_from(value & 0xFFFF).unwrap_or(0);
        if self.hooks.pcie_device_control.is_some_and(|at| at == dword) && low & INITIATE_FLR != 0 {
            return true;
        }
        if self.hooks.af_control.is_some_and(|at| at == dword) && low & 1 != 0 {
            return true;
        }
        let Some(at) = self.hooks.power_control.filter(|at| *at == dword) else { return false };
        power == Some(D3_HOT) && self.read_word(at) & POWER_STATE == 0 && !self.hooks.no_soft_reset
    }

    /// Whether the function is in D3hot.
    pub(crate) fn is_asleep(&self) -> bool {
        self.hooks.power_control.is_some_and(|at| self.read_word(at) & POWER_STATE == D3_HOT)
    }

    /// Whether MSI-X is enabled and not masked as a whole.
    pub(crate) fn msix_enabled(&self) -> bool {
        self.hooks.msix_control.is_some_and(|at| self.read_word(at) & 0xC000 == 0x8000)
    }

    /// The MSI address, data and number of messages, where MSI is enabled.
    pub(crate) fn msi(&self) -> Option<(u64, u32, u16)> {
        let (at, is_64bit) = self.hooks.msi?;
        let control = self.read_word(at.saturating_add(2));
        if control & 1 == 0 {
            return None;
        }
        let word = |offset: u16| u64::from(self.read_word(at.saturating_add(offset)));
        let low = word(4) | word(6) << 16;
        let (address, data) = if is_64bit { (low | word(8) << 32 | word(10) << 48, word(12)) } else { (low, word(8)) };
        Some((address, u32::try_from(data).unwrap_or(0), 1 << ((control >> 4) & 7).min(5)))
    }
}

/// All ones in `bytes` bytes.
const fn mask(bytes: u16) -> u32 {
    match bytes {
        1 => 0xFF,
        2 => 0xFFFF,
        _ => u32::MAX,
    }
}
