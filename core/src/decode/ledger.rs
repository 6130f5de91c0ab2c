//! What a function has cost so far.

use core::ops::AddAssign;
use core::time::Duration;

/// Counts of what crossed to the host on behalf of one function (or, summed, of a bus or a VM). All counters saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// Host decode 0->1 because of a guest or policy action. This is what costs 1.8 s for a 128 GB BAR.
    pub maps: u64,
    /// Host decode 1->0 because of a guest or policy action.
    pub unmaps: u64,
    /// Host decode 1->0 that the host does by itself: RELEASED, D0EXIT, channel close, rescind, reset.
    pub host_unmaps: u64,
    /// Accesses to either page of the config window, slot selections included.
    pub traps: u64,
    /// Messages sent and received on behalf of the function (bus-wide messages are counted at the bus).
    pub messages: u64,
    /// Guest reads answered without a trap.
    pub reads_served: u64,
    /// Guest writes that did not have to reach the host.
    pub writes_absorbed: u64,
    /// Enables refused because a BAR lay outside the bus's windows or over another function (invariant I3).
    pub refused_enables: u64,
    /// BAR writes made while guest decode was on; they wait for the next 0->1 (invariant I1).
    pub stale_bars: u64,
    /// Background maps (Prefetch) that were paid in vain because a BAR was moved afterwards.
    pub wasted_prefetches: u64,
    /// Time the host spent mapping, measured or by the cost model; zero where neither is known.
    pub host_map_time: Duration,
}

impl Ledger {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: Ledger) {
        let Ledger {
            maps,
            unmaps,
            host_unmaps,
            traps,
            messages,
            reads_served,
            writes_absorbed,
            refused_enables,
            stale_bars,
            wasted_prefetches,
            host_map_time,
        } = other;
        self.maps = self.maps.saturating_add(maps);
        self.unmaps = self.unmaps.saturating_add(unmaps);
        self.host_unmaps = self.host_unmaps.saturating_add(host_unmaps);
        self.traps = self.traps.saturating_add(traps);
        self.messages = self.messages.saturating_add(messages);
        self.reads_served = self.reads_served.saturating_add(reads_served);
        self.writes_absorbed = self.writes_absorbed.saturating_add(writes_absorbed);
        self.refused_enables = self.refused_enables.saturating_add(refused_enables);
        self.stale_bars = self.stale_bars.saturating_add(stale_bars);
        self.wasted_prefetches = self.wasted_prefetches.saturating_add(wasted_prefetches);
        self.host_map_time = self.host_map_time.saturating_add(host_map_time);
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        self.merge(other);
    }
}
