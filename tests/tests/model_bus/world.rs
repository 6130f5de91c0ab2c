//! The state of the model: the engine between an abstract host and an abstract platform, and what can happen.

use hvpci_core::backend::{PacketPort, PlatformError, SendError};
use hvpci_core::bus::{
    Action, ActionDone, Bus, BusStatus, Packet, PacketKind, PublishAction, Request, Ticket, Transmit,
};
use hvpci_core::decode::GuestStyle;
use hvpci_core::interrupt::InterruptRequest;
use hvpci_core::placement::{Aperture, Window};
use hvpci_core::wire::{HostMessage, PowerState, VpSet};
use hvpci_core::{Slot, Time};

use super::host::{BAR, Host, Listed, bit};

/// The clock stands still: a deadline passes when [`Disturbance::Silence`] says so.
const NOW: Time = Time::ZERO;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    SentAfterRescind,
    SentWhileClosed,
    TransactionId,
    /// The host was sent something that makes no sense in its state.
    Protocol(&'static str),
    /// EJECTION_COMPLETE that nobody asked for, or while the function is still in use.
    Eject,
    /// An action whose precondition does not hold.
    Precondition(&'static str),
    /// A range was given away that the host may still have mapped.
    StillMapped,
    /// More reports than the queue holds came out of one step.
    Reports,
    /// Over, but something is still held.
    Leftover,
}

/// What goes wrong, or is asked for out of the blue. Each kind happens at most once on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disturbance {
    /// The host refuses a request.
    Refuse,
    /// The earliest deadline passes.
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
    Disturb(Disturbance, usize),
}

/// What the platform holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Platform {
    pub channel: bool,
    pub config_window: bool,
    /// Windows reserved, and whether the config half has them.
    pub windows: Vec<(Window, bool)>,
    /// Bit per slot.
    pub attached: u8,
    pub published: u8,
    pub pumping: Option<Action>,
    pub publishing: Option<PublishAction>,
}

impl Platform {
    /// Nothing is open, reserved, claimed, attached or published.
    pub fn is_bare(&self) -> bool {
        *self == Platform::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub bus: Bus,
    pub host: Host,
    pub platform: Platform,
    pub ticket: Option<Ticket>,
    /// Disturbances that happened: a bit of each kind.
    pub happened: u32,
    pub suspended: bool,
    pub broken: Option<Broken>,
}

struct Port<'a> {
    host: &'a mut Host,
    broken: &'a mut Option<Broken>,
    platform: &'a Platform,
    bars: [Option<u64>; 2],
}

impl PacketPort for Port<'_> {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        if self.host.closed {
            return Err(SendError::Closed);
        }
        if self.host.full {
            return Err(SendError::Busy);
        }
        let bars = self.bars;
        let ejecting = self.host.ejecting;
        let broken = self.host.receive(packet, payload, &|slot| bars[slot as usize]);
        *self.broken = self.broken.or(broken);
        for slot in 0..2 {
            let completed = ejecting[slot as usize].is_some() && self.host.ejecting[slot as usize].is_none();
            if completed && (self.platform.attached | self.platform.published) & bit(slot) != 0 {
                *self.broken = self.broken.or(Some(Broken::Eject));
            }
        }
        Ok(())
    }
}

pub fn slot(number: u32) -> Slot {
    Slot::from_wire(number).unwrap()
}

impl World {
    pub fn new(mut bus: Bus, functions: u32) -> World {
        bus.request_start(NOW);
        let list = (0..functions).map(|slot| Listed { slot, serial: slot }).collect();
        let host = Host { list, ..Host::default() };
        let platform = Platform::default();
        World { bus, host, platform, ticket: None, happened: 0, suspended: false, broken: None }
    }

    pub fn messages(&self) -> bool {
        self.bus.options().style == GuestStyle::Messages
    }

    pub fn is_over(&self) -> bool {
        matches!(self.bus.status(), BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone)
    }

    fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    fn require(&mut self, held: bool, what: &'static str) {
        if !held {
            self.breaks(Broken::Precondition(what));
        }
    }

