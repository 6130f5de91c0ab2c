//! A fake function behind a fake vPCI driver: config space, BARs, and the host's counting of maps.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use hvpci_core::backend::Width;

use crate::guest::{BarAddresses, ConfigAccess, DevicePower, PowerAccess, PowerRefused};

/// One access, as the text form of `testdata` has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub write: bool,
    pub offset: u16,
    pub width: Width,
    pub value: u32,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Access { write, offset, width, value } = *self;
        let (direction, bytes) = (if write { 'w' } else { 'r' }, width.bytes());
        write!(f, "{direction} {offset:03x} {bytes} {value:0digits$x}", digits = usize::from(bytes) * 2)
    }
}

impl Access {
    /// Whether pci-hyperv passes the access to the host (`reference/protocol.md` section 7: guest-side emulation).
    pub fn reaches_host(&self) -> bool {
        let end = self.offset + self.width.bytes();
        let within = |first: u16, last: u16| self.offset >= first && end <= last + 1;
        if self.write {
            !within(0x00, 0x03) && !within(0x2C, 0x33)
        } else {
            !(within(0x00, 0x03) || within(0x08, 0x0B) || within(0x2C, 0x33) || within(0x3C, 0x3D))
        }
    }

    fn is_command_write(&self) -> bool {
        self.write && self.offset == 0x04
    }

    fn is_bar_write(&self) -> bool {
        self.write && (0x10..0x28).contains(&self.offset)
    }
}

/// What the guest did and what it cost.
#[derive(Clone, Default)]
pub(super) struct Log {
    pub accesses: Vec<Access>,
    pub maps: u32,
    pub unmaps: u32,
    /// BAR writes made while decode was on, which the host ignores.
    pub ignored_bar_writes: u32,
    pub power: Vec<DevicePower>,
    pub delay: Duration,
}

impl Log {
    pub fn reads(&self) -> usize {
        self.accesses.iter().filter(|access| !access.write).count()
    }

    pub fn command_writes(&self) -> usize {
        self.accesses.iter().filter(|access| access.is_command_write()).count()
    }

    pub fn bar_writes(&self) -> usize {
        self.accesses.iter().filter(|access| access.is_bar_write()).count()
    }

    /// The writes in the notation of `reference/linux-kernel.md` section 3: `COMMAND=2(0) BAR0h=1000 ROM=0`, the old
    /// value of COMMAND in brackets.
    pub fn writes(&self) -> String {
        let mut words = Vec::new();
        for access in self.accesses.iter().filter(|access| access.write) {
            let Access { offset, value, .. } = *access;
            words.push(match offset {
                0x10 | 0x18 | 0x20 | 0x24 => format!("BAR{}={value:x}", (offset - 0x10) / 4),
                0x14 | 0x1C => format!("BAR{}h={value:x}", (offset - 0x10) / 4 - 1),
                0x30 => format!("ROM={value:x}"),
                0x0D => format!("LAT={value:x}"),
                0x04 => format!("COMMAND={value:x}"),
                _ => format!("{offset:03x}={value:x}"),
            });
        }
        words.join(" ")
    }
}

/// The fake.
#[derive(Clone)]
pub(super) struct Device {
    bytes: Vec<u8>,
    /// Which bits of the bytes can be written.
    writable: Vec<u8>,
    bar_masks: [u32; 6],
    /// Every access reads all ones from this many accesses on.
    pub gone_after: Option<usize>,
    pub power_refused: bool,
    /// What happened so far.
    pub log: Log,
}

impl Device {
    /// A function without any capability, with BARs of these masks.
    pub fn plain(bar_masks: [u32; 6]) -> Device {
        let mut device = Device {
            bytes: vec![0; 4096],
            writable: vec![0; 4096],
            bar_masks,
            gone_after: None,
            power_refused: false,
            log: Log::default(),
        };
        device.set(0x00, Width::Dword, 0xC03E_1414);
        device.set(0x08, Width::Dword, 0x0108_0200);
        device.allow(0x04, Width::Word, 0x0406);
        device.allow(0x0D, Width::Byte, 0xFF);
        for (index, &mask) in (0u16..).zip(&bar_masks) {
            device.set(0x10 + 4 * index, Width::Dword, mask & if is_upper_half(&bar_masks, index) { 0 } else { 0xF });
        }
        device
    }

    /// The recorded NVMe function: BAR0 of 64 KiB and BAR4 of 4 KiB, MSI-X whose mask-all bit reads 0, PCIe version 2.
    pub fn nvme() -> Device {
        let mut device = Device::plain([0xFFFF_000C, 0xFFFF_FFFF, 0, 0, 0xFFFF_F00C, 0xFFFF_FFFF]);
        device.set(0x06, Width::Word, 0x0010);
        device.set(0x34, Width::Byte, 0x40);
        device.set(0x40, Width::Dword, 0x003F_4C11);
        device.allow(0x42, Width::Word, 0x8000);
        device.set(0x44, Width::Dword, 0x0000_0004);
        device.set(0x4C, Width::Dword, 0x0002_0010);
        device.set(0x50, Width::Dword, 0x0000_8000);
        device.set(0x54, Width::Word, 0x2810);
        device.set(0x58, Width::Dword, 0x0040_0105);
        device.set(0x5E, Width::Word, 0x0105);
        device.set(0x78, Width::Dword, 0x0000_003E);
        device.set(0x7C, Width::Word, 0x0005);
        device
    }

