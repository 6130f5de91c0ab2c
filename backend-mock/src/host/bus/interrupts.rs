//! CREATE_INTERRUPT* and DELETE_INTERRUPT.

use hvpci_core::Slot;

use super::Bus;
use super::send::Call;
use crate::host::ViolationKind;
use crate::host::packet::{InterruptRequest, Writer, status};
use crate::host::shared::Shared;

impl Bus {
    pub(super) fn create_interrupt(
        &mut self,
        shared: &mut Shared,
        call: &Call,
        slot: Slot,
        request: &InterruptRequest,
    ) {
        let Some(function) = self.functions.get_mut(&slot) else { return };
        let Some(interrupt) = shared.messages.create(request) else {
            self.complete_status(shared, call, status::UNSUCCESSFUL);
            return;
        };
        let reply = Writer::starting(status::SUCCESS)
            .u32(0)
            .u16(0)
            .u16(interrupt.count)
            .u32(interrupt.data)
            .u64(interrupt.address);
        function.interrupts.push(interrupt);
        self.complete(shared, call, call.now, reply.finish());
    }

    pub(super) fn delete_interrupt(&mut self, shared: &mut Shared, call: &Call, slot: Slot, address: u64, data: u32) {
        let Some(function) = self.functions.get_mut(&slot) else { return };
        let found =
            function.interrupts.iter().position(|interrupt| (interrupt.address, interrupt.data) == (address, data));
        let result = match found {
            Some(at) => {
                let interrupt = function.interrupts.remove(at);
                shared.messages.free(&interrupt);
                status::SUCCESS
            }
            None => {
                shared.violation(call.now, self.id, Some(slot), ViolationKind::UnknownInterrupt { address, data });
                status::BAD_DATA
            }
        };
        self.complete_status(shared, call, result);
    }
}
