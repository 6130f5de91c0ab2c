//! Completions: which request they answer, and what follows.

use crate::Time;
use crate::wire::{
    CreateInterruptReply, GetResourcesReply, PowerState, ReadBlockReply, ResourceRequirementsReply, Status, StatusReply,
};

use super::child::{Assigned, PowerOutcome, Prefetch};
use super::interrupts::Record;
use super::outstanding::{Body, Waiter, Work};
use super::{Bus, FunctionError, InterruptHandle, Odd, Reply, Report, Request, RequestError};

/// A request's outcome: refusals carry the host's status.
type Outcome = Result<Reply, RequestError>;

fn plain(status: Status) -> Outcome {
    if status.is_success() { Ok(Reply::Done) } else { Err(RequestError::Refused(status)) }
}

impl Bus {
    pub(super) fn take_completion(&mut self, now: Time, id: u64, payload: &[u8]) {
        let Some(entry) = self.table.get_mut(id) else {
            return match self.table.was_used(id) {
                true => self.odd(Odd::DuplicateCompletion(id), |c| &mut c.duplicate_completions),
                false => self.odd(Odd::UnknownCompletion(id), |c| &mut c.unknown_completions),
            };
        };
        if !entry.sent {
            return self.odd(Odd::UnknownCompletion(id), |c| &mut c.unknown_completions);
        }
        let answered = matches!(entry.body, Body::Answer(_));
        if !answered {
            self.heard_of(id);
        }
        let Some(entry) = self.table.get_mut(id) else { return };
        match &entry.body {
            Body::Answer(_) => self.odd(Odd::DuplicateCompletion(id), |c| &mut c.duplicate_completions),
            Body::Late { .. } => self.late_completion(id, payload),
            Body::Ask(Work::User(_)) => self.user_completion(id, payload),
            Body::Ask(_) => self.engine_completion(now, id, payload),
        }
    }

    /// The completion says less than its request needs: the request goes on waiting, until its deadline.
    fn malformed_completion(&mut self, id: u64) {
        self.odd(Odd::MalformedCompletion(id), |c| &mut c.malformed_completions);
    }

