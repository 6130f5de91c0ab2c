//! A device rebuilt from a recording.

use std::collections::BTreeMap;

use hvpci_core::Slot;
use hvpci_core::backend::{ConfigPort, SelectError, Width};

use super::event::{ChannelId, EventKind, Section};
use super::totals::Totals;

mod evidence;
mod function;
mod learn;
mod script;
#[cfg(test)]
mod tests;

pub use function::FunctionModel;

/// The config window of one channel of one section, with the functions behind it, rebuilt from what the recording shows.
///
/// It is a model, not a list of answers: each function has registers, of which the recording told what they hold and which
/// bits a write changes, and it obeys the rules that the host obeys (BAR masks as probed, BAR writes dropped while memory
/// decode is on, write-one-to-clear bits, reset). So a caller that makes other accesses than the recorded ones, fewer or in
/// another order, gets the answers of the recorded device. What the recording shows and no guest access explains (the host's
/// own doings, a status bit that rises, a device that vanishes) is scheduled: it happens when [`ReplayDevice::advance_to`]
/// passes the event where the recording shows it.
///
/// Registers that the recording never shows read zero; a read of one is counted in [`ReplayDevice::unknown_reads`].
///
/// To replay a section from its start again, clone the device before using it.
#[derive(Clone, Debug)]
pub struct ReplayDevice {
    functions: BTreeMap<u32, FunctionModel>,
    probed: BTreeMap<u32, [u32; 6]>,
    selected: u32,
    schedule: Vec<ScheduledChange>,
    /// How many of the schedule have happened.
    done: usize,
    counts: Totals,
    blocked_bar_writes: u64,
    unknown_reads: u64,
}

/// Something that happens to the device without a guest access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledChange {
    /// The index in the section of the event before which it happens.
    pub index: usize,
    /// The function it happens to; `None` for all of the channel.
    pub slot: Option<u32>,
    /// What happens.
    pub change: Change,
}

/// What can happen to a function by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The host writes the BARs: a `HOST set_bars` line.
    SetBars([u32; 6]),
    /// The host turns memory decode on or off: a `HOST set_power` line.
    SetMemory(bool),
    /// The function vanishes (reads all ones, drops writes) or comes back with its first values. Inferred.
    Presence(bool),
    /// Bits change: those of `mask`, to those of `value`, in the dword or less at `offset`. Inferred.
    Bits {
        /// Offset of the lowest byte.
        offset: u16,
        /// The bits that change.
        mask: u32,
        /// What they become.
        value: u32,
    },
}

impl ScheduledChange {
    /// Whether the recording has no line for it: it was inferred from a read that nothing else explains.
    pub fn is_inferred(&self) -> bool {
        matches!(self.change, Change::Presence(_) | Change::Bits { .. })
    }
}

/// A read whose recorded value is not what the rebuilt device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The index of the event in the section.
    pub index: usize,
    /// What the recording has.
    pub recorded: u32,
    /// What the device answers.
    pub answered: u32,
}

impl ReplayDevice {
    /// Rebuilds what is behind the config window of `channel` from all that `section` shows of it.
    pub fn learn(section: &Section, channel: ChannelId) -> ReplayDevice {
        learn::learn(section, channel)
    }

    fn new(functions: BTreeMap<u32, FunctionModel>, schedule: Vec<ScheduledChange>) -> ReplayDevice {
        ReplayDevice {
            functions,
            probed: BTreeMap::new(),
            selected: 0,
            schedule,
            done: 0,
            counts: Totals::default(),
            blocked_bar_writes: 0,
            unknown_reads: 0,
        }
    }

    /// Lets all that is scheduled up to and including event `index` of the section happen. Call it before making the
    /// accesses that event `index` stands for, and for events that are no accesses too. Indexes only grow; a smaller one
    /// does nothing.
    pub fn advance_to(&mut self, index: usize) {
        while let Some(&next) = self.schedule.get(self.done).filter(|next| next.index <= index) {
            self.done += 1;
            self.apply(next);
        }
    }

