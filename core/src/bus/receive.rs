//! Packets from the host.

use crate::wire::HostMessage;
use crate::{Slot, Time};

use super::phase::{Link, Wind};
use super::status::count;
use super::{Bus, Odd, Packet, PacketKind};

impl Bus {
    /// Takes a packet from the host. Any context; allocates nothing and takes time proportional to the packet and the
    /// number of functions. Whatever is odd about it is counted, reported and ignored.
    pub fn handle_packet(&mut self, now: Time, packet: Packet<'_>) {
        if self.rescinded || matches!(self.link, Link::Closed | Link::Closing) {
            return count(&mut self.counters.ignored_messages);
        }
        count(&mut self.counters.received);
        match packet.kind {
            PacketKind::Completion => self.take_completion(now, packet.transaction_id, packet.payload),
            PacketKind::InBand => self.take_message(now, packet.payload),
        }
    }

    fn take_message(&mut self, now: Time, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let Ok(message) = HostMessage::parse(payload) else {
            return self.odd(Odd::Malformed(length), |c| &mut c.malformed);
        };
        match message {
            HostMessage::BusRelations(relations) => {
                self.count_message(None);
                // On the way down the list is of no use: a resume asks again (pci-hyperv's state "removing").
                if self.wind.is_some() {
                    return count(&mut self.counters.ignored_messages);
                }
                self.take_relations(&relations);
            }
            HostMessage::Eject { slot } => {
                self.count_message(Slot::from_wire(slot));
                if self.wind == Some(Wind::Down) {
                    return count(&mut self.counters.ignored_messages);
                }
                self.take_eject(now, slot);
            }
            HostMessage::InvalidateBlock { slot, mask } => {
                self.count_message(Slot::from_wire(slot));
                self.take_invalidation(slot, mask);
            }
            other => {
                self.count_message(None);
                self.odd(Odd::UnknownMessage(other.message_type().0), |c| &mut c.unknown_messages);
            }
        }
    }

    fn take_invalidation(&mut self, wslot: u32, mask: u64) {
        let Some(slot) = Slot::from_wire(wslot) else {
            return self.odd(Odd::BadSlot(wslot), |c| &mut c.bad_slots);
        };
        match self.child_mut(slot) {
            Some(child) => child.invalidated |= mask,
            None => self.odd(Odd::UnknownSlot(slot), |c| &mut c.unknown_slots),
        }
    }
}
