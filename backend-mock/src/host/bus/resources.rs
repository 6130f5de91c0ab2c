//! QUERY_RESOURCE_REQUIREMENTS, GET_RESOURCES, RESOURCES_ASSIGNED*, RESOURCES_RELEASED.

use hvpci_core::Slot;

use super::Bus;
use super::send::Call;
use crate::host::ViolationKind;
use crate::host::device::Device;
use crate::host::packet::{Descriptor, InterruptRequest, MessageType, Writer, status};
use crate::host::shared::Shared;

impl Bus {
    pub(super) fn query_requirements(&mut self, shared: &Shared, call: &Call, slot: Slot) {
        let Some(function) = self.functions.get(&slot) else { return };
        let mut reply = Writer::starting(status::SUCCESS);
        for mask in function.device.probed().0 {
            reply = reply.u32(mask);
        }
        self.complete(shared, call, call.now, reply.finish());
    }

    pub(super) fn get_resources(&mut self, shared: &Shared, call: &Call, slot: Slot) {
        let Some(function) = self.functions.get(&slot) else { return };
        // Version 1, revision 1, six descriptors; there is no status.
        let mut reply = Writer::new().u16(1).u16(1).u32(6);
        for register in 0..6u8 {
            let descriptor = match function.device.range(register) {
                Some((address, size)) if address != 0 => Descriptor::memory(address, size),
                _ => Descriptor::default(),
            };
            reply = descriptor.write(reply);
        }
        self.complete(shared, call, call.now, reply.finish());
    }

    pub(super) fn assign(
        &mut self,
        shared: &mut Shared,
        call: &Call,
        slot: Slot,
        descriptors: &[Descriptor; 6],
        interrupts: &[InterruptRequest],
    ) {
        let Some(function) = self.functions.get_mut(&slot) else { return };
        let bad =
            (0..6u8).zip(descriptors).find(|(register, descriptor)| !fits(&function.device, *register, descriptor));
        if let Some((register, _)) = bad {
            shared.violation(call.now, self.id, Some(slot), ViolationKind::BadDescriptor { register });
            self.complete_status(shared, call, status::BAD_DATA);
            return;
        }
        for (register, descriptor) in (0..6u8).zip(descriptors) {
            if function.device.range(register).is_none() {
                continue;
            }
            if function.device.decodes() && descriptor.is_null() {
                // Linux sends no addresses: nothing is written.
            } else if function.device.decodes() {
                let kind = ViolationKind::BarWriteWhileDecoding { register };
                shared.violation(call.now, self.id, Some(slot), kind);
            } else {
                function.device.program_bar(register, if descriptor.is_null() { 0 } else { descriptor.address });
            }
        }
        function.assigned = true;
        let mut reply = Writer::starting(status::SUCCESS).u32(slot.to_wire());
        for descriptor in descriptors {
            reply = descriptor.write(reply);
        }
        let count = u32::try_from(interrupts.len()).unwrap_or(u32::MAX);
        reply = reply.u32(count).u32(0);
        let entry_bytes: usize = match call.kind {
            MessageType::RESOURCES_ASSIGNED => 16,
            MessageType::RESOURCES_ASSIGNED3 if !shared.options.short_assigned3_entries => 80,
            _ => 72,
        };
        for request in interrupts {
            let Some(interrupt) = shared.messages.create(request) else { continue };
            reply = reply
                .u16(0)
                .u16(interrupt.count)
                .u32(interrupt.data)
                .u64(interrupt.address)
                .zeros(entry_bytes.saturating_sub(16));
            function.interrupts.push(interrupt);
        }
        self.complete(shared, call, call.now, reply.finish());
    }

    pub(super) fn released(&mut self, shared: &mut Shared, call: &Call, slot: Slot) {
        self.release(shared, call.now, slot);
        self.settle_leftover();
        if !shared.options.quirks.released_never_completes {
            self.complete_status(shared, call, status::SUCCESS);
        }
    }
}

/// Whether a descriptor may be given to a BAR register.
fn fits(device: &Device, register: u8, descriptor: &Descriptor) -> bool {
    if descriptor.is_null() {
        return true;
    }
    let Some((_, size)) = device.range(register) else { return false };
    let is_64bit = device.is_64bit(register);
    let Some(bytes) = descriptor.bytes() else { return false };
    let last = descriptor.address.checked_add(size.saturating_sub(1));
    bytes != 0
        && bytes <= size
        && descriptor.address & size.saturating_sub(1) == 0
        && last.is_some_and(|last| is_64bit || last <= u64::from(u32::MAX))
}
