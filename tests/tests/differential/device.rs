//! A device of the plainest kind: registers, masks, and what the hardware does by itself. It stands once with nothing in
//! front of it, and once behind the core.

use hvpci_core::Slot;
use hvpci_core::backend::{ConfigPort, SelectError, Width};

pub const MEMORY: u32 = 2;
/// The BARs of the recorded device: what their registers read after all ones were written, by register.
pub const PROBED: [u32; 6] = [0xFFFF_000C, 0xFFFF_FFFF, 0, 0, 0xFFFF_F00C, 0xFFFF_FFFF];
/// Lower register and size of each.
const BARS: [(usize, u64); 2] = [(0, 0x1_0000), (4, 0x1000)];
/// The only window of the bus, where the recorded guests place the BARs.
pub const WINDOW: (u64, u64) = (0x1_0000_0000, 0x40_0000);
/// Device Control, in the PCI Express capability that the recorded device has at 0x4C.
pub const DEVICE_CONTROL: u16 = 0x54;
/// Message Control of plain MSI, which the recorded device lacks: added behind what it has.
pub const MSI_CONTROL: u16 = 0x92;
pub const MSI_ENABLE: u32 = 1;

/// The recorded device after a reset, with MSI.
const FRESH: [(usize, u32); 15] = [
    (0x00, 0xC03E_1414),
    (0x04, 0x0010_0000),
    (0x08, 0x0108_0200),
    (0x10, 0xC),
    (0x20, 0xC),
    (0x34, 0x40),
    (0x40, 0x003F_4C11),
    (0x44, 0x0000_0004),
    (0x4C, 0x0002_9010),
    (0x50, 0x0000_8000),
    (0x54, 0x0000_2810),
    (0x58, 0x0040_0105),
    (0x78, 0x0000_003E),
    (0x7C, 0x0000_0005),
    (0x90, 0x0080_0005),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    config: [u32; 64],
    /// What it has cost. A background map counts once the guest uses it: one that it never uses is the pair that a
    /// background map may cost (I6).
    pub maps: u64,
    pub unmaps: u64,
    /// Mapped in the background, and not used by the guest yet.
    pub ahead: bool,
    /// What such a map decoded that was undone in this step: to map the same again is a map too many.
    pub undone: Option<[(u64, u64); 2]>,
}

impl Device {
    pub fn new() -> Device {
        let mut device = Device { config: [0; 64], maps: 0, unmaps: 0, ahead: false, undone: None };
        device.reset();
        device
    }

    pub fn reset(&mut self) {
        (self.config, self.ahead) = ([0; 64], false);
        FRESH.into_iter().for_each(|(offset, value)| self.config[offset / 4] = value);
    }

    /// The guest has turned decode on: a map that was made ahead is what it pays for.
    pub fn used(&mut self) {
        self.maps += u64::from(std::mem::take(&mut self.ahead));
    }

    pub fn decodes(&self) -> bool {
        self.config[1] & MEMORY != 0
    }

    /// What it decodes, as first and last byte.
    pub fn ranges(&self) -> [(u64, u64); 2] {
        BARS.map(|(register, size)| {
            let at = |register: usize| {
                u64::from(self.config[4 + register] & if register.is_multiple_of(2) { !0xF } else { !0 })
            };
            let base = at(register + 1) << 32 | at(register);
            (base, base.saturating_add(size - 1))
        })
    }

    pub fn is_inside(&self) -> bool {
        self.ranges().iter().all(|(first, last)| *first >= WINDOW.0 && *last < WINDOW.0 + WINDOW.1)
    }

    pub fn overlaps(&self, other: &Device) -> bool {
        self.ranges().iter().any(|(first, last)| other.ranges().iter().any(|(f, l)| first <= l && f <= last))
    }

    pub fn read(&self, offset: u16, width: Width) -> u32 {
        let dword = self.config.get(usize::from(offset / 4)).copied().unwrap_or(0);
        dword >> (8 * (offset % 4)) & width.all_ones()
    }

