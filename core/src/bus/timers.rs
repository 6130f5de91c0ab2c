//! Deadlines.

use crate::Time;
use crate::wire::PowerState;

use super::child::{Assigned, Child, PowerOutcome, Prefetch};
use super::outstanding::{Body, Waiter, Work};
use super::phase::D0;
use super::status::count;
use super::{Bus, BusError, FunctionError, FunctionStep, Report, Request, RequestError, Step};

impl Bus {
    /// When [`Bus::handle_timeout`] must be called at the latest; `None` while nothing is waited for. The epoch when
    /// packets are in line that were never handed to [`Bus::transmit`], or when the pump has to look again. Any context.
    pub fn poll_timeout(&self) -> Option<Time> {
        let fresh = self.can_send() && self.first_sendable().is_some_and(|entry| entry.deadline.is_none());
        let ejects = self.children.iter().filter_map(|child| child.eject_deadline);
        let kept = self.children.iter().filter(|child| child.wanted()).filter_map(Child::kept_until);
        let deadlines = self.table.next_deadline().into_iter().chain(self.listed.deadline).chain(ejects).chain(kept);
        if fresh || self.stirred { Some(Time::ZERO) } else { deadlines.min() }
    }

    /// Ends what has waited too long. Any context.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(id) = self.table.expired(now) {
            count(&mut self.counters.timeouts);
            self.expire(id);
        }
        if self.listed.deadline.is_some_and(|at| at <= now) {
            self.listed.deadline = None;
            count(&mut self.counters.timeouts);
            self.fail(BusError::Timeout(Step::Relations));
        }
        for at in 0..self.children.len() {
            let Some(child) = self.children.get_mut(at) else { break };
            if child.kept_until().is_some_and(|until| until <= now) {
                child.prefetch = Prefetch::Running(None);
                let slot = child.description.slot;
                self.report(Report::PrefetchOverdue(slot));
            }
            let Some(child) = self.children.get_mut(at) else { break };
            if child.eject_deadline.is_some_and(|at| at <= now) {
                child.eject_deadline = None;
                let slot = child.description.slot;
                self.report(Report::EjectOverdue(slot));
            }
        }
    }

    fn expire(&mut self, id: u64) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let (sent, waiter) = (entry.sent, entry.waiter);
        let work = match &entry.body {
            Body::Ask(work) => work.clone(),
            Body::Answer(_) | Body::Late { .. } => {
                entry.deadline = None;
                return;
            }
        };
        entry.deadline = None;
        match waiter {
            // Never sent: nothing of it can come back.
            Waiter::Caller if !sent => entry.body = Body::Answer(Err(RequestError::Timeout)),
            Waiter::Caller => entry.give_up(Some(RequestError::Timeout)),
            Waiter::Engine | Waiter::Nobody if !sent => {
                self.table.remove(id);
            }
            Waiter::Engine | Waiter::Nobody => entry.give_up(None),
        }
        match work {
            Work::User(request) => self.request_expired(id, &request, sent),
            work => self.engine_expired(&work, sent),
        }
    }

    fn request_expired(&mut self, id: u64, request: &Request, sent: bool) {
        if let Request::PowerState { slot, state } = request
            && let Some(child) = self.child_mut(*slot)
        {
            child.power = Some(PowerOutcome { ticket: id, on: *state == PowerState::D0, ok: false });
            child.unknown_map |= sent;
        }
    }

    fn engine_expired(&mut self, work: &Work, sent: bool) {
        match work {
            Work::QueryVersion(_) | Work::QueryRelations => self.fail(BusError::Timeout(Bus::step_of(work))),
            Work::D0Entry => {
                if sent {
                    self.d0 = D0::Unknown;
                }
                self.fail(BusError::Timeout(Step::D0Entry));
            }
            Work::D0Exit => self.d0_exit_over(false),
            Work::Requirements(slot) => self.fail_function(*slot, FunctionError::Timeout(FunctionStep::Requirements)),
            Work::Assign(slot) => {
                if let Some(child) = self.child_mut(*slot) {
                    child.assigned = if sent { Assigned::Unknown } else { Assigned::No };
                }
                self.fail_function(*slot, FunctionError::Timeout(FunctionStep::Assignment));
            }
            Work::Prefetch(slot) => {
                if let Some(child) = self.child_mut(*slot) {
                    child.prefetch = Prefetch::Finished(false);
                    child.unknown_map |= sent;
                }
            }
            Work::Recreate(handle, _) => {
                let handle = *handle;
                self.interrupts.retain(|record| record.handle != handle);
                self.report(Report::InterruptLost(handle));
            }
            Work::User(_) => {}
        }
    }
}
