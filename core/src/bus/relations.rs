//! The host's list of functions, and what it changes.

use crate::wire::{FunctionDescription, Relations};
use crate::{OutOfMemory, Slot, Time};

use super::bounded::Bounded;
use super::child::{Assigned, Child, Leaving, Notice, Shown};
use super::phase::D0;
use super::status::count;
use super::{Bus, Odd, Report, RequestError};

/// The newest list. A list that was not worked on yet is simply overwritten by the next: only the newest matters
/// (`reference/protocol.md` section 6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Listed {
    pub functions: Bounded<FunctionDescription>,
    /// The host was asked (config-space style).
    pub asked: bool,
    /// A list came on the present channel.
    pub seen: bool,
    /// The list has not been worked through.
    pub dirty: bool,
    /// When the first list must have come.
    pub deadline: Option<Time>,
}

impl Listed {
    pub fn new(functions: usize) -> Result<Listed, OutOfMemory> {
        let functions = Bounded::new(functions)?;
        Ok(Listed { functions, asked: false, seen: false, dirty: false, deadline: None })
    }

    /// The channel is closed.
    pub fn forget(&mut self) {
        self.functions.clear();
        (self.asked, self.seen, self.dirty, self.deadline) = (false, false, false, None);
    }
}

impl Bus {
    /// Takes a list from a message. Any context: only copies.
    pub(super) fn take_relations(&mut self, relations: &Relations<'_>) {
        count(&mut self.counters.relations);
        self.listed.functions.clear();
        for entry in relations.iter() {
            match entry {
                Ok(function) => self.take_listed(function),
                Err(bad) => self.odd(Odd::BadSlot(bad.0), |c| &mut c.bad_slots),
            }
        }
        self.listed.seen = true;
        self.listed.dirty = true;
        self.listed.deadline = None;
    }

    fn take_listed(&mut self, function: FunctionDescription) {
        let slot = function.slot;
        if self.listed.functions.iter().any(|f| f.slot == slot) {
            return self.odd(Odd::DuplicateSlot(slot), |c| &mut c.duplicate_slots);
        }
        if self.listed.functions.push(function).is_err() {
            self.odd(Odd::TooManyFunctions(slot), |c| &mut c.functions_left_out);
        }
    }

    /// Works through the list: functions missing from it leave, functions new in it come. Allocates nothing. A function
    /// whose slot is still taken by one on its way out waits for that: the list stays dirty.
    ///
    /// Returns whether a function came or began to leave.
    pub(super) fn diff(&mut self) -> bool {
        if !self.listed.dirty {
            return false;
        }
        let mut changed = false;
        for at in 0..self.children.len() {
            let Some(child) = self.children.get(at) else { break };
            let listed = self.listed.functions.iter().any(|f| f.same_function(&child.description));
            if !listed && child.leaving.is_none() {
                self.surprise(at);
                changed = true;
            }
        }
        let mut waiting = false;
        for at in 0..self.listed.functions.len() {
            let Some(function) = self.listed.functions.get(at).copied() else { break };
            match self.child(function.slot) {
                // The same (an ejected one takes its entry along when it goes), or one that must leave first.
                Some(child) if child.description.same_function(&function) => {
                    waiting |= child.leaving == Some(Leaving::Surprise);
                }
                Some(_) => waiting = true,
                None => changed |= self.add_child(function),
            }
        }
        self.listed.dirty = waiting;
        changed
    }

    /// Whether the newest list, not worked through yet, says that a function is gone.
    pub(super) fn is_unlisted(&self, child: &Child) -> bool {
        self.listed.dirty && !self.listed.functions.iter().any(|f| f.same_function(&child.description))
    }

    fn add_child(&mut self, function: FunctionDescription) -> bool {
        let at = self.children.partition_point(|c| c.description.slot < function.slot);
        // The table is as large as the list, so there is room unless others are still leaving: when one has left, the list is
        // worked through again.
        let added = self.children.insert(at, Child::new(function)).is_ok();
        if added {
            self.report(Report::FunctionFound(function));
        }
        added
    }

    /// A function is gone without a word: its driver's requests end at once, and the engine's own, whose answers would be
    /// taken for those of the next function in the slot.
    pub(super) fn surprise(&mut self, at: usize) {
        let Some(child) = self.children.get_mut(at) else { return };
        child.leaving = Some(Leaving::Surprise);
        child.settled = false;
        child.silenced = true;
        let slot = child.description.slot;
        self.table.fail_callers(RequestError::FunctionGone, |work| work.slot() == Some(slot));
        self.abandon_engine_work(|work| work.slot() == Some(slot));
    }

    /// The host wants a function back.
    pub(super) fn take_eject(&mut self, now: Time, wslot: u32) {
        let Some(slot) = Slot::from_wire(wslot) else {
            return self.odd(Odd::BadSlot(wslot), |c| &mut c.bad_slots);
        };
        // The function may be in a list that was not worked through yet.
        if self.wind.is_none() {
            self.diff();
        }
        let deadline = now.after(self.options.deadlines.eject);
        let out = self.d0 != D0::In;
        let Some(child) = self.child_mut(slot) else {
            return self.odd(Odd::UnknownSlot(slot), |c| &mut c.unknown_slots);
        };
        if child.eject_complete != Notice::No {
            return self.odd(Odd::DuplicateEject(slot), |c| &mut c.duplicate_ejects);
        }
        child.leaving.get_or_insert(Leaving::Eject);
        child.eject_complete = Notice::Owed;
        child.eject_deadline = Some(deadline);
        child.settled = false;
        // On the way into a suspend or out of it there is no config window, or the host has taken the function's resources
        // back: its driver lets go of a function that does not answer.
        child.out_of_reach |= child.shown != Shown::No && (out || child.assigned == Assigned::No);
        self.report(Report::EjectRequested(slot));
    }
}
