//! One function's registers.

use hvpci_core::backend::Width;

/// Bytes of config space.
pub(super) const SPACE: usize = 4096;
/// The low byte of COMMAND.
const COMMAND: usize = 0x04;
/// COMMAND.Memory (PCI Express Base 5.0 section 7.5.1.1.3).
const MEMORY: u8 = 1 << 1;
/// The BAR registers.
pub(super) const BARS: std::ops::Range<usize> = 0x10..0x28;
/// Attribute bits of a memory BAR.
const ATTRIBUTES: u8 = 0x0F;

/// What a host may or may not do, as far as a recording can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// BAR writes are dropped while memory decode is on (`reference/protocol.md` section 7).
    pub(super) bars_locked: bool,
    /// A function-level reset, and a return from D3hot without NoSoftRst, reset the function.
    pub(super) resets: bool,
}

/// The registers of one function: what they hold and what writes change.
#[derive(Clone, Debug)]
pub struct FunctionModel {
    pub(super) present: bool,
    pub(super) rules: Rules,
    pub(super) value: Vec<u8>,
    pub(super) first_value: Vec<u8>,
    /// Bits that take what is written to them.
    pub(super) writable: Vec<u8>,
    /// Bits that a written one clears.
    pub(super) clearable: Vec<u8>,
    /// Bits whose value the recording shows somewhere.
    pub(super) known: Vec<u8>,
    /// The Device Control register, if the function can reset itself.
    pub(super) device_control: Option<usize>,
    /// The PM Control/Status register.
    pub(super) power_control: Option<usize>,
}

/// What a write did besides changing registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// A BAR write was dropped because decode was on.
    pub(super) blocked_bar: bool,
    /// Memory decode went 0->1.
    pub(super) mapped: bool,
    /// Memory decode went 1->0.
    pub(super) unmapped: bool,
    /// Memory decode went 1->0 by a reset.
    pub(super) reset_unmapped: bool,
}

impl FunctionModel {
    /// Whether the function is there. One that is not reads all ones and drops writes.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// Whether the function is there and its memory decode is on.
    pub fn memory_decode(&self) -> bool {
        self.present && self.value[COMMAND] & MEMORY != 0
    }

    /// The BAR registers as a read returns them, attribute bits included.
    pub fn bars(&self) -> [u32; 6] {
        let mut bars = [0; 6];
        for (bar, offset) in bars.iter_mut().zip((0x10..).step_by(4)) {
            *bar = self.read(offset, Width::Dword);
        }
        bars
    }

    /// The bits of the byte at `offset` that take what is written to them.
    pub fn writable_bits(&self, offset: u16) -> u8 {
        self.writable.get(usize::from(offset)).copied().unwrap_or(0)
    }

    /// Whether the recording shows every bit of a register somewhere.
    pub fn knows(&self, offset: u16, width: Width) -> bool {
        span(offset, width).is_none_or(|mut span| span.all(|at| self.known[at] == 0xFF))
    }

    /// What a read returns. Reads beyond the end of the page return all ones.
    pub fn read(&self, offset: u16, width: Width) -> u32 {
        let Some(span) = span(offset, width).filter(|_| self.present) else {
            return width.all_ones();
        };
        span.rev().fold(0, |value, at| value << 8 | u32::from(self.value[at]))
    }

    pub(super) fn write(&mut self, offset: u16, width: Width, value: u32) -> Effect {
        let mut effect = Effect::default();
        let Some(span) = span(offset, width).filter(|_| self.present) else {
            return effect;
        };
        let was = self.memory_decode();
        let mut reset = false;
        for (at, new) in span.zip(value.to_le_bytes()) {
            if BARS.contains(&at) && was && self.rules.bars_locked {
                effect.blocked_bar = true;
                continue;
            }
            let old = self.value[at];
            let (writable, clearable) = (self.writable[at], self.clearable[at]);
            self.value[at] = (old & !writable & !(clearable & new)) | (new & writable);
            reset |= self.resets(at, old, new);
        }
        let is = self.memory_decode();
        effect.mapped = !was && is;
        effect.unmapped = was && !is;
        if reset {
            effect.reset_unmapped = is;
            self.reset();
        }
        effect
    }

    /// Whether a byte written resets the function: a function-level reset (PCI Express Base 5.0 section 6.6.2), or D3hot to
    /// D0 where PMCSR.No_Soft_Reset is clear (section 7.5.2.2).
    fn resets(&self, at: usize, old: u8, new: u8) -> bool {
        const INITIATE_FLR: u8 = 1 << 7;
        const NO_SOFT_RESET: u8 = 1 << 3;
        if !self.rules.resets {
            return false;
        }
        let by_flr = self.device_control.is_some_and(|control| at == control + 1 && new & INITIATE_FLR != 0);
        let wakes = self.power_control == Some(at) && old & 3 == 3 && self.value[at] & 3 == 0;
        by_flr || (wakes && old & NO_SOFT_RESET == 0)
    }

    fn reset(&mut self) {
        self.value.clone_from(&self.first_value);
        self.value[COMMAND] &= !self.writable[COMMAND];
        self.value[COMMAND + 1] &= !self.writable[COMMAND + 1];
        self.set_bars([0; 6]);
    }

    /// Writes the BARs as the host does: whatever decode is.
    pub(super) fn set_bars(&mut self, bars: [u32; 6]) {
        for (at, new) in BARS.zip(bars.iter().flat_map(|bar| bar.to_le_bytes())) {
            // A register of which no bit was seen to be writable still keeps its attribute bits.
            let fixed = !self.writable[at];
            self.value[at] = (self.value[at] & fixed) | (new & !fixed);
        }
    }

    pub(super) fn set_memory(&mut self, on: bool) {
        self.value[COMMAND] = if on { self.value[COMMAND] | MEMORY } else { self.value[COMMAND] & !MEMORY };
    }

    /// A function that comes back has the values it began with.
    pub(super) fn set_present(&mut self, present: bool) {
        if present && !self.present {
            self.value.clone_from(&self.first_value);
        }
        self.present = present;
    }

    /// Changes bits whatever a guest could change.
    pub(super) fn force(&mut self, offset: u16, mask: u32, value: u32) {
        let bytes = mask.to_le_bytes().into_iter().zip(value.to_le_bytes());
        for (byte, (mask, value)) in self.value.iter_mut().skip(usize::from(offset)).zip(bytes) {
            *byte = (*byte & !mask) | (value & mask);
        }
    }

    /// Overwrites what bits of a BAR register are writable and which attributes it has, from its probed mask. `upper` is the
    /// upper half of a 64-bit BAR, which has no attributes.
    pub(super) fn set_bar_mask(&mut self, index: usize, probed: u32, upper: bool) {
        for (byte, mask) in probed.to_le_bytes().into_iter().enumerate() {
            let at = BARS.start + index * 4 + byte;
            let attributes = if byte == 0 && !upper { ATTRIBUTES } else { 0 };
            self.writable[at] = mask & !attributes;
            self.first_value[at] = (self.first_value[at] & self.writable[at]) | (mask & attributes);
            self.known[at] = 0xFF;
        }
    }
}

/// The bytes of an access; `None` where it leaves the page.
pub(super) fn span(offset: u16, width: Width) -> Option<std::ops::Range<usize>> {
    let start = usize::from(offset);
    let end = start + usize::from(width.bytes());
    (end <= SPACE).then_some(start..end)
}
