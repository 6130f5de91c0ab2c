//! What the host's administrator does: functions come and go, blocks change, odd packets are sent.

use alloc::vec::Vec;

use hvpci_core::{Slot, Time};

use super::device::Device;
use super::function::Function;
use super::packet::{MessageType, Writer};
use super::{BusId, FunctionSpec, FunctionState, Host, HostPacket, PacketKind};

impl Host {
    /// Adds a function to a bus and tells the guest. False if its slot is taken.
    pub fn add_function(&mut self, bus: BusId, now: Time, spec: FunctionSpec) -> bool {
        let Some((bus, shared)) = self.parts(bus) else { return false };
        let slot = spec.description.slot;
        if bus.functions.contains_key(&slot) {
            return false;
        }
        bus.departed.remove(&slot);
        bus.functions.insert(slot, Function::new(spec));
        bus.relations_changed(shared, now);
        true
    }

    /// Takes a function away without asking and tells the guest by relations that leave it out. False if there is none.
    pub fn remove_function(&mut self, bus: BusId, now: Time, slot: Slot) -> bool {
        self.parts(bus).is_some_and(|(bus, shared)| bus.remove(shared, now, slot))
    }

    /// Asks the guest to give a function back. The function goes when the guest answers, or by force when
    /// [`super::HostOptions::eject_limit`] has passed. Asking again sends EJECT again.
    pub fn eject(&mut self, bus: BusId, now: Time, slot: Slot) {
        if let Some((bus, shared)) = self.parts(bus) {
            bus.eject(shared, now, slot);
        }
    }

    /// Sends an EJECT for any slot number, existing or not, and expects nothing.
    pub fn send_eject(&mut self, bus: BusId, now: Time, wslot: u32) {
        if let Some((bus, shared)) = self.parts(bus) {
            bus.send_eject(shared, now, wslot);
        }
    }

    /// Tells the guest that config blocks of a function changed: bit n of `mask` is block n.
    pub fn invalidate_block(&mut self, bus: BusId, now: Time, slot: Slot, mask: u64) {
        if let Some((bus, shared)) = self.parts(bus) {
            let message = Writer::starting(MessageType::INVALIDATE_BLOCK.0).u32(slot.to_wire()).u64(mask).finish();
            bus.notify(shared, now, Some(slot.to_wire()), message);
        }
    }

    /// Sets a config block without telling the guest.
    pub fn set_block(&mut self, bus: BusId, slot: Slot, block: u32, data: &[u8]) {
        if let Some(function) = self.parts(bus).and_then(|(bus, _)| bus.functions.get_mut(&slot)) {
            function.blocks.insert(block, data.to_vec());
        }
    }

    /// A config block as the guest left it.
    pub fn block(&self, bus: BusId, slot: Slot, block: u32) -> Option<&[u8]> {
        Some(self.bus(bus)?.functions.get(&slot)?.blocks.get(&block)?.as_slice())
    }

    /// Sends the relations once more, as they are.
    pub fn send_relations(&mut self, bus: BusId, now: Time) {
        if let Some((bus, shared)) = self.parts(bus) {
            bus.send_relations(shared, now);
        }
    }

    /// Puts a packet of a test's own making into the ring, due at `due`.
    pub fn send_raw(&mut self, bus: BusId, due: Time, kind: PacketKind, transaction_id: u64, payload: &[u8]) {
        if let Some((bus, _)) = self.parts(bus)
            && bus.is_open()
        {
            bus.queue_raw(due, HostPacket { kind, transaction_id, payload: payload.to_vec() });
        }
    }

    /// Makes a function stop answering config accesses (all ones), or answer again.
    pub fn set_gone(&mut self, bus: BusId, slot: Slot, gone: bool) {
        if let Some(function) = self.parts(bus).and_then(|(bus, _)| bus.functions.get_mut(&slot)) {
            function.gone = gone;
        }
    }

    /// Leaves a function as a previous kernel might have: decode on (without a map: it was made long ago) and BARs set.
    pub fn set_leftover(&mut self, bus: BusId, slot: Slot, decode: bool, bars: &[(u8, u64)]) {
        let Some((bus, shared)) = self.parts(bus) else { return };
        let id = bus.id;
        if let Some(function) = bus.functions.get_mut(&slot) {
            for (register, address) in bars {
                function.device.program_bar(*register, *address);
            }
            function.device.set_decode(decode);
            shared.mapped.retain(|range| (range.bus, range.slot) != (id, slot));
            if decode {
                shared.map_ranges(id, slot, &function.device);
            }
        }
    }

    /// What the host holds of a function.
    pub fn function(&self, bus: BusId, slot: Slot) -> Option<FunctionState> {
        self.bus(bus)?.functions.get(&slot).map(Function::state)
    }

    /// The hardware of a function.
    pub fn device(&self, bus: BusId, slot: Slot) -> Option<&Device> {
        self.bus(bus)?.functions.get(&slot).map(|function| &function.device)
    }

    /// The hardware of a function, for a test to change behind the guest's back.
    pub fn device_mut(&mut self, bus: BusId, slot: Slot) -> Option<&mut Device> {
        self.parts(bus)?.0.functions.get_mut(&slot).map(|function| &mut function.device)
    }

    /// The slots of a bus that have a function.
    pub fn slots(&self, bus: BusId) -> Vec<Slot> {
        self.bus(bus).map_or_else(Vec::new, |bus| bus.functions.keys().copied().collect())
    }
}
