//! What VMBus does with a channel: open, close, rescind, and the packets through it.

use hvpci_core::Time;

use super::ring::GuestPacket;
use super::shared::Event;
use super::{BusId, Host, HostPacket, PacketKind, SendRefused, ViolationKind};

/// How a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelState {
    /// Offered, and not open.
    Offered,
    /// Open.
    Open,
    /// Rescinded: gone until it is offered again.
    Rescinded,
    /// Dead by an injected fault; closing it makes it openable again.
    Dead,
}

impl Host {
    /// How a channel stands; [`ChannelState::Rescinded`] for a bus that does not exist.
    pub fn channel(&self, bus: BusId) -> ChannelState {
        self.bus(bus).map_or(ChannelState::Rescinded, |bus| bus.channel)
    }

    /// The guest opens the channel. False if it is not there to be opened.
    pub fn open_channel(&mut self, bus: BusId, _now: Time) -> bool {
        match self.parts(bus) {
            Some((bus, _)) => bus.open(),
            None => false,
        }
    }

    /// The guest closes the channel. The host takes back everything the bus holds; what that was goes into
    /// [`Host::leaks`]. Closing a channel that is not open is nothing.
    pub fn close_channel(&mut self, bus: BusId, now: Time) {
        if let Some((bus, shared)) = self.parts(bus) {
            bus.close(shared, now);
        }
    }

    /// The host rescinds the channel: packets that have not been read are gone, everything is unmapped.
    pub fn rescind(&mut self, bus: BusId, now: Time) {
        if let Some((bus, shared)) = self.parts(bus) {
            bus.rescind(shared, now);
        }
    }

    /// The host offers a rescinded channel again, its functions in their reset state.
    pub fn offer(&mut self, bus: BusId) {
        if let Some((bus, shared)) = self.parts(bus)
            && bus.channel == ChannelState::Rescinded
        {
            bus.channel = ChannelState::Offered;
            for function in bus.functions.values_mut() {
                function.device.reset();
            }
            shared.events.push_back(Event::Offered(bus.id));
        }
    }

    /// The guest dies without closing anything, and a kdump kernel finds the channel offered: decode bits, BARs,
    /// interrupts, assigned resources and D0 stay as they are, and the next D0ENTRY fails until the resources were
    /// released and D0EXIT was sent.
    pub fn crash(&mut self, bus: BusId) {
        if let Some((bus, _)) = self.parts(bus) {
            bus.crash();
        }
    }

    /// The VM is switched off and on again, as between hibernation and resume: nothing that a host held for it is left, and
    /// the hardware is in its reset state. Nothing happens to a channel that is open.
    pub fn power_cycle(&mut self, bus: BusId, now: Time) {
        if let Some((bus, shared)) = self.parts(bus)
            && bus.channel == ChannelState::Offered
        {
            bus.power_cycle(shared, now);
        }
    }

    /// The guest sends a packet. `payload` is what follows the VMBus descriptor; the ring pads it to 8 bytes.
    pub fn guest_packet(
        &mut self,
        bus: BusId,
        now: Time,
        kind: PacketKind,
        wants_completion: bool,
        transaction_id: u64,
        payload: &[u8],
    ) -> Result<(), SendRefused> {
        let Some((bus, shared)) = self.parts(bus) else { return Err(SendRefused::Closed) };
        if !bus.is_open() {
            shared.violation(now, bus.id, None, ViolationKind::ChannelGone);
            return Err(SendRefused::Closed);
        }
        let mut payload = payload.to_vec();
        payload.resize(payload.len().next_multiple_of(8), 0);
        let packet = GuestPacket { kind, wants_completion, transaction_id, payload };
        if !bus.ring.push_guest(packet, shared.options.ring_bytes) {
            return Err(SendRefused::RingFull);
        }
        bus.run(shared, now);
        Ok(())
    }

    /// The next packet for the guest that is in the ring at `now`.
    pub fn next_packet(&mut self, bus: BusId, now: Time) -> Option<HostPacket> {
        let (bus, shared) = self.parts(bus)?;
        bus.run(shared, now);
        let packet = bus.ring.pop_host(now)?;
        bus.run(shared, now);
        Some(packet)
    }

    /// When to look at the bus again: the next packet comes into the ring, or the host loses patience over an EJECT.
    pub fn next_due(&self, bus: BusId) -> Option<Time> {
        let bus = self.bus(bus)?;
        let eject = bus.functions.values().filter_map(|function| function.eject_deadline).min();
        match (bus.ring.next_due(), eject) {
            (Some(packet), Some(eject)) => Some(packet.min(eject)),
            (packet, eject) => packet.or(eject),
        }
    }

    /// Guest packets the host has not read yet because their answers would not fit into the ring.
    pub fn unread_packets(&self, bus: BusId) -> usize {
        self.bus(bus).map_or(0, |bus| bus.ring.waiting())
    }
}
