//! The state of the model: the engine between an abstract host and an abstract platform, and what can happen.

use std::time::Duration;

use hvpci_core::backend::{PacketPort, SendError};
use hvpci_core::bus::{Bus, BusStatus, Packet, PacketKind, Report, Request, Ticket, Transmit};
use hvpci_core::decode::GuestStyle;
use hvpci_core::interrupt::InterruptRequest;
use hvpci_core::wire::{GuestMessage, HostMessage, PowerState, VpSet};
use hvpci_core::{Slot, Time};

use super::events::{Disturbance, Event};
use super::host::{Host, Listed, What, bit};
use super::mutants::Mutant;
use super::platform::Platform;

/// The clock stands still: a deadline passes when [`Disturbance::Silence`] says so.
pub const NOW: Time = Time::ZERO;

/// A silence in which every deadline passes, and not the earliest alone.
pub const LONG: usize = 1;
const HOUR: Duration = Duration::from_secs(3600);

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
    /// Suspended, and functions or windows are gone.
    Dropped,
    /// A function was shown to the OS although a background map is still waited for.
    ShownEarly,
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
    /// The bus was rescinded and offered again.
    pub offered_again: bool,
    pub broken: Option<Broken>,
    /// Bytes of which it was reported that they went into quarantine, since there were none in it.
    pub stated: u64,
    /// Bit per slot: its background map was answered, and the config half has not heard of it.
    pub untold: u8,
    pub mutant: Option<Mutant>,
}

