//! The hardware behind a function: config space, BARs, capabilities.
//!
//! Register layout: PCI Express Base Specification, section 7.5.1 (type 0 header).

mod bars;
mod capability;
mod effect;
mod extended;
mod msix;
mod presets;

use alloc::vec;
use alloc::vec::Vec;

use hvpci_core::wire::{FunctionDescription, ProbedBars};

pub use bars::BarSpec;
pub use capability::{Capability, PcieRegisters};
pub use effect::ConfigEffect;
pub use extended::ExtendedCapability;
pub use msix::MsixTable;

use bars::BarRegister;

/// Bytes of config space.
pub const CONFIG_BYTES: u16 = 4096;
/// Offset of COMMAND.
pub(crate) const COMMAND: u16 = 0x04;
/// Offset of Status.
const STATUS: u16 = 0x06;
/// Offset of the first BAR.
const BAR0: u16 = 0x10;
/// Offset of the capability pointer.
const CAPABILITY_POINTER: u16 = 0x34;
/// COMMAND: memory decode.
pub(crate) const COMMAND_MEMORY: u16 = 1 << 1;
/// COMMAND: bus master.
pub(crate) const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// COMMAND: INTx disable.
const COMMAND_INTX_DISABLE: u16 = 1 << 10;
/// Status: there is a capability list.
const STATUS_CAPABILITIES: u16 = 1 << 4;
/// Status: the bits that a 1 clears.
const STATUS_RW1C: u16 = 0xF900;

/// One function's hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What reads return, BARs aside.
    config: Vec<u8>,
    /// What a reset brings back.
    initial: Vec<u8>,
    /// Which bits writes change.
    writable: Vec<u8>,
    bars: [BarRegister; 6],
    /// Where the next capability goes, and the byte that must point to it.
    next_capability: u16,
    capability_link: u16,
    next_extended: u16,
    extended_link: Option<u16>,
    hooks: effect::Hooks,
    msix: Option<MsixTable>,
    resets: u32,
}

impl Device {
    /// A type-0 function with these ids, without BARs or capabilities. COMMAND has Memory, Bus Master and INTx Disable
    /// writable; the rest reads 0, as on the recorded host.
    pub fn new(ids: &FunctionDescription) -> Device {
        let bytes = usize::from(CONFIG_BYTES);
        let mut device = Device {
            config: vec![0; bytes],
            initial: Vec::new(),
            writable: vec![0; bytes],
            bars: [BarRegister::default(); 6],
            next_capability: 0x40,
            capability_link: CAPABILITY_POINTER,
            next_extended: 0x100,
            extended_link: None,
            hooks: effect::Hooks::default(),
            msix: None,
            resets: 0,
        };
        device.set(0x00, &ids.vendor.to_le_bytes());
        device.set(0x02, &ids.device.to_le_bytes());
        device.set(0x08, &[ids.revision, ids.prog_if, ids.sub_class, ids.base_class]);
        device.set(0x2C, &ids.subsystem_vendor.to_le_bytes());
        device.set(0x2E, &ids.subsystem.to_le_bytes());
        device.allow(COMMAND, &(COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE).to_le_bytes());
        device.initial.clone_from(&device.config);
        device
    }

    /// Sets registers to `value`, with the bits of `writable` open to writes. Bytes outside config space are left out.
    #[must_use]
    pub fn with_register(mut self, offset: u16, value: &[u8], writable: &[u8]) -> Device {
        self.set(offset, value);
        self.allow(offset, writable);
        self.initial.clone_from(&self.config);
        self
    }

    /// What reading each BAR gives after all ones were written to it.
    pub fn probed(&self) -> ProbedBars {
        let mut probed = [0; 6];
        for (value, bar) in probed.iter_mut().zip(&self.bars) {
            *value = bar.mask | bar.attributes;
        }
        ProbedBars(probed)
    }

    /// COMMAND.
    pub fn command(&self) -> u16 {
        self.read_word(COMMAND)
    }

    /// Whether the function decodes its memory BARs.
    pub fn decodes(&self) -> bool {
        self.command() & COMMAND_MEMORY != 0
    }

    /// Turns memory decode on or off, as a message from the guest does.
    pub(crate) fn set_decode(&mut self, on: bool) {
        let command = if on { self.command() | COMMAND_MEMORY } else { self.command() & !COMMAND_MEMORY };
        self.set(COMMAND, &command.to_le_bytes());
    }

    /// Raises error bits in Status, which a guest clears by writing ones.
    pub fn raise_status(&mut self, bits: u16) {
        let status = self.read_word(STATUS) | (bits & STATUS_RW1C);
        self.set(STATUS, &status.to_le_bytes());
    }

    /// The MSI-X table, where the function has one.
    pub fn msix(&self) -> Option<&MsixTable> {
        self.msix.as_ref()
    }

    pub(crate) fn msix_mut(&mut self) -> Option<&mut MsixTable> {
        self.msix.as_mut()
    }

    /// Puts the function into its reset state: COMMAND 0, BARs 0, capabilities as built.
    pub fn reset(&mut self) {
        self.config.clone_from(&self.initial);
        for bar in &mut self.bars {
            bar.value = 0;
            bar.probed = false;
        }
        if let Some(msix) = &mut self.msix {
            msix.reset();
        }
        self.resets = self.resets.saturating_add(1);
    }

    /// How often the function was reset: what it keeps behind its BARs is lost then, too.
    pub const fn resets(&self) -> u32 {
        self.resets
    }

    /// Two bytes of config space, not BARs; 0 outside it.
    pub(crate) fn read_word(&self, offset: u16) -> u16 {
        u16::from_le_bytes([self.byte(offset), self.byte(offset.saturating_add(1))])
    }

    /// One byte of config space, not BARs; 0 outside it.
    fn byte(&self, offset: u16) -> u8 {
        self.config.get(usize::from(offset)).copied().unwrap_or(0)
    }

    /// Overwrites bytes whatever their writability.
    fn set(&mut self, offset: u16, value: &[u8]) {
        for (place, byte) in self.config.iter_mut().skip(usize::from(offset)).zip(value) {
            *place = *byte;
        }
    }

    /// Opens bits to writes.
    fn allow(&mut self, offset: u16, bits: &[u8]) {
        for (place, byte) in self.writable.iter_mut().skip(usize::from(offset)).zip(bits) {
            *place |= *byte;
        }
    }
}
