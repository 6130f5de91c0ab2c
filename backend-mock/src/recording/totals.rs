//! What a stretch of a recording adds up to.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::event::{ChannelId, Direction, Event, EventKind};

/// PCI_COMMAND.Memory (PCI Local Bus 3.0 section 6.2.2).
const MEMORY: u32 = 1 << 1;

/// Counts over a stretch of a recording. Maps and unmaps are those of guest writes; `host_unmaps` is what the host did by
/// itself to a function whose decode was on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Reads of config pages.
    pub reads: u64,
    /// Writes to config pages.
    pub writes: u64,
    /// Writes to slot selectors.
    pub selections: u64,
    /// Memory decode 0->1 by a guest write.
    pub maps: u64,
    /// Memory decode 1->0 by a guest write.
    pub unmaps: u64,
    /// Memory decode 0->1 by the host.
    pub host_maps: u64,
    /// Memory decode 1->0 by the host.
    pub host_unmaps: u64,
    /// Packets from the guest.
    pub guest_packets: u64,
    /// Packets from the host.
    pub host_packets: u64,
    /// Interrupt-retarget hypercalls.
    pub retargets: u64,
    /// Channel openings.
    pub opens: u64,
    /// Channel closings.
    pub closes: u64,
    /// Lines of unknown kinds.
    pub others: u64,
}

impl Totals {
    /// Counts `events`, which begin with every function's decode off.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Totals {
        let mut tally = Tally::default();
        for event in events {
            tally.add(&event.kind);
        }
        tally.totals
    }

    /// Accesses to either page of the config windows.
    pub fn traps(&self) -> u64 {
        self.reads + self.writes + self.selections
    }

    /// Packets both ways.
    pub fn messages(&self) -> u64 {
        self.guest_packets + self.host_packets
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.selections += other.selections;
        self.maps += other.maps;
        self.unmaps += other.unmaps;
        self.host_maps += other.host_maps;
        self.host_unmaps += other.host_unmaps;
        self.guest_packets += other.guest_packets;
        self.host_packets += other.host_packets;
        self.retargets += other.retargets;
        self.opens += other.opens;
        self.closes += other.closes;
        self.others += other.others;
    }
}

/// A count in progress: the totals, and what telling a map from a mere write needs.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) totals: Totals,
    selected: BTreeMap<ChannelId, u32>,
    /// The slot of the request under way, where that makes the host change decode by itself.
    concerned: BTreeMap<ChannelId, u32>,
    /// Memory decode by channel and slot; absent is off.
    decode: BTreeMap<(ChannelId, u32), bool>,
}

impl Tally {
    /// The slot that the channel's window shows.
    pub(super) fn slot(&self, channel: ChannelId) -> u32 {
        self.selected.get(&channel).copied().unwrap_or(0)
    }

    /// Counts one event. Returns decode before and after for a guest write that reaches the memory-decode bit.
    pub(super) fn add(&mut self, kind: &EventKind) -> Option<(bool, bool)> {
        let totals = &mut self.totals;
        match kind {
            EventKind::Select { channel, value } => {
                totals.selections += 1;
                self.selected.insert(*channel, *value);
            }
            EventKind::ConfigRead(_) => totals.reads += 1,
            EventKind::ConfigWrite(write) => {
                totals.writes += 1;
                // The bit lies in byte 4; a write below that byte reaches it only if it is wide enough.
                let shift = 4u16.checked_sub(write.offset).filter(|&bytes| bytes < write.width.bytes())?;
                let key = (write.channel, self.selected.get(&write.channel).copied().unwrap_or(0));
                let held = self.decode.get(&key).copied().unwrap_or(false);
                let wanted = write.value >> (u32::from(shift) * 8) & MEMORY != 0;
                let (was, is) = write.note.and_then(|note| note.transition).unwrap_or((held, wanted));
                self.decode.insert(key, is);
                totals.maps += u64::from(!was && is);
                totals.unmaps += u64::from(was && !is);
                return Some((was, is));
            }
            EventKind::HostSetPower { channel, memory } => {
                // The trace names the channel: a request under way tells the function, otherwise it is all of them.
                let concerned = self.concerned.get(channel).copied();
                if let Some(slot) = concerned {
                    self.decode.entry((*channel, slot)).or_insert(false);
                }
                let met = |(of, slot): &(ChannelId, u32)| of == channel && concerned.is_none_or(|only| only == *slot);
                for (_, decode) in self.decode.iter_mut().filter(|(function, _)| met(function)) {
                    totals.host_maps += u64::from(!*decode && *memory);
                    totals.host_unmaps += u64::from(*decode && !*memory);
                    *decode = *memory;
                }
            }
            EventKind::Packet(packet) => {
                match packet.direction {
                    Direction::GuestToHost => totals.guest_packets += 1,
                    Direction::HostToGuest => totals.host_packets += 1,
                }
                match packet.concerned_slot() {
                    Some(slot) => self.concerned.insert(packet.channel, slot),
                    None => self.concerned.remove(&packet.channel),
                };
            }
            EventKind::RetargetHypercall(_) => totals.retargets += 1,
            EventKind::ChannelOpen(id) => {
                totals.opens += 1;
                self.concerned.remove(&ChannelId(id.first_dword()));
            }
            EventKind::ChannelClose(id) => {
                totals.closes += 1;
                self.concerned.remove(&ChannelId(id.first_dword()));
            }
            EventKind::Other { .. } => totals.others += 1,
            EventKind::HostConfigMapped { .. }
            | EventKind::HostConfigUnmapped
            | EventKind::HostSetBars { .. }
            | EventKind::HypercallPage { .. } => {}
        }
        None
    }
}
