//! A hostile host: packets that no honest one sends, made from a seed and from what went by.
//!
//! A [`Storm`] stands between a [`super::Host`] and whoever hands its packets to the guest: it is shown the genuine packets
//! and the ids the guest used, and says what the guest reads in between, the VMBus descriptor included. With the same seed
//! and a guest that does the same, it says the same.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use hvpci_core::Time;

use super::HostPacket;
use super::packet::{MessageType, Writer};

/// Bytes of a VMBus packet descriptor.
const DESCRIPTOR: usize = 16;
/// Genuine packets and ids that are remembered.
const REMEMBERED: usize = 48;
/// The longest packet: more than any ring of a vPCI guest lets through.
const LONGEST: u64 = 12 * 1024;
/// The longest pause between two bursts.
const LONGEST_PAUSE: u64 = 2_000_000;

/// What a packet of a storm is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Foul {
    /// Random bytes.
    Noise,
    /// A type that exists, and random bytes after it.
    Typed,
    /// A host's message with fields that make no sense.
    Nonsense,
    /// A genuine packet with some bits flipped.
    Flipped,
    /// A genuine packet, cut or made longer.
    Sized,
    /// A genuine packet once more.
    Replayed,
    /// A genuine answer under an id that nobody used.
    UnknownId,
    /// An answer of the storm's own to a request that may still be waiting.
    Forged,
    /// A descriptor whose header length, packet length, type or flags are wrong.
    Descriptor,
}

const KINDS: [Foul; 9] = [
    Foul::Noise,
    Foul::Typed,
    Foul::Nonsense,
    Foul::Flipped,
    Foul::Sized,
    Foul::Replayed,
    Foul::UnknownId,
    Foul::Forged,
    Foul::Descriptor,
];

/// A packet as it lies in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoulPacket {
    /// What it is.
    pub kind: Foul,
    /// Descriptor and payload. The lengths in the descriptor need not be true; there are 8 bytes at least.
    pub bytes: Vec<u8>,
    /// The transaction id in the descriptor.
    pub transaction_id: u64,
}

/// What a hostile host sends.
#[derive(Clone, Debug)]
pub struct Storm {
    state: u64,
    left: u64,
    burst: u64,
    next_burst: Time,
    heard: VecDeque<HostPacket>,
    ids: VecDeque<u64>,
    sent: u64,
    most_in_a_row: u64,
}

impl Storm {
    /// A storm that sends nothing yet, see [`Storm::send`].
    pub fn new(seed: u64) -> Storm {
        Storm {
            // The generator stands still at 0.
            state: seed | 1 << 63,
            left: 0,
            burst: 0,
            next_burst: Time::ZERO,
            heard: VecDeque::new(),
            ids: VecDeque::new(),
            sent: 0,
            most_in_a_row: 0,
        }
    }

    /// Sends so many packets more, from `now` on.
    pub fn send(&mut self, now: Time, packets: u64) {
        self.left = self.left.saturating_add(packets);
        self.next_burst = now;
    }

    /// Packets to come.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Packets that went out.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The most packets that were due at one time.
    pub const fn most_in_a_row(&self) -> u64 {
        self.most_in_a_row
    }

    /// The guest has sent a request under this id.
    pub fn asked(&mut self, id: u64) {
        remember(&mut self.ids, id);
    }

    /// The guest has read this packet of the genuine host.
    pub fn heard(&mut self, packet: &HostPacket) {
        remember(&mut self.heard, packet.clone());
    }

    /// When the next packet is due; `None` once all were sent.
    pub fn next_due(&self) -> Option<Time> {
        (self.left > 0).then_some(self.next_burst)
    }

    /// The next packet, if one is due.
    pub fn next(&mut self, now: Time) -> Option<FoulPacket> {
        if self.next_due()? > now {
            return None;
        }
        if self.burst == 0 {
            // Mostly some, now and then more than a guest reads at a time.
            self.burst = match self.below(64) {
                0 => 2048,
                1..8 => self.below(512).saturating_add(1),
                _ => self.below(32).saturating_add(1),
            };
            self.burst = self.burst.min(self.left);
            self.most_in_a_row = self.most_in_a_row.max(self.burst);
        }
        let kind = KINDS.get(self.below_usize(KINDS.len())).copied().unwrap_or(Foul::Noise);
        let packet = self.make(kind);
        self.sent = self.sent.saturating_add(1);
        self.left = self.left.saturating_sub(1);
        self.burst = self.burst.saturating_sub(1);
        if self.burst == 0 {
            self.next_burst = now.after(Duration::from_nanos(self.below(LONGEST_PAUSE)));
        }
        Some(packet)
    }

