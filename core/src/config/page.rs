//! The config page of one function, behind the selector.

use super::access::Access;
use super::header;
use crate::backend::{ConfigPort, Width};
use crate::{Slot, Time};

/// One function's way to the host: selects the function when another was selected last, and counts the traps.
pub(super) struct Page<'a> {
    port: &'a mut dyn ConfigPort,
    selector: &'a mut Option<Slot>,
    slot: Slot,
    traps: u64,
}

impl<'a> Page<'a> {
    pub fn new(port: &'a mut dyn ConfigPort, selector: &'a mut Option<Slot>, slot: Slot) -> Page<'a> {
        Page { port, selector, slot, traps: 0 }
    }

    /// Whether the page is this function's now. If not, the selector is unknown, and the next access tries again.
    fn select(&mut self) -> bool {
        if *self.selector != Some(self.slot) {
            self.traps = self.traps.saturating_add(1);
            *self.selector = self.port.select(self.slot).ok().map(|()| self.slot);
            if self.selector.is_none() {
                return false;
            }
        }
        self.traps = self.traps.saturating_add(1);
        true
    }

    /// All ones where the function cannot be selected, as of a function that does not answer.
    pub fn read(&mut self, access: Access) -> u32 {
        if !self.select() {
            return access.width().all_ones();
        }
        self.port.read(access.offset(), access.width()) & access.width().all_ones()
    }

    /// Lost where the function cannot be selected.
    pub fn write(&mut self, access: Access, value: u32) {
        if !self.select() {
            return;
        }
        self.port.write(access.offset(), access.width(), value & access.width().all_ones());
    }

    /// Reads `width` at an offset that is known to be aligned; all ones otherwise.
    pub fn read_at(&mut self, offset: u16, width: Width) -> u32 {
        match Access::new(offset, usize::from(width.bytes())) {
            Some(access) => self.read(access),
            None => width.all_ones(),
        }
    }

    /// Writes `width` at an offset that is known to be aligned; nothing otherwise.
    pub fn write_at(&mut self, offset: u16, width: Width, value: u32) {
        if let Some(access) = Access::new(offset, usize::from(width.bytes())) {
            self.write(access, value);
        }
    }

    /// Whether the host answers at all: the vendor id, never from a cache.
    pub fn is_answered(&mut self) -> bool {
        self.read_at(header::IDS, Width::Word) != 0xFFFF
    }

    pub fn now(&mut self) -> Option<Time> {
        self.port.now()
    }

    /// The traps since the last call.
    pub const fn take_traps(&mut self) -> u64 {
        core::mem::replace(&mut self.traps, 0)
    }
}