    /// Presets a register, whatever can be written.
    pub fn set(&mut self, offset: u16, width: Width, value: u32) {
        let at = usize::from(offset);
        let bytes = usize::from(width.bytes());
        self.bytes[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }

    /// Makes bits of a register writable.
    pub fn allow(&mut self, offset: u16, width: Width, bits: u32) {
        let at = usize::from(offset);
        let bytes = usize::from(width.bytes());
        self.writable[at..at + bytes].copy_from_slice(&bits.to_le_bytes()[..bytes]);
    }

    pub fn get(&self, offset: u16, width: Width) -> u32 {
        let at = usize::from(offset);
        let mut value = [0; 4];
        let bytes = usize::from(width.bytes());
        value[..bytes].copy_from_slice(&self.bytes[at..at + bytes]);
        u32::from_le_bytes(value)
    }

    /// Presets the BARs, as pci-hyperv's prepopulation does.
    pub fn place(&mut self, addresses: &BarAddresses) {
        for (index, address) in (0u16..).zip(addresses) {
            let offset = 0x10 + 4 * index;
            if let Some(address) = *address {
                let attributes = self.bar_masks[usize::from(index)] & 0xF;
                self.set(offset, Width::Dword, address as u32 | attributes);
                if attributes & 4 != 0 {
                    self.set(offset + 4, Width::Dword, (address >> 32) as u32);
                }
            }
        }
    }

    /// What the driver below the PCI core does to COMMAND at bring-up: not in the log of accesses, but counted.
    pub fn driver_sets_memory(&mut self, on: bool) {
        let command = self.get(0x04, Width::Word);
        self.write_command(if on { command | 2 } else { command & !2 }, Width::Word);
    }

    pub fn memory_is_on(&self) -> bool {
        self.get(0x04, Width::Word) & 2 != 0
    }

    /// Runs a step and returns what it did, with the counts of that step alone.
    pub async fn during<T>(&mut self, step: impl AsyncFnOnce(&mut Device) -> T) -> (T, Log) {
        let before = core::mem::take(&mut self.log);
        let output = step(self).await;
        let log = core::mem::replace(&mut self.log, before);
        (output, log)
    }

    fn write_command(&mut self, value: u32, width: Width) {
        let was_on = self.memory_is_on();
        self.store(0x04, width, value);
        match (was_on, self.memory_is_on()) {
            (false, true) => self.log.maps += 1,
            (true, false) => self.log.unmaps += 1,
            _ => {}
        }
    }

    fn store(&mut self, offset: u16, width: Width, value: u32) {
        let bytes = usize::from(width.bytes());
        for (at, new) in (usize::from(offset)..).zip(&value.to_le_bytes()[..bytes]) {
            self.bytes[at] = (self.bytes[at] & !self.writable[at]) | (new & self.writable[at]);
        }
    }

    fn write_bar(&mut self, offset: u16, value: u32) {
        let index = (offset - 0x10) / 4;
        if self.memory_is_on() {
            self.log.ignored_bar_writes += 1;
            return;
        }
        let mask = self.bar_masks[usize::from(index)];
        let attributes = if is_upper_half(&self.bar_masks, index) { 0 } else { 0xF };
        self.set(offset, Width::Dword, (value & mask & !attributes) | (mask & attributes));
    }

    fn is_gone(&self) -> bool {
        self.gone_after.is_some_and(|accesses| self.log.accesses.len() >= accesses)
    }
}

fn is_upper_half(masks: &[u32; 6], index: u16) -> bool {
    let mut at = 0;
    while at < index {
        at += if masks[usize::from(at)] & 4 != 0 { 2 } else { 1 };
    }
    at > index
}

impl ConfigAccess for Device {
    async fn read(&mut self, offset: u16, width: Width) -> u32 {
        let served = matches!(offset, 0x30 | 0x3D);
        let value = match () {
            () if self.is_gone() => width.all_ones(),
            () if served => 0,
            () => self.get(offset, width),
        };
        self.log.accesses.push(Access { write: false, offset, width, value });
        value
    }

    async fn write(&mut self, offset: u16, width: Width, value: u32) {
        let gone = self.is_gone();
        self.log.accesses.push(Access { write: true, offset, width, value });
        match offset {
            _ if gone => {}
            0x04 => self.write_command(value, width),
            0x10..0x28 => self.write_bar(offset, value),
            _ => self.store(offset, width, value),
        }
    }

    async fn delay(&mut self, duration: Duration) {
        self.log.delay += duration;
    }
}

impl PowerAccess for Device {
    async fn set_power(&mut self, state: DevicePower) -> Result<(), PowerRefused> {
        if self.power_refused {
            return Err(PowerRefused);
        }
        self.log.power.push(state);
        self.driver_sets_memory(state == DevicePower::D0);
        Ok(())
    }
}
