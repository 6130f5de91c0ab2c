//! A recording replayed: its config accesses through our config half, in front of the device rebuilt from it, and its
//! messages through our engine.

use std::collections::BTreeMap;

use hvpci_core::bus::NewBusError;
use hvpci_core::config::ConfigError;
use hvpci_core::decode::Policy;

use crate::report::ReplayCounts;

use super::event::{ChannelId, EventKind, Recording, Section};
use super::totals::Totals;

mod compare;
mod engine;
mod facts;
mod half;
mod inject;
mod lane;
mod pairing;
mod places;
mod replies;
#[cfg(test)]
mod tests;

use lane::Lane;

/// Mismatches, and message errors, of which a section keeps the details.
const KEPT: usize = 16;

/// Why a replay cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The config half.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The engine.
    #[error(transparent)]
    Bus(#[from] NewBusError),
}

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
/// # The config half
///
/// The recorded guest's accesses go through it. That guest does the bootstrap by itself (it writes the BARs and COMMAND of
/// its own accord), so ours adds none, under no policy. Under [`Policy::Absorbing`] a recording does not tell when a function
/// driver is bound: the enumeration scope opens at the read of the header type (0x0E) that starts a scan and closes after
/// the write that first sets bus master. Under [`Policy::Prefetch`] the background map begins with the first scan.
///
/// # The engine
///
/// It offers the versions that the recorded guest offered, takes the config window that guest took, and its drivers ask for
/// what that guest's drivers asked for. Each recorded request is matched with the packet that our engine sends of the same
/// kind for the same function, in whatever order, and each recorded completion is handed to ours as the answer to that
/// packet. What ours sends and the recorded guest does not (RESOURCES_RELEASED, which the stock driver leaves out; the
/// assignment of a hot-added function's resources, which it does not make) is answered with success and is no error.
///
/// # Errors
///
/// [`ReplayError`], which no recording causes but want of memory.
pub fn replay(recording: &Recording, policy: Policy) -> Result<Replay, ReplayError> {
    let mut whole = Replay { counts: ReplayCounts::default(), sections: Vec::new() };
    for section in &recording.sections {
        let replayed = replay_section(section, policy)?;
        whole.counts += replayed.counts;
        whole.sections.push(replayed);
    }
    Ok(whole)
}

fn replay_section(section: &Section, policy: Policy) -> Result<SectionReplay, ReplayError> {
    let mut lanes: BTreeMap<ChannelId, Lane<'_>> = BTreeMap::new();
    for channel in section.channels() {
        lanes.insert(channel, Lane::new(section, channel, policy)?);
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
    for (index, event) in section.events.iter().enumerate() {
        let Some(lane) = event.kind.channel().and_then(|channel| lanes.get_mut(&channel)) else { continue };
        let (Some(answered), EventKind::ConfigRead(read)) = (lane.take(index), &event.kind) else { continue };
        if answered != read.value {
            counts.mismatches += 1;
            if mismatches.len() < KEPT {
                let (line, offset, recorded) = (event.line, read.offset, read.value);
                mismatches.push(Mismatch { line, offset, recorded, answered });
            }
        }
    }
    let mut message_errors = Vec::new();
    for lane in lanes.values_mut() {
        lane.ended();
        let line = |index: usize| section.events.get(index).map_or(0, |event| event.line);
        message_errors.extend(lane.errors().iter().map(|(index, text)| (line(*index), text.clone())));
        let seen = lane.device_counts();
        counts.traps += seen.traps();
        counts.maps += seen.maps;
        counts.unmaps += seen.unmaps;
        counts.host_unmaps += seen.host_unmaps;
        let (powered_on, powered_off) = lane.power_changes_recorded();
        counts.maps_recorded += powered_on;
        counts.unmaps_recorded += powered_off;
    }
    counts.message_errors = message_errors.len() as u64;
    message_errors.sort();
    message_errors.truncate(KEPT);
    Ok(SectionReplay { name: section.name.clone(), counts, mismatches, message_errors })
}
