//! One channel of a replay: recorded events in, both halves driven.

use std::collections::{BTreeMap, BTreeSet};

use hvpci_core::decode::Policy;
use hvpci_core::wire::{GuestMessage, HostMessage, MessageType};
use hvpci_core::{InstanceId, Slot, Time};

use super::super::event::{ChannelId, Direction, EventKind, Packet, Section};
use super::super::totals::Totals;
use super::ReplayError;
use super::compare::{Kind, is_callers};
use super::engine::Engine;
use super::facts::{Facts, request};
use super::half::Half;
use super::pairing::Pairing;
use super::replies::{done, wrong_version};

mod requests;

/// Steps that one event may take the engine onward: three for each of 256 functions, and those of the bus.
const MAX_STEPS: usize = 1024;

/// A request that the recorded guest made.
#[derive(Debug)]
struct Asked {
    kind: Kind,
    /// Our packet.
    ours: Option<u64>,
    /// The recorded answer, if it came before our packet.
    arrived: Option<usize>,
}

/// One channel.
pub(super) struct Lane<'a> {
    section: &'a Section,
    facts: Facts,
    pairing: Pairing,
    half: Half,
    engine: Engine,
    /// By event: the recorded requests since the channel was opened.
    asked: BTreeMap<usize, Asked>,
    /// By event: what is wrong with it; the first finding counts.
    errors: BTreeMap<usize, String>,
    /// Something of the channel was seen.
    begun: bool,
    /// The recording begins after the channel was opened.
    midway: bool,
    /// A list of functions was seen.
    listed: bool,
    /// Functions of which was said that ours does not have them; `None` is a channel without any list.
    absent: BTreeSet<Option<Slot>>,
    /// Interrupts of which the recording does not show what the host gave.
    unknown_interrupts: u64,
    index: usize,
    now: Time,
}