    pub fn write(&mut self, offset: u16, width: Width, value: u32) {
        let at = usize::from(offset / 4);
        let lanes = width.all_ones() << (8 * (offset % 4));
        let bits = (value & width.all_ones()) << (8 * (offset % 4));
        let was = self.decodes();
        let writable = match offset & !3 {
            0x04 => 0x0000_0446,
            0x0C => 0x0000_00FF,
            0x10..0x28 if was => 0,
            0x10..0x28 => PROBED[at - 4] & if at.is_multiple_of(2) { !0xF } else { !0 },
            0x3C => 0x0000_00FF,
            0x40 => 0xC000_0000,
            0x54 => 0x0000_7FFF,
            0x5C | 0x74 | 0x7C => 0x0000_FFFF,
            0x90 => 0x0071_0000,
            0x94 | 0x98 => 0xFFFF_FFFC,
            0x9C => 0x0000_FFFF,
            _ => 0,
        };
        let Some(register) = self.config.get_mut(at) else { return };
        *register = *register & !(lanes & writable) | bits & lanes & writable;
        if offset & !3 == 0x04 {
            // Status is write-one-to-clear.
            *register &= !(bits & lanes & 0xF900_0000);
            let on = *register & MEMORY != 0;
            let ranges = Some(self.ranges());
            if was && !on && std::mem::take(&mut self.ahead) {
                self.undone = ranges;
            } else {
                self.unmaps += u64::from(was && !on);
            }
            if on && !was {
                self.maps += 1 + u64::from(self.undone == ranges);
            }
        }
        if offset & !3 == DEVICE_CONTROL {
            // For want of errors, this is what raises a bit of Status.
            self.config[1] |= 0x2000_0000;
            if bits & lanes & 0x8000 != 0 {
                self.reset();
            }
        }
    }
}

/// What is wrong between the core and the devices, to show that the comparison would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A set arrives as a set, a clear and a set.
    MappedTwice,
    /// A function that was mapped in the background is unmapped and mapped again as it is enabled.
    MappedAfresh,
    /// A set arrives without Memory.
    SetLost,
    /// A BAR arrives one page further up.
    Misplaced,
    /// Device Control always reads what it read after reset.
    ReadFromCache,
    /// Writes of Status do not arrive.
    StatusLost,
    /// MSI's Message Control arrives with Enable set.
    EnableStuck,
    /// MSI's Message Control arrives without Enable.
    EnableLost,
}

/// The window of a bus with several such devices.
pub struct Window {
    pub devices: Vec<Device>,
    selected: usize,
    pub defect: Option<Defect>,
    /// Invariants I2 and I3, as far as the host can see them.
    pub violations: Vec<String>,
}

impl Window {
    pub fn new(count: usize, defect: Option<Defect>) -> Window {
        Window { devices: vec![Device::new(); count], selected: 0, defect, violations: Vec::new() }
    }

    /// Decode is turned on in the background.
    pub fn power_on(&mut self, at: usize) {
        let device = &mut self.devices[at];
        let was = device.decodes();
        if !was {
            device.config[1] |= MEMORY;
            device.ahead = true;
        }
        self.decodes_now(at, was);
    }

    /// Decode of a function is now what it is: is it allowed to be on, if it was not before?
    fn decodes_now(&mut self, at: usize, was: bool) {
        let now = self.devices[at];
        if was || !now.decodes() {
            return;
        }
        let mut others = self.devices.iter().enumerate().filter(|(other, device)| *other != at && device.decodes());
        if !now.is_inside() || others.any(|(_, other)| other.overlaps(&now)) {
            self.violations.push(format!("I3: {at} mapped at {:x?}", now.ranges()));
        }
    }
}

impl ConfigPort for Window {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.selected = slot.to_wire() as usize;
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        if self.defect == Some(Defect::ReadFromCache) && offset & !3 == DEVICE_CONTROL {
            return Device::new().read(offset, width);
        }
        self.devices[self.selected].read(offset, width)
    }

    fn write(&mut self, offset: u16, width: Width, mut value: u32) {
        let at = self.selected;
        let device = &mut self.devices[at];
        let was = device.decodes();
        match (self.defect, offset) {
            (Some(Defect::MappedTwice), 0x04) if !was && value & MEMORY != 0 => {
                device.write(offset, width, value);
                device.write(offset, width, value & !MEMORY);
            }
            (Some(Defect::MappedAfresh), 0x04) if device.ahead && value & MEMORY != 0 => {
                device.write(offset, width, value & !MEMORY);
            }
            (Some(Defect::SetLost), 0x04) => value &= !MEMORY,
            (Some(Defect::StatusLost), 0x06) => return,
            (Some(Defect::EnableStuck), MSI_CONTROL) => value |= MSI_ENABLE,
            (Some(Defect::EnableLost), MSI_CONTROL) => value &= !MSI_ENABLE,
            (Some(Defect::Misplaced), 0x20) => value = value.wrapping_add(0x1000),
            _ => {}
        }
        if was && (0x10..0x28).contains(&offset) {
            self.violations.push(format!("I2: {offset:#x} of {at} written with decode on"));
        }
        self.devices[at].write(offset, width, value);
        self.decodes_now(at, was);
    }
}