    fn bar(&self, number: u32) -> Option<u64> {
        self.bus.function(slot(number)).and_then(|info| info.bars[0])
    }

    /// Sends what is due, drains the reports, and looks whether all is well.
    fn finish(&mut self) {
        let bars = [self.bar(0), self.bar(1)];
        let World { bus, host, platform, broken, .. } = self;
        bus.transmit(NOW, &mut Port { host, broken, platform, bars });
        if bus.counters().reports_dropped != 0 {
            self.breaks(Broken::Reports);
        }
        while self.bus.poll_report().is_some() {}
        self.bus.forget_statistics();
        if self.is_over() && !self.platform.is_bare() && self.happened != 0 {
            self.breaks(Broken::Leftover);
        }
    }

    fn deliver(&mut self, kind: PacketKind, transaction_id: u64, payload: &[u8]) {
        debug_assert!(kind == PacketKind::Completion || HostMessage::parse(payload).is_ok());
        self.bus.handle_packet(NOW, Packet { kind, transaction_id, payload });
    }

    pub fn answer(&mut self, at: usize, ok: bool) {
        let messages = self.messages();
        let (id, payload) = self.host.answer(at, ok, messages);
        self.deliver(PacketKind::Completion, id, &payload);
    }

    fn send_list(&mut self) {
        let message = self.host.list_message();
        self.host.changed &= matches!(self.bus.status(), BusStatus::Suspending | BusStatus::Stopping);
        self.deliver(PacketKind::InBand, 0, &message);
    }

    /// Whether the host has told, or was asked for, its functions: only then it speaks of changes.
    fn may_list(&self) -> bool {
        self.host.versioned && self.host.open && !self.host.rescinded && (!self.messages() || self.host.d0)
    }

    fn changed(&mut self) {
        if self.may_list() {
            self.send_list();
        }
    }

    /// Does one step.
    pub fn step(&mut self, event: Event) {
        match event {
            Event::Pump => {
                if let Some(action) = self.bus.poll_action() {
                    self.begin(action);
                    self.platform.pumping = Some(action);
                }
            }
            Event::PumpDone => self.pump_done(true),
            Event::Publisher => {
                if let Some(action) = self.bus.poll_publish() {
                    self.begin_publishing(action);
                    self.platform.publishing = Some(action);
                }
            }
            Event::PublisherDone => self.publisher_done(true),
            Event::Answer(at) => self.answer(at, true),
            Event::List => self.send_list(),
            Event::RingDrains => self.host.full = false,
            Event::Resume => {
                self.suspended = false;
                self.bus.request_resume(NOW);
            }
            Event::Fetch => {
                if let Some(ticket) = self.ticket
                    && self.bus.poll_reply(ticket).is_ready()
                {
                    self.ticket = None;
                }
            }
            Event::Disturb(disturbance, at) => {
                self.happened |= 1 << disturbance as u32;
                self.disturb(disturbance, at);
            }
        }
        self.finish();
    }

