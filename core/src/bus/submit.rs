//! Requests of the platform and of drivers.

use core::task::Poll;

use crate::Time;
use crate::wire::Version;

use super::child::{Assigned, Shown};
use super::outstanding::{Body, Waiter, Work};
use super::phase::{D0, Wind};
use super::{Bus, InterruptHandle, MAX_BLOCK, Reply, Request, RequestError, SubmitError, Ticket};

impl Bus {
    /// Takes a request. Any context, interrupts off included; allocates nothing. It is sent by the next
    /// [`Bus::transmit`], and its answer fetched with [`Bus::poll_reply`]. It waits behind requests submitted before, and
    /// for nothing else: least of all for the publisher.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; nothing is sent then.
    pub fn submit(&mut self, _now: Time, request: Request) -> Result<Ticket, SubmitError> {
        if self.rescinded {
            return Err(SubmitError::Rescinded);
        }
        if let Request::DeleteInterrupt { slot, entry } = &request {
            if entry.message_count == 0 || self.delete_interrupt(*slot, entry) {
                return Ok(Ticket::DONE);
            }
            return Err(SubmitError::NoInterrupt);
        }
        self.check(&request)?;
        self.table.push_caller(request).map(Ticket).ok_or(SubmitError::Full)
    }

    fn check(&self, request: &Request) -> Result<(), SubmitError> {
        let spoken = self.version.filter(|_| self.can_send() && self.d0 == D0::In).ok_or(SubmitError::NotUp)?;
        let slot = request.slot();
        // A list that was not worked through yet may say that the slot has another function by now.
        let child =
            self.child(slot).filter(|c| !c.silenced && !self.is_unlisted(c)).ok_or(SubmitError::NoFunction(slot))?;
        let open = match self.wind {
            None => true,
            // Its driver is being unbound, and may need the host for that.
            Some(Wind::Down) => child.shown != Shown::No,
            Some(Wind::Suspend) => matches!(child.shown, Shown::Publishing | Shown::Unpublishing),
        };
        if !open || child.assigned != Assigned::Yes {
            return Err(SubmitError::NotUp);
        }
        match request {
            Request::CreateInterrupt(interrupt) => {
                interrupt.to_create(self.options.architecture, spoken)?;
                // A driver asks for dozens, one after the other, and whoever else shows functions may wait for it.
                if self.table.unanswered_creation(slot) {
                    return Err(SubmitError::Unanswered(slot));
                }
                if !self.has_interrupt_room() {
                    return Err(SubmitError::NoInterruptRoom);
                }
            }
            Request::ReadBlock { bytes, .. } if *bytes == 0 || usize::from(*bytes) > MAX_BLOCK => {
                return Err(SubmitError::BlockSize(usize::from(*bytes)));
            }
            Request::WriteBlock { data, .. } if data.is_empty() => return Err(SubmitError::BlockSize(0)),
            Request::ResetDevice { .. } if spoken < Version::V1_5 => {
                return Err(SubmitError::Version { needed: Version::V1_5, spoken });
            }
            Request::PowerState { .. } if child.power.is_some() || self.power_outstanding(request) => {
                return Err(SubmitError::PowerPending(slot));
            }
            _ => {}
        }
        Ok(())
    }

    fn power_outstanding(&self, request: &Request) -> bool {
        self.table.iter().any(|entry| match entry.work() {
            Some(Work::User(Request::PowerState { slot, .. })) => *slot == request.slot(),
            _ => false,
        })
    }

    /// The answer to a request, once: the ticket is used up by it. Any context.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: the host refused, did not answer in time, or went away.
    pub fn poll_reply(&mut self, ticket: Ticket) -> Poll<Result<Reply, RequestError>> {
        if ticket == Ticket::DONE {
            return Poll::Ready(Ok(Reply::Done));
        }
        let Some(entry) = self.table.get_mut(ticket.0).filter(|entry| entry.waiter == Waiter::Caller) else {
            return Poll::Ready(Err(RequestError::UnknownTicket));
        };
        // Whoever asked for power acts on the config half next: it must have heard of the outcome first.
        if self.children.iter().any(|child| child.power.is_some_and(|outcome| outcome.ticket == ticket.0)) {
            return Poll::Pending;
        }
        match &mut entry.body {
            Body::Ask(_) => Poll::Pending,
            Body::Late { error, .. } => {
                // The entry stays, for the late answer.
                entry.waiter = Waiter::Nobody;
                Poll::Ready(Err(error.take().unwrap_or(RequestError::UnknownTicket)))
            }
            Body::Answer(_) => match self.table.remove(ticket.0).map(|entry| entry.body) {
                Some(Body::Answer(answer)) => Poll::Ready(answer),
                _ => Poll::Ready(Err(RequestError::UnknownTicket)),
            },
        }
    }

    /// Gives a request up. Any context. What was not sent is taken back; an answer that still comes is recognised, and an
    /// interrupt that was created after all is deleted again.
    pub fn withdraw(&mut self, ticket: Ticket) {
        let Some(entry) = self.table.get_mut(ticket.0).filter(|entry| entry.waiter == Waiter::Caller) else { return };
        match &mut entry.body {
            Body::Ask(_) if entry.sent => entry.waiter = Waiter::Nobody,
            Body::Ask(_) => {
                self.table.remove(ticket.0);
            }
            Body::Late { error, .. } => {
                *error = None;
                entry.waiter = Waiter::Nobody;
            }
            Body::Answer(_) => {
                let answer = self.table.remove(ticket.0).map(|entry| entry.body);
                if let Some(Body::Answer(Ok(Reply::Interrupt { handle, .. }))) = answer {
                    self.delete_unfetched(handle);
                }
            }
        }
    }

    /// Deletes an interrupt by its handle, as [`Request::DeleteInterrupt`] does by its entry. Any context.
    ///
    /// # Errors
    ///
    /// [`SubmitError::NoInterrupt`] when there is none such (any more).
    pub fn delete_by_handle(&mut self, handle: InterruptHandle) -> Result<(), SubmitError> {
        let record = self.interrupts.iter().find(|record| record.handle == handle);
        let (slot, entry) = record.map(|r| (r.request.slot, r.known)).ok_or(SubmitError::NoInterrupt)?;
        self.delete_interrupt(slot, &entry).then_some(()).ok_or(SubmitError::NoInterrupt)
    }
}