struct Port<'a> {
    host: &'a mut Host,
    broken: &'a mut Option<Broken>,
    platform: &'a Platform,
    bars: [Option<u64>; 2],
    mutant: Option<Mutant>,
    messages: bool,
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
        let mut packet = *packet;
        if self.mutant == Some(Mutant::IdRepeated) && packet.wants_completion {
            packet.transaction_id = 1;
        }
        if self.mutant == Some(Mutant::PrefetchUnsent)
            && matches!(GuestMessage::parse(payload), Ok(GuestMessage::PowerStateChange { slot, .. }) if slot.to_wire() == 1)
        {
            return Ok(());
        }
        let ejecting = self.host.ejecting;
        let asked = self.host.pending.len();
        let broken = self.host.receive(&packet, payload, &|slot| bars[slot as usize]);
        *self.broken = self.broken.or(broken);
        // Decode that was left on is off once the config half has the function: no BARs are sent before (I2).
        if let Some((_, What::Assign(slot))) = self.host.pending.get(asked)
            && self.messages
            && self.platform.attached & bit(*slot) == 0
        {
            *self.broken = self.broken.or(Some(Broken::Precondition("BARs sent of a function that is attached")));
        }
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
    pub fn new(mut bus: Bus, functions: u32, mutant: Option<Mutant>) -> World {
        bus.request_start(NOW);
        let list = (0..functions).map(|slot| Listed { slot, serial: slot }).collect();
        let host = Host { list, mutant, ..Host::default() };
        let platform = Platform::default();
        World {
            bus,
            host,
            platform,
            ticket: None,
            happened: 0,
            suspended: false,
            offered_again: false,
            broken: None,
            stated: 0,
            untold: 0,
            mutant,
        }
    }

    pub fn messages(&self) -> bool {
        self.bus.options().style == GuestStyle::Messages
    }

    pub fn is_over(&self) -> bool {
        matches!(self.bus.status(), BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone)
    }

    pub fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    pub fn require(&mut self, held: bool, what: &'static str) {
        if !held {
            self.breaks(Broken::Precondition(what));
        }
    }

    pub fn bar(&self, number: u32) -> Option<u64> {
        self.bus.function(slot(number)).and_then(|info| info.bars[0])
    }

    /// The engine, and its way to the host.
    fn port(&mut self) -> (&mut Bus, Port<'_>) {
        let bars = [self.bar(0), self.bar(1)];
        let messages = self.messages();
        let World { bus, host, platform, broken, mutant, .. } = self;
        (bus, Port { host, broken, platform, bars, mutant: *mutant, messages })
    }

    /// Sends what is due, drains the reports, and looks whether all is well.
    fn finish(&mut self) {
        let (bus, mut port) = self.port();
        bus.transmit(NOW, &mut port);
        if self.mutant == Some(Mutant::MapDoneEarly) {
            self.imagine_maps();
        }
        if self.mutant == Some(Mutant::Chatter) {
            let senseless = Packet { kind: PacketKind::InBand, transaction_id: 0, payload: &[0; 4] };
            (0..100).for_each(|_| self.bus.handle_packet(NOW, senseless));
        }
        if self.bus.counters().reports_dropped != 0 {
            self.breaks(Broken::Reports);
        }
        self.take_reports();
        self.bus.forget_statistics();
        if self.bus.quarantined_bytes() == 0 {
            self.stated = 0;
        }
        if self.bus.status() == BusStatus::Suspended && self.host.ejecting == [None; 2] {
            let windows = self.platform.windows.iter().filter(|(_, claimed)| *claimed);
            if windows.count() == 0 && self.platform.attached != 0 {
                self.breaks(Broken::Dropped);
            }
        }
        if self.is_over() && !self.platform.is_bare() && self.happened != 0 {
            self.breaks(Broken::Leftover);
        }
    }

    /// The engine hears that every map is done that was asked for; the host is still at it.
    fn imagine_maps(&mut self) {
        let asked = self.host.pending.iter().filter(|(_, what)| matches!(what, What::Power(_, true)));
        let ids: Vec<u64> = asked.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.deliver(PacketKind::Completion, id, &[0; 4]));
    }

    fn take_reports(&mut self) {
        while let Some(report) = self.bus.poll_report() {
            if let Report::Quarantined { bytes, .. } = report
                && self.mutant != Some(Mutant::QuarantineUnsaid)
            {
                self.stated += bytes;
            }
        }
    }

    fn deliver(&mut self, kind: PacketKind, transaction_id: u64, payload: &[u8]) {
        debug_assert!(kind == PacketKind::Completion || HostMessage::parse(payload).is_ok());
        self.bus.handle_packet(NOW, Packet { kind, transaction_id, payload });
    }

    pub fn answer(&mut self, at: usize, ok: bool) {
        let messages = self.messages();
        if let Some((_, What::Power(slot, true))) = self.host.pending.get(at) {
            self.untold |= bit(*slot) & !self.platform.published;
        }
        let (id, payload) = self.host.answer(at, ok, messages);
        self.deliver(PacketKind::Completion, id, &payload);
    }

    fn send_list(&mut self) {
        let message = self.host.list_message();
        self.host.changed &= matches!(self.bus.status(), BusStatus::Suspending | BusStatus::Stopping);
        self.deliver(PacketKind::InBand, 0, &message);
    }

    /// Whether the host has told, or was asked for, its functions: only then it speaks of changes.
    pub fn may_list(&self) -> bool {
        self.host.versioned
            && self.host.open
            && !self.host.rescinded
            && (!self.messages() || self.host.d0 || self.host.listed)
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
            Event::Offer => {
                let (list, mutant) = (self.host.list.clone(), self.mutant);
                let versioned = mutant == Some(Mutant::OldVersionKept);
                self.host = Host { list, versioned, mutant, ..Host::default() };
                // The platform makes a new bus; what it still held of the old one was `Broken::Leftover`.
                self.bus = super::fresh_bus(*self.bus.options());
                self.bus.request_start(NOW);
                (self.suspended, self.offered_again, self.stated, self.untold) = (false, true, 0, 0);
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
            Disturbance::Silence if self.mutant == Some(Mutant::DeadlinesIgnored) => {}
            Disturbance::Silence => {
                if let Some(deadline) = self.bus.poll_timeout() {
                    self.bus.handle_timeout(if at == LONG { NOW.after(HOUR) } else { deadline });
                }
            }
            Disturbance::Repeat => self.send_list(),
            Disturbance::Add => {
                self.host.list.push(Listed { slot: 1, serial: 7 });
                if self.mutant != Some(Mutant::HotAddLost) {
                    self.changed();
                }
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
                if self.mutant == Some(Mutant::EjectHurried) {
                    let complete = GuestMessage::EjectionComplete { slot: slot(at as u32) };
                    let length = complete.encode(&mut buf).unwrap();
                    let packet = Transmit { transaction_id: 0, wants_completion: false };
                    let _ = self.port().1.send(&packet, &buf[..length]);
                }
            }
            Disturbance::Rescind => {
                self.host.rescinded = true;
                self.host.pending.clear();
                self.host.mapped.clear();
                self.host.full = false;
                if self.mutant != Some(Mutant::RescindUntold) {
                    self.bus.channel_rescinded(NOW);
                }
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
}
