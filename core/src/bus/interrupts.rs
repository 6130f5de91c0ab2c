//! The interrupts that the host created for the functions: kept so that resume can create them again.

use crate::interrupt::InterruptRequest;
use crate::wire::MsiEntry;
use crate::{OutOfMemory, Slot};

use super::bounded::Bounded;
use super::child::{Assigned, Leaving, Notice};
use super::outstanding::Work;
use super::phase::Next;
use super::status::count;
use super::{Action, Bus, InterruptHandle, Report};

/// Where an interrupt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Live {
    /// The host has it.
    Yes,
    /// The host has forgotten it: to be created again.
    Stale,
    /// Being created again.
    Recreating,
    /// Created again; the platform is to be told.
    Fresh,
    /// To be deleted at the host.
    Dying,
    /// As [`Live::Recreating`], and its driver no longer wants it.
    Unwanted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub handle: InterruptHandle,
    pub request: InterruptRequest,
    /// What the host gave last.
    pub entry: MsiEntry,
    /// What the platform knows, until it was told of a newer one.
    pub known: MsiEntry,
    pub live: Live,
}

impl Record {
    pub fn new(handle: InterruptHandle, request: InterruptRequest, entry: MsiEntry) -> Record {
        Record { handle, request, entry, known: entry, live: Live::Yes }
    }

    /// Address and data are what the host goes by (`reference/protocol.md` section 5).
    fn is(&self, slot: Slot, entry: &MsiEntry) -> bool {
        let same = |e: &MsiEntry| (e.address, e.data) == (entry.address, entry.data);
        self.request.slot == slot && !self.over() && (same(&self.known) || same(&self.entry))
    }

    fn over(&self) -> bool {
        matches!(self.live, Live::Dying | Live::Unwanted)
    }
}

/// Room for the records of interrupts, made where memory may be waited for, and handed to a bus where it may not.
#[derive(Debug)]
pub struct InterruptRoom(Bounded<Record>);

impl InterruptRoom {
    /// Room for `total` interrupts. Sleepable contexts.
    ///
    /// # Errors
    ///
    /// Without memory.
    pub fn new(total: u16) -> Result<InterruptRoom, OutOfMemory> {
        Bounded::new(usize::from(total)).map(InterruptRoom)
    }
}

impl Bus {
    /// How many interrupts there is room for in all. Any context.
    pub fn interrupt_room(&self) -> usize {
        self.interrupts.limit()
    }

    /// Takes `room` if it is larger than what there is, which is left in it: to be dropped where memory may be freed. Any
    /// context.
    pub fn take_interrupt_room(&mut self, room: &mut InterruptRoom) {
        self.interrupts.move_into(&mut room.0);
    }

    /// Whether there is room for the record of one more interrupt, counting those that may still come into being.
    pub(super) fn has_interrupt_room(&self) -> bool {
        self.interrupts.len().saturating_add(self.table.creations()) < self.interrupts.limit()
    }

    /// Marks an interrupt for deletion; `false` when there is none such.
    pub(super) fn delete_interrupt(&mut self, slot: Slot, entry: &MsiEntry) -> bool {
        let Some(at) = self.interrupts.iter().position(|record| record.is(slot, entry)) else { return false };
        self.kill_interrupt(at);
        true
    }

    /// Deletes an interrupt whose creation nobody fetched.
    pub(super) fn delete_unfetched(&mut self, handle: InterruptHandle) {
        if let Some(at) = self.interrupts.iter().position(|r| r.handle == handle && !r.over()) {
            self.kill_interrupt(at);
        }
    }

    fn kill_interrupt(&mut self, at: usize) {
        let Some(record) = self.interrupts.get(at) else { return };
        if self.child(record.request.slot).is_some_and(|child| child.leaving == Some(Leaving::Surprise)) {
            // It went with its function. Another function may be in the slot by now.
            self.interrupts.remove(at);
            return;
        }
        let held = self.host_holds(record.request.slot);
        let Some(record) = self.interrupts.get_mut(at) else { return };
        match record.live {
            Live::Stale => {
                self.interrupts.remove(at);
            }
            Live::Recreating => record.live = Live::Unwanted,
            // What the host itself calls an alias is not deleted, nor what goes with its function.
            _ if record.entry.message_count == 0 || !held => {
                self.interrupts.remove(at);
            }
            _ => record.live = Live::Dying,
        }
    }

