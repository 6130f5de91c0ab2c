//! The fake VMBus Kernel Mode Client Library. Behind it is the mock host; between them a ring that may be full.

pub mod channel;
pub mod deliver;
pub mod packet;

use std::collections::{HashMap, HashSet, VecDeque};

use hvpci_mock::host::BusId;

use crate::world::World;

/// KMCL's channels and packets.
#[derive(Debug, Default)]
pub struct State {
    /// Channels by handle.
    pub channels: HashMap<usize, Channel>,
    /// Packets by handle.
    pub packets: HashMap<usize, Packet>,
    /// Incoming packets that the driver has not completed, by handle: their channel.
    pub incoming: HashMap<usize, usize>,
    /// Handles that were good once.
    pub stale: HashSet<usize>,
    next: usize,
    delivering: u32,
    /// The host closes the channel the moment the driver is about to.
    pub closes_first: bool,
    /// The host closes the channel when it is open and VmbChannelEnable has not returned.
    pub closes_in_enable: bool,
    /// For how long VmbChannelEnable does not return when the channel is open.
    pub hold_enable: u64,
    /// EvtChannelClosed is held up for so many nanoseconds when the host has closed a channel: where the driver has given back
    /// its n-th spin lock in it.
    pub hold_closed: Option<(u32, u64)>,
    /// VmbChannelInitSetStateChangeCallbacks refuses: its structure's version is not public text.
    pub refuses_state_changes: bool,
    /// Messages that VmbPacketSend has no memory for: how many more of each type.
    pub refused: HashMap<u32, u32>,
    /// The host reads nothing: no packet goes into the ring.
    pub stuck: bool,
    /// The most packets that were under way at once.
    pub most_outstanding: usize,
    /// Whether VmbPacketSend ever had no memory.
    pub unsent: bool,
    /// Incoming packets completed so far.
    pub completed: u64,
    /// Packets that want no answer and are in the ring: channel and packet.
    done: VecDeque<(usize, usize)>,
    /// The types of the messages the driver sent, by bus, in order.
    pub sent: Vec<(BusId, u32)>,
}

/// A packet on its way into the ring.
#[derive(Clone, Debug)]
struct Waiting {
    handle: usize,
    data: Vec<u8>,
    /// Whether it completes when the host has answered it.
    wants: bool,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The bus behind it.
    pub bus: BusId,
    /// Between VmbChannelEnable and VmbChannelDisable.
    pub enabled: bool,
    /// VmbChannelEnable has not returned.
    enabling: bool,
    /// Opened at the host's end.
    pub open: bool,
    /// The host has closed it, and the driver was told: KMCL has disabled it by itself. How many spin locks had been
    /// released by then.
    told: Option<u64>,
    process: usize,
    processed: usize,
    pointer: usize,
    states: [usize; 5],
    target: bool,
    maximum: u32,
    /// What did not fit into the ring.
    pending: VecDeque<Waiting>,
    /// Calls into the driver's callbacks that run now.
    calls: u32,
    /// The same of its state-change callbacks.
    changes: u32,
}

/// An outgoing packet.
#[derive(Clone, Debug)]
pub struct Packet {
    channel: usize,
    routine: usize,
    pointer: usize,
    /// Sent, and its completion routine has not been called.
    sent: bool,
    /// The thread that calls its completion routine now, and the answer: where it is and how long.
    completing: Option<(std::thread::ThreadId, usize, u32)>,
}

impl State {
    fn handle(&mut self) -> usize {
        self.next += 1;
        0x0FFF_5000_0000 + self.next * 16
    }

    fn log(&mut self, channel: usize, data: &[u8]) {
        if let (Some(channel), Some(kind)) = (self.channels.get(&channel), data.first_chunk::<4>()) {
            self.sent.push((channel.bus, u32::from_le_bytes(*kind)));
        }
    }

    /// Whether there is no memory to send a message this time.
    fn refuses(&mut self, data: &[u8]) -> bool {
        let kind = data.first_chunk::<4>().map_or(0, |kind| u32::from_le_bytes(*kind));
        let left = self.refused.get_mut(&kind).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// The types of the messages sent on a bus, without their common base 0x42490000.
    pub fn sent_on(&self, bus: BusId) -> Vec<u32> {
        self.sent.iter().filter(|(on, _)| *on == bus).map(|(_, kind)| kind & 0xFFFF).collect()
    }

    /// Whether a callback of the driver runs now.
    pub fn delivering(&self) -> bool {
        self.delivering > 0
    }

    /// What the driver has not given back.
    pub fn leaks(&self) -> Vec<String> {
        let mut leaks: Vec<String> = self.channels.keys().map(|h| format!("VMBus channel {h:#x}")).collect();
        leaks.extend(
            self.packets.iter().map(|(h, p)| format!("VMBus packet {h:#x}{}", if p.sent { " (sent)" } else { "" })),
        );
        leaks.extend(self.incoming.keys().map(|h| format!("incoming packet {h:#x} was never completed")));
        leaks
    }

    /// Packets that are under way to the host and back.
    pub fn outstanding(&self) -> usize {
        self.packets.values().filter(|packet| packet.sent).count()
    }
}

impl Packet {
    fn transaction(handle: usize) -> u64 {
        (handle - 0x0FFF_5000_0000) as u64 / 16
    }
}

/// The packet with a transaction id.
fn by_transaction(id: u64) -> usize {
    usize::try_from(id).unwrap_or(0).saturating_mul(16).saturating_add(0x0FFF_5000_0000)
}

/// Whether the host holds the channel of a bus open.
pub fn is_open(world: &World, bus: BusId) -> bool {
    world.kmcl.channels.values().any(|channel| channel.bus == bus && channel.open)
}
