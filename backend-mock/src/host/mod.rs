//! The mock Hyper-V host: every vPCI bus of one VM, seen from the host's end.
//!
//! [`Host`] is passive and knows no clock, executor, thread or lock: whoever owns it hands the time in with every call and
//! is told when things are due. It is `no_std` + `alloc`, so that the same host runs in a unit test, inside a Linux kernel
//! as a stand-in for hv_vmbus, and behind a loader of the Windows driver.
//!
//! It has its own reading and writing of packets ([`packet`]), written from `reference/protocol.md` and checked against
//! recorded bytes, so that a mistake in the core's codec cannot hide behind the same mistake here.
//!
//! It is strict: what a guest does that a host would not like is written into [`Host::violations`], and what the guest
//! still holds when it closes a channel into [`Host::leaks`]. No guest input makes it panic.

mod bus;
mod channel;
pub mod device;
mod fault;
mod function;
mod hypercall;
mod interrupt;
mod mapper;
mod memory;
mod options;
pub mod packet;
mod plug;
mod ring;
mod shared;
mod storm;
mod violation;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use hvpci_core::decode::Ledger;
use hvpci_core::{InstanceId, Slot};

pub use bus::BusSpec;
pub use channel::ChannelState;
pub use fault::{CountedMessage, Fault, FaultPlan, FaultRule, Trigger};
pub use function::{FunctionSpec, FunctionState};
pub use hypercall::HypercallError;
pub use interrupt::{Delivery, Interrupt, NotDelivered};
pub use mapper::{MapReason, MapSpan};
pub use options::{CostModel, HostOptions, PowerReply, Quirks, ResetSupport, VersionReply};
pub use ring::{HostPacket, PacketKind, SendRefused};
pub use shared::{Event, Leak, LeakKind};
pub use storm::{Foul, FoulPacket, Storm};
pub use violation::{Severity, Violation, ViolationKind};

use bus::Bus;
use shared::Shared;

/// A bus of a [`Host`], in the order they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusId(pub u32);

/// The host's side of every vPCI bus of one VM.
#[derive(Clone, Debug)]
pub struct Host {
    shared: Shared,
    buses: Vec<Bus>,
}

impl Host {
    /// A host without buses.
    pub fn new(options: HostOptions) -> Host {
        Host { shared: Shared::new(options), buses: Vec::new() }
    }

    /// The options the host was made with.
    pub fn options(&self) -> &HostOptions {
        &self.shared.options
    }

    /// The quirks, which a test may change at any time.
    pub fn quirks_mut(&mut self) -> &mut Quirks {
        &mut self.shared.options.quirks
    }

    /// Adds a bus and offers its channel.
    pub fn add_bus(&mut self, spec: BusSpec) -> BusId {
        #[allow(clippy::cast_possible_truncation)] // a test adds dozens of buses
        let id = BusId(self.buses.len() as u32);
        self.buses.push(Bus::new(id, spec));
        self.shared.events.push_back(Event::Offered(id));
        id
    }

    /// The buses, in the order they were added.
    pub fn buses(&self) -> impl Iterator<Item = BusId> + use<'_> {
        self.buses.iter().map(|bus| bus.id)
    }

    /// The instance GUID of a bus.
    pub fn instance(&self, bus: BusId) -> Option<InstanceId> {
        self.bus(bus).map(|bus| bus.instance)
    }

    /// The next thing that VMBus would tell the guest by itself: an offer, a rescind, a channel that died.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }

    /// What the guest did that a host does not like, oldest first.
    pub fn violations(&self) -> &[Violation] {
        &self.shared.violations
    }

    /// Forgets the violations so far.
    pub fn clear_violations(&mut self) {
        self.shared.violations.clear();
    }

    /// What the guest still held when it closed a channel, oldest first.
    pub fn leaks(&self) -> &[Leak] {
        &self.shared.leaks
    }

    /// Forgets the leaks so far.
    pub fn clear_leaks(&mut self) {
        self.shared.leaks.clear();
    }

    /// What a function has cost so far, removed functions of the same slot included. `reads_served` and the other
    /// guest-side counts stay zero: the host does not see them.
    pub fn ledger(&self, bus: BusId, slot: Slot) -> Ledger {
        self.bus(bus).and_then(|bus| bus.ledgers.get(&slot)).copied().unwrap_or_default()
    }

    /// What a bus has cost so far: its functions', and what belongs to none of them (bus-wide messages, traps with no
    /// function behind them).
    pub fn bus_ledger(&self, bus: BusId) -> Ledger {
        let mut sum = Ledger::default();
        if let Some(bus) = self.bus(bus) {
            sum += bus.own_ledger;
            for ledger in bus.ledgers.values() {
                sum += *ledger;
            }
        }
        sum
    }

    /// What the whole VM has cost so far.
    pub fn total_ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        for bus in self.buses() {
            sum += self.bus_ledger(bus);
        }
        sum
    }

    /// Every map the host has made or has queued, in the order they were asked for.
    pub fn timeline(&self) -> &[MapSpan] {
        self.shared.mapper.spans()
    }

    /// Tells the host which guest-physical addresses a bus may put its BARs at. As long as a bus has been given none,
    /// the host does not check.
    pub fn give_aperture(&mut self, bus: BusId, base: u64, size: u64) {
        if let Some((bus, _)) = self.parts(bus) {
            bus.apertures.push((base, size));
        }
    }

    /// Takes an aperture back.
    pub fn take_aperture(&mut self, bus: BusId, base: u64, size: u64) {
        if let Some((bus, _)) = self.parts(bus) {
            bus.apertures.retain(|given| *given != (base, size));
        }
    }

    /// Sets the fault plan of a bus and starts its counters afresh.
    pub fn set_faults(&mut self, bus: BusId, plan: FaultPlan) {
        if let Some((bus, _)) = self.parts(bus) {
            bus.faults.set(plan);
        }
    }

    /// The messages of a bus that its fault plan has counted so far, in their order; none while the plan has no rules.
    pub fn counted_messages(&self, bus: BusId) -> &[CountedMessage] {
        self.bus(bus).map_or(&[], |bus| bus.faults.counted())
    }

    /// At how many messages of a bus a fault has struck so far, under whichever plan. A fault that changes nothing, such as a
    /// shorter answer where the guest wants none, does not count.
    pub fn faults_struck(&self, bus: BusId) -> u64 {
        self.bus(bus).map_or(0, |bus| bus.faults.struck())
    }

    fn bus(&self, id: BusId) -> Option<&Bus> {
        self.buses.get(usize::try_from(id.0).ok()?)
    }

    fn parts(&mut self, id: BusId) -> Option<(&mut Bus, &mut Shared)> {
        let bus = self.buses.get_mut(usize::try_from(id.0).ok()?)?;
        Some((bus, &mut self.shared))
    }
}
