//! Functions on their way out: ejected, gone, failed.

use crate::Slot;
use crate::config::Reach;
use crate::wire::PowerState;

use super::child::{Assigned, Leaving, Notice, PowerOutcome, Prefetch, Shown};
use super::outstanding::Work;
use super::phase::{D0, Next};
use super::{Action, Bus, FunctionError, Report, Request, RequestError};

/// A function that left with [`Reach::Host`]: the config half still takes its range for mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Departed {
    pub slot: Slot,
    /// The host works through its ring in order: once it answers this request or a later one, it has seen
    /// RESOURCES_RELEASED. `None` until that was sent.
    pub after: Option<u64>,
    /// It has answered.
    pub over: bool,
}

impl Bus {
    /// A function is of no use; the others go on. It stays in the table, taken apart, until the host drops it.
    pub(super) fn fail_function(&mut self, slot: Slot, error: FunctionError) {
        let Some(child) = self.child_mut(slot) else { return };
        if child.failed {
            return;
        }
        child.failed = true;
        child.settled = false;
        self.report(Report::FunctionFailed { slot, error });
    }

    /// Takes functions that leave or failed apart, one step at a time.
    pub(super) fn step_removals(&mut self) -> Next {
        for at in (0..self.children.len()).rev() {
            match self.step_removal(at) {
                Next::Wait => {}
                other => return other,
            }
        }
        Next::Wait
    }

    fn step_removal(&mut self, at: usize) -> Next {
        let Some(child) = self.children.get(at) else { return Next::Wait };
        // The publisher goes first: see `publishing`.
        if !child.retiring() || child.settled || child.shown != Shown::No {
            return Next::Wait;
        }
        let slot = child.description.slot;
        if !child.silenced {
            self.silence(at);
            return Next::Changed;
        }
        if child.attached {
            return Next::Act(Action::Detach { slot, reach: self.reach(at) });
        }
        if self.start_release(at) {
            return Next::Changed;
        }
        match self.children.get(at) {
            Some(child) if child.released == Notice::Due => Next::Wait,
            Some(_) => self.settle(at),
            None => Next::Wait,
        }
    }

    /// What drivers and the engine itself still want of the host about a function ends.
    fn silence(&mut self, at: usize) {
        let Some(child) = self.children.get(at) else { return };
        let slot = child.description.slot;
        let mapping = self.table.iter().any(|entry| entry.sent && entry.work().is_some_and(|work| maps(work, slot)));
        if let Some(child) = self.children.get_mut(at) {
            child.silenced = true;
            child.unknown_map |= mapping;
        }
        let about = |work: &Work| work.slot() == Some(slot);
        self.table.fail_callers(RequestError::FunctionGone, about);
        self.abandon_engine_work(about);
    }

    /// Whether the host can still be spoken to about a function.
    pub(super) fn reach(&self, at: usize) -> Reach {
        let known = self
            .children
            .get(at)
            .is_some_and(|child| child.assigned != Assigned::No && child.leaving != Some(Leaving::Surprise));
        if known && self.can_send() && self.d0 == D0::In { Reach::Host } else { Reach::Gone }
    }

    /// Has RESOURCES_RELEASED sent if the host holds resources for the function. A function that is gone from the host's
    /// list is not known to it any more.
    pub(super) fn start_release(&mut self, at: usize) -> bool {
        let can_send = self.can_send();
        let Some(child) = self.children.get_mut(at) else { return false };
        let held = child.assigned != Assigned::No;
        if !held || child.released != Notice::No {
            return false;
        }
        let slot = child.description.slot;
        let reachable = can_send && child.leaving != Some(Leaving::Surprise);
        child.unknown_map |= matches!(child.assigned, Assigned::Asked | Assigned::Unknown);
        child.assigned = Assigned::No;
        child.released = if reachable { Notice::Due } else { Notice::Sent };
        self.drop_interrupts_unless_suspending(slot);
        true
    }

