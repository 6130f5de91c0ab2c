//! Decode on and off: the maps, the checks before one, and who is charged.

use hvpci_core::{Slot, Time};

use super::Bus;
use crate::host::ViolationKind;
use crate::host::mapper::MapReason;
use crate::host::shared::{MappedRange, Shared};

impl Bus {
    /// Turns a function's decode on. Returns when the map is done; for one that decodes already, when its last map is.
    pub(super) fn turn_on(&mut self, shared: &mut Shared, now: Time, slot: Slot, reason: MapReason) -> Time {
        let Some(function) = self.functions.get(&slot) else { return now };
        if function.device.decodes() {
            return now.max(function.mapped_at);
        }
        self.check_ranges(shared, now, slot);
        let Some(function) = self.functions.get_mut(&slot) else { return now };
        shared.map_ranges(self.id, slot, &function.device);
        if function.device.ranges().is_empty() {
            // Nothing to map: the bit alone changes.
            function.device.set_decode(true);
            return now;
        }
        let takes = shared.options.cost.map_time(function.device.map_bytes());
        let end = shared.mapper.map(self.id, slot, now.max(function.mapped_at), takes, reason);
        function.device.set_decode(true);
        function.mapped_at = end;
        let ledger = self.ledgers.entry(slot).or_default();
        ledger.maps = ledger.maps.saturating_add(1);
        ledger.host_map_time = ledger.host_map_time.saturating_add(takes);
        end
    }

    /// Turns a function's decode off because the guest said so. Returns when that is done: behind a map that still runs.
    pub(super) fn turn_off(&mut self, shared: &mut Shared, now: Time, slot: Slot) -> Time {
        let Some(done) = self.unmap(shared, now, slot) else { return now };
        if !self.has_ranges(slot) {
            return done;
        }
        let ledger = self.ledgers.entry(slot).or_default();
        ledger.unmaps = ledger.unmaps.saturating_add(1);
        done
    }

    /// Turns a function's decode off by the host's own doing.
    pub(super) fn turn_off_by_host(&mut self, shared: &mut Shared, now: Time, slot: Slot) {
        if self.unmap(shared, now, slot).is_some() && self.has_ranges(slot) {
            let ledger = self.ledgers.entry(slot).or_default();
            ledger.host_unmaps = ledger.host_unmaps.saturating_add(1);
        }
    }

    fn has_ranges(&self, slot: Slot) -> bool {
        self.functions.get(&slot).is_some_and(|function| !function.device.ranges().is_empty())
    }

    /// `None` if the function does not decode.
    fn unmap(&mut self, shared: &mut Shared, now: Time, slot: Slot) -> Option<Time> {
        let function = self.functions.get_mut(&slot).filter(|function| function.device.decodes())?;
        function.device.set_decode(false);
        let id = self.id;
        shared.mapped.retain(|range| (range.bus, range.slot) != (id, slot));
        Some(now.max(function.mapped_at))
    }

    /// Notes what is wrong with where a function's BARs lie.
    fn check_ranges(&self, shared: &mut Shared, now: Time, slot: Slot) {
        let Some(function) = self.functions.get(&slot) else { return };
        let ranges = function.device.ranges();
        for (at, (register, base, size)) in ranges.iter().copied().enumerate() {
            if base == 0 {
                shared.violation(now, self.id, Some(slot), ViolationKind::DecodeAtZero { register });
                continue;
            }
            if !base.is_multiple_of(4096) {
                let kind = ViolationKind::DecodeOffPage { register, address: base };
                shared.violation(now, self.id, Some(slot), kind);
            }
            if !self.apertures.is_empty() && !self.apertures.iter().any(|given| holds(*given, base, size.max(4096))) {
                let kind = ViolationKind::DecodeOutsideAperture { register, address: base };
                shared.violation(now, self.id, Some(slot), kind);
            }
            let own = ranges.iter().take(at).any(|(register, other, bytes)| {
                let other = MappedRange { bus: self.id, slot, register: *register, base: *other, size: *bytes };
                other.base != 0 && other.shares_page(base, size)
            });
            let other = shared.mapped.iter().find(|range| range.shares_page(base, size));
            let found = if own { Some((self.id, slot)) } else { other.map(|range| (range.bus, range.slot)) };
            if let Some((other_bus, other_slot)) = found {
                let kind = ViolationKind::DecodeOverlap { register, other_bus, other_slot };
                shared.violation(now, self.id, Some(slot), kind);
            }
        }
    }
}

/// Whether the aperture (base, size) holds the whole range.
fn holds(aperture: (u64, u64), base: u64, size: u64) -> bool {
    let end = u128::from(base).saturating_add(u128::from(size));
    base >= aperture.0 && end <= u128::from(aperture.0).saturating_add(u128::from(aperture.1))
}
