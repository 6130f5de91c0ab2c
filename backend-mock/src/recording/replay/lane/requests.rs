//! What the recorded guest asks of the host, asked again through our engine.

use hvpci_core::Slot;
use hvpci_core::bus::{Request, SubmitError};
use hvpci_core::decode::GuestStyle;
use hvpci_core::wire::{GuestMessage, PowerState};

use super::super::compare::{is_callers, kind};
use super::super::inject::{NotInjected, addresses, to_request};
use super::{Asked, Lane};

impl Lane<'_> {
    /// A request of the recorded guest.
    pub(super) fn request(&mut self, message: &GuestMessage<'_>) {
        let slot = message.slot();
        match message {
            // Not known, which was noted; or known and not sent by the engine.
            GuestMessage::Unknown { .. } | GuestMessage::TdispCommand { .. } => return,
            GuestMessage::DeleteInterrupt { .. }
            | GuestMessage::ResourcesReleased { .. }
            | GuestMessage::EjectionComplete { .. }
            | GuestMessage::D0Exit => self.begin(),
            // A guest that left D0 enters it again, and the channel stayed open.
            _ if self.engine.is_down() => {
                self.begun = true;
                self.engine.start(self.now);
                self.step();
            }
            _ => {}
        }
        self.asked.insert(self.index, Asked { kind: kind(message), ours: None, arrived: None });
        match message {
            GuestMessage::D0Exit if !self.engine.has_unmatched(kind(message)) => self.engine.stop(self.now),
            // The guest has let go of the function.
            GuestMessage::EjectionComplete { .. } => {
                self.engine.let_go(&mut self.half, &self.facts, self.index, self.now);
            }
            GuestMessage::ResourcesAssigned { slot, bars, .. } if self.facts.style == GuestStyle::Messages => {
                let bars = addresses(bars);
                self.half.bars_named(*slot, bars);
                if self.engine.is_assigned(*slot) {
                    let _ = self.engine.submit(self.now, Request::AssignResources { slot: *slot, bars });
                }
            }
            _ if is_callers(message) => {
                if let GuestMessage::PowerStateChange { slot, state } = message {
                    self.half.power_asked(*slot, *state == PowerState::D0);
                }
                self.inject(message);
            }
            _ => {}
        }
        self.step();
        let waits = matches!(
            message,
            GuestMessage::ResourcesReleased { .. } | GuestMessage::EjectionComplete { .. } | GuestMessage::D0Exit
        );
        if !waits && !is_callers(message) {
            let index = self.index;
            self.go_on(false, |lane| lane.asked.get(&index).is_none_or(|asked| asked.ours.is_some()));
            if slot.is_some_and(|slot| self.listed && !self.engine.has(slot)) {
                self.asked.remove(&index);
                self.absent(slot);
            }
        }
    }

    /// Makes a driver's request of our engine.
    fn inject(&mut self, message: &GuestMessage<'_>) {
        let request = match to_request(message) {
            Ok(request) => request,
            Err(NotInjected::OwnStep) => return,
            Err(NotInjected::Block(bytes)) => {
                self.asked.remove(&self.index);
                return self.error(format!("a config block of {bytes} bytes"));
            }
        };
        let (slot, silent) =
            (request.slot(), matches!(&request, Request::DeleteInterrupt { entry, .. } if entry.message_count == 0));
        if matches!(request, Request::CreateInterrupt(_)) && !self.pairing.answered.contains(&self.index) {
            self.unknown_interrupts += 1;
        }
        let mut result = self.engine.submit(self.now, request.clone());
        if matches!(result, Err(SubmitError::NotUp | SubmitError::NoFunction(_))) {
            self.go_on(true, |lane| lane.half.has(slot));
            result = self.engine.submit(self.now, request);
        }
        match result {
            Ok(()) => {
                if silent {
                    // Ours sends nothing for the vectors of a group but the first.
                    self.asked.remove(&self.index);
                }
            }
            Err(error) => {
                self.asked.remove(&self.index);
                self.refused(slot, error);
            }
        }
    }

    /// Our engine does not take a request that the recorded guest made.
    fn refused(&mut self, slot: Slot, error: SubmitError) {
        match error {
            SubmitError::NotUp | SubmitError::NoFunction(_) => self.absent(Some(slot)),
            SubmitError::NoInterrupt if self.unknown_interrupts > 0 => self.unknown_interrupts -= 1,
            // Created before the recording began, gone with its function, or of a function that ours never had.
            SubmitError::NoInterrupt if self.midway || self.engine.has_lost(slot) || !self.engine.has(slot) => {}
            error => self.error(format!("our engine does not take the request: {error}")),
        }
    }
}
