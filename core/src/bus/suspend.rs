//! The way down: for good, or for a suspend.

use crate::decode::GuestStyle;
use crate::placement::Window;

use super::child::{Leaving, Notice, Shown};
use super::outstanding::Work;
use super::phase::{D0, Goal, Link, Next, Wind};
use super::windows::WindowState;
use super::{Action, Bus, Report, RequestError};

impl Bus {
    /// The next step down (`reference/protocol.md` section 6): the OS lets go of the functions, the config half too,
    /// RESOURCES_RELEASED for each in descending order, D0EXIT, the channel is closed, windows are given back. For a
    /// suspend the functions stay where they are.
    pub(super) fn step_down(&mut self, wind: Wind) -> Next {
        if self.link == Link::Opening {
            return Next::Wait;
        }
        let notice = self.step_notices();
        if !matches!(notice, Next::Wait) {
            return notice;
        }
        if self.children.iter().enumerate().any(|(at, _)| self.publisher_has(at)) {
            return Next::Wait;
        }
        match wind {
            Wind::Down if self.children.iter().any(|c| c.shown != Shown::No) => return Next::Wait,
            Wind::Down => {}
            // Functions that were leaving already go first, and with them EJECTION_COMPLETE.
            Wind::Suspend => match self.step_removals() {
                Next::Wait if self.children.iter().any(|c| c.leaving.is_some()) => return Next::Wait,
                Next::Wait => {}
                other => return other,
            },
        }
        self.table.fail_callers(self.end_of_requests(), |_| true);
        if wind == Wind::Down
            && let Some((at, child)) = self.children.iter().enumerate().rev().find(|(_, c)| c.attached)
        {
            return Next::Act(Action::Detach { slot: child.description.slot, reach: self.reach(at) });
        }
        match self.step_release_all() {
            Next::Wait if !self.children.iter().any(|c| c.released == Notice::Due) => {}
            other => return other,
        }
        match self.step_close() {
            Next::Wait if self.link == Link::Closed => {}
            other => return other,
        }
        match wind {
            Wind::Down => self.step_give_back(),
            Wind::Suspend => {
                self.kept = true;
                self.end_wind()
            }
        }
    }

    fn end_of_requests(&self) -> RequestError {
        if self.rescinded { RequestError::Rescinded } else { RequestError::Closed }
    }

    /// All functions are released, the highest slot first (the order is kept by the sending side).
    fn step_release_all(&mut self) -> Next {
        let mut changed = false;
        for at in 0..self.children.len() {
            changed |= self.start_release(at);
        }
        if changed { Next::Changed } else { Next::Wait }
    }

    fn step_close(&mut self) -> Next {
        if self.link == Link::Closed {
            return Next::Wait;
        }
        if self.eject_due() {
            return Next::Wait;
        }
        if self.can_send() && self.d0 != D0::Out {
            return if self.table.engine_waits() { Next::Wait } else { self.ask(Work::D0Exit) };
        }
        if self.link == Link::Open { Next::Act(Action::CloseChannel) } else { Next::Wait }
    }

    /// EJECTION_COMPLETE that is owed goes out before the channel is closed.
    fn eject_due(&mut self) -> bool {
        if !self.can_send() {
            return false;
        }
        for child in self.children.iter_mut().filter(|c| c.eject_complete == Notice::Owed) {
            child.eject_complete = Notice::Due;
        }
        self.children.iter().any(|child| child.eject_complete == Notice::Due)
    }

    /// D0EXIT was answered, or was not: either way the channel is closed next.
    pub(super) fn d0_exit_over(&mut self, completed: bool) {
        if completed {
            self.pool.release_quarantine();
        }
        if self.d0 == D0::Clearing {
            for child in self.children.iter_mut() {
                child.released = Notice::No;
            }
            if self.options.style == GuestStyle::Messages {
                // That list was for clearing away only. The one that counts comes with D0.
                (self.listed.seen, self.listed.dirty, self.listed.asked) = (false, false, false);
            }
        }
        self.d0 = D0::Out;
    }

    /// The channel is closed: nothing of the bus is mapped any more, so everything goes back.
    fn step_give_back(&mut self) -> Next {
        if let Some(child) = self.children.last() {
            let slot = child.description.slot;
            let at = self.children.len().saturating_sub(1);
            self.children.remove(at);
            self.pool.quarantine(slot);
            self.report(Report::FunctionGone(slot));
            return Next::Changed;
        }
        self.pool.release_quarantine();
        self.interrupts.clear();
        if let Some(owned) = self.windows.last() {
            let window = owned.window;
            return Next::Act(match owned.state {
                WindowState::Claimed => Action::UnclaimWindow(window),
                WindowState::Fresh | WindowState::Spare => Action::ReleaseWindow(window),
            });
        }
        if self.config_window.is_some() {
            return Next::Act(Action::ReleaseConfigWindow);
        }
        self.kept = false;
        self.old_version = None;
        self.end_wind()
    }

    fn end_wind(&mut self) -> Next {
        self.wind = None;
        self.plan = Default::default();
        // A stop that came while suspending was turned into a way down; here only a start can be waiting.
        if self.goal != Goal::Run {
            return Next::Wait;
        }
        self.failure = None;
        Next::Changed
    }

    /// The platform took a window back.
    pub(super) fn window_released(&mut self, window: Window) {
        // Given twice by the platform, it is there twice: what is released is the later one, which was never claimed.
        if let Some(at) = self.windows.iter().rposition(|owned| owned.window == window) {
            self.windows.remove(at);
        }
        if !self.windows.iter().any(|owned| owned.window == window) {
            // Refused for a window that was never in the pool, which is fine.
            let _ = self.pool.remove_window(window);
        }
    }

    /// Why the OS is told that a function goes.
    pub(super) fn removal_reason(&self, leaving: Option<Leaving>) -> crate::backend::RemovalReason {
        use crate::backend::RemovalReason;
        match leaving {
            Some(Leaving::Eject) => RemovalReason::Eject,
            Some(Leaving::Shutdown) => RemovalReason::Shutdown,
            Some(Leaving::Surprise) | None => RemovalReason::Surprise,
        }
    }
}