    fn make(&mut self, kind: Foul) -> FoulPacket {
        let genuine = self.genuine();
        let (mut kind, mut head, mut payload) = match genuine {
            Some(packet) => (kind, Head::new(packet.kind.to_wire(), packet.transaction_id), packet.payload),
            // Nothing to be made from yet.
            None if matches!(kind, Foul::Flipped | Foul::Sized | Foul::Replayed | Foul::UnknownId) => {
                (Foul::Noise, Head::new(6, 0), Vec::new())
            }
            None => (kind, Head::new(6, 0), Vec::new()),
        };
        match kind {
            Foul::Noise => {
                head = Head::new(if self.chance(2) { 6 } else { 11 }, self.id());
                payload = self.noise();
            }
            Foul::Typed => {
                head = Head::new(6, self.id());
                payload = Writer::starting(0x4249_0000 | self.word() & 0x1F).finish();
                payload.extend(self.noise());
            }
            Foul::Nonsense => {
                head = Head::new(6, 0);
                payload = self.nonsense();
            }
            Foul::Flipped => self.flip(&mut payload),
            Foul::Sized => self.resize(&mut payload),
            Foul::Replayed => {}
            Foul::UnknownId => (head.kind, head.transaction_id) = (11, self.random()),
            Foul::Forged => {
                head = Head::new(11, self.id());
                if self.chance(2) {
                    self.flip(&mut payload);
                } else {
                    let status = if self.chance(2) { 0 } else { 0xC000_0000 | self.word() & 0xFFFF };
                    payload = Writer::starting(status).finish();
                    payload.extend(self.noise());
                }
            }
            Foul::Descriptor => {
                kind = Foul::Descriptor;
                match self.below(4) {
                    0 => head.header = Some(self.word().to_le_bytes()),
                    1 => head.header = Some([0, 0, 0, 0]),
                    2 => head.kind = (self.word() & 0xFFFF).try_into().unwrap_or(0),
                    _ => head.flags = (self.word() & 0xFFFF).try_into().unwrap_or(0),
                }
            }
        }
        let transaction_id = head.transaction_id;
        let mut bytes = head.before(&payload);
        if kind == Foul::Descriptor && self.chance(4) {
            // The packet ends within or right after its descriptor.
            bytes.truncate(if self.chance(2) { 8 } else { DESCRIPTOR });
        }
        FoulPacket { kind, bytes, transaction_id }
    }

    fn genuine(&mut self) -> Option<HostPacket> {
        let at = self.below_usize(self.heard.len().max(1));
        self.heard.get(at).cloned()
    }

    /// An id of the guest's, or the one it will use next, or any.
    fn id(&mut self) -> u64 {
        let at = self.below_usize(self.ids.len().max(1));
        let known = self.ids.get(at).copied().unwrap_or(0);
        match self.below(8) {
            0 => self.random(),
            1 => known.wrapping_add(1),
            _ => known,
        }
    }

    /// Mostly short, sometimes longer than anything a guest takes.
    fn noise(&mut self) -> Vec<u8> {
        let most = match self.below(32) {
            0 => LONGEST,
            1..4 => 1024,
            _ => 80,
        };
        let length = self.below_usize(usize::try_from(most).unwrap_or(0));
        core::iter::repeat_with(|| (self.random() >> 56) as u8).take(length).collect()
    }

    fn flip(&mut self, payload: &mut [u8]) {
        for _ in 0..=self.below(8) {
            let at = self.below_usize(payload.len().max(1));
            let bit = self.below(8);
            if let Some(byte) = payload.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
    }

    fn resize(&mut self, payload: &mut Vec<u8>) {
        let length = if self.chance(2) {
            self.below_usize(payload.len().max(1))
        } else {
            payload.len().saturating_add(self.below_usize(usize::try_from(LONGEST).unwrap_or(0)))
        };
        payload.resize(length, 0xEE);
    }

    /// Messages of a host whose fields make no sense.
    fn nonsense(&mut self) -> Vec<u8> {
        let slot = if self.chance(2) { 0 } else { self.word() };
        match self.below(5) {
            0 => Writer::starting(MessageType::EJECT.0).u32(slot).finish(),
            1 => Writer::starting(MessageType::INVALIDATE_BLOCK.0).u32(slot).u64(self.random()).finish(),
            2 => {
                // A count that the bytes do not bear out.
                let count = if self.chance(2) { u32::MAX } else { self.word() & 0x1FF };
                let mut list = Writer::starting(MessageType::BUS_RELATIONS2.0).u32(count).finish();
                list.extend(self.noise());
                list
            }
            3 => {
                let mut list = Writer::starting(MessageType::BUS_RELATIONS.0).u32(self.word() & 7).finish();
                list.extend(self.noise());
                list
            }
            // No functions at all.
            _ => Writer::starting(MessageType::BUS_RELATIONS2.0).u32(0).finish(),
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn word(&mut self) -> u32 {
        (self.random() >> 32) as u32
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: u64) -> u64 {
        (self.random() >> 16).checked_rem(end).unwrap_or(0)
    }

    fn below_usize(&mut self, end: usize) -> usize {
        usize::try_from(self.below(u64::try_from(end).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// Marsaglia's xorshift64 with Vigna's multiplier.
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}

/// A descriptor.
struct Head {
    kind: u16,
    /// Header length and packet length in units of 8 bytes, instead of the true ones.
    header: Option<[u8; 4]>,
    flags: u16,
    transaction_id: u64,
}

impl Head {
    const fn new(kind: u16, transaction_id: u64) -> Head {
        Head { kind, header: None, flags: 0, transaction_id }
    }

    /// The packet, padded to 8 bytes.
    fn before(&self, payload: &[u8]) -> Vec<u8> {
        let total = DESCRIPTOR.saturating_add(payload.len().next_multiple_of(8));
        let units = u16::try_from(total / 8).unwrap_or(u16::MAX).to_le_bytes();
        let header = self.header.unwrap_or([2, 0, units[0], units[1]]);
        let mut bytes = Vec::with_capacity(total);
        bytes.extend_from_slice(&self.kind.to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.transaction_id.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes.resize(total, 0);
        bytes
    }
}