    fn disturb(&mut self, disturbance: Disturbance, at: usize) {
        match disturbance {
            Disturbance::Refuse => self.answer(at, false),
            Disturbance::Silence => {
                if let Some(deadline) = self.bus.poll_timeout() {
                    self.bus.handle_timeout(deadline);
                }
            }
            Disturbance::Repeat => self.send_list(),
            Disturbance::Add => {
                self.host.list.push(Listed { slot: 1, serial: 7 });
                self.changed();
            }
            Disturbance::Remove => {
                self.host.remove(at as u32);
                self.changed();
            }
            Disturbance::Replace => {
                self.host.remove(0);
                self.host.list.insert(0, Listed { slot: 0, serial: 9 });
                self.changed();
            }
            Disturbance::Eject => {
                self.host.ejecting[at] = self.host.list.iter().find(|f| f.slot == at as u32).map(|f| f.serial);
                let mut buf = [0; 64];
                let length = HostMessage::Eject { slot: at as u32 }.encode(&mut buf).unwrap();
                self.deliver(PacketKind::InBand, 0, &buf[..length]);
            }
            Disturbance::Rescind => {
                self.host.rescinded = true;
                self.host.pending.clear();
                self.host.mapped.clear();
                self.host.full = false;
                self.bus.channel_rescinded(NOW);
            }
            Disturbance::Close => self.host.closed = true,
            Disturbance::Full => self.host.full = true,
            Disturbance::Stop => self.bus.request_stop(NOW),
            Disturbance::Suspend => {
                self.bus.request_suspend(NOW);
                self.suspended = true;
            }
            Disturbance::Start => self.bus.request_start(NOW),
            Disturbance::Power => self.submit(Request::PowerState { slot: slot(0), state: PowerState::D0 }),
            Disturbance::Interrupt => {
                self.submit(Request::CreateInterrupt(InterruptRequest::single(slot(0), 0x31, VpSet::single(0))));
            }
            Disturbance::Withdraw => {
                if let Some(ticket) = self.ticket.take() {
                    self.bus.withdraw(ticket);
                }
            }
            Disturbance::Fail if at == 0 => self.pump_done(false),
            Disturbance::Fail => self.publisher_done(false),
        }
    }

    fn submit(&mut self, request: Request) {
        self.ticket = self.bus.submit(NOW, request).ok();
    }

    /// Whether an action may be begun.
    fn begin(&mut self, action: Action) {
        match action {
            Action::OpenChannel => self.require(!self.platform.channel && !self.host.rescinded, "open once"),
            Action::CloseChannel => self.require(self.platform.channel, "close what is open"),
            Action::ReserveConfigWindow => self.require(!self.platform.config_window, "one config window"),
            Action::ReleaseConfigWindow => self.require(self.platform.config_window, "release the config window"),
            Action::ReserveWindow(_) => {}
            Action::ReleaseWindow(window) => {
                let spare = self.platform.windows.contains(&(window, false));
                self.require(spare, "release a window that is reserved and not claimed");
                let mapped = |base| window.contains(base, BAR);
                if self.host.mapped.iter().any(|m| mapped(m.base)) {
                    self.breaks(Broken::StillMapped);
                }
            }
            Action::ClaimWindow(window) => {
                self.require(self.platform.windows.contains(&(window, false)), "claim a window that is reserved");
            }
            Action::UnclaimWindow(window) => {
                self.require(self.platform.windows.contains(&(window, true)), "unclaim a window that is claimed");
                self.require(self.platform.attached == 0, "unclaim with nothing attached");
            }
            Action::Attach { slot } => {
                let number = slot.to_wire();
                let listed = self.host.list.iter().any(|f| f.slot == number) && self.host.open && !self.host.closed;
                let assigned = self.host.assigned & bit(number) != 0 || !listed || self.host.ejecting != [None; 2];
                self.require(assigned, "attach with assigned resources");
                self.require(self.platform.attached & bit(number) == 0, "attach once");
                let Some(base) = self.bar(number) else { return self.require(false, "attach a function with BARs") };
                let claimed = self.platform.windows.iter().any(|(window, claimed)| *claimed && window.contains(base, BAR));
                self.require(claimed, "attach inside a claimed window");
                let over = |m: &super::host::Mapped| m.slot != number && m.base < base + BAR && base < m.base + BAR;
                if self.host.mapped.iter().any(over) {
                    self.breaks(Broken::StillMapped);
                }
            }
            Action::Detach { slot, .. } => {
                self.require(self.platform.attached & bit(slot.to_wire()) != 0, "detach what is attached");
                self.require(self.platform.published & bit(slot.to_wire()) == 0, "detach what is not published");
            }
            Action::PrefetchStarted { slot } | Action::PrefetchFinished { slot, .. } | Action::PowerCompleted { slot, .. } => {
                self.require(self.platform.attached & bit(slot.to_wire()) != 0, "tell of what is attached");
            }
            Action::HostLostState { .. } | Action::HostUnmapped { .. } | Action::InterruptRecreated { .. } => {}
        }
    }

