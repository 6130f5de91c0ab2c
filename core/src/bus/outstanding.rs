//! The table of requests: those to be sent, those sent, and those given up whose answer may still come.

use crate::interrupt::InterruptRequest;
use crate::wire::Version;
use crate::{OutOfMemory, Slot, Time};

use super::bounded::Bounded;
use super::{InterruptHandle, Reply, Request, RequestError};

/// What an entry asks of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    QueryVersion(Version),
    /// Has no completion: the answer is a list of functions.
    QueryRelations,
    Requirements(Slot),
    D0Entry,
    D0Exit,
    Assign(Slot),
    /// A background map: POWER_STATE_CHANGE(D0).
    Prefetch(Slot),
    Recreate(InterruptHandle, InterruptRequest),
    User(Request),
}

impl Work {
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Work::QueryVersion(_) | Work::QueryRelations | Work::D0Entry | Work::D0Exit => None,
            Work::Requirements(slot) | Work::Assign(slot) | Work::Prefetch(slot) => Some(*slot),
            Work::Recreate(_, request) => Some(request.slot),
            Work::User(request) => Some(request.slot()),
        }
    }

    /// The function whose interrupt this creates.
    pub fn creates_for(&self) -> Option<Slot> {
        match self {
            Work::Recreate(_, request) | Work::User(Request::CreateInterrupt(request)) => Some(request.slot),
            _ => None,
        }
    }
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Waiter {
    /// The engine's own step.
    Engine,
    /// The holder of a ticket.
    Caller,
    /// Nobody any more.
    Nobody,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Body {
    /// To be sent, or sent.
    Ask(Work),
    /// Answered; the caller has not fetched it.
    Answer(Result<Reply, RequestError>),
    /// Given up: `creates` if a success must be undone, `error` until the caller has fetched it.
    Late { creates: Option<Slot>, error: Option<RequestError> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// The transaction id: never 0, never used twice in the life of a bus.
    pub id: u64,
    pub waiter: Waiter,
    pub body: Body,
    pub sent: bool,
    /// Set when the packet is first handed to the ring.
    pub deadline: Option<Time>,
}

impl Entry {
    pub fn work(&self) -> Option<&Work> {
        match &self.body {
            Body::Ask(work) => Some(work),
            _ => None,
        }
    }

    /// Gives the work up; `error` is for the caller.
    pub fn give_up(&mut self, error: Option<RequestError>) {
        let creates = self.work().and_then(Work::creates_for);
        self.body = Body::Late { creates, error };
        self.deadline = None;
        if error.is_none() {
            self.waiter = Waiter::Nobody;
        }
    }
}

/// The table, in the order in which packets go out. It never grows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outstanding {
    entries: Bounded<Entry>,
    /// Entries that callers, present or former, may hold at once.
    caller_limit: usize,
    next_id: u64,
}

impl Outstanding {
    /// Room for `callers` entries of callers and `engine` of the engine.
    pub fn new(callers: usize, engine: usize) -> Result<Outstanding, OutOfMemory> {
        let entries = Bounded::new(callers.saturating_add(engine))?;
        Ok(Outstanding { entries, caller_limit: callers, next_id: 1 })
    }

    /// The id that the next request gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Whether an id was handed out before.
    pub fn was_used(&self, id: u64) -> bool {
        id != 0 && id < self.next_id
    }

    fn push(&mut self, waiter: Waiter, work: Work) -> Option<u64> {
        let id = self.next_id;
        self.entries.push(Entry { id, waiter, body: Body::Ask(work), sent: false, deadline: None }).ok()?;
        // 2^64 ids are never used up; saturating keeps an id from ever being 0.
        self.next_id = self.next_id.saturating_add(1);
        Some(id)
    }

    /// Queues work of the engine. The engine has room for all it ever waits for at once: callers hold no more than their
    /// share, and what was given up is forgotten when the table is full, the oldest first, creations of interrupts last.
    /// A late answer to what was forgotten counts as a duplicate.
    pub fn push_engine(&mut self, work: Work) -> bool {
        if self.entries.is_full() {
            let given_up = |e: &Entry, spare: bool| match e.body {
                Body::Late { creates, error: None } => creates.is_none() || !spare,
                _ => false,
            };
            let oldest = |spare: bool| self.entries.iter().position(|e| given_up(e, spare));
            if let Some(at) = oldest(true).or_else(|| oldest(false)) {
                self.entries.remove(at);
            }
        }
        self.push(Waiter::Engine, work).is_some()
    }

    /// Queues a request of a caller.
    pub fn push_caller(&mut self, request: Request) -> Option<u64> {
        let callers = self.entries.iter().filter(|e| e.waiter != Waiter::Engine).count();
        if callers >= self.caller_limit {
            return None;
        }
        self.push(Waiter::Caller, Work::User(request))
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|e| e.id == id)
    }

    pub fn remove(&mut self, id: u64) -> Option<Entry> {
        let at = self.entries.iter().position(|e| e.id == id)?;
        self.entries.remove(at)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The entries not sent yet.
    pub fn unsent(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| !e.sent && e.work().is_some())
    }

    /// Whether a step of the engine waits for an answer. Background maps are not waited for, and the query for functions
    /// has no completion.
    pub fn engine_waits(&self) -> bool {
        let waits = |work: &Work| !matches!(work, Work::Prefetch(_));
        self.entries.iter().any(|e| e.waiter == Waiter::Engine && e.work().is_some_and(waits))
    }

    /// Whether an interrupt of the function was asked for and given up, and may still come into being.
    pub fn unanswered_creation(&self, slot: Slot) -> bool {
        self.entries.iter().any(|e| match &e.body {
            Body::Ask(work) => e.waiter == Waiter::Nobody && work.creates_for() == Some(slot),
            Body::Late { creates, .. } => *creates == Some(slot),
            Body::Answer(_) => false,
        })
    }

    /// How many interrupts may still come into being, each needing a record.
    pub fn creations(&self) -> usize {
        let fresh = |work: &Work| matches!(work, Work::User(Request::CreateInterrupt(_)));
        let creates = |e: &&Entry| match &e.body {
            Body::Ask(work) => fresh(work),
            Body::Late { creates, .. } => creates.is_some(),
            Body::Answer(_) => false,
        };
        self.entries.iter().filter(creates).count()
    }

    /// The first entry whose deadline has passed.
    pub fn expired(&self, now: Time) -> Option<u64> {
        self.entries.iter().find(|e| e.deadline.is_some_and(|at| at <= now)).map(|e| e.id)
    }

    /// The next deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.entries.iter().filter_map(|e| e.deadline).min()
    }

    /// Fails every open request of callers that `which` picks (a request not sent yet is simply taken back).
    pub fn fail_callers(&mut self, error: RequestError, which: impl Fn(&Work) -> bool) {
        self.entries.retain(|entry| {
            let picked = entry.work().is_some_and(&which);
            match entry.waiter {
                Waiter::Caller if picked && entry.sent => entry.give_up(Some(error)),
                Waiter::Caller if picked => {
                    entry.body = Body::Answer(Err(error));
                    entry.deadline = None;
                }
                Waiter::Nobody if picked && !entry.sent => return false,
                _ => {}
            }
            true
        });
    }

    /// Lets go of everything that needs the channel: no answer can come any more.
    pub fn channel_closed(&mut self, error: RequestError) {
        self.entries.retain(|entry| {
            if entry.waiter != Waiter::Caller {
                return false;
            }
            let error = match &entry.body {
                Body::Ask(_) => error,
                Body::Late { error: earlier, .. } => earlier.unwrap_or(error),
                Body::Answer(_) => return true,
            };
            entry.body = Body::Answer(Err(error));
            entry.deadline = None;
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::VpSet;

    fn given_up(table: &mut Outstanding, request: Request) {
        let id = table.push_caller(request).unwrap();
        table.get_mut(id).unwrap().give_up(None);
    }

    #[test]
    fn a_full_table_forgets_creations_last() {
        let slot = Slot::ZERO;
        let mut table = Outstanding::new(3, 0).unwrap();
        given_up(&mut table, Request::CreateInterrupt(InterruptRequest::single(slot, 0x30, VpSet::single(0))));
        given_up(&mut table, Request::ResetDevice { slot });
        table.push_caller(Request::ResetDevice { slot }).unwrap();
        assert!(table.push_engine(Work::D0Entry));
        assert!(table.unanswered_creation(slot), "the given-up reset went first");
        assert!(table.push_engine(Work::D0Exit));
        assert!(!table.unanswered_creation(slot));
        assert!(!table.push_engine(Work::D0Exit), "what is waited for is not forgotten");
    }

    #[test]
    fn ids_count_up_from_1() {
        let mut table = Outstanding::new(0, 2).unwrap();
        for id in 1..=2 {
            assert_eq!((table.next_id(), table.was_used(id)), (id, false));
            assert!(table.push_engine(Work::D0Entry));
            assert!(table.was_used(id) && !table.was_used(0));
        }
    }

    #[test]
    fn requests_that_fail_wait_for_a_late_answer_only_if_they_were_sent() {
        let slot = Slot::ZERO;
        let (error, reset) = (RequestError::FunctionGone, Request::ResetDevice { slot });
        let mut table = Outstanding::new(5, 0).unwrap();
        let mut push = |sent, waiter| {
            let id = table.push_caller(reset.clone()).unwrap();
            let entry = table.get_mut(id).unwrap();
            (entry.sent, entry.waiter) = (sent, waiter);
            id
        };
        let (sent, unsent) = (push(true, Waiter::Caller), push(false, Waiter::Caller));
        let (withdrawn, taken_back) = (push(true, Waiter::Nobody), push(false, Waiter::Nobody));
        table.fail_callers(error, |work| work.slot() != Some(slot));
        assert_eq!(table.iter().count(), 4, "picked by nobody");
        table.fail_callers(error, |work| work.slot() == Some(slot));
        let body = |table: &mut Outstanding, id| table.get_mut(id).map(|entry| entry.body.clone());
        assert_eq!(body(&mut table, sent), Some(Body::Late { creates: None, error: Some(error) }));
        assert_eq!(body(&mut table, unsent), Some(Body::Answer(Err(error))));
        assert_eq!(body(&mut table, withdrawn), Some(Body::Ask(Work::User(reset))));
        assert_eq!(body(&mut table, taken_back), None);
    }
}
