//! The strict host of the model: functions with a COMMAND, one 64-bit BAR, a power-management and a PCI Express capability.

use hvpci_core::Slot;
use hvpci_core::backend::{ConfigPort, SelectError, Width};

use crate::mutants::Mutant;

/// The most functions a model has.
pub const MOST: usize = 3;
pub const MEMORY: u16 = 2;
pub const BUS_MASTER: u16 = 4;
/// The size of each BAR.
pub const SIZE: u64 = 1 << 20;
/// Where a BAR may be: each its own window, and the halves of two of them mixed lie outside all.
pub const PLACES: [u64; MOST] = [0x10_0010_0000, 0x20_0020_0000, 0x30_0030_0000];
/// Device Control, and PMCSR.
pub const DEVICE_CONTROL: u16 = 0x58;
pub const PMCSR: u16 = 0x44;
/// The capabilities pointer: a register that the read cache keeps.
pub const CAPABILITIES: u16 = 0x34;
const FIRST_CAPABILITY: u32 = 0x40;

/// The invariants, as bits of what was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Guest decode is on, but host decode is not, or not for the addresses of the guest's last 0->1.
    I1,
    /// A BAR was written while decode was on.
    I2,
    /// Decode was on, if only for an instant, outside the windows or over another function; or a legal enable was refused.
    I3,
    /// The guest was told something that an unshadowed device would not have told.
    I4,
    /// Something stayed mapped of a function that is gone.
    I5,
    /// More maps or unmaps than with a guest that writes everything through.
    I6,
    /// After a loss of state the guest does not see reset values, or a set was not sent.
    I7,
    /// In an isolated VM a falling edge did not reach the host at once.
    I8,
    /// A liveness test was not answered by the device.
    I9,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Device {
    pub command: u16,
    pub bar: [u32; 2],
    /// PMCSR's PowerState.
    pub power: u8,
    /// It answers nothing at present.
    pub silent: bool,
}

impl Device {
    pub fn memory(&self) -> bool {
        self.command & MEMORY != 0
    }

    pub fn address(&self) -> u64 {
        address(self.bar)
    }

    /// What a guest with nothing in between reads.
    pub fn read(&self, offset: u16, width: Width) -> u32 {
        if self.silent {
            return width.all_ones();
        }
        let dword = match offset & !3 {
            0x00 => 0xB111_1414,
            0x04 => 0x0010_0000 | u32::from(self.command),
            0x10 => self.bar[0] | 0xC,
            0x14 => self.bar[1],
            0x34 => FIRST_CAPABILITY,
            0x40 => 0x0003_5001,
            0x44 => u32::from(self.power),
            0x50 => 0x0002_0010,
            0x54 => 0x1000_0000,
            _ => 0,
        };
        dword >> (8 * (offset & 3)) & width.all_ones()
    }
}

pub fn address(bar: [u32; 2]) -> u64 {
    u64::from(bar[1]) << 32 | u64::from(bar[0] & 0xFFF0_0000)
}

/// The two registers that put a BAR at an address.
pub fn registers(address: u64) -> [u32; 2] {
    [address as u32, (address >> 32) as u32]
}

/// A map in the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Background {
    #[default]
    None,
    /// Asked for. Who accesses the function's config space from here on waits until it is there.
    Sent,
    /// There, or ended by a reset; the answer is on its way.
    Over,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host {
    pub devices: [Device; MOST],
    pub background: [Background; MOST],
    pub selected: Option<usize>,
    /// The last access set Memory (a set was sent, even if it changed nothing).
    pub set_sent: bool,
    /// The vendor id was read in this step.
    pub asked_for_ids: bool,
    /// What each function has cost. A background map counts once the guest uses it; one that it never uses is the pair
    /// that a background map may cost, and counts nothing.
    pub maps: [u32; MOST],
    pub unmaps: [u32; MOST],
    /// Mapped in the background, and not used by the guest yet.
    pub ahead: [bool; MOST],
    /// Where such a map was undone in this step: to map the same again is a map too many.
    pub undone: Option<(usize, u64)>,
    /// Whether I2 and I3 are to hold: not for Eager.
    pub strict: bool,
    /// How many of the places are windows of the bus.
    pub places: usize,
    /// Bits: what was broken.
    pub broken: u16,
    /// A defect between the core and this host.
    pub mutant: Option<Mutant>,
}

impl Host {
    pub fn breaks(&mut self, broken: Broken) {
        self.broken |= 1 << broken as u16;
    }

    pub fn is_legal(&self, at: u64) -> bool {
        PLACES[..self.places].contains(&at)
    }

    /// Decode of a function is now what it is: is that allowed?
    pub fn check(&mut self) {
        let mut wrong = false;
        for (at, device) in self.devices.iter().enumerate().filter(|(_, device)| device.memory()) {
            wrong |= !self.is_legal(device.address());
            wrong |= self.devices[..at].iter().any(|other| other.memory() && other.address() == device.address());
        }
        if self.strict && wrong {
            self.breaks(Broken::I3);
        }
    }

