//! Where a bus is going, and which step is next.

use crate::Time;
use crate::decode::GuestStyle;

use super::child::{Assigned, Leaving, Notice, Shown};
use super::outstanding::{Body, Waiter, Work};
use super::{Action, Bus, BusError, BusStatus, Report, RequestError, Step};

/// What the platform wants of the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Goal {
    Stop,
    Run,
    Suspend,
}

/// A way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wind {
    /// Everything goes: asked for, failed or rescinded.
    Down,
    /// Functions and windows stay.
    Suspend,
}

/// The channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    Closed,
    /// The platform is opening it. Packets may come already; nothing is sent.
    Opening,
    Open,
    /// The platform is closing it.
    Closing,
}

/// The power state of the bus at the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum D0 {
    Out,
    In,
    /// Entry was refused: what a previous kernel left behind is being cleared away.
    Clearing,
    /// An entry was asked for, and what the host did is not known.
    Unknown,
}

/// What [`Bus::step`] found.
pub(super) enum Next {
    /// Something changed; look again.
    Changed,
    /// The pump is to do this.
    Act(Action),
    /// Nothing can be done before something comes in.
    Wait,
}

impl Bus {
    /// Brings the bus up, or up again after a stop, a failure or a suspend. Any context. On a bus that is being brought
    /// down it takes effect when that is through; on one that is up or gone, none.
    pub fn request_start(&mut self, _now: Time) {
        if self.rescinded {
            return;
        }
        self.goal = Goal::Run;
        if self.wind.is_none() {
            self.failure = None;
        }
    }

    /// Brings the bus down: functions are taken away from the OS, resources given back, the channel closed. Any context.
    pub fn request_stop(&mut self, _now: Time) {
        self.goal = Goal::Stop;
        if !self.at_rest() {
            self.begin_wind(Wind::Down);
        }
    }

    /// Brings the bus down but keeps its functions and windows. Any context. The OS must leave the functions alone from
    /// now on. A bus that is not up or coming up stays as it is.
    pub fn request_suspend(&mut self, _now: Time) {
        let winding_up = self.goal == Goal::Run && self.wind.is_none();
        if self.rescinded || (!winding_up && self.wind != Some(Wind::Suspend)) {
            return;
        }
        self.goal = Goal::Suspend;
        if self.link == Link::Closed && !self.kept && self.children.is_empty() && self.action.is_none() {
            self.goal = Goal::Stop;
        } else {
            self.begin_wind(Wind::Suspend);
        }
    }

    /// Brings a suspended bus up again, with the functions it had. Any context.
    pub fn request_resume(&mut self, now: Time) {
        if self.goal == Goal::Suspend {
            self.request_start(now);
        }
    }

    /// The host took the bus away. Any context. Nothing is sent any more, every request ends, and everything is given
    /// back.
    pub fn channel_rescinded(&mut self, _now: Time) {
        if self.rescinded {
            return;
        }
        self.rescinded = true;
        self.mute = true;
        self.goal = Goal::Stop;
        self.report(Report::Rescinded);
        self.channel_lost(RequestError::Rescinded);
        self.begin_wind(Wind::Down);
    }

    /// What cannot outlive the channel ends.
    pub(super) fn channel_lost(&mut self, error: RequestError) {
        self.host_unmapped |= self.children.iter().any(|c| c.attached) || !self.departed.is_empty();
        self.departed.clear();
        self.table.channel_closed(error);
        self.version = None;
        self.offered = None;
        self.d0 = D0::Out;
        self.d0_retried = false;
        self.listed.forget();
        self.pool.release_quarantine();
        self.forget_interrupt_entries();
        for child in self.children.iter_mut() {
            child.assigned = Assigned::No;
            child.unknown_map = false;
            child.released = Notice::No;
            if matches!(child.eject_complete, Notice::Owed | Notice::Due) {
                child.eject_complete = Notice::Sent;
            }
            child.end_prefetch();
        }
    }

    /// The bus fails: it is brought down, and the status says why once that is through.
    pub(super) fn fail(&mut self, error: BusError) {
        if self.failure.is_none() && !self.rescinded {
            self.failure = Some(error);
            self.report(Report::Failed(error));
        }
        self.goal = Goal::Stop;
        self.begin_wind(Wind::Down);
    }

    /// Starts a way down, or turns a suspend into one.
    pub(super) fn begin_wind(&mut self, wind: Wind) {
        if self.wind == Some(Wind::Down) {
            // A rescind on the way down: what the host would have been told is moot.
            self.mark_leaving();
            return;
        }
        self.up = false;
        if self.at_rest() {
            return;
        }
        self.wind = Some(wind);
        self.abandon_engine_work(|_| true);
        self.listed.deadline = None;
        if wind == Wind::Down {
            self.mark_leaving();
        }
    }

    fn mark_leaving(&mut self) {
        let gone = self.rescinded || self.mute;
        let out = self.d0 != D0::In;
        for child in self.children.iter_mut() {
            // Of a suspended bus there is no config window: its drivers let go of functions that do not answer.
            child.out_of_reach |= child.shown != Shown::No && (out || child.assigned == Assigned::No);
            let reason = if gone { Leaving::Surprise } else { Leaving::Shutdown };
            if child.leaving.is_none() || gone {
                child.leaving = Some(reason);
            }
            child.settled = false;
            if gone {
                child.eject_deadline = None;
                // What can no longer be sent is not waited for.
                for notice in [&mut child.released, &mut child.eject_complete] {
                    if matches!(notice, Notice::Owed | Notice::Due) {
                        *notice = Notice::Sent;
                    }
                }
            }
        }
        if gone {
            self.table.fail_callers(RequestError::Closed, |_| true);
        }
    }

