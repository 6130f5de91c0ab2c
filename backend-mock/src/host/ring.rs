//! The two rings of a channel: packets the guest has sent, and packets it has not yet read.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use hvpci_core::Time;

/// Bytes of a VMBus packet descriptor.
const DESCRIPTOR_BYTES: usize = 16;
/// Bytes after each packet in the ring: the saved write index.
const TRAILER_BYTES: usize = 8;

/// The two kinds of VMBus packets that vPCI uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Type 6: data in-band.
    InBand,
    /// Type 11: completion.
    Completion,
}

impl PacketKind {
    /// The type in the VMBus packet descriptor.
    pub const fn to_wire(self) -> u16 {
        match self {
            PacketKind::InBand => 6,
            PacketKind::Completion => 11,
        }
    }
}

/// A packet from the host, as it leaves: without the ring's padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPacket {
    /// In-band or completion.
    pub kind: PacketKind,
    /// The transaction id of the request, for a completion; else 0.
    pub transaction_id: u64,
    /// What follows the VMBus descriptor.
    pub payload: Vec<u8>,
}

/// Why the host took no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendRefused {
    /// The ring is full: the host reads on when the guest has drained its own.
    RingFull,
    /// The channel is not open.
    Closed,
}

/// A packet from the guest.
#[derive(Clone, Debug)]
pub(super) struct GuestPacket {
    pub(super) kind: PacketKind,
    pub(super) wants_completion: bool,
    pub(super) transaction_id: u64,
    /// Padded to 8 bytes.
    pub(super) payload: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Outgoing {
    due: Time,
    packet: HostPacket,
    /// The request this is the answer to.
    answers: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    inbox: VecDeque<GuestPacket>,
    inbox_bytes: usize,
    /// By due time, then in the order they were queued.
    outbox: VecDeque<Outgoing>,
    outbox_bytes: usize,
    /// Requests without their completion read, and how often each id is in use.
    outstanding: BTreeMap<u64, u32>,
}

/// Bytes a packet takes in a ring.
fn ring_bytes(payload: usize) -> usize {
    payload.next_multiple_of(8).saturating_add(DESCRIPTOR_BYTES + TRAILER_BYTES)
}

impl Ring {
    /// Puts a guest's packet into the ring. False if it does not fit.
    pub(super) fn push_guest(&mut self, packet: GuestPacket, limit: usize) -> bool {
        let bytes = self.inbox_bytes.saturating_add(ring_bytes(packet.payload.len()));
        if bytes > limit {
            return false;
        }
        self.inbox_bytes = bytes;
        self.inbox.push_back(packet);
        true
    }

    /// The guest's next packet, if the answer to it will fit: `other_bytes` bounds what it may be longer than the request.
    pub(super) fn pop_guest(&mut self, limit: usize, other_bytes: usize) -> Option<GuestPacket> {
        let answer = ring_bytes(self.inbox.front()?.payload.len().saturating_add(other_bytes));
        if !self.outbox.is_empty() && self.outbox_bytes.saturating_add(answer) > limit {
            return None;
        }
        let packet = self.inbox.pop_front()?;
        self.inbox_bytes = self.inbox_bytes.saturating_sub(ring_bytes(packet.payload.len()));
        Some(packet)
    }

    /// Notes a request that wants a completion. False if its id is in use.
    pub(super) fn begin(&mut self, transaction_id: u64) -> bool {
        let users = self.outstanding.entry(transaction_id).or_insert(0);
        *users = users.saturating_add(1);
        *users == 1
    }

    /// Queues a packet for the guest.
    pub(super) fn push_host(&mut self, due: Time, packet: HostPacket, answers: Option<u64>) {
        self.outbox_bytes = self.outbox_bytes.saturating_add(ring_bytes(packet.payload.len()));
        let at = self.outbox.partition_point(|queued| queued.due <= due);
        self.outbox.insert(at, Outgoing { due, packet, answers });
    }

    /// The next packet that is in the ring at `now`.
    pub(super) fn pop_host(&mut self, now: Time) -> Option<HostPacket> {
        if self.outbox.front()?.due > now {
            return None;
        }
        let sent = self.outbox.pop_front()?;
        self.outbox_bytes = self.outbox_bytes.saturating_sub(ring_bytes(sent.packet.payload.len()));
        if let Some(id) = sent.answers {
            match self.outstanding.get_mut(&id) {
                Some(users) if *users > 1 => *users = users.saturating_sub(1),
                _ => drop(self.outstanding.remove(&id)),
            }
        }
        Some(sent.packet)
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.outbox.front().map(|packet| packet.due)
    }

    /// Requests the host has not read.
    pub(super) fn waiting(&self) -> usize {
        self.inbox.len()
    }
}
