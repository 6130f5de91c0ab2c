//! The engine half of one channel of a replay: the bus, the platform it sits on, and what it sends.

use std::collections::BTreeSet;
use std::task::Poll;

use hvpci_core::backend::{PacketPort, PlatformError, RemovalReason, SendError};
use hvpci_core::bus::{
    Action, ActionDone, Bus, BusOptions, BusStatus, NewBusError, Odd, Packet, PacketKind, PublishAction, Report,
    Request, SubmitError, Ticket, Transmit,
};
use hvpci_core::placement::{Aperture, Window, WindowNeed};
use hvpci_core::wire::GuestMessage;
use hvpci_core::{InstanceId, Slot, Time};

use super::compare::{Kind, difference, is_callers, kind};
use super::facts::Facts;
use super::half::Half;

/// Where MMIO windows are given: what of it is used is never mapped, as the recorded guest placed its own BARs.
const APERTURES: [(Aperture, u64, u64); 2] =
    [(Aperture::Low, 0x1000_0000, 1 << 32), (Aperture::High, 1 << 40, 1 << 52)];
/// Rounds of the pump after one event. A bus of 256 functions needs some thousands; more would be a loop.
const MAX_ROUNDS: usize = 100_000;
/// Rounds of giving up what is not answered when a channel is closed.
const MAX_CLOSING_ROUNDS: usize = 16;

/// A packet that our engine sent.
#[derive(Debug)]
pub(super) struct Sent {
    /// Its name here: transaction ids are 0 where no answer is wanted.
    pub(super) serial: u64,
    id: u64,
    wants_completion: bool,
    payload: Vec<u8>,
    /// The recorded guest sent it too.
    matched: bool,
    answered: bool,
}

impl Sent {
    pub(super) fn message(&self) -> Option<GuestMessage<'_>> {
        GuestMessage::parse(&self.payload).ok()
    }

    /// A step of the engine's own that waits for its answer.
    fn is_step_waiting(&self) -> bool {
        self.wants_completion && !self.answered && self.message().is_some_and(|message| !is_callers(&message))
    }
}

/// The ring, as it fills.
struct Ring<'a> {
    sent: &'a mut Vec<Sent>,
    serial: &'a mut u64,
}

impl PacketPort for Ring<'_> {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        *self.serial += 1;
        self.sent.push(Sent {
            serial: *self.serial,
            id: packet.transaction_id,
            wants_completion: packet.wants_completion,
            payload: payload.to_vec(),
            matched: false,
            answered: false,
        });
        Ok(())
    }
}

/// The bus and its platform.
pub(super) struct Engine {
    bus: Bus,
    sent: Vec<Sent>,
    serial: u64,
    tickets: Vec<Ticket>,
    /// What was given of each aperture.
    given: [u64; 2],
    /// The OS does not let go of functions yet.
    hold: bool,
    /// A function that the OS is to let go of.
    held: Option<Slot>,
    /// Slots of which a function has left, since the start.
    lost: BTreeSet<Slot>,
}

impl Engine {
    /// A bus with the choices of the recorded guest.
    ///
    /// The policy is left at its default: the engine's part in background maps is a message that the recorded guest never
    /// sent, so there is no answer to it.
    pub(super) fn new(instance: InstanceId, facts: &Facts) -> Result<Engine, NewBusError> {
        let options = BusOptions {
            highest: facts.highest,
            lowest: facts.lowest,
            outstanding: u8::MAX,
            ..BusOptions::new(facts.style, facts.architecture)
        };
        let bus = Bus::new(instance, options)?;
        let given = APERTURES.map(|(_, base, _)| base);
        Ok(Engine {
            bus,
            sent: Vec::new(),
            serial: 0,
            tickets: Vec::new(),
            given,
            hold: true,
            held: None,
            lost: BTreeSet::new(),
        })
    }

