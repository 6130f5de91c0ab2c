//! What a section says of one channel's functions, in the order it says it.

use std::collections::BTreeMap;
use std::ops::Range;

use hvpci_core::Slot;
use hvpci_core::backend::Width;

use super::super::event::{ChannelId, Direction, EventKind, Packet, Section};
use super::{Change, ScheduledChange};

/// Message types that are needed here (`reference/protocol.md` section 3).
const BUS_RELATIONS: u32 = 0x4249_0000;
const BUS_RELATIONS2: u32 = 0x4249_0019;
const RESOURCE_REQUIREMENTS: u32 = 0x4249_0005;
/// No bus has more functions.
const MAX_FUNCTIONS: usize = 256;

/// One access, with the slot it goes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) index: usize,
    pub(super) slot: u32,
    pub(super) offset: u16,
    pub(super) width: Width,
    pub(super) value: u32,
    pub(super) kind: AccessKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessKind {
    Read,
    /// A write, and COMMAND as the device held it before, where the trace says.
    Write {
        had: Option<u16>,
    },
}

/// What a section says of one channel's functions.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Reads and writes.
    pub(super) accesses: Vec<Access>,
    /// The host's own doings.
    pub(super) host: Vec<ScheduledChange>,
    /// Identity registers by slot, from the first description of each: the bytes at 0, 8 and 0x2C.
    pub(super) described: BTreeMap<u32, [[u8; 4]; 3]>,
    /// Probed BAR masks by slot, from the first answer for each.
    pub(super) probed: BTreeMap<u32, [u32; 6]>,
}

impl Script {
    pub(super) fn of(section: &Section, channel: ChannelId) -> Script {
        let mut script = Script::default();
        let mut selected = 0;
        // The function that the request under way names: what the host does meanwhile, it does to that one.
        let mut concerned = None;
        let mut asked: BTreeMap<u64, u32> = BTreeMap::new();
        for (index, event) in section.events_of(channel) {
            match &event.kind {
                EventKind::Select { value, .. } => selected = *value,
                EventKind::ConfigRead(read) => script.accesses.push(Access {
                    index,
                    slot: selected,
                    offset: read.offset,
                    width: read.width,
                    value: read.value,
                    kind: AccessKind::Read,
                }),
                EventKind::ConfigWrite(write) => script.accesses.push(Access {
                    index,
                    slot: selected,
                    offset: write.offset,
                    width: write.width,
                    value: write.value,
                    kind: AccessKind::Write { had: write.note.map(|note| note.device_had) },
                }),
                EventKind::HostSetBars { bars, .. } => {
                    script.host.push(ScheduledChange { index, slot: concerned, change: Change::SetBars(*bars) });
                }
                EventKind::HostSetPower { memory, .. } => {
                    script.host.push(ScheduledChange { index, slot: concerned, change: Change::SetMemory(*memory) });
                }
                EventKind::ChannelOpen(_) | EventKind::ChannelClose(_) => {
                    concerned = None;
                    asked.clear();
                }
                EventKind::Packet(packet) => {
                    concerned = packet.concerned_slot();
                    script.packet(packet, &mut asked);
                }
                _ => {}
            }
        }
        script
    }

    /// Takes what a packet tells of functions. `asked` holds the slots of resource queries by transaction id.
    fn packet(&mut self, packet: &Packet, asked: &mut BTreeMap<u64, u32>) {
        let id = packet.descriptor.transaction_id;
        if packet.descriptor.is_completion() {
            let succeeded = packet.u32_at(0).is_some_and(|status| status >> 31 == 0);
            let bars: Option<Vec<u32>> = (1..=6).map(|bar| packet.u32_at(bar * 4)).collect();
            let bars: Option<[u32; 6]> = bars.and_then(|bars| bars.try_into().ok());
            if let (Some(slot), true, Some(bars)) = (asked.remove(&id), succeeded, bars) {
                self.probed.entry(slot).or_insert(bars);
            }
            return;
        }
        match (packet.direction, packet.u32_at(0)) {
            (Direction::HostToGuest, Some(BUS_RELATIONS)) => self.relations(packet, 20),
            (Direction::HostToGuest, Some(BUS_RELATIONS2)) => self.relations(packet, 28),
            (Direction::GuestToHost, message_type) if packet.descriptor.wants_completion() => {
                // Transaction ids repeat: whatever carried this one before is answered.
                asked.remove(&id);
                if let (Some(RESOURCE_REQUIREMENTS), Some(slot)) = (message_type, packet.u32_at(4)) {
                    asked.insert(id, slot);
                }
            }
            _ => {}
        }
    }

    /// Takes the identity registers out of a relations list (`reference/protocol.md` section 5).
    fn relations(&mut self, packet: &Packet, size: usize) {
        let count = packet.u32_at(4).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        for entry in packet.payload.get(8..).unwrap_or(&[]).chunks_exact(size).take(count.min(MAX_FUNCTIONS)) {
            let dword = |at: usize| -> [u8; 4] { [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]] };
            let slot = u32::from_le_bytes(dword(12));
            self.described.entry(slot).or_insert([dword(0), dword(4), dword(8)]);
        }
    }

    /// The slots that the section tells anything of. Numbers above 255 are no slots (`reference/protocol.md` section 4).
    pub(super) fn slots(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.accesses.iter().map(|access| access.slot).collect();
        slots.extend(self.described.keys().chain(self.probed.keys()));
        slots.retain(|&slot| Slot::from_wire(slot).is_some());
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// The stretches, by event index, in which a function is not there: runs of reads that return all ones, among them one
    /// of a register that cannot hold that. All ones from a BAR alone is sizing.
    pub(super) fn absences(&self, slot: u32) -> Vec<Range<usize>> {
        let mut absences = Vec::new();
        let mut run: Option<(usize, bool)> = None;
        let of_slot = |access: &&Access| access.slot == slot && access.kind == AccessKind::Read;
        for access in self.accesses.iter().filter(of_slot) {
            let all_ones = access.value == access.width.all_ones();
            let telling = all_ones && cannot_be_all_ones(access.offset, access.width);
            let sizing = (0x10..0x28).contains(&access.offset);
            match &mut run {
                Some((start, told)) if !all_ones => {
                    if *told {
                        absences.push(*start..access.index);
                    }
                    run = None;
                }
                Some((_, told)) => *told |= telling,
                None if all_ones && !sizing => run = Some((access.index, telling)),
                None => {}
            }
        }
        if let Some((start, true)) = run {
            absences.push(start..usize::MAX);
        }
        absences
    }
}

/// Whether a register of a function that is there never reads all ones: Vendor ID, COMMAND, Status (reserved bits), the class
/// code's dword, Header Type.
fn cannot_be_all_ones(offset: u16, width: Width) -> bool {
    match width {
        Width::Byte => matches!(offset, 0x00 | 0x0E),
        Width::Word => matches!(offset, 0x00 | 0x04 | 0x06),
        Width::Dword => matches!(offset, 0x00 | 0x04 | 0x08 | 0x0C),
    }
}
