//! The way up: from a closed channel to functions that can be shown to the OS (`reference/protocol.md` section 6), and
//! everything that a new function on a live bus needs.

use crate::Slot;
use crate::decode::{GuestStyle, Policy};
use crate::wire::{Status, Version};

use super::child::{Assigned, Child, Notice, Prefetch, Shown};
use super::outstanding::Work;
use super::phase::{D0, Link, Next};
use super::{Action, Bus, BusError, Report};

impl Bus {
    /// The next step up.
    ///
    /// Config-space style: channel, version, config window, list, BARs, D0, windows, resources, attach. Message style:
    /// channel, version, config window, D0, list, and so on.
    pub(super) fn step_up(&mut self, pump: bool) -> Next {
        if self.link == Link::Closed && self.action.is_none() {
            return Next::Act(Action::OpenChannel);
        }
        if !self.can_send() {
            return Next::Wait;
        }
        let notice = self.step_notices();
        if !matches!(notice, Next::Wait) {
            return notice;
        }
        if self.version.is_none() {
            return self.step_version();
        }
        if self.config_window.is_none() {
            return Next::Act(Action::ReserveConfigWindow);
        }
        if self.options.style == GuestStyle::ConfigSpace && !self.listed.asked {
            self.listed.asked = true;
            return self.ask(Work::QueryRelations);
        }
        let removal = self.step_removals();
        if !matches!(removal, Next::Wait) {
            return removal;
        }
        match self.options.style {
            GuestStyle::ConfigSpace => self.step_config_style(pump),
            GuestStyle::Messages => self.step_message_style(pump),
        }
    }

    fn step_config_style(&mut self, pump: bool) -> Next {
        if !self.listed.seen {
            return Next::Wait;
        }
        match self.step_list(pump) {
            Next::Wait if self.can_go_on(pump) => {}
            other => return other,
        }
        match self.step_d0(pump) {
            Next::Wait if self.d0 == D0::In => {}
            other => return other,
        }
        self.step_functions(pump)
    }

    fn step_message_style(&mut self, pump: bool) -> Next {
        match self.step_d0(pump) {
            Next::Wait if self.d0 == D0::In => {}
            other => return other,
        }
        if !self.listed.seen {
            return Next::Wait;
        }
        match self.step_list(pump) {
            Next::Wait if self.can_go_on(pump) => {}
            other => return other,
        }
        self.step_functions(pump)
    }

    /// Whether the list and the BARs of all functions are dealt with.
    fn can_go_on(&self, pump: bool) -> bool {
        let listed = !self.listed.dirty || pump;
        listed && !self.children.iter().any(|c| c.wanted() && c.probed.is_none())
    }

    /// Queues a message of the engine.
    pub(super) fn ask(&mut self, work: Work) -> Next {
        if self.table.push_engine(work) { Next::Changed } else { Next::Wait }
    }

    fn step_version(&mut self) -> Next {
        if self.table.engine_waits() {
            return Next::Wait;
        }
        if let (true, Some(version)) = (self.kept, self.old_version) {
            // After a resume only the old version will do: what was set up depends on it.
            self.offered = Some(version);
            return self.ask(Work::QueryVersion(version));
        }
        let Some(version) = self.next_offer() else { return Next::Wait };
        self.offered = Some(version);
        self.ask(Work::QueryVersion(version))
    }

    fn next_offer(&self) -> Option<Version> {
        let offered = self.offered;
        self.options.versions().find(|version| offered.is_none_or(|last| *version < last))
    }

    /// The host's answer to a version query. The version in the reply says nothing about the one agreed on and is not
    /// looked at (section 5).
    pub(super) fn version_answered(&mut self, version: Version, status: Status) {
        if status.is_success() {
            self.version = Some(version);
            self.old_version = Some(version);
            self.report(Report::Negotiated(version));
        } else if self.kept && self.old_version.is_some() {
            self.fail(BusError::VersionLost { version });
        } else if status != Status::REVISION_MISMATCH {
            self.fail(BusError::Negotiation { version, status });
        } else if self.next_offer().is_none() {
            self.fail(BusError::NoCommonVersion { lowest: version });
        }
    }

    /// The list, and the BARs of new functions, one question at a time.
    fn step_list(&mut self, pump: bool) -> Next {
        if self.listed.dirty && pump {
            // What begins to leave is dealt with before anything else is.
            if self.diff() || !self.listed.dirty {
                return Next::Changed;
            }
        }
        if self.table.engine_waits() {
            return Next::Wait;
        }
        match self.first_wanted(|child| child.probed.is_none()) {
            Some(slot) => self.ask(Work::Requirements(slot)),
            None => Next::Wait,
        }
    }