    /// Nothing is open and nothing goes on.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.bus.status(), BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.bus.status() == BusStatus::Stopping
    }

    pub(super) fn has(&self, slot: Slot) -> bool {
        self.bus.slots().any(|known| known == slot)
    }

    /// Whether a function that was in the slot has left, or the bus is on its way down.
    pub(super) fn has_lost(&self, slot: Slot) -> bool {
        self.lost.contains(&slot) || self.is_down() || self.is_stopping()
    }

    /// Whether the host has taken note of the function's resources.
    pub(super) fn is_assigned(&self, slot: Slot) -> bool {
        self.bus.is_assigned(slot)
    }

    pub(super) fn start(&mut self, now: Time) {
        self.sent.clear();
        self.tickets.clear();
        self.given = APERTURES.map(|(_, base, _)| base);
        self.lost.clear();
        self.hold = true;
        self.bus.request_start(now);
    }

    /// The bus is brought down: the OS lets go of everything.
    pub(super) fn stop(&mut self, now: Time) {
        self.hold = false;
        self.bus.request_stop(now);
    }

    /// The channel is closed: whatever is not answered by now will not be.
    pub(super) fn close(&mut self, half: &mut Half, facts: &Facts, index: usize, now: Time) {
        self.stop(now);
        for _ in 0..MAX_CLOSING_ROUNDS {
            self.pump(half, facts, index, now);
            if self.is_down() {
                break;
            }
            self.bus.handle_timeout(Time::from_nanos(u64::MAX));
        }
        self.sent.clear();
    }

    /// Lets the OS let go of what it holds. `false` when it holds nothing.
    pub(super) fn let_go(&mut self, half: &mut Half, facts: &Facts, index: usize, now: Time) -> bool {
        let holds = self.held.is_some();
        let before = std::mem::take(&mut self.hold);
        self.pump(half, facts, index, now);
        self.hold = before;
        holds
    }

    /// Does all that can be done: actions, packets, publishing.
    pub(super) fn pump(&mut self, half: &mut Half, facts: &Facts, index: usize, now: Time) {
        for _ in 0..MAX_ROUNDS {
            let mut idle = true;
            if let Some(action) = self.bus.poll_action() {
                idle = false;
                let done = self.perform(half, facts, index, action);
                self.bus.action_done(now, done);
            }
            let before = self.sent.len();
            self.bus.transmit(now, &mut Ring { sent: &mut self.sent, serial: &mut self.serial });
            idle &= self.sent.len() == before;
            match self.bus.poll_publish() {
                Some(PublishAction::Publish { slot }) => {
                    idle = false;
                    self.bus.action_done(now, ActionDone::Published { slot, result: Ok(()) });
                }
                // An ejected function is there until its drivers have let go of it; one that is gone is gone.
                Some(PublishAction::Unpublish { slot, reason: RemovalReason::Eject }) => self.held = Some(slot),
                Some(PublishAction::Unpublish { slot, .. }) => {
                    idle = false;
                    self.bus.action_done(now, ActionDone::Unpublished { slot });
                }
                None => {}
            }
            if let Some(slot) = self.held.filter(|_| !self.hold) {
                idle = false;
                self.held = None;
                self.bus.action_done(now, ActionDone::Unpublished { slot });
            }
            if idle {
                break;
            }
        }
        self.tickets.retain(|ticket| self.bus.poll_reply(*ticket) == Poll::Pending);
    }

    fn perform(&mut self, half: &mut Half, facts: &Facts, index: usize, action: Action) -> ActionDone {
        match action {
            Action::OpenChannel => ActionDone::ChannelOpened(Ok(())),
            Action::ReserveConfigWindow => {
                half.window_reserved();
                ActionDone::ConfigWindow(Ok(facts.window(index)))
            }
            Action::ReserveWindow(need) => ActionDone::Window(self.reserve(need)),
            Action::Attach { slot } => {
                let seed = self.bus.seed(slot).ok_or(PlatformError::Refused);
                let attached = seed.and_then(|seed| half.attach(index, seed).map_err(|_| PlatformError::Refused));
                ActionDone::Attached(attached)
            }
            other => {
                half.perform(other);
                ActionDone::Done
            }
        }
    }

    fn reserve(&mut self, need: WindowNeed) -> Result<Window, PlatformError> {
        let at = usize::from(need.aperture == Aperture::High);
        let (aperture, _, end) = APERTURES[at];
        let base = self.given[at].checked_next_multiple_of(need.align.max(1)).ok_or(PlatformError::Refused)?;
        let next = base.checked_add(need.size).filter(|next| *next <= end).ok_or(PlatformError::Refused)?;
        self.given[at] = next;
        Ok(Window { aperture, base, size: need.size })
    }

    /// Makes a request on behalf of a driver. Room for an interrupt's record is reserved first.
    pub(super) fn submit(&mut self, now: Time, request: Request) -> Result<(), SubmitError> {
        if matches!(request, Request::CreateInterrupt(_)) {
            // Without memory the submission says so.
            let _ = self.bus.reserve_interrupts(1);
        }
        self.tickets.push(self.bus.submit(now, request)?);
        Ok(())
    }

    /// A packet of the host's own.
    pub(super) fn in_band(&mut self, now: Time, payload: &[u8]) {
        self.bus.handle_packet(now, Packet { kind: PacketKind::InBand, transaction_id: 0, payload });
    }

    /// Answers a packet of ours, under its own transaction id. The first answer counts; `again` sends another where the
    /// first said nothing. Packets without a completion stay without.
    pub(super) fn answer(&mut self, now: Time, serial: u64, payload: &[u8], again: bool) {
        let Some(sent) = self.sent.iter_mut().find(|sent| sent.serial == serial) else { return };
        if !sent.wants_completion || (sent.answered && !again) {
            return;
        }
        sent.answered = true;
        self.bus.handle_packet(now, Packet { kind: PacketKind::Completion, transaction_id: sent.id, payload });
    }

    /// The packet of that name.
    pub(super) fn sent(&self, serial: u64) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.serial == serial)
    }

    /// The first step of the engine's own that waits for its answer.
    pub(super) fn waiting(&self) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.is_step_waiting())
    }

    /// Whether a packet of that kind was sent that the recorded guest has not sent yet.
    pub(super) fn has_unmatched(&self, wanted: Kind) -> bool {
        self.sent.iter().any(|sent| !sent.matched && sent.message().is_some_and(|message| kind(&message) == wanted))
    }

    /// Takes a recorded message for the one that was sent of the same kind: an equal one if there is one, else the first.
    /// Returns the name of the packet, and how the two differ.
    pub(super) fn take_match(&mut self, recorded: &GuestMessage<'_>) -> Option<(u64, Option<String>)> {
        let wanted = kind(recorded);
        let mut best: Option<(usize, Option<String>)> = None;
        for (at, sent) in self.sent.iter().enumerate().filter(|(_, sent)| !sent.matched) {
            let Some(ours) = sent.message().filter(|ours| kind(ours) == wanted) else { continue };
            // Versions are tried one after the other: another one is another step.
            if matches!(ours, GuestMessage::QueryProtocolVersion { .. }) && ours != *recorded {
                continue;
            }
            let difference = difference(&ours, recorded);
            if difference.is_none() {
                best = Some((at, None));
                break;
            }
            best.get_or_insert((at, difference));
        }
        let (at, difference) = best?;
        let sent = self.sent.get_mut(at)?;
        sent.matched = true;
        let serial = sent.serial;
        self.sent.retain(|sent| !sent.matched || sent.serial == serial || (sent.wants_completion && !sent.answered));
        Some((serial, difference))
    }

    /// What the engine found odd about the packets since the last call. Late answers are no oddity of the recording: ours
    /// gives requests up when their function leaves.
    pub(super) fn oddities(&mut self) -> Vec<Odd> {
        let mut oddities = Vec::new();
        while let Some(report) = self.bus.poll_report() {
            match report {
                Report::Odd(Odd::LateCompletion(_)) => {}
                Report::Odd(odd) => oddities.push(odd),
                Report::FunctionGone(slot) => {
                    self.lost.insert(slot);
                }
                _ => {}
            }
        }
        oddities
    }
}
