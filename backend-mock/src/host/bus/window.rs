//! The config window: the selector page and the selected function's config page.

use hvpci_core::{Slot, Time};

use super::Bus;
use crate::host::device::{COMMAND, CONFIG_BYTES, ConfigEffect};
use crate::host::mapper::MapReason;
use crate::host::shared::Shared;
use crate::host::{ChannelState, ViolationKind};

/// Where the config page begins in the window.
pub(in crate::host) const CONFIG_PAGE: u32 = 0x1000;

/// All ones in as many bytes, up to four.
const fn all_ones(bytes: u32) -> u32 {
    match bytes {
        1 => 0xFF,
        2 => 0xFFFF,
        _ => u32::MAX,
    }
}

impl Bus {
    /// A load from the window. Returns the value and when the guest's processor runs on.
    pub(in crate::host) fn window_load(
        &mut self,
        shared: &mut Shared,
        now: Time,
        offset: u32,
        bytes: u32,
    ) -> (u32, Time) {
        let nothing = all_ones(bytes);
        let Some(done) = self.trap(shared, now) else { return (nothing, now) };
        if offset < CONFIG_PAGE {
            self.charge(self.selected);
            shared.violation(now, self.id, None, ViolationKind::SelectorAccess);
            return (nothing, done);
        }
        self.charge(self.selected);
        let Some((at, width)) = self.check_access(shared, now, offset, bytes) else { return (nothing, done) };
        let function = self.selected_slot().and_then(|slot| self.functions.get(&slot));
        let value = match function.filter(|function| !function.gone) {
            Some(function) => function.device.read(at, width, &shared.options.quirks),
            None => nothing,
        };
        (value, done)
    }

    /// A store to the window. Returns when the guest's processor runs on: for a store that maps, when the map is done.
    pub(in crate::host) fn window_store(
        &mut self,
        shared: &mut Shared,
        now: Time,
        offset: u32,
        bytes: u32,
        value: u32,
    ) -> Time {
        let Some(done) = self.trap(shared, now) else { return now };
        if offset < CONFIG_PAGE {
            if (offset, bytes) == (0, 4) {
                self.selected = Some(value);
                self.charge(Some(value));
            } else {
                self.charge(self.selected);
                shared.violation(now, self.id, None, ViolationKind::SelectorAccess);
            }
            return done;
        }
        self.charge(self.selected);
        let Some((at, width)) = self.check_access(shared, now, offset, bytes) else { return done };
        let Some(slot) = self.selected_slot() else { return done };
        let Some(function) = self.functions.get_mut(&slot).filter(|function| !function.gone) else { return done };
        let effect = function.device.write(at, width, value);
        // A COMMAND write waits behind a map that is running, whoever started it.
        let behind = if at & !3 == COMMAND { now.max(function.mapped_at) } else { now };
        let worked = match effect {
            ConfigEffect::None => behind,
            ConfigEffect::Decode(true) => self.turn_on(shared, now, slot, MapReason::ConfigWrite),
            ConfigEffect::Decode(false) => self.turn_off(shared, now, slot),
            ConfigEffect::BarIgnored(register) => {
                shared.violation(now, self.id, Some(slot), ViolationKind::BarWriteWhileDecoding { register });
                now
            }
            ConfigEffect::Reset => {
                self.reset_function(shared, now, slot);
                behind
            }
        };
        worked.after(shared.options.cost.trap)
    }

    /// When the trap returns; `None` where nothing is behind the address any more, or not yet.
    fn trap(&self, shared: &mut Shared, now: Time) -> Option<Time> {
        if self.channel == ChannelState::Rescinded || self.channel == ChannelState::Dead {
            return None;
        }
        if self.window.is_none() {
            shared.violation(now, self.id, None, ViolationKind::WindowNotMapped);
            return None;
        }
        Some(now.after(shared.options.cost.trap))
    }

    fn charge(&mut self, wslot: Option<u32>) {
        let ledger = self.ledger_of(wslot);
        ledger.traps = ledger.traps.saturating_add(1);
    }

    fn selected_slot(&self) -> Option<Slot> {
        self.selected.and_then(Slot::from_wire)
    }

    /// Offset in the config page and width of a naturally aligned access; `None` for any other, which is noted.
    fn check_access(&self, shared: &mut Shared, now: Time, offset: u32, bytes: u32) -> Option<(u16, u16)> {
        let at = u16::try_from(offset.wrapping_sub(CONFIG_PAGE)).ok().filter(|at| *at < CONFIG_BYTES);
        let width = match bytes {
            1 => Some(1),
            2 => Some(2),
            4 => Some(4),
            _ => None,
        };
        match (at, width) {
            (Some(at), Some(width)) if at % width == 0 => Some((at, width)),
            _ => {
                let slot = self.selected_slot();
                shared.violation(now, self.id, slot, ViolationKind::BadConfigAccess { offset, bytes });
                None
            }
        }
    }
}
