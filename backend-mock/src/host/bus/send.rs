//! Answers and unsolicited messages, and what faults make of them.

use alloc::vec::Vec;

use hvpci_core::Time;

use super::Bus;
use crate::host::packet::{MessageType, Writer, relations};
use crate::host::shared::Shared;
use crate::host::{Fault, HostPacket, PacketKind};

/// A message type that no version has.
pub(in crate::host) const UNKNOWN_MESSAGE: u32 = 0x4249_00E7;
/// A transaction id that no guest uses.
pub(in crate::host) const WRONG_TRANSACTION_ID: u64 = 0xDEAD_BEEF_0000_0001;

/// A request being answered.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) now: Time,
    pub(super) kind: MessageType,
    pub(super) slot: Option<u32>,
    pub(super) wants_completion: bool,
    pub(super) transaction_id: u64,
    pub(super) faults: Vec<Fault>,
}

impl Bus {
    /// Completes a request with a status alone.
    pub(super) fn complete_status(&mut self, shared: &Shared, call: &Call, status: u32) {
        self.complete(shared, call, call.now, Writer::starting(status).finish());
    }

    /// Completes a request, if the guest asked for that. `ready` is when the host's work is done.
    pub(super) fn complete(&mut self, shared: &Shared, call: &Call, ready: Time, payload: Vec<u8>) {
        if !call.wants_completion || !self.is_open() {
            return;
        }
        self.count_message(call.slot);
        let packet = HostPacket { kind: PacketKind::Completion, transaction_id: call.transaction_id, payload };
        self.queue(ready.after(shared.options.cost.message), packet, &call.faults);
    }

    /// Sends an unsolicited message.
    pub(in crate::host) fn notify(&mut self, shared: &mut Shared, now: Time, wslot: Option<u32>, payload: Vec<u8>) {
        if !self.is_open() {
            return;
        }
        let kind = payload.first_chunk().map_or(0, |first: &[u8; 4]| u32::from_le_bytes(*first));
        let faults = self.faults.count_notice(MessageType(kind));
        if !self.survives(shared, now, &faults) || faults.contains(&Fault::LoseRequest) {
            return;
        }
        self.count_message(wslot);
        let packet = HostPacket { kind: PacketKind::InBand, transaction_id: 0, payload };
        self.queue(now.after(shared.options.cost.message), packet, &faults);
    }

    /// Tells the guest which functions there are.
    pub(in crate::host) fn send_relations(&mut self, shared: &mut Shared, now: Time) {
        let list = relations(self.version, self.functions.values().map(|function| &function.description));
        self.notify(shared, now, None, list);
    }

    /// Tells the guest that functions came or went, if it is far enough to be told.
    pub(in crate::host) fn relations_changed(&mut self, shared: &mut Shared, now: Time) {
        if self.subscribed {
            self.send_relations(shared, now);
        }
    }

    /// Puts a packet into the ring as it is.
    pub(in crate::host) fn queue_raw(&mut self, due: Time, packet: HostPacket) {
        self.ring.push_host(due, packet, None);
    }

    pub(super) fn count_message(&mut self, wslot: Option<u32>) {
        let ledger = self.ledger_of(wslot);
        ledger.messages = ledger.messages.saturating_add(1);
    }

    /// Does what faults do to the bus itself. False when the channel is gone.
    pub(super) fn survives(&mut self, shared: &mut Shared, now: Time, faults: &[Fault]) -> bool {
        for fault in faults {
            match fault {
                Fault::Rescind => self.rescind(shared, now),
                Fault::CloseChannel => self.die(shared, now),
                Fault::DeviceGone(slot) => {
                    if let Some(function) = self.functions.get_mut(slot) {
                        function.gone = true;
                    }
                }
                Fault::Eject(slot) if self.functions.get(slot).is_some_and(|f| f.eject_deadline.is_none()) => {
                    self.eject(shared, now, *slot);
                }
                Fault::Remove(slot) => {
                    self.remove(shared, now, *slot);
                }
                _ => {}
            }
        }
        self.is_open()
    }

    /// Puts a packet into the ring as the faults leave it.
    fn queue(&mut self, due: Time, mut packet: HostPacket, faults: &[Fault]) {
        let mut due = due;
        let mut copies = 1;
        let mut answers = (packet.kind == PacketKind::Completion).then_some(packet.transaction_id);
        for fault in faults {
            match fault {
                Fault::Drop => return,
                Fault::Delay(by) => due = due.after(*by),
                Fault::Truncate(bytes) => packet.payload.truncate(*bytes),
                Fault::Extend(bytes) => {
                    let longer = packet.payload.len().saturating_add((*bytes).min(0x1_0000));
                    packet.payload.resize(longer, 0xEE);
                }
                Fault::WrongStatus(status) => {
                    for (place, byte) in packet.payload.iter_mut().zip(status.to_le_bytes()) {
                        *place = byte;
                    }
                }
                Fault::WrongTransactionId => {
                    packet.transaction_id = WRONG_TRANSACTION_ID;
                    answers = None;
                }
                Fault::Duplicate => copies = 2,
                Fault::UnknownMessage => {
                    let payload = Writer::starting(UNKNOWN_MESSAGE).u32(0).finish();
                    self.queue_raw(due, HostPacket { kind: PacketKind::InBand, transaction_id: 0, payload });
                }
                Fault::Garbage => garbage(&mut packet.payload),
                Fault::LoseRequest
                | Fault::Refuse(_)
                | Fault::Rescind
                | Fault::CloseChannel
                | Fault::DeviceGone(_)
                | Fault::Eject(_)
                | Fault::Remove(_) => {}
            }
        }
        for _ in 1..copies {
            self.ring.push_host(due, packet.clone(), None);
        }
        self.ring.push_host(due, packet, answers);
    }
}

/// Replaces bytes by others that depend on nothing but how many there are (Marsaglia's xorshift).
fn garbage(bytes: &mut [u8]) {
    let mut state = 0x9E37_79B9u32;
    for byte in bytes {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = state.to_le_bytes()[1];
    }
}