    fn pump_done(&mut self, ok: bool) {
        let Some(action) = self.platform.pumping.take() else { return };
        let done = match action {
            Action::OpenChannel if ok && !self.host.rescinded => {
                (self.platform.channel, self.host.open) = (true, true);
                ActionDone::ChannelOpened(Ok(()))
            }
            Action::OpenChannel => ActionDone::ChannelOpened(Err(PlatformError::ChannelOpen)),
            Action::CloseChannel => {
                self.platform.channel = false;
                self.host.forget();
                ActionDone::Done
            }
            Action::ReserveConfigWindow => {
                self.platform.config_window = ok;
                ActionDone::ConfigWindow(if ok { Ok(0xF000_0000) } else { Err(PlatformError::NoMmioSpace) })
            }
            Action::ReleaseConfigWindow => {
                self.platform.config_window = false;
                ActionDone::Done
            }
            Action::ReserveWindow(need) => ActionDone::Window(self.reserve(need.size, ok)),
            Action::ReleaseWindow(window) => {
                self.platform.windows.retain(|(held, _)| *held != window);
                ActionDone::Done
            }
            Action::ClaimWindow(window) | Action::UnclaimWindow(window) => {
                let claim = matches!(action, Action::ClaimWindow(_));
                for held in self.platform.windows.iter_mut().filter(|(held, _)| *held == window) {
                    held.1 = claim;
                }
                ActionDone::Done
            }
            Action::Attach { slot } => {
                if ok {
                    self.platform.attached |= bit(slot.to_wire());
                }
                ActionDone::Attached(if ok { Ok(()) } else { Err(PlatformError::Refused) })
            }
            Action::Detach { slot, .. } => {
                self.platform.attached &= !bit(slot.to_wire());
                ActionDone::Done
            }
            Action::PrefetchStarted { .. } if !ok => ActionDone::PrefetchRefused,
            _ => ActionDone::Done,
        };
        self.bus.action_done(NOW, done);
    }

    /// The lowest free place for a window, low space being full.
    fn reserve(&mut self, size: u64, ok: bool) -> Result<Window, PlatformError> {
        let free = |at: &u64| !self.platform.windows.iter().any(|(held, _)| held.base == *at);
        let place = (0..8).map(|n| 0x10_0000_0000 + n * 0x1000_0000).find(free).filter(|_| ok);
        let base = place.ok_or(PlatformError::NoMmioSpace)?;
        let window = Window { aperture: Aperture::High, base, size };
        self.platform.windows.push((window, false));
        Ok(window)
    }

    fn begin_publishing(&mut self, action: PublishAction) {
        match action {
            PublishAction::Publish { slot } => {
                let number = slot.to_wire();
                self.require(self.platform.attached & bit(number) != 0, "publish what is attached");
                self.require(self.platform.published & bit(number) == 0, "publish once");
                // From here on the function's driver may turn decode on through the config window.
                if let (false, true, Some(base)) = (self.messages(), self.host.d0 && !self.host.rescinded, self.bar(number))
                    && self.host.assigned & bit(number) != 0
                {
                    self.host.may_map(number, base, false);
                }
                self.platform.published |= bit(number);
            }
            PublishAction::Unpublish { slot, .. } => {
                self.require(self.platform.published & bit(slot.to_wire()) != 0, "unpublish what is published");
            }
        }
    }

    fn publisher_done(&mut self, ok: bool) {
        match self.platform.publishing.take() {
            Some(PublishAction::Publish { slot }) => {
                if !ok {
                    self.platform.published &= !bit(slot.to_wire());
                }
                let result = if ok { Ok(()) } else { Err(PlatformError::Refused) };
                self.bus.action_done(NOW, ActionDone::Published { slot, result });
            }
            Some(PublishAction::Unpublish { slot, .. }) => {
                self.platform.published &= !bit(slot.to_wire());
                self.bus.action_done(NOW, ActionDone::Unpublished { slot });
            }
            None => {}
        }
    }

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