impl<'a> Lane<'a> {
    pub(super) fn new(section: &'a Section, channel: ChannelId, policy: Policy) -> Result<Lane<'a>, ReplayError> {
        let facts = Facts::of(section, channel);
        let pairing = Pairing::of(section, channel);
        let instance = section.events_of(channel).find_map(|(_, event)| match event.kind {
            EventKind::ChannelOpen(instance) | EventKind::ChannelClose(instance) => Some(instance),
            _ => None,
        });
        let half = Half::new(section, channel, policy, facts.style)?;
        let engine = Engine::new(instance.unwrap_or(InstanceId::from_bytes([0; 16])), &facts)?;
        let errors = pairing.faults.iter().cloned().collect();
        Ok(Lane {
            section,
            facts,
            pairing,
            half,
            engine,
            asked: BTreeMap::new(),
            errors,
            begun: false,
            midway: true,
            listed: false,
            absent: BTreeSet::new(),
            unknown_interrupts: 0,
            index: 0,
            now: Time::ZERO,
        })
    }

    /// What reached the device.
    pub(super) fn device_counts(&self) -> &Totals {
        self.half.device_counts()
    }

    /// How often the recorded guest had functions mapped and unmapped by message.
    pub(super) fn power_changes_recorded(&self) -> (u64, u64) {
        self.half.power_changes()
    }

    /// What is wrong, by event.
    pub(super) fn errors(&self) -> &BTreeMap<usize, String> {
        &self.errors
    }

    /// Takes the event of this channel at `index` of the section. Indexes only grow. Returns what a config read gives.
    pub(super) fn take(&mut self, index: usize) -> Option<u32> {
        let section: &'a Section = self.section;
        let event = section.events.get(index)?;
        self.index = index;
        self.now = Time::from_nanos(u64::try_from(event.time.as_nanos()).unwrap_or(u64::MAX));
        self.half.advance_to(index);
        match &event.kind {
            EventKind::Select { value, .. } => self.half.select(*value),
            EventKind::ConfigRead(read) => {
                self.reach_selected();
                return self.half.read_or_skip(self.now, read);
            }
            EventKind::ConfigWrite(write) => {
                self.reach_selected();
                self.half.write(write);
            }
            EventKind::Packet(packet) => self.packet(packet),
            EventKind::ChannelOpen(_) => self.opened(),
            EventKind::ChannelClose(_) => self.closed(),
            _ => {}
        }
        None
    }

    fn opened(&mut self) {
        if self.begun && !self.engine.is_down() {
            self.closed();
        }
        (self.begun, self.midway) = (true, false);
        self.engine.start(self.now);
        self.step();
    }

    fn closed(&mut self) {
        self.begun = true;
        self.report_unmatched(false);
        self.engine.close(&mut self.half, &self.facts, self.index, self.now);
        self.note_oddities();
        self.asked.clear();
    }

    /// The recording is over.
    pub(super) fn ended(&mut self) {
        self.report_unmatched(true);
    }

    fn packet(&mut self, packet: &Packet) {
        match (packet.direction, packet.descriptor.is_completion()) {
            (Direction::GuestToHost, true) => {}
            (Direction::GuestToHost, false) => {
                if let Some(message) = request(packet) {
                    self.request(&message);
                }
            }
            (Direction::HostToGuest, true) => self.completion(),
            (Direction::HostToGuest, false) => {
                self.begin();
                self.listed |= matches!(HostMessage::parse(&packet.payload), Ok(HostMessage::BusRelations(_)));
                self.engine.in_band(self.now, &packet.payload);
                self.step();
            }
        }
    }

    /// A channel whose opening was not recorded is open.
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.engine.start(self.now);
            self.step();
        }
    }

    /// Notes what is wrong with the present event. Only a packet can be a message error.
    fn error(&mut self, text: String) {
        if matches!(self.section.events.get(self.index).map(|event| &event.kind), Some(EventKind::Packet(_))) {
            self.errors.entry(self.index).or_insert(text);
        }
    }

    fn note_oddities(&mut self) {
        for odd in self.engine.oddities() {
            self.error(format!("our engine finds it odd: {odd:?}"));
        }
    }

    /// A message is about a function that ours does not have: said once of each, and once of a channel without any list.
    fn absent(&mut self, slot: Option<Slot>) {
        let slot = slot.filter(|_| self.listed);
        if self.absent.insert(slot) {
            self.error(match slot {
                Some(slot) => format!("our engine has no function in slot {slot}"),
                None => "a function on a channel on which the host never listed any".to_owned(),
            });
        }
    }

    /// A completion of the host's.
    fn completion(&mut self) {
        let asked = self.pairing.request_of.get(&self.index).and_then(|request| self.asked.get_mut(request));
        let Some(asked) = asked else { return };
        match asked.ours {
            Some(serial) => self.deliver(serial, self.index),
            None => asked.arrived = Some(self.index),
        }
        self.step();
    }

    /// Hands the recorded completion to our engine, as the answer to its own packet.
    fn deliver(&mut self, serial: u64, completion: usize) {
        let Some(EventKind::Packet(packet)) = self.section.events.get(completion).map(|event| &event.kind) else {
            return;
        };
        self.engine.answer(self.now, serial, &packet.payload, false);
        self.note_oddities();
        if !self.pairing.unreadable.contains(&completion) {
            return;
        }
        // The recorded guest made something of it and went on.
        match self.engine.sent(serial).and_then(|sent| sent.message()) {
            Some(GuestMessage::CreateInterrupt { .. }) => self.unknown_interrupts += 1,
            Some(message) if !is_callers(&message) => self.answer_for_the_host(serial, true),
            _ => {}
        }
    }

    /// Works until nothing happens any more, and finds the recorded requests that ours has sent by now.
    fn step(&mut self) {
        for _ in 0..MAX_STEPS {
            self.engine.pump(&mut self.half, &self.facts, self.index, self.now);
            self.note_oddities();
            if !self.settle() {
                break;
            }
        }
    }

    /// Finds our packets for recorded requests that have none. `true` if an answer was waiting for one.
    fn settle(&mut self) -> bool {
        let open: Vec<usize> =
            self.asked.iter().filter(|(_, asked)| asked.ours.is_none()).map(|(index, _)| *index).collect();
        let mut answered = false;
        for index in open {
            let Some(EventKind::Packet(packet)) = self.section.events.get(index).map(|event| &event.kind) else {
                continue;
            };
            let Some((serial, difference)) = request(packet).and_then(|recorded| self.engine.take_match(&recorded))
            else {
                continue;
            };
            if let Some(difference) = difference {
                self.errors.entry(index).or_insert(difference);
            }
            let Some(asked) = self.asked.get_mut(&index) else { continue };
            asked.ours = Some(serial);
            if let Some(completion) = asked.arrived.take() {
                self.deliver(serial, completion);
                answered = true;
            }
        }
        answered
    }

    /// The recorded guest is further than our engine, which waits for something that the recording does not have: the
    /// answer to a step that the guest did not take (an assignment for a function that it hot-added, or anything before a
    /// recording that starts midway), or that was lost. Ours is told that it was done. Where the answer is still to come,
    /// ours may wait for it, unless `now` something depends on it.
    fn go_on(&mut self, now: bool, there: impl Fn(&Lane<'_>) -> bool) {
        for _ in 0..MAX_STEPS {
            if there(self) || self.engine.is_stopping() {
                return;
            }
            if self.engine.let_go(&mut self.half, &self.facts, self.index, self.now) {
                self.step();
                continue;
            }
            let Some(serial) = self.engine.waiting().map(|sent| sent.serial) else { return };
            let recorded = self.asked.iter().find(|(_, asked)| asked.ours == Some(serial)).map(|(index, _)| index);
            if !now && recorded.is_some_and(|request| self.pairing.answered.contains(request)) {
                return;
            }
            self.answer_for_the_host(serial, false);
            self.step();
        }
    }

    /// Tells our engine that what it asked for was done.
    fn answer_for_the_host(&mut self, serial: u64, again: bool) {
        let Some(message) = self.engine.sent(serial).and_then(|sent| sent.message()) else { return };
        let open = |wanted: MessageType| self.asked.values().any(|a| a.ours.is_none() && a.kind.0 == wanted);
        let reply = match message {
            // The guest goes on with another version.
            GuestMessage::QueryProtocolVersion { version }
                if !self.facts.tries(self.index, version) || open(MessageType::QUERY_PROTOCOL_VERSION) =>
            {
                wrong_version()
            }
            _ => {
                let probed = message.slot().map(|slot| self.half.probed(slot)).unwrap_or_default();
                done(message.message_type(), probed)
            }
        };
        self.engine.answer(self.now, serial, &reply, again);
        self.note_oddities();
    }

    /// The guest accesses the selected function, so it has brought it up.
    fn reach_selected(&mut self) {
        self.begin();
        let Some(slot) = self.half.selected().filter(|slot| !self.half.has(*slot)) else { return };
        if self.engine.has(slot) {
            self.go_on(true, |lane| lane.half.has(slot));
        }
    }

    /// Recorded requests that ours never made. RESOURCES_RELEASED is left out: guests differ in when they send it, and ours
    /// may send it where the recorded guest did not. At the end of the recording those that were cut off are left out too.
    fn report_unmatched(&mut self, ended: bool) {
        let last = self.pairing.answered.last().copied().unwrap_or(0);
        let unmatched = self.asked.iter().filter(|(index, asked)| {
            let cut_off = ended && **index > last && !self.pairing.answered.contains(index);
            asked.ours.is_none() && asked.kind.0 != MessageType::RESOURCES_RELEASED && !cut_off
        });
        let unmatched: Vec<(usize, Kind)> = unmatched.map(|(index, asked)| (*index, asked.kind)).collect();
        for (index, (message_type, slot)) in unmatched {
            self.index = index;
            if self.listed {
                self.error(match slot {
                    Some(slot) => format!("our engine sends no {message_type} for slot {slot} here"),
                    None => format!("our engine sends no {message_type} here"),
                });
            } else if slot.is_some() {
                self.absent(slot);
            }
        }
    }
}