    fn drop_interrupts_unless_suspending(&mut self, slot: Slot) {
        let leaves = self.child(slot).is_some_and(|child| child.retiring());
        if leaves {
            self.drop_interrupts(slot);
        }
    }

    /// The last step: addresses go back, or into quarantine; EJECTION_COMPLETE; out of the table.
    fn settle(&mut self, at: usize) -> Next {
        let can_send = self.can_send();
        let Some(child) = self.children.get_mut(at) else { return Next::Wait };
        let slot = child.description.slot;
        let first = child.placed;
        child.placed = false;
        if child.eject_complete == Notice::Owed {
            child.eject_complete = if can_send { Notice::Due } else { Notice::Sent };
        }
        let (unknown, complete, leaving) = (child.unknown_map, child.eject_complete, child.leaving);
        if first && unknown {
            let bytes = self.pool.quarantine(slot);
            if bytes != 0 {
                self.report(Report::Quarantined { slot, bytes });
            }
        }
        self.pool.free(slot);
        self.drop_interrupts(slot);
        if complete == Notice::Due {
            return if first { Next::Changed } else { Next::Wait };
        }
        if leaving.is_none() {
            if let Some(child) = self.children.get_mut(at) {
                child.settled = true;
                child.prefetch = Prefetch::Done;
            }
            return Next::Changed;
        }
        self.leave(at);
        Next::Changed
    }

    /// The config half let go of a function that is about to be released.
    pub(super) fn departs(&mut self, slot: Slot) {
        self.departed.retain(|departed| departed.slot != slot);
        // The table is as large as that of functions; a function left out is told of when the channel closes.
        let _ = self.departed.push(Departed { slot, after: None, over: false });
    }

    /// RESOURCES_RELEASED went out.
    pub(super) fn release_sent(&mut self, slot: Slot) {
        let next = self.table.next_id();
        if let Some(departed) = self.departed.iter_mut().find(|d| d.slot == slot && d.after.is_none()) {
            departed.after = Some(next);
        }
    }

    /// The host answered a request.
    pub(super) fn heard_of(&mut self, id: u64) {
        for departed in self.departed.iter_mut() {
            departed.over |= departed.after.is_some_and(|after| id >= after);
        }
    }

    /// Out of the table. An ejected function takes its list entry along, so that it does not come back by itself.
    fn leave(&mut self, at: usize) {
        let Some(child) = self.children.remove(at) else { return };
        if child.eject_complete != Notice::No {
            self.listed.functions.retain(|function| !function.same_function(&child.description));
        }
        self.listed.dirty |= self.listed.seen;
        self.report(Report::FunctionGone(child.description.slot));
    }

    /// What the config half is to be told, lowest slot first.
    pub(super) fn step_notices(&mut self) -> Next {
        if self.host_unmapped {
            return Next::Act(Action::HostUnmapped { slot: None });
        }
        if self.host_lost {
            return Next::Act(Action::HostLostState { slot: None });
        }
        if let Some(departed) = self.departed.iter().find(|departed| departed.over) {
            return Next::Act(Action::HostUnmapped { slot: Some(departed.slot) });
        }
        for child in self.children.iter_mut() {
            let slot = child.description.slot;
            if child.gone_untold() {
                return Next::Act(Action::FunctionGone { slot });
            }
            if let Some(PowerOutcome { on, ok, .. }) = child.power {
                if child.attached {
                    return Next::Act(Action::PowerCompleted { slot, on, ok });
                }
                child.power = None;
            }
            if let Prefetch::Finished(ok) = child.prefetch {
                if child.attached {
                    return Next::Act(Action::PrefetchFinished { slot, ok });
                }
                child.prefetch = Prefetch::Done;
            }
            if child.lost {
                if child.attached {
                    return Next::Act(Action::HostLostState { slot: Some(slot) });
                }
                child.lost = false;
            }
        }
        Next::Wait
    }
}

/// Whether a driver's request has the host map the function.
fn maps(work: &Work, slot: Slot) -> bool {
    matches!(work, Work::User(Request::PowerState { slot: of, state: PowerState::D0 }) if *of == slot)
}
