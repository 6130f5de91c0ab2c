//! The channel's life as the bus sees it: what opening, closing, rescinding and dying leave behind.

use alloc::vec::Vec;

use hvpci_core::{Slot, Time};

use super::Bus;
use crate::host::packet::{MessageType, Writer};
use crate::host::ring::Ring;
use crate::host::shared::{Event, Shared};
use crate::host::{ChannelState, Leak, LeakKind, ViolationKind};

impl Bus {
    pub(in crate::host) fn open(&mut self) -> bool {
        if self.channel != ChannelState::Offered {
            return false;
        }
        self.forget_conversation();
        self.channel = ChannelState::Open;
        true
    }

    pub(in crate::host) fn close(&mut self, shared: &mut Shared, now: Time) {
        match self.channel {
            ChannelState::Open => {
                self.note_leaks(shared, now);
                self.release_all(shared, now);
                self.channel = ChannelState::Offered;
            }
            ChannelState::Dead => self.channel = ChannelState::Offered,
            ChannelState::Offered | ChannelState::Rescinded => {}
        }
    }

    pub(in crate::host) fn rescind(&mut self, shared: &mut Shared, now: Time) {
        if self.channel == ChannelState::Rescinded {
            return;
        }
        self.release_all(shared, now);
        self.channel = ChannelState::Rescinded;
        shared.events.push_back(Event::Rescinded(self.id));
    }

    /// The channel dies without a rescind.
    pub(super) fn die(&mut self, shared: &mut Shared, now: Time) {
        self.release_all(shared, now);
        self.channel = ChannelState::Dead;
        shared.events.push_back(Event::ChannelDied(self.id));
    }

    pub(in crate::host) fn crash(&mut self) {
        if self.channel != ChannelState::Open {
            return;
        }
        let (in_d0, window) = (self.in_d0, self.window);
        self.forget_conversation();
        self.channel = ChannelState::Offered;
        self.leftover = in_d0 || self.functions.values().any(|function| function.assigned);
        self.in_d0 = in_d0;
        self.window = window;
    }

    pub(in crate::host) fn power_cycle(&mut self, shared: &mut Shared, now: Time) {
        self.release_all(shared, now);
        for function in self.functions.values_mut() {
            function.device.reset();
        }
    }

    /// Asks the guest for a function. While the channel is closed there is nobody to ask, and the function goes at once.
    pub(in crate::host) fn eject(&mut self, shared: &mut Shared, now: Time, slot: Slot) {
        if !self.is_open() {
            self.take_away(shared, now, slot);
            return;
        }
        let deadline = now.after(shared.options.eject_limit);
        if let Some(function) = self.functions.get_mut(&slot) {
            function.eject_deadline.get_or_insert(deadline);
        }
        self.send_eject(shared, now, slot.to_wire());
    }

    /// Sends EJECT for any slot number.
    pub(in crate::host) fn send_eject(&mut self, shared: &mut Shared, now: Time, wslot: u32) {
        let message = Writer::starting(MessageType::EJECT.0).u32(wslot).finish();
        self.notify(shared, now, Some(wslot), message);
    }

    /// Takes a function away without asking. False if there is none.
    pub(in crate::host) fn remove(&mut self, shared: &mut Shared, now: Time, slot: Slot) -> bool {
        let known = self.take_away(shared, now, slot);
        if known {
            self.relations_changed(shared, now);
        }
        known
    }

    /// Functions that the guest was asked for and did not give back in time are taken.
    pub(super) fn expire_ejects(&mut self, shared: &mut Shared, now: Time) {
        let late = |(slot, function): (&Slot, &crate::host::function::Function)| {
            function.eject_deadline.is_some_and(|deadline| deadline <= now).then_some(*slot)
        };
        let late: Vec<Slot> = self.functions.iter().filter_map(late).collect();
        for slot in late {
            shared.violation(now, self.id, Some(slot), ViolationKind::EjectTimedOut);
            self.finish_eject(shared, now, slot);
        }
    }

    /// Takes an ejected function away; an empty bus is rescinded, another is told.
    pub(super) fn finish_eject(&mut self, shared: &mut Shared, now: Time, slot: Slot) {
        self.take_away(shared, now, slot);
        if self.functions.is_empty() && shared.options.rescind_after_eject {
            self.rescind(shared, now);
        } else {
            self.relations_changed(shared, now);
        }
    }

    /// Removes a function with everything it holds.
    pub(in crate::host) fn take_away(&mut self, shared: &mut Shared, now: Time, slot: Slot) -> bool {
        self.release(shared, now, slot);
        let known = self.functions.remove(&slot).is_some();
        if known {
            self.departed.insert(slot);
        }
        known
    }

    /// Takes back what a function holds: decode, interrupts, BARs, resources.
    pub(super) fn release(&mut self, shared: &mut Shared, now: Time, slot: Slot) {
        self.turn_off_by_host(shared, now, slot);
        let Some(function) = self.functions.get_mut(&slot) else { return };
        for interrupt in function.interrupts.drain(..) {
            shared.messages.free(&interrupt);
        }
        function.device.clear_bars();
        function.assigned = false;
        function.power_state = 0;
    }

    fn release_all(&mut self, shared: &mut Shared, now: Time) {
        let slots: Vec<Slot> = self.functions.keys().copied().collect();
        for slot in slots {
            self.release(shared, now, slot);
        }
        self.leftover = false;
        for function in self.functions.values_mut() {
            function.eject_deadline = None;
        }
        self.forget_conversation();
    }

    /// Back to what a freshly opened channel starts with; the functions stay as they are.
    fn forget_conversation(&mut self) {
        let leftover = self.leftover;
        self.ring = Ring::default();
        self.version = None;
        self.exited = false;
        self.refused = false;
        self.subscribed = false;
        self.selected = None;
        if !leftover {
            self.in_d0 = false;
            self.window = None;
        }
    }

    fn note_leaks(&self, shared: &mut Shared, now: Time) {
        let mut leak = |slot: Option<Slot>, kind: LeakKind| {
            shared.leaks.push(Leak { time: now, bus: self.id, slot, kind });
        };
        if self.in_d0 {
            leak(None, LeakKind::PowerUp);
        }
        for (slot, function) in &self.functions {
            if function.device.decodes() {
                leak(Some(*slot), LeakKind::Decode);
            }
            if function.assigned {
                leak(Some(*slot), LeakKind::Resources);
            }
            for interrupt in &function.interrupts {
                leak(Some(*slot), LeakKind::Interrupt { address: interrupt.address, data: interrupt.data });
            }
        }
    }
}
