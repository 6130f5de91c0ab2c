//! A strict fake of the host's side of the config window: what it sees that must not happen is a violation.

use super::{HIGH, LOW};
use crate::backend::{ConfigPort, SelectError, Width};
use crate::placement::Window;
use crate::wire::{FunctionDescription, ProbedBars};
use crate::{Slot, Time};

const MEMORY: u32 = 2;

/// One function behind the window: MSI-X at 0x40, PCI Express at 0x4C, power management at 0x90, AF at 0x98, Resizable
/// BAR (of BAR 0) at 0x100.
#[derive(Clone, Debug)]
pub struct FakeFunction {
    pub description: FunctionDescription,
    pub probed: ProbedBars,
    pub config: Vec<u32>,
    pub maps: u64,
    pub unmaps: u64,
    pub host_unmaps: u64,
    /// All reads return all ones, writes are dropped.
    pub gone: bool,
    /// So many reads return all ones: in reset.
    pub silent: u32,
    /// The bits of COMMAND that can be written.
    pub writable: u32,
}

#[derive(Clone, Debug)]
pub struct FakeHost {
    pub functions: Vec<FakeFunction>,
    /// Whether I2 and I3 are checked.
    strict: bool,
    pub windows: Vec<Window>,
    selected: Option<Slot>,
    pub traps: u64,
    /// So many selects are denied: the slot selected before stays selected.
    pub denied: u32,
    pub violations: Vec<String>,
    /// Writes that reached config pages: slot, offset, value.
    pub writes: Vec<(u32, u16, u32)>,
    /// Reads that reached config pages: slot, offset, bytes.
    pub reads: Vec<(u32, u16, u16)>,
    /// The time an enable takes; `None`: there is no clock.
    pub map_takes: Option<u64>,
    clock: u64,
}

impl FakeFunction {
    fn new(slot: Slot, probed: ProbedBars) -> FakeFunction {
        let description = FunctionDescription {
            slot,
            vendor: 0x1414,
            device: 0xC03E,
            revision: 1,
            prog_if: 2,
            sub_class: 8,
            base_class: 1,
            subsystem_vendor: 0x1AF4,
            subsystem: 0x0042,
            serial: 7,
            numa_node: None,
        };
        let mut config = vec![0; 1024];
        for (offset, value) in [
            (0x00, 0xC03E_1414),
            (0x04, 0x8010_0000),
            (0x08, 0x0108_0201),
            (0x2C, 0x0042_1AF4),
            (0x34, 0x40),
            (0x40, 0x003F_4C11),
            (0x44, 0x0000_0004),
            (0x48, 0x0000_3004),
            (0x4C, 0x0002_9010),
            (0x50, 0x1000_8000),
            (0x54, 0x0000_2810),
            (0x58, 0x0040_0105),
            (0x5C, 0x0105_0000),
            (0x78, 0x0000_003E),
            (0x90, 0x0003_9801),
            (0x98, 0x0306_0013),
            (0x100, 0x0001_0015),
            (0x104, 0x0000_FFF0),
            (0x108, 0x0000_0020),
        ] {
            config[offset / 4] = value;
        }
        FakeFunction {
            description,
            probed,
            config,
            maps: 0,
            unmaps: 0,
            host_unmaps: 0,
            gone: false,
            silent: 0,
            writable: 0x0406,
        }
    }

    pub fn decodes(&self) -> bool {
        self.config[1] & MEMORY != 0
    }

    /// The pages of each BAR, both ends included.
    pub fn pages(&self) -> Vec<(u64, u64)> {
        let mut pages = Vec::new();
        let mut register = 0;
        while register < 6 {
            let mask = self.probed.0[register];
            if mask != 0 {
                let wide = mask & 6 == 4;
                let at = |values: &[u32], ones: u32| {
                    u64::from(values[register] & !0xF)
                        | (u64::from(if wide { values[register + 1] } else { ones }) << 32)
                };
                let size = (!at(&self.probed.0, u32::MAX)).wrapping_add(1);
                let base = at(&self.config[4..10], 0);
                pages.push((base & !0xFFF, base.saturating_add(size - 1) | 0xFFF));
                register += usize::from(wide);
            }
            register += 1;
        }
        pages
    }

    pub fn bars(&self) -> [u32; 6] {
        core::array::from_fn(|r| self.config[4 + r])
    }

    /// The host takes everything back by itself.
    pub fn reset(&mut self) {
        self.host_unmaps += u64::from(self.decodes());
        self.config[1] &= 0xFFFF_0000;
        for r in 0..6 {
            self.config[4 + r] = self.attributes(r);
        }
        self.config[0x54 / 4] = 0x2810;
        self.config[0x94 / 4] &= 0x8;
    }

    fn attributes(&self, register: usize) -> u32 {
        let upper = register > 0 && self.probed.0[register - 1] & 7 == 4;
        if upper { 0 } else { self.probed.0[register] & 0xF }
    }
}

impl FakeHost {
    pub fn new(strict: bool) -> FakeHost {
        FakeHost {
            functions: Vec::new(),
            strict,
            windows: vec![LOW, HIGH],
            selected: None,
            traps: 0,
            denied: 0,
            violations: Vec::new(),
            writes: Vec::new(),
            reads: Vec::new(),
            map_takes: None,
            clock: 0,
        }
    }

    pub fn add(&mut self, slot: Slot, probed: ProbedBars) {
        let mut function = FakeFunction::new(slot, probed);
        function.reset();
        self.functions.push(function);
    }

