//! Guest-physical addresses that end at this host: the config windows and the BARs.

use hvpci_core::backend::Width;
use hvpci_core::{Slot, Time};

use super::bus::CONFIG_PAGE;
use super::{BusId, Host};

impl Host {
    /// Writes the slot selector of a bus's config window. Returns when the trap returns.
    pub fn window_select(&mut self, bus: BusId, now: Time, value: u32) -> Time {
        self.window_page_store(bus, now, 0, 4, value)
    }

    /// Reads `width` at `offset` (0 to 4095) of the selected function's config page. Returns the value and when the trap
    /// returns.
    pub fn window_read(&mut self, bus: BusId, now: Time, offset: u16, width: Width) -> (u32, Time) {
        let at = CONFIG_PAGE.saturating_add(u32::from(offset));
        self.window_page_load(bus, now, at, u32::from(width.bytes()))
    }

    /// Writes `width` at `offset` (0 to 4095) of the selected function's config page. Returns when the trap returns: for a
    /// write that maps, when the map is done.
    pub fn window_write(&mut self, bus: BusId, now: Time, offset: u16, width: Width, value: u32) -> Time {
        let at = CONFIG_PAGE.saturating_add(u32::from(offset));
        self.window_page_store(bus, now, at, u32::from(width.bytes()), value)
    }

    /// A load of `bytes` bytes at `offset` of a bus's 8 KiB window: for hosts of a real kernel's accesses.
    pub fn window_page_load(&mut self, bus: BusId, now: Time, offset: u32, bytes: u32) -> (u32, Time) {
        match self.parts(bus) {
            Some((bus, shared)) => bus.window_load(shared, now, offset, bytes),
            None => (u32::MAX, now),
        }
    }

    /// A store of `bytes` bytes at `offset` of a bus's 8 KiB window.
    pub fn window_page_store(&mut self, bus: BusId, now: Time, offset: u32, bytes: u32, value: u32) -> Time {
        match self.parts(bus) {
            Some((bus, shared)) => bus.window_store(shared, now, offset, bytes, value),
            None => now,
        }
    }

    /// The guest-physical address of a bus's config window, between D0ENTRY and D0EXIT.
    pub fn window_address(&self, bus: BusId) -> Option<u64> {
        self.bus(bus).and_then(|bus| bus.window)
    }

    /// A 32-bit load by the guest from a BAR. Only MSI-X tables hold anything; the rest of a mapped BAR reads 0, and what
    /// is not mapped, or not yet, all ones.
    pub fn memory_read(&self, now: Time, address: u64) -> u32 {
        let Some((bus, slot, register, offset)) = self.resolve(now, address) else { return u32::MAX };
        let function = self.bus(bus).and_then(|bus| bus.functions.get(&slot)).filter(|function| !function.gone);
        let Some(function) = function else { return u32::MAX };
        let table = function.device.msix().filter(|table| table.bar() == register);
        table.and_then(|table| table.read(offset)).unwrap_or(0)
    }

    /// A 32-bit store by the guest to a BAR. Only MSI-X tables keep anything. Returns whether the address is mapped.
    pub fn memory_write(&mut self, now: Time, address: u64, value: u32) -> bool {
        let Some((bus, slot, register, offset)) = self.resolve(now, address) else { return false };
        let Some((bus, _)) = self.parts(bus) else { return false };
        let Some(function) = bus.functions.get_mut(&slot).filter(|function| !function.gone) else { return false };
        if let Some(table) = function.device.msix_mut().filter(|table| table.bar() == register) {
            table.write(offset, value);
        }
        true
    }

    /// The BAR that is mapped at an address: bus, slot, register, offset.
    fn resolve(&self, now: Time, address: u64) -> Option<(BusId, Slot, u8, u64)> {
        let range = self.shared.mapped.iter().find(|range| range.overlaps(address, 1))?;
        let function = self.bus(range.bus)?.functions.get(&range.slot)?;
        (function.mapped_at <= now).then_some((range.bus, range.slot, range.register, address.wrapping_sub(range.base)))
    }
}