    /// An answer that nobody waits for. Only an interrupt that came into being matters: it is deleted again.
    fn late_completion(&mut self, id: u64, payload: &[u8]) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let Body::Late { creates, error } = &mut entry.body else { return };
        let (creates, unfetched) = (creates.take(), error.is_some());
        self.odd(Odd::LateCompletion(id), |c| &mut c.late_completions);
        self.count_message(creates);
        match unfetched {
            // The caller still has to hear of the timeout.
            true => self.answered_late(id),
            false => {
                self.table.remove(id);
            }
        }
        if let (Some(slot), Ok(reply)) = (creates, CreateInterruptReply::parse(payload))
            && reply.status.is_success()
        {
            self.late_interrupt(slot, reply.entry);
        }
    }

    fn answered_late(&mut self, id: u64) {
        if let Some(entry) = self.table.get_mut(id)
            && let Body::Late { error: Some(error), .. } = entry.body
        {
            entry.body = Body::Answer(Err(error));
        }
    }

    fn engine_completion(&mut self, now: Time, id: u64, payload: &[u8]) {
        let Some(work) = self.table.get_mut(id).and_then(|entry| entry.work().cloned()) else { return };
        let Ok(StatusReply { status }) = StatusReply::parse(payload) else { return self.malformed_completion(id) };
        let slot = work.slot();
        match work {
            Work::QueryVersion(version) => {
                self.engine_done(id, None);
                self.version_answered(version, status);
            }
            // Asked for without a completion; an empty one is what some hosts send all the same.
            Work::QueryRelations => self.engine_done(id, None),
            Work::D0Entry => {
                self.engine_done(id, None);
                self.d0_entry_answered(now, status);
            }
            Work::D0Exit => {
                self.engine_done(id, None);
                self.d0_exit_over(true);
            }
            Work::Requirements(slot) => {
                let Ok(reply) = ResourceRequirementsReply::parse(payload) else { return self.malformed_completion(id) };
                self.engine_done(id, Some(slot));
                self.requirements_answered(slot, &reply);
            }
            Work::Assign(slot) => {
                self.engine_done(id, Some(slot));
                self.assign_answered(slot, status);
            }
            Work::Prefetch(slot) => {
                self.engine_done(id, Some(slot));
                if let Some(child) = self.child_mut(slot) {
                    child.prefetch = Prefetch::Finished(status.is_success());
                }
            }
            Work::Recreate(handle, _) => {
                let Ok(reply) = CreateInterruptReply::parse(payload) else { return self.malformed_completion(id) };
                self.engine_done(id, slot);
                self.interrupt_recreated(handle, status.is_success().then_some(reply.entry));
            }
            Work::User(_) => {}
        }
    }

    fn engine_done(&mut self, id: u64, slot: Option<crate::Slot>) {
        self.count_message(slot);
        self.table.remove(id);
    }

    fn requirements_answered(&mut self, slot: crate::Slot, reply: &ResourceRequirementsReply) {
        if !reply.status.is_success() {
            return self.fail_function(slot, FunctionError::Requirements(reply.status));
        }
        if let Some(child) = self.child_mut(slot) {
            child.probed = Some(reply.bars);
        }
        let (_, defects) = crate::config::BarLayout::from_probed(&reply.bars);
        for (bar, defect) in (0u8..).zip(defects) {
            if let Some(defect) = defect {
                self.report(Report::BadBar { slot, bar, defect });
            }
        }
    }

    fn assign_answered(&mut self, slot: crate::Slot, status: Status) {
        let Some(child) = self.child_mut(slot) else { return };
        if status.is_success() {
            child.assigned = Assigned::Yes;
        } else {
            child.assigned = Assigned::No;
            self.fail_function(slot, FunctionError::Assignment(status));
        }
    }

    fn user_completion(&mut self, id: u64, payload: &[u8]) {
        let Some(request) = self.table.get_mut(id).and_then(|entry| match entry.work() {
            Some(Work::User(request)) => Some(request.clone()),
            _ => None,
        }) else {
            return;
        };
        let Some(outcome) = self.outcome(id, &request, payload) else { return self.malformed_completion(id) };
        let slot = request.slot();
        self.count_message(Some(slot));
        self.note_outcome(id, &request, &outcome);
        let Some(entry) = self.table.get_mut(id) else { return };
        entry.deadline = None;
        if entry.waiter == Waiter::Caller {
            entry.body = Body::Answer(outcome);
            return;
        }
        self.table.remove(id);
        super::status::count(&mut self.counters.late_completions);
        if let Ok(Reply::Interrupt { entry, .. }) = outcome {
            self.late_interrupt(slot, entry);
        }
    }

    /// What a completion says to a request; `None` when it is too short to say anything.
    fn outcome(&self, id: u64, request: &Request, payload: &[u8]) -> Option<Outcome> {
        let status = StatusReply::parse(payload).ok()?.status;
        Some(match request {
            Request::CreateInterrupt(_) => {
                let reply = CreateInterruptReply::parse(payload).ok()?;
                plain(status).map(|_| Reply::Interrupt { handle: InterruptHandle(id), entry: reply.entry })
            }
            Request::ReadBlock { bytes, .. } => {
                let reply = ReadBlockReply::parse(payload, u32::from(*bytes)).ok()?;
                let data = reply.data.iter().copied().take(usize::from(*bytes).min(super::MAX_BLOCK)).collect();
                plain(status).map(|_| Reply::Block(data))
            }
            Request::GetResources { .. } => match GetResourcesReply::parse(payload).ok()? {
                GetResourcesReply::Resources(bars) => Ok(Reply::Resources(bars)),
                GetResourcesReply::Failed(status) => Err(RequestError::Refused(status)),
            },
            Request::WriteBlock { .. }
            | Request::DeleteInterrupt { .. }
            | Request::PowerState { .. }
            | Request::AssignResources { .. }
            | Request::ResetDevice { .. } => plain(status),
        })
    }

    /// What the rest of the bus must know of an outcome.
    fn note_outcome(&mut self, id: u64, request: &Request, outcome: &Outcome) {
        let waited = self.table.get_mut(id).is_some_and(|entry| entry.waiter == Waiter::Caller);
        match (request, outcome) {
            (Request::CreateInterrupt(request), Ok(Reply::Interrupt { handle, entry })) if waited => {
                // Room was counted when it was submitted.
                let _ = self.interrupts.push(Record::new(*handle, *request, *entry));
            }
            (Request::PowerState { slot, state }, outcome) => {
                if let Some(child) = self.child_mut(*slot) {
                    child.power = Some(PowerOutcome { ticket: id, on: *state == PowerState::D0, ok: outcome.is_ok() });
                }
            }
            (Request::ResetDevice { slot }, Ok(_)) => {
                if let Some(child) = self.child_mut(*slot) {
                    child.lost = true;
                }
            }
            _ => {}
        }
    }
}