    fn selected(&self) -> Option<usize> {
        self.functions.iter().position(|f| Some(f.description.slot) == self.selected)
    }

    /// Decode by message, or by a map in the background.
    pub fn power(&mut self, n: usize, on: bool) {
        let command = (self.functions[n].config[1] & !MEMORY) | if on { MEMORY } else { 0 };
        self.set_command(n, command & 0xFFFF);
    }

    fn set_command(&mut self, n: usize, value: u32) {
        let (was, on) = (self.functions[n].decodes(), value & MEMORY != 0);
        if on && !was {
            self.check_ranges(n);
            self.clock += self.map_takes.unwrap_or(0);
        }
        let function = &mut self.functions[n];
        function.maps += u64::from(on && !was);
        function.unmaps += u64::from(was && !on);
        function.config[1] = (function.config[1] & 0xFFFF_0000) | value;
    }

    fn check_ranges(&mut self, n: usize) {
        for (first, last) in self.functions[n].pages() {
            if !self.windows.iter().any(|w| first >= w.base && last < w.base + w.size) {
                self.violation(format!("I3: {n} mapped at {first:#x}, outside the windows"));
            }
            for other in 0..self.functions.len() {
                let function = &self.functions[other];
                let overlaps = function.pages().iter().any(|(f, l)| *f <= last && first <= *l);
                if other != n && function.decodes() && overlaps {
                    self.violation(format!("I3: {n} mapped at {first:#x}, over {other}"));
                }
            }
        }
    }

    fn violation(&mut self, what: String) {
        if self.strict {
            self.violations.push(what);
        }
    }

    fn write_bits(&mut self, n: usize, dword: u16, bits: u32, lanes: u32) {
        let at = usize::from(dword / 4);
        let merged = (self.functions[n].config[at] & !lanes) | (bits & lanes);
        match dword {
            0x04 => {
                let function = &mut self.functions[n];
                function.config[1] &= !(bits & lanes & 0xF900_0000);
                let command = merged & function.writable;
                if lanes & 0xFFFF != 0 {
                    self.set_command(n, command);
                }
            }
            0x10..=0x24 => {
                let register = usize::from((dword - 0x10) / 4);
                if self.functions[n].decodes() {
                    self.violation(format!("I2: BAR {register} of {n} written with decode on"));
                    return;
                }
                let function = &mut self.functions[n];
                let attributes = function.attributes(register);
                function.config[at] = (merged & function.probed.0[register] & !attributes) | attributes;
            }
            0x0C => self.functions[n].config[at] = (self.functions[n].config[at] & !0xFF) | (merged & 0xFF),
            0x40 => {
                // Message Control: Enable and Function Mask of MSI-X; Enable and Multiple Message Enable of MSI.
                let msi = self.functions[n].config[at] & 0xFF == 0x05;
                let writable = if msi { 0x0071_0000 } else { 0xC000_0000 };
                self.functions[n].config[at] = (merged & writable) | (self.functions[n].config[at] & !writable)
            }
            0x54 => {
                self.functions[n].config[at] = merged & 0x7FFF;
                if bits & lanes & 0x8000 != 0 {
                    self.functions[n].reset();
                }
            }
            0x94 => {
                let was = self.functions[n].config[at];
                self.functions[n].config[at] = (was & !3) | (merged & 3);
                if was & 3 == 3 && merged & 3 == 0 && was & 8 == 0 {
                    self.functions[n].reset();
                }
            }
            0x9C if bits & lanes & 1 != 0 => self.functions[n].reset(),
            0x108 => {
                let size = (1u64 << 20) << (merged >> 8 & 0x1F);
                let function = &mut self.functions[n];
                function.config[at] = merged;
                function.probed.0[0] = (!(size - 1) as u32) & !0xF | 0xC;
                function.probed.0[1] = (!(size - 1) >> 32) as u32;
                function.config[4] = function.config[4] & function.probed.0[0] | 0xC;
                function.config[5] &= function.probed.0[1];
            }
            _ => {}
        }
    }
}

impl ConfigPort for FakeHost {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.traps += 1;
        if self.denied > 0 {
            self.denied -= 1;
            return Err(SelectError);
        }
        self.selected = Some(slot);
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        self.traps += 1;
        assert_eq!(offset % width.bytes(), 0);
        let Some(n) = self.selected() else { return width.all_ones() };
        self.reads.push((self.functions[n].description.slot.to_wire(), offset, width.bytes()));
        let function = &mut self.functions[n];
        if function.silent > 0 {
            function.silent -= 1;
            return width.all_ones();
        }
        if function.gone {
            return width.all_ones();
        }
        (function.config[usize::from(offset / 4)] >> ((offset % 4) * 8)) & width.all_ones()
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        self.traps += 1;
        assert_eq!(offset % width.bytes(), 0);
        assert_eq!(value & !width.all_ones(), 0);
        let Some(n) = self.selected() else { return };
        self.writes.push((self.functions[n].description.slot.to_wire(), offset, value));
        if !self.functions[n].gone && self.functions[n].silent == 0 {
            let shift = u32::from(offset % 4) * 8;
            self.write_bits(n, offset & !3, value << shift, width.all_ones() << shift);
        }
    }

    fn now(&mut self) -> Option<Time> {
        self.map_takes.map(|_| Time::from_nanos(self.clock))
    }
}
