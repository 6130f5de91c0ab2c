//! What can happen: the ordinary, and what goes wrong.

use hvpci_core::bus::{Action, BusStatus, PublishAction};
use hvpci_core::decode::Policy;

use super::world::{LONG, World};

/// What goes wrong, or is asked for out of the blue. Each kind happens at most once on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disturbance {
    /// The host refuses a request.
    Refuse,
    /// The earliest deadline passes, or all.
    Silence,
    /// The host sends its list again.
    Repeat,
    Add,
    Remove,
    /// The function in slot 0 is exchanged for another.
    Replace,
    Eject,
    Rescind,
    /// The host closes the ring.
    Close,
    /// The ring is full for a while.
    Full,
    Stop,
    Suspend,
    /// A start, on whatever state.
    Start,
    /// A driver asks for power.
    Power,
    /// A driver asks for an interrupt.
    Interrupt,
    /// A driver gives its request up.
    Withdraw,
    /// The platform cannot do what it is asked to.
    Fail,
}

/// One step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Pump,
    PumpDone,
    Publisher,
    PublisherDone,
    Answer(usize),
    List,
    RingDrains,
    Resume,
    Fetch,
    /// After a rescind that is through, the bus is offered again.
    Offer,
    Disturb(Disturbance, usize),
}

impl World {
    /// What may happen next, disturbances apart.
    pub fn ordinary(&self, events: &mut Vec<Event>) {
        let platform = &self.platform;
        events.push(if platform.pumping.is_some() { Event::PumpDone } else { Event::Pump });
        events.push(if platform.publishing.is_some() { Event::PublisherDone } else { Event::Publisher });
        if self.host.open && !self.host.rescinded {
            events.extend(self.host.answerable().map(Event::Answer));
            if self.host.owes_list && self.host.versioned {
                events.push(Event::List);
            }
        }
        if self.host.full {
            events.push(Event::RingDrains);
        }
        if self.suspended {
            events.push(Event::Resume);
        }
        if self.ticket.is_some() {
            events.push(Event::Fetch);
        } else if self.bus.status() == BusStatus::Gone && platform.pumping.is_none() && platform.publishing.is_none() {
            events.push(Event::Offer);
        }
    }

    /// What may go wrong next, if so many disturbances are allowed on a path.
    pub fn disturbances(&self, allowed: u32, events: &mut Vec<Event>) {
        if self.happened.count_ones() >= allowed || self.host.rescinded {
            return;
        }
        let mut may = |disturbance: Disturbance, at: usize| {
            if self.happened & (1 << disturbance as u32) == 0 {
                events.push(Event::Disturb(disturbance, at));
            }
        };
        let host = &self.host;
        if host.open {
            host.answerable().for_each(|at| may(Disturbance::Refuse, at));
            may(Disturbance::Close, 0);
            may(Disturbance::Full, 0);
            for function in &host.list {
                if self.may_list() && host.ejecting[function.slot as usize].is_none() {
                    may(Disturbance::Eject, function.slot as usize);
                }
            }
        }
        if self.may_list() {
            may(Disturbance::Repeat, 0);
        }
        if self.bus.poll_timeout().is_some() {
            may(Disturbance::Silence, 0);
            if self.bus.options().policy == Policy::Prefetch {
                // The first keeps a function from the OS no longer, the map has a later one.
                may(Disturbance::Silence, LONG);
            }
        }
        if !host.list.iter().any(|f| f.slot == 1) {
            may(Disturbance::Add, 0);
        }
        for function in &host.list {
            may(Disturbance::Remove, function.slot as usize);
        }
        if host.list.iter().any(|f| f.slot == 0) {
            may(Disturbance::Replace, 0);
        }
        may(Disturbance::Rescind, 0);
        may(Disturbance::Stop, 0);
        if matches!(self.bus.status(), BusStatus::Starting(_) | BusStatus::Running) {
            may(Disturbance::Suspend, 0);
        }
        if !matches!(self.bus.status(), BusStatus::Running) {
            may(Disturbance::Start, 0);
        }
        if self.platform.published & 1 != 0 && self.ticket.is_none() {
            may(Disturbance::Power, 0);
            may(Disturbance::Interrupt, 0);
        }
        if self.ticket.is_some() {
            may(Disturbance::Withdraw, 0);
        }
        let may_fail = |action: &Action| {
            matches!(
                action,
                Action::OpenChannel
                    | Action::ReserveConfigWindow
                    | Action::ReserveWindow(_)
                    | Action::Attach { .. }
                    | Action::PrefetchStarted { .. }
            )
        };
        if self.platform.pumping.as_ref().is_some_and(may_fail) {
            may(Disturbance::Fail, 0);
        }
        if matches!(self.platform.publishing, Some(PublishAction::Publish { .. })) {
            may(Disturbance::Fail, 1);
        }
    }
}