    pub fn set_memory(&mut self, at: usize, on: bool) {
        let device = &mut self.devices[at];
        let place = (at, device.address());
        match (device.memory(), on) {
            (false, true) => self.maps[at] += 1 + u32::from(self.undone == Some(place)),
            (true, false) if std::mem::take(&mut self.ahead[at]) => self.undone = Some(place),
            (true, false) => self.unmaps[at] += 1,
            _ => {}
        }
        device.command = device.command & !MEMORY | if on { MEMORY } else { 0 };
        self.check();
    }

    /// The guest has turned decode on: a map that was made ahead is what it pays for.
    pub fn used(&mut self, at: usize) {
        self.maps[at] += u32::from(std::mem::take(&mut self.ahead[at]));
    }

    /// The background map that was asked for is there, unless the function is not.
    pub fn lands(&mut self, at: usize) {
        if self.background[at] != Background::Sent {
            return;
        }
        self.background[at] = Background::Over;
        let device = &mut self.devices[at];
        if !device.silent && !device.memory() {
            device.command |= MEMORY;
            self.ahead[at] = true;
            self.check();
        }
    }

    /// An access waits for the map that was asked for before it.
    fn waits(&mut self, at: usize) {
        if self.mutant != Some(Mutant::MapOvertaken) {
            self.lands(at);
        }
    }

    /// The device is reset, or the host starts it afresh: its maps go without anybody's doing, and so does one under way.
    pub fn reset(&mut self, at: usize) {
        if self.background[at] == Background::Sent && self.mutant != Some(Mutant::MapOutlivesReset) {
            self.background[at] = Background::Over;
        }
        self.ahead[at] = false;
        self.devices[at] = Device { silent: self.devices[at].silent, ..Device::default() };
    }

    pub fn write_bar(&mut self, at: usize, register: usize, value: u32) {
        if self.devices[at].memory() {
            // Ignored, as by the real host.
            if self.strict {
                self.breaks(Broken::I2);
            }
            return;
        }
        self.devices[at].bar[register] = value & [0xFFF0_0000, u32::MAX][register];
    }

    fn write_command(&mut self, at: usize, command: u16) {
        self.devices[at].command = self.devices[at].command & MEMORY | command & BUS_MASTER;
        self.set_sent |= command & MEMORY != 0;
        self.set_memory(at, command & MEMORY != 0);
    }
}

impl ConfigPort for Host {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.selected = Some(slot.to_wire() as usize);
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        self.asked_for_ids |= offset & !3 == 0;
        self.waits(self.selected.unwrap());
        self.devices[self.selected.unwrap()].read(offset, width)
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        let at = self.selected.unwrap();
        self.waits(at);
        if self.devices[at].silent {
            return;
        }
        match (offset, width) {
            (0x04, Width::Word) => {
                let mut command = value as u16 & (MEMORY | BUS_MASTER);
                let was = self.devices[at].memory();
                match self.mutant {
                    Some(Mutant::SetLost) if !was => command &= !MEMORY,
                    Some(Mutant::ClearLost) if was => command |= MEMORY,
                    Some(Mutant::MappedTwice) if !was && command & MEMORY != 0 => {
                        self.write_command(at, command);
                        self.write_command(at, command & !MEMORY);
                    }
                    Some(Mutant::MappedAfresh) if self.ahead[at] && command & MEMORY != 0 => {
                        self.write_command(at, command & !MEMORY);
                    }
                    Some(Mutant::EqualSetSuppressed) if was && command & MEMORY != 0 => return,
                    _ => {}
                }
                self.write_command(at, command);
            }
            (0x10, Width::Dword) => self.write_bar(at, 0, value),
            (0x14, Width::Dword) if self.mutant == Some(Mutant::UpperHalfLost) && !self.devices[at].memory() => {}
            (0x14, Width::Dword) => self.write_bar(at, 1, value),
            (DEVICE_CONTROL, Width::Word) if value & 0x8000 != 0 => {
                self.reset(at);
                // It takes its time to come back.
                self.devices[at].silent = true;
            }
            (PMCSR, Width::Word) => {
                let wakes = self.devices[at].power == 3 && value & 3 == 0;
                self.devices[at].power = (value & 3) as u8;
                if wakes {
                    self.reset(at);
                }
            }
            _ => {}
        }
    }
}

/// A guest without anything between it and the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reference {
    pub device: Device,
    pub maps: u32,
    pub unmaps: u32,
}

impl Reference {
    pub fn command(&mut self, value: u16) {
        self.maps += u32::from(value & MEMORY != 0 && !self.device.memory());
        self.unmaps += u32::from(value & MEMORY == 0 && self.device.memory());
        self.device.command = value;
    }

    pub fn bar(&mut self, register: usize, value: u32) {
        if !self.device.memory() {
            self.device.bar[register] = value & [0xFFF0_0000, u32::MAX][register];
        }
    }
}