    /// D0 entry; on a refusal, once, what a dead kernel left is cleared away first.
    fn step_d0(&mut self, pump: bool) -> Next {
        if self.table.engine_waits() {
            return Next::Wait;
        }
        let d0 = self.d0;
        match d0 {
            D0::In | D0::Unknown => Next::Wait,
            D0::Out => self.ask(Work::D0Entry),
            D0::Clearing if !self.listed.asked && !self.listed.seen => {
                // Message style: the list comes with D0. What is to be cleared away has to be asked for.
                self.listed.asked = true;
                self.ask(Work::QueryRelations)
            }
            D0::Clearing if !self.listed.seen || (self.listed.dirty && !pump) => Next::Wait,
            D0::Clearing if self.release_leftovers() => Next::Changed,
            D0::Clearing if self.children.iter().any(|c| c.released == Notice::Due) => Next::Wait,
            D0::Clearing => self.ask(Work::D0Exit),
        }
    }

    /// Has everything on the list released before the retry.
    fn release_leftovers(&mut self) -> bool {
        self.diff();
        let mut more = false;
        for child in self.children.iter_mut().filter(|child| child.released == Notice::No) {
            child.released = Notice::Due;
            more = true;
        }
        more
    }

    /// The host's answer to D0 entry.
    pub(super) fn d0_entry_answered(&mut self, now: crate::Time, status: Status) {
        if status.is_success() {
            self.d0 = D0::In;
            self.host_lost |= self.children.iter().any(|c| c.attached);
            if !self.listed.seen {
                self.listed.deadline = Some(now.after(self.options.deadlines.relations));
            }
        } else if self.d0_retried {
            self.fail(BusError::D0Entry { status });
        } else {
            self.d0_retried = true;
            self.d0 = D0::Clearing;
            for child in self.children.iter_mut() {
                child.released = Notice::Due;
            }
            self.report(Report::D0Retry(status));
        }
    }

    /// What the functions need once the bus is in D0: addresses, resources, the config half, interrupts of before.
    fn step_functions(&mut self, pump: bool) -> Next {
        if pump {
            match self.step_windows() {
                Next::Wait => {}
                other => return other,
            }
        }
        if self.first_wanted(|child| !child.placed).is_some() {
            return Next::Wait;
        }
        // Message style: RESOURCES_ASSIGNED carries BARs, and decode that a previous kernel left on is off only once the config
        // half has the function (I2).
        if self.options.style == GuestStyle::Messages
            && let Some(slot) = self.first_wanted(|child| !child.attached)
        {
            return Next::Act(Action::Attach { slot });
        }
        if let Some(slot) = self.first_wanted(|child| child.assigned == Assigned::No) {
            if self.table.engine_waits() {
                return Next::Wait;
            }
            if let Some(child) = self.child_mut(slot) {
                child.assigned = Assigned::Asked;
                child.released = Notice::No;
            }
            return self.ask(Work::Assign(slot));
        }
        if self.first_wanted(|child| child.assigned != Assigned::Yes).is_some() {
            return Next::Wait;
        }
        if let Some(slot) = self.first_wanted(|child| !child.attached) {
            return Next::Act(Action::Attach { slot });
        }
        match self.step_interrupts() {
            Next::Wait if !self.interrupts_pending() => {}
            other => return other,
        }
        match self.step_prefetch() {
            Next::Wait => {}
            other => return other,
        }
        if !self.listed.dirty {
            self.up = true;
            self.kept = false;
        }
        Next::Wait
    }

    /// Background maps: all are started, none is waited for here (what they keep from the OS is in [`Bus::poll_publish`]).
    fn step_prefetch(&mut self) -> Next {
        if let Some(slot) = self.first_wanted(|child| child.prefetch == Prefetch::Announced) {
            if let Some(child) = self.child_mut(slot) {
                child.prefetch = Prefetch::Queued;
            }
            return self.ask(Work::Prefetch(slot));
        }
        let slot = self.children.iter().find(|child| self.prefetch_wanted(child)).map(|c| c.description.slot);
        slot.map_or(Next::Wait, |slot| Next::Act(Action::PrefetchStarted { slot }))
    }

    fn prefetch_wanted(&self, child: &Child) -> bool {
        self.options.policy == Policy::Prefetch
            && self.options.style == GuestStyle::ConfigSpace
            && child.wanted()
            && child.prefetch == Prefetch::No
            && child.shown == Shown::No
            && child.layout().iter().next().is_some()
    }

    /// What was mapped ahead is gone: a function that was not shown yet is mapped ahead again. One that was is its driver's
    /// to bring back.
    pub(super) fn prefetch_anew(&mut self) {
        for child in self.children.iter_mut().filter(|c| c.shown == Shown::No && c.prefetch == Prefetch::Done) {
            child.prefetch = Prefetch::No;
        }
    }

    /// Whether every background map that is wanted has been sent for.
    pub(super) fn prefetches_started(&self) -> bool {
        !self.children.iter().any(|child| {
            let waiting = matches!(child.prefetch, Prefetch::Announced | Prefetch::Queued);
            child.wanted() && (waiting || self.prefetch_wanted(child))
        })
    }

    /// The lowest function that is wanted and that `which` picks.
    pub(super) fn first_wanted(&self, which: impl Fn(&Child) -> bool) -> Option<Slot> {
        self.children.iter().find(|child| child.wanted() && which(child)).map(|child| child.description.slot)
    }
}
