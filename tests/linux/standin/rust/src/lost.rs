//! MSI-X tables that devices lose when they are reset.

use alloc::vec::Vec;

use hvpci_core::Slot;
use hvpci_mock::host::{BusId, Host};

/// Where a function's MSI-X table lies in guest-physical memory, and how many entries it has.
pub type Table = (u64, u32);

/// The table of a function whose BAR is set.
pub fn table(host: &Host, bus: BusId, slot: Slot) -> Option<Table> {
    let table = host.device(bus, slot)?.msix()?;
    let bars = host.function(bus, slot)?.bars;
    let register = usize::from(table.bar());
    let low = *bars.get(register)?;
    let high = if low & 0b110 == 0b100 { *bars.get(register + 1)? } else { 0 };
    let base = u64::from(high) << 32 | u64::from(low & !0xF);
    let first = (0..4096u64).map(|at| at * 8).find(|offset| table.read(*offset).is_some())?;
    let entries = (0..2048u16).take_while(|at| table.entry(*at).is_some()).count() as u32;
    (base != 0).then_some((base + first, entries))
}

/// The functions of a bus: how often each was reset, and its table.
pub fn before(host: &Host, bus: BusId) -> Vec<(Slot, u32, Option<Table>)> {
    host.slots(bus).into_iter().map(|slot| (slot, resets(host, bus, slot), table(host, bus, slot))).collect()
}

/// The tables of those that were reset since.
pub fn by_resets(host: &Host, bus: BusId, before: Vec<(Slot, u32, Option<Table>)>) -> Vec<Table> {
    let lost = |(slot, count, table)| if resets(host, bus, slot) != count { table } else { None };
    before.into_iter().filter_map(lost).collect()
}

fn resets(host: &Host, bus: BusId, slot: Slot) -> u32 {
    host.device(bus, slot).map_or(0, |device| device.resets())
}
