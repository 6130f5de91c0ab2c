//! D0ENTRY, D0EXIT, POWER_STATE_CHANGE, RESET_DEVICE.

use alloc::vec::Vec;

use hvpci_core::{Slot, Time};

use super::Bus;
use super::order::POWER_D0;
use super::send::Call;
use crate::host::mapper::MapReason;
use crate::host::packet::{Writer, status};
use crate::host::shared::Shared;
use crate::host::{PowerReply, ResetSupport, ViolationKind};

/// D3 as POWER_STATE_CHANGE numbers it.
const POWER_D3: u32 = 4;
/// Bytes of the config window.
const WINDOW_BYTES: u64 = 0x2000;

impl Bus {
    pub(super) fn d0_entry(&mut self, shared: &mut Shared, call: &Call, window: u64) {
        if self.leftover {
            self.refused = true;
            let failure = shared.options.leftover_status;
            self.complete_status(shared, call, failure);
            return;
        }
        let covered = shared.mapped.iter().any(|range| range.overlaps(window, WINDOW_BYTES));
        if window == 0 || !window.is_multiple_of(0x1000) || window.checked_add(WINDOW_BYTES).is_none() || covered {
            shared.violation(call.now, self.id, None, ViolationKind::BadWindow(window));
            self.refused = true;
            self.complete_status(shared, call, status::BAD_DATA);
            return;
        }
        self.window = Some(window);
        self.selected = None;
        self.in_d0 = true;
        self.exited = false;
        self.refused = false;
        self.subscribed = true;
        if shared.options.relations_before_d0 {
            self.send_relations(shared, call.now);
        }
        if !self.is_open() {
            return;
        }
        self.complete_status(shared, call, status::SUCCESS);
        if !shared.options.relations_before_d0 {
            self.send_relations(shared, call.now);
        }
    }

    pub(super) fn d0_exit(&mut self, shared: &mut Shared, call: &Call) {
        let slots: Vec<Slot> = self.functions.keys().copied().collect();
        for slot in slots {
            let assigned = self.functions.get(&slot).is_some_and(|function| function.assigned);
            if assigned && !self.leftover {
                shared.violation(call.now, self.id, Some(slot), ViolationKind::NotReleasedBeforeD0Exit);
            }
            if shared.options.d0_exit_clears_decode && !self.leftover {
                self.turn_off_by_host(shared, call.now, slot);
                if let Some(function) = self.functions.get_mut(&slot) {
                    function.assigned = false;
                    function.power_state = 0;
                }
            }
        }
        self.in_d0 = false;
        self.exited = true;
        self.window = None;
        self.selected = None;
        self.settle_leftover();
        self.complete_status(shared, call, status::SUCCESS);
    }

    /// A dead kernel's state is gone once its resources were released and D0 was left.
    pub(super) fn settle_leftover(&mut self) {
        if !self.in_d0 && !self.functions.values().any(|function| function.assigned) {
            self.leftover = false;
        }
    }

    pub(super) fn power_state_change(&mut self, shared: &mut Shared, call: &Call, slot: Slot, state: u32) {
        let ready = match state {
            POWER_D0 => self.turn_on(shared, call.now, slot, MapReason::Power),
            POWER_D3 => self.turn_off(shared, call.now, slot),
            _ => call.now,
        };
        if let Some(function) = self.functions.get_mut(&slot) {
            function.power_state = state;
        }
        let reply = Writer::starting(status::SUCCESS);
        let reply = match shared.options.power_reply {
            PowerReply::Short => reply,
            PowerReply::Full => reply.u32(slot.to_wire()).u32(state).u32(0),
        };
        self.complete(shared, call, ready, reply.finish());
    }

    pub(super) fn reset_device(&mut self, shared: &mut Shared, call: &Call, slot: Slot) {
        let result = match shared.options.reset {
            ResetSupport::NotSupported => status::NOT_SUPPORTED,
            ResetSupport::Real => {
                self.reset_function(shared, call.now, slot);
                status::SUCCESS
            }
        };
        self.complete_status(shared, call, result);
    }

    /// Resets a function: decode off by the host, registers at their reset values.
    pub(super) fn reset_function(&mut self, shared: &mut Shared, now: Time, slot: Slot) {
        self.turn_off_by_host(shared, now, slot);
        if let Some(function) = self.functions.get_mut(&slot) {
            function.device.reset();
        }
    }
}
