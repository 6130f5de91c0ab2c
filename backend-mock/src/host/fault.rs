//! Scripted faults: at which message what goes wrong. Deterministic.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use hvpci_core::Slot;

use super::packet::MessageType;

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// At the n-th message of this type (from 1): a guest's message when the host reads it, or an unsolicited message of
    /// the host when it sends it.
    Message(MessageType, u32),
    /// At the n-th message of any type (from 1), the guest's and the host's unsolicited ones counted together.
    Step(u64),
    /// At every message of this type.
    Every(MessageType),
    /// At the n-th message of any type and at all that follow: a host that goes silent.
    From(u64),
}

/// What goes wrong. Where the message is a guest's, "the answer" is its completion; where it is the host's, itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The host acts on the request; the answer is lost.
    Drop,
    /// The request is lost: the host does not act on it and does not answer.
    LoseRequest,
    /// The host does not act on the request and answers with this status.
    Refuse(u32),
    /// The answer comes later by this much.
    Delay(Duration),
    /// The answer is cut to this many bytes.
    Truncate(usize),
    /// This many bytes follow the answer.
    Extend(usize),
    /// The host acts on the request; the first dword of the answer is this.
    WrongStatus(u32),
    /// The answer carries a transaction id that nobody used.
    WrongTransactionId,
    /// The answer comes twice.
    Duplicate,
    /// A message of an unknown type comes before the answer.
    UnknownMessage,
    /// The answer's bytes are replaced by others.
    Garbage,
    /// The channel is rescinded instead.
    Rescind,
    /// The channel dies instead: no rescind, no further packet.
    CloseChannel,
    /// The function stops answering config accesses: all ones.
    DeviceGone(Slot),
    /// The host asks for the function back, once, before it does anything about the message.
    Eject(Slot),
    /// The host takes the function away without a word, before it does anything about the message.
    Remove(Slot),
}

impl Fault {
    /// Whether it changes anything at a message: an answer that nobody asked for cannot be spoiled.
    fn bears_on(&self, from_host: bool, wants_completion: bool) -> bool {
        match self {
            Fault::Drop
            | Fault::Delay(_)
            | Fault::Truncate(_)
            | Fault::Extend(_)
            | Fault::WrongStatus(_)
            | Fault::WrongTransactionId
            | Fault::Duplicate
            | Fault::UnknownMessage
            | Fault::Garbage => from_host || wants_completion,
            Fault::Refuse(_) => !from_host,
            Fault::LoseRequest
            | Fault::Rescind
            | Fault::CloseChannel
            | Fault::DeviceGone(_)
            | Fault::Eject(_)
            | Fault::Remove(_) => true,
        }
    }
}

/// One line of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultRule {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub fault: Fault,
}

/// The script of one bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// The rules; several may share a trigger and apply in this order.
    pub rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// A plan of one fault at the n-th (from 1) message of a type.
    pub fn at(kind: MessageType, nth: u32, fault: Fault) -> FaultPlan {
        FaultPlan::default().and(Trigger::Message(kind, nth), fault)
    }

    /// A plan of one fault at the n-th (from 1) message of any type.
    pub fn at_step(step: u64, fault: Fault) -> FaultPlan {
        FaultPlan::default().and(Trigger::Step(step), fault)
    }

    /// The same with a further fault.
    #[must_use]
    pub fn and(mut self, trigger: Trigger, fault: Fault) -> FaultPlan {
        self.rules.push(FaultRule { trigger, fault });
        self
    }
}

/// A message that was counted while a plan with rules was set: a step that a fault can strike at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountedMessage {
    /// Its type.
    pub kind: MessageType,
    /// Which of its type it is, from 1.
    pub nth: u32,
    /// Which of all counted ones it is, from 1.
    pub step: u64,
    /// Whether the host sent it by itself.
    pub from_host: bool,
    /// Whether the guest wants a completion.
    pub wants_completion: bool,
}

/// Counted messages that are remembered; the counting itself goes on.
const MOST_REMEMBERED: usize = 10_000;

/// A plan and where in it a bus is.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    plan: FaultPlan,
    steps: u64,
    seen: BTreeMap<MessageType, u32>,
    counted: Vec<CountedMessage>,
    /// Messages at which a fault struck, under this plan and those before.
    struck: u64,
}

impl Faults {
    pub(super) fn set(&mut self, plan: FaultPlan) {
        *self = Faults { plan, struck: self.struck, ..Faults::default() };
    }

    pub(super) fn struck(&self) -> u64 {
        self.struck
    }

    /// The messages counted so far.
    pub(super) fn counted(&self) -> &[CountedMessage] {
        &self.counted
    }

    /// Counts a message of the guest and tells what strikes at it.
    pub(super) fn count_request(&mut self, kind: MessageType, wants_completion: bool) -> Vec<Fault> {
        self.count(kind, false, wants_completion)
    }

    /// Counts an unsolicited message of the host and tells what strikes at it.
    pub(super) fn count_notice(&mut self, kind: MessageType) -> Vec<Fault> {
        self.count(kind, true, false)
    }

    fn count(&mut self, kind: MessageType, from_host: bool, wants_completion: bool) -> Vec<Fault> {
        if self.plan.rules.is_empty() {
            return Vec::new();
        }
        self.steps = self.steps.saturating_add(1);
        let nth = self.seen.entry(kind).or_insert(0);
        *nth = nth.saturating_add(1);
        let (steps, nth) = (self.steps, *nth);
        if self.counted.len() < MOST_REMEMBERED {
            self.counted.push(CountedMessage { kind, nth, step: steps, from_host, wants_completion });
        }
        let strikes = |rule: &&FaultRule| match rule.trigger {
            Trigger::Message(wanted, at) => wanted == kind && at == nth,
            Trigger::Step(at) => at == steps,
            Trigger::Every(wanted) => wanted == kind,
            Trigger::From(at) => at <= steps,
        };
        let struck: Vec<Fault> = self.plan.rules.iter().filter(strikes).map(|rule| rule.fault).collect();
        if struck.iter().any(|fault| fault.bears_on(from_host, wants_completion)) {
            self.struck = self.struck.saturating_add(1);
        }
        struck
    }
}
