//! A recording replayed: its config accesses through our config half, in front of the device rebuilt from it.

use std::collections::BTreeMap;

use hvpci_core::config::ConfigError;
use hvpci_core::decode::Policy;

use crate::report::ReplayCounts;

use super::event::{ChannelId, EventKind, Recording, Section};
use super::totals::Totals;

mod bus;
mod messages;
mod places;
#[cfg(test)]
mod tests;

use bus::Bus;

/// Mismatches of which a section keeps the details.
const KEPT_MISMATCHES: usize = 16;

/// What a replay comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Over the whole file.
    pub counts: ReplayCounts,
    /// By section.
    pub sections: Vec<SectionReplay>,
}

/// What the replay of one section comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionReplay {
    /// The section's name.
    pub name: String,
    /// Its counts.
    pub counts: ReplayCounts,
    /// The first mismatches.
    pub mismatches: Vec<Mismatch>,
    /// The first message errors: the line of the file and what is wrong.
    pub message_errors: Vec<(usize, String)>,
}

/// A value that the guest would have read otherwise than it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The line of the file.
    pub line: usize,
    /// Where the guest read.
    pub offset: u16,
    /// What it read when the recording was made.
    pub recorded: u32,
    /// What our config half answers.
    pub answered: u32,
}

/// Replays a recording under a policy. Each section starts afresh; a channel that closes inside one does not.
///
/// Under [`Policy::Absorbing`] a recording does not tell when a function driver is bound: the enumeration scope opens at the
/// read of the header type (0x0E) that starts a scan and closes after the write that first sets bus master.
pub fn replay(recording: &Recording, policy: Policy) -> Result<Replay, ConfigError> {
    let mut whole = Replay { counts: ReplayCounts::default(), sections: Vec::new() };
    for section in &recording.sections {
        let replayed = replay_section(section, policy)?;
        whole.counts += replayed.counts;
        whole.sections.push(replayed);
    }
    Ok(whole)
}

fn replay_section(section: &Section, policy: Policy) -> Result<SectionReplay, ConfigError> {
    let mut buses: BTreeMap<ChannelId, Bus> = BTreeMap::new();
    for channel in section.channels() {
        buses.insert(channel, Bus::new(section, channel, policy)?);
    }
    let recorded = Totals::of(&section.events);
    let mut counts = ReplayCounts {
        guest_reads: recorded.reads,
        guest_writes: recorded.writes,
        traps_recorded: recorded.traps(),
        maps_recorded: recorded.maps,
        unmaps_recorded: recorded.unmaps,
        messages: recorded.messages(),
        ..ReplayCounts::default()
    };
    let mut mismatches = Vec::new();
    let mut message_errors = Vec::new();
    for (index, event) in section.events.iter().enumerate() {
        let Some(bus) = event.kind.channel().and_then(|channel| buses.get_mut(&channel)) else { continue };
        bus.advance_to(index);
        match &event.kind {
            EventKind::Select { value, .. } => bus.select(*value),
            EventKind::ConfigRead(read) => {
                let answered = bus.read(index, read)?;
                if answered != read.value {
                    counts.mismatches += 1;
                    if mismatches.len() < KEPT_MISMATCHES {
                        let (line, offset, recorded) = (event.line, read.offset, read.value);
                        mismatches.push(Mismatch { line, offset, recorded, answered });
                    }
                }
            }
            EventKind::ConfigWrite(write) => bus.write(index, write)?,
            EventKind::Packet(packet) => {
                if let Err(error) = bus.packet(index, packet)? {
                    counts.message_errors += 1;
                    if message_errors.len() < KEPT_MISMATCHES {
                        message_errors.push((event.line, error));
                    }
                }
            }
            EventKind::ChannelOpen(_) | EventKind::ChannelClose(_) => bus.channel_closed(),
            _ => {}
        }
    }
    for bus in buses.values() {
        let seen = bus.device_counts();
        counts.traps += seen.traps();
        counts.maps += seen.maps;
        counts.unmaps += seen.unmaps;
        counts.host_unmaps += seen.host_unmaps;
    }
    Ok(SectionReplay { name: section.name.clone(), counts, mismatches, message_errors })
}