    fn apply(&mut self, scheduled: ScheduledChange) {
        for (slot, function) in &mut self.functions {
            if scheduled.slot.is_some_and(|only| only != *slot) {
                continue;
            }
            let was = function.memory_decode();
            match scheduled.change {
                Change::SetBars(bars) => function.set_bars(bars),
                Change::SetMemory(on) => function.set_memory(on),
                Change::Presence(present) => function.set_present(present),
                Change::Bits { offset, mask, value } => function.force(offset, mask, value),
            }
            let is = function.memory_decode();
            self.counts.host_maps += u64::from(!was && is);
            self.counts.host_unmaps += u64::from(was && !is);
        }
    }

    /// The slot selector as a raw number: numbers above 255 select nothing.
    pub fn select_raw(&mut self, wslot: u32) {
        self.counts.selections += 1;
        self.selected = wslot;
    }

    /// A POWER_STATE_CHANGE message of the guest: D0 (`on`) turns memory decode on, D3 turns it off
    /// (`reference/protocol.md` section 5). Counted as a map or unmap of the guest's.
    pub fn power_state_change(&mut self, wslot: u32, on: bool) {
        if let Some(function) = self.functions.get_mut(&wslot).filter(|function| function.is_present()) {
            let was = function.memory_decode();
            function.set_memory(on);
            self.counts.maps += u64::from(!was && on);
            self.counts.unmaps += u64::from(was && !on);
        }
    }

    /// The probed BAR masks that the recording shows, by slot: the answers to QUERY_RESOURCE_REQUIREMENTS.
    pub fn probed(&self) -> &BTreeMap<u32, [u32; 6]> {
        &self.probed
    }

    /// What has crossed the window so far, and how often memory decode went on and off: by guest writes (`maps`, `unmaps`)
    /// and otherwise (`host_maps`, `host_unmaps`: the host's own doing, a reset, a function that vanishes). Counts of
    /// packets and of other events stay zero.
    pub fn counts(&self) -> &Totals {
        &self.counts
    }

    /// Writes to a BAR register that were dropped because memory decode was on.
    pub fn blocked_bar_writes(&self) -> u64 {
        self.blocked_bar_writes
    }

    /// Reads of which the recording does not show every bit anywhere.
    pub fn unknown_reads(&self) -> u64 {
        self.unknown_reads
    }

    /// The function in a slot, if the recording shows one.
    pub fn function(&self, wslot: u32) -> Option<&FunctionModel> {
        self.functions.get(&wslot)
    }

    /// All that is scheduled, in order, what has already happened included.
    pub fn schedule(&self) -> &[ScheduledChange] {
        &self.schedule
    }

    /// Feeds the recording's own accesses to a copy of this device, which must be fresh from [`ReplayDevice::learn`], and
    /// returns the reads that come out differently: none, unless the model is wrong.
    pub fn differences(&self, section: &Section, channel: ChannelId) -> Vec<Difference> {
        let mut device = self.clone();
        let mut differences = Vec::new();
        for (index, event) in section.events_of(channel) {
            device.advance_to(index);
            match &event.kind {
                EventKind::Select { value, .. } => device.select_raw(*value),
                EventKind::ConfigWrite(write) => device.write(write.offset, write.width, write.value),
                EventKind::ConfigRead(read) => {
                    let answered = device.read(read.offset, read.width);
                    if answered != read.value {
                        differences.push(Difference { index, recorded: read.value, answered });
                    }
                }
                _ => {}
            }
        }
        differences
    }
}

impl ConfigPort for ReplayDevice {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.select_raw(slot.to_wire());
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        self.counts.reads += 1;
        let Some(function) = self.functions.get(&self.selected) else {
            return width.all_ones();
        };
        self.unknown_reads += u64::from(!function.knows(offset, width));
        function.read(offset, width)
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        self.counts.writes += 1;
        let Some(function) = self.functions.get_mut(&self.selected) else {
            return;
        };
        let effect = function.write(offset, width, value);
        self.blocked_bar_writes += u64::from(effect.blocked_bar);
        self.counts.maps += u64::from(effect.mapped);
        self.counts.unmaps += u64::from(effect.unmapped);
        self.counts.host_unmaps += u64::from(effect.reset_unmapped);
    }
}
