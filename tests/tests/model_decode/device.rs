//! The strict host of the model: two functions with a COMMAND and one 64-bit BAR each.

use hvpci_core::Slot;
use hvpci_core::backend::{ConfigPort, Width};

pub const MEMORY: u16 = 2;
pub const BUS_MASTER: u16 = 4;
/// The size of each BAR.
pub const SIZE: u64 = 1 << 20;
/// Where a BAR may be: each its own window, and the halves of the two mixed lie outside both.
pub const A: u64 = 0x10_0010_0000;
pub const B: u64 = 0x20_0020_0000;

/// An invariant that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Guest decode is on, but host decode is not, or not for the addresses of the guest's last 0->1.
    I1,
    /// A BAR was written while decode was on.
    I2,
    /// Decode was on, if only for an instant, outside the windows or over the other function; or a legal enable was refused.
    I3,
    /// The guest was told something that an unshadowed device would not have told.
    I4,
    /// Something stayed mapped of a function that is gone.
    I5,
    /// More maps or unmaps than with a guest that writes everything through.
    I6,
    /// After a loss of state the guest does not see reset values, or a set was not sent.
    I7,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Device {
    pub command: u16,
    pub bar: [u32; 2],
}

impl Device {
    pub fn memory(&self) -> bool {
        self.command & MEMORY != 0
    }

    pub fn address(&self) -> u64 {
        address(self.bar)
    }
}

pub fn address(bar: [u32; 2]) -> u64 {
    u64::from(bar[1]) << 32 | u64::from(bar[0] & 0xFFF0_0000)
}

pub fn legal(at: u64) -> bool {
    at == A || at == B
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host {
    pub devices: [Device; 2],
    pub selected: Option<usize>,
    /// The last access set Memory (a set was sent, even if it changed nothing).
    pub set_sent: bool,
    pub maps: u32,
    pub unmaps: u32,
    /// Whether I2 and I3 are to hold: not for Eager.
    pub strict: bool,
    pub broken: Option<Broken>,
}

impl Host {
    pub fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// Decode of a function is now what it is: is that allowed?
    pub fn check(&mut self) {
        let [a, b] = self.devices;
        let outside = |device: &Device| device.memory() && !legal(device.address());
        let overlap = a.memory() && b.memory() && a.address() == b.address();
        if self.strict && (outside(&a) || outside(&b) || overlap) {
            self.breaks(Broken::I3);
        }
    }

    pub fn set_memory(&mut self, at: usize, on: bool) {
        let device = &mut self.devices[at];
        match (device.memory(), on) {
            (false, true) => self.maps += 1,
            (true, false) => self.unmaps += 1,
            _ => {}
        }
        device.command = device.command & !MEMORY | if on { MEMORY } else { 0 };
        self.check();
    }

    /// The device is reset, or the host starts it afresh: its maps go without anybody's doing.
    pub fn reset(&mut self, at: usize) {
        self.devices[at] = Device::default();
    }
}

impl ConfigPort for Host {
    fn select(&mut self, slot: Slot) {
        self.selected = Some(slot.to_wire() as usize);
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        let device = self.devices[self.selected.unwrap()];
        let dword = match offset & !3 {
            0x00 => 0xB111_1414,
            0x04 => u32::from(device.command),
            0x10 => device.bar[0] | 0xC,
            0x14 => device.bar[1],
            _ => 0,
        };
        dword >> (8 * (offset & 3)) & width.all_ones()
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        let at = self.selected.unwrap();
        match (offset, width) {
            (0x04, Width::Word) => {
                let command = value as u16 & (MEMORY | BUS_MASTER);
                self.devices[at].command = self.devices[at].command & MEMORY | command & BUS_MASTER;
                self.set_sent |= command & MEMORY != 0;
                self.set_memory(at, command & MEMORY != 0);
            }
            (0x10 | 0x14, Width::Dword) => {
                if self.devices[at].memory() {
                    // Ignored, as by the real host.
                    if self.strict {
                        self.breaks(Broken::I2);
                    }
                    return;
                }
                let register = usize::from(offset - 0x10) / 4;
                self.devices[at].bar[register] = if register == 0 { value & 0xFFF0_0000 } else { value };
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