    /// Whether the host holds resources, and with them interrupts, for the function in a slot.
    fn host_holds(&self, slot: Slot) -> bool {
        self.child(slot).is_some_and(|child| {
            let there = child.leaving != Some(Leaving::Surprise) && !self.is_unlisted(child);
            there && child.assigned == Assigned::Yes && child.released == Notice::No
        })
    }

    /// The host created an interrupt that nobody waits for any more. It is deleted, unless the host forgets it anyway
    /// because the function is released.
    pub(super) fn late_interrupt(&mut self, slot: Slot, entry: MsiEntry) {
        if entry.message_count == 0 || self.wind.is_some() || !self.host_holds(slot) {
            return;
        }
        count(&mut self.counters.late_interrupts_deleted);
        let request = InterruptRequest::single(slot, 0, crate::wire::VpSet::default());
        let mut record = Record::new(InterruptHandle(0), request, entry);
        record.live = Live::Dying;
        // Room was kept when it was asked for.
        let _ = self.interrupts.push(record);
    }

    /// The next interrupt to be deleted at the host.
    pub(super) fn dying_interrupt(&self) -> Option<(usize, Slot, MsiEntry)> {
        let at = self.interrupts.iter().position(|record| record.live == Live::Dying)?;
        self.interrupts.get(at).map(|record| (at, record.request.slot, record.entry))
    }

    /// The channel is gone or the bus left D0: the host has forgotten all interrupts. Those that drivers hold stay on
    /// record for a resume.
    pub(super) fn forget_interrupt_entries(&mut self) {
        self.interrupts.retain(|record| {
            let kept = !record.over();
            record.live = Live::Stale;
            kept
        });
    }

    /// A function leaves: its interrupts with it.
    pub(super) fn drop_interrupts(&mut self, slot: Slot) {
        self.interrupts.retain(|record| record.request.slot != slot);
    }

    /// Whether interrupts of before a suspend are not all back.
    pub(super) fn interrupts_pending(&self) -> bool {
        let pending = |record: &Record| matches!(record.live, Live::Stale | Live::Recreating | Live::Fresh);
        self.interrupts.iter().any(|record| pending(record) && self.holds(record))
    }

    /// Whether the function of a record stays on the bus.
    fn holds(&self, record: &Record) -> bool {
        self.child(record.request.slot).is_some_and(|child| child.wanted())
    }

    /// Creates the interrupts of before a suspend again, one after the other.
    pub(super) fn step_interrupts(&mut self) -> Next {
        if let Some(fresh) = self.interrupts.iter().find(|r| r.live == Live::Fresh && self.holds(r)) {
            let (handle, slot, entry) = (fresh.handle, fresh.request.slot, fresh.entry);
            return Next::Act(Action::InterruptRecreated { handle, slot, entry });
        }
        if self.table.engine_waits() {
            return Next::Wait;
        }
        let stale = self.interrupts.iter().position(|r| r.live == Live::Stale && self.holds(r));
        let Some(at) = stale else { return Next::Wait };
        let Some(record) = self.interrupts.get_mut(at) else { return Next::Wait };
        record.live = Live::Recreating;
        let work = Work::Recreate(record.handle, record.request);
        self.ask(work)
    }

    /// The platform was told of a new entry.
    pub(super) fn interrupt_told(&mut self, handle: InterruptHandle) {
        if let Some(record) = self.interrupts.iter_mut().find(|r| r.handle == handle && r.live == Live::Fresh) {
            record.live = Live::Yes;
            record.known = record.entry;
        }
    }

    /// The host answered the creation of an interrupt of before; `None` is a refusal.
    pub(super) fn interrupt_recreated(&mut self, handle: InterruptHandle, entry: Option<MsiEntry>) {
        let Some(at) = self.interrupts.iter().position(|record| record.handle == handle) else { return };
        let Some(record) = self.interrupts.get_mut(at) else { return };
        match (entry, record.live) {
            (Some(entry), Live::Recreating) => {
                record.entry = entry;
                record.live = Live::Fresh;
            }
            (Some(entry), Live::Unwanted) => {
                record.entry = entry;
                record.live = Live::Yes;
                self.kill_interrupt(at);
            }
            (None, live) => {
                self.interrupts.remove(at);
                if live == Live::Recreating {
                    self.report(Report::InterruptLost(handle));
                }
            }
            _ => {}
        }
    }
}
