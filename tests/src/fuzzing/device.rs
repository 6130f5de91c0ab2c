//! The strict host behind the config fuzzing: three functions with capabilities, resets and power states.

use hvpci_core::Slot;
use hvpci_core::backend::{ConfigPort, SelectError, Width};

pub const FUNCTIONS: usize = 3;
const MEMORY: u16 = 2;
const PM: usize = 0x40;
const EXPRESS: usize = 0x50;
const MSI_X: usize = 0x90;
const MSI: usize = 0xA0;
/// Message Control of MSI, and its Enable bit.
pub const MSI_CONTROL: u16 = MSI as u16 + 2;
pub const MSI_ENABLE: u32 = 1;
/// Where BAR registers are, and which of their bits can be written: a 64-bit BAR of 1 MiB, a 32-bit BAR of 64 KiB.
pub const MASKS: [u32; 6] = [0xFFF0_0000, 0xFFFF_FFFF, 0xFFFF_0000, 0, 0, 0];
pub const ATTRIBUTES: [u32; 6] = [0xC, 0, 0, 0, 0, 0];
/// The sizes of the BARs, by lower register.
pub const BARS: [(usize, u64); 2] = [(0, 1 << 20), (2, 1 << 16)];

/// One function's registers.
#[derive(Clone, Copy)]
pub struct Function {
    pub space: [u8; 256],
}

impl Function {
    fn new() -> Function {
        let mut space = [0; 256];
        space[..4].copy_from_slice(&[0x14, 0x14, 0x11, 0xB1]);
        space[0x06] = 0x10;
        space[0x34] = PM as u8;
        space[PM..PM + 4].copy_from_slice(&[0x01, EXPRESS as u8, 0x03, 0x00]);
        space[EXPRESS..EXPRESS + 8].copy_from_slice(&[0x10, MSI_X as u8, 0x02, 0x00, 0, 0, 0, 0x10]);
        space[MSI_X..MSI_X + 12].copy_from_slice(&[0x11, MSI as u8, 0x07, 0x00, 0, 0, 0, 0, 0, 0x08, 0, 0]);
        space[MSI..MSI + 4].copy_from_slice(&[0x05, 0x00, 0x86, 0x00]);
        let mut function = Function { space };
        for (register, attributes) in ATTRIBUTES.into_iter().enumerate() {
            function.put(0x10 + 4 * register, attributes);
        }
        function
    }

    fn get(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.space[at..at + 4].try_into().unwrap())
    }

    fn put(&mut self, at: usize, value: u32) {
        self.space[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn memory(&self) -> bool {
        u16::from(self.space[4]) & MEMORY != 0
    }

    /// MSI's Message Control.
    pub fn message_control(&self) -> u32 {
        self.get(MSI) >> 16
    }

    /// The BARs as ranges.
    pub fn ranges(&self) -> [(u64, u64); 2] {
        BARS.map(|(register, size)| {
            let at = |register: usize| u64::from(self.get(0x10 + 4 * register) & MASKS[register]);
            let high = if register == 0 { at(1) << 32 } else { 0 };
            (high | at(register), size)
        })
    }
}

pub struct Host {
    pub functions: [Function; FUNCTIONS],
    pub selected: Option<usize>,
    /// I2 and I3 are held.
    pub strict: bool,
    pub windows: Vec<(u64, u64)>,
    pub maps: u64,
}

impl Host {
    pub fn new(strict: bool, windows: Vec<(u64, u64)>) -> Host {
        Host { functions: [Function::new(); FUNCTIONS], selected: None, strict, windows, maps: 0 }
    }

    /// The host takes a function back, or it is reset.
    pub fn reset(&mut self, at: usize) {
        self.functions[at] = Function::new();
    }

    pub fn set_memory(&mut self, at: usize, on: bool) {
        let was = self.functions[at].memory();
        self.functions[at].space[4] = self.functions[at].space[4] & !2 | if on { 2 } else { 0 };
        self.maps += u64::from(on && !was);
        if !self.strict || !on {
            return;
        }
        for (base, size) in self.functions[at].ranges() {
            let inside = self.windows.iter().any(|(start, length)| base >= *start && base + size <= start + length);
            assert!(inside, "I3: function {at} is mapped at {base:#x}");
            for (other, function) in self.functions.iter().enumerate().filter(|(other, f)| *other != at && f.memory()) {
                let apart =
                    function.ranges().iter().all(|(start, length)| base + size <= *start || start + length <= base);
                assert!(apart, "I3: functions {at} and {other} are both mapped at {base:#x}");
            }
        }
    }

    /// RESOURCES_ASSIGNED: the BARs, by lower register.
    pub fn assign(&mut self, at: usize, bars: &[Option<u64>; 6]) {
        assert!(!self.strict || !self.functions[at].memory(), "I2: BARs are sent with decode on");
        for (register, address) in bars.iter().enumerate().filter_map(|(at, bar)| Some((at, (*bar)?))) {
            let mut put = |register: usize, value: u32| {
                let value = value & MASKS[register] | ATTRIBUTES[register];
                self.functions[at].put(0x10 + 4 * register, value);
            };
            put(register, address as u32);
            if register == 0 {
                put(1, (address >> 32) as u32);
            }
        }
    }

    fn write_byte(&mut self, at: usize, offset: usize, value: u8) {
        let function = &mut self.functions[at];
        match offset {
            0x04 => {
                function.space[4] = function.space[4] & 2 | value & 0x44;
                self.set_memory(at, value & 2 != 0);
            }
            0x05 => function.space[5] = value & 0x05,
            0x3C => function.space[0x3C] = value,
            0x10..0x28 => {
                assert!(!self.strict || !function.memory(), "I2: a BAR is written with decode on");
                if !function.memory() {
                    let (register, shift) = ((offset - 0x10) / 4, 8 * (offset & 3));
                    let mask = (MASKS[register] >> shift) as u8;
                    function.space[offset] = function.space[offset] & !mask | value & mask;
                }
            }
            0x44 => {
                let wakes = function.space[0x44] & 3 == 3 && value & 3 == 0;
                function.space[0x44] = value & 3;
                if wakes {
                    self.reset(at);
                }
            }
            0x59 if value & 0x80 != 0 => self.reset(at),
            0x58 | 0x59 => function.space[offset] = value & 0x7F,
            0x93 => function.space[offset] = value & 0xC0,
            0xA2 => function.space[offset] = function.space[offset] & 0x8E | value & 0x71,
            0xA4..0xAE => function.space[offset] = value,
            _ => {}
        }
    }
}

impl ConfigPort for Host {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.selected = Some(slot.to_wire() as usize);
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        assert_eq!(offset % width.bytes(), 0, "an unaligned access reached the host");
        let at = self.selected.expect("an access before a select");
        let mut value = 0;
        for n in (0..usize::from(width.bytes())).rev() {
            value = value << 8 | u32::from(self.functions[at].space.get(usize::from(offset) + n).copied().unwrap_or(0));
        }
        value
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        assert_eq!(offset % width.bytes(), 0, "an unaligned access reached the host");
        let at = self.selected.expect("an access before a select");
        for (n, byte) in value.to_le_bytes().into_iter().take(usize::from(width.bytes())).enumerate() {
            self.write_byte(at, usize::from(offset) + n, byte);
        }
    }
}