    /// Gives up what the engine was waiting for, where `which` says so.
    pub(super) fn abandon_engine_work(&mut self, which: impl Fn(&Work) -> bool) {
        while let Some(entry) = self.table.find_engine(&which) {
            let (id, sent) = (entry.id, entry.sent);
            let work = entry.work().cloned();
            if sent {
                if let Some(entry) = self.table.get_mut(id) {
                    entry.give_up(None);
                }
            } else {
                self.table.remove(id);
            }
            if let Some(work) = work {
                self.abandoned(&work, sent);
            }
        }
    }

    /// Takes note that a request of the engine was given up.
    fn abandoned(&mut self, work: &Work, sent: bool) {
        match work {
            Work::D0Entry if sent => self.d0 = D0::Unknown,
            Work::Assign(slot) => {
                if let Some(child) = self.child_mut(*slot) {
                    child.assigned = if sent { Assigned::Unknown } else { Assigned::No };
                }
            }
            Work::Prefetch(slot) => {
                if let Some(child) = self.child_mut(*slot) {
                    child.unknown_map |= sent;
                    child.end_prefetch();
                }
            }
            _ => {}
        }
    }

    /// Whether packets may be sent.
    pub(super) fn can_send(&self) -> bool {
        self.link == Link::Open && !self.mute
    }

    /// Nothing is open, reserved or under way.
    pub(super) fn at_rest(&self) -> bool {
        self.link == Link::Closed
            && !self.kept
            && self.action.is_none()
            && self.children.is_empty()
            && self.windows.is_empty()
            && self.config_window.is_none()
    }

    /// The next step. Without `pump` only what allocates nothing and takes bounded, short time.
    pub(super) fn step(&mut self, pump: bool) -> Next {
        match self.wind {
            Some(wind) => self.step_down(wind),
            None if self.goal == Goal::Run => self.step_up(pump),
            None => Next::Wait,
        }
    }

    /// Goes on as far as it can; returns what the pump is to do.
    ///
    /// Nothing moves while the platform is at an action: its answer belongs to the state that asked for it. Requests and
    /// packets go on.
    pub(super) fn advance(&mut self, pump: bool) -> Option<Action> {
        if self.action.is_some() {
            return None;
        }
        loop {
            match self.step(pump) {
                Next::Changed => self.stirred |= !pump,
                Next::Act(action) => return Some(action),
                Next::Wait => return None,
            }
        }
    }

    /// Where the bus stands. Any context.
    pub fn status(&self) -> BusStatus {
        match (self.wind, self.goal) {
            (Some(Wind::Suspend), _) => BusStatus::Suspending,
            (Some(Wind::Down), _) => BusStatus::Stopping,
            (None, Goal::Run) => match self.pending_step() {
                Some(step) if self.kept => BusStatus::Resuming(step),
                Some(step) if !self.up => BusStatus::Starting(step),
                _ => BusStatus::Running,
            },
            (None, Goal::Suspend) => BusStatus::Suspended,
            (None, Goal::Stop) => match self.failure {
                _ if self.rescinded => BusStatus::Gone,
                Some(error) => BusStatus::Failed(error),
                None => BusStatus::Stopped,
            },
        }
    }

    /// The step of the bring-up that is being waited for; `None` when the bus is up.
    pub(super) fn pending_step(&self) -> Option<Step> {
        if self.link != Link::Open {
            return Some(Step::Channel);
        }
        if self.version.is_none() {
            return Some(Step::Version);
        }
        if self.config_window.is_none() {
            return Some(Step::ConfigWindow);
        }
        let config_style = self.options.style == GuestStyle::ConfigSpace;
        if config_style && !self.listed.seen {
            return Some(Step::Relations);
        }
        let wanted = || self.children.iter().filter(|child| child.wanted());
        let requirements = wanted().any(|child| child.probed.is_none());
        if config_style && (requirements || self.listed.dirty) && self.d0 != D0::In {
            return Some(Step::Requirements);
        }
        if self.d0 != D0::In {
            return Some(Step::D0Entry);
        }
        if !self.listed.seen {
            return Some(Step::Relations);
        }
        if requirements || self.listed.dirty {
            return Some(Step::Requirements);
        }
        if wanted().any(|child| !child.placed) {
            return Some(Step::Windows);
        }
        if wanted().any(|child| child.assigned != Assigned::Yes) {
            return Some(Step::Assignment);
        }
        if wanted().any(|child| !child.attached) {
            return Some(Step::Attach);
        }
        self.interrupts_pending().then_some(Step::Interrupts)
    }

    /// Whether the publisher has a function in hand.
    pub(super) fn publisher_has(&self, child: usize) -> bool {
        let shown = self.children.get(child).map(|c| c.shown);
        matches!(shown, Some(Shown::Publishing | Shown::Unpublishing))
    }

    /// The step that a piece of the engine's work belongs to.
    pub(super) fn step_of(work: &Work) -> Step {
        match work {
            Work::QueryVersion(_) => Step::Version,
            Work::QueryRelations => Step::Relations,
            Work::Requirements(_) => Step::Requirements,
            Work::D0Entry | Work::D0Exit => Step::D0Entry,
            Work::Assign(_) | Work::Prefetch(_) => Step::Assignment,
            Work::Recreate(..) | Work::User(_) => Step::Interrupts,
        }
    }
}

impl super::outstanding::Outstanding {
    /// The first entry that the engine waits for and `which` picks.
    pub fn find_engine(&self, which: &impl Fn(&Work) -> bool) -> Option<&super::outstanding::Entry> {
        self.iter().find(|entry| match &entry.body {
            Body::Ask(work) => entry.waiter == Waiter::Engine && which(work),
            _ => false,
        })
    }
}
