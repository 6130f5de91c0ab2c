//! A guest for tests: writes its packets by hand and lets virtual time pass.

use alloc::vec::Vec;
use core::time::Duration;

use hvpci_core::backend::Width;
use hvpci_core::wire::Version;
use hvpci_core::{InstanceId, Slot, Time};

use crate::host::packet::{Descriptor, MessageType, Writer};
use crate::host::{
    BusId, BusSpec, CostModel, FunctionSpec, Host, HostOptions, HostPacket, PacketKind, Severity, ViolationKind,
};

pub(super) const WINDOW: u64 = 0xF800_0000;
pub(super) const BAR: u64 = 0x10_0000_0000;

/// The recorded instance.
pub(super) fn instance() -> InstanceId {
    "3f5ae738-5c79-8781-8549-40abcf2714df".parse().unwrap()
}

/// A host with one bus of one function, and the guest's side of its channel.
pub(super) struct Guest {
    pub(super) host: Host,
    pub(super) bus: BusId,
    pub(super) now: Time,
    next_id: u64,
}

/// An ASSIGNED body: type, slot, descriptors, no interrupts, room for one.
pub(super) fn assigned(kind: MessageType, slot: u32, descriptors: [Descriptor; 6]) -> Vec<u8> {
    let mut packet = Writer::starting(kind.0).u32(slot);
    for descriptor in descriptors {
        packet = descriptor.write(packet);
    }
    packet.u32(0).u32(0).zeros(80).finish()
}

/// CREATE_INTERRUPT2 for one processor.
pub(super) fn create2(slot: u32, vector: u8, count: u16) -> Vec<u8> {
    Writer::starting(MessageType::CREATE_INTERRUPT2.0)
        .u32(slot)
        .u8(vector)
        .u8(0)
        .u16(count)
        .u16(1)
        .u16(3)
        .zeros(62)
        .finish()
}

pub(super) fn delete(slot: u32, address: u64, data: u32) -> Vec<u8> {
    Writer::starting(MessageType::DELETE_INTERRUPT.0).u32(slot).u16(0).u16(1).u32(data).u64(address).finish()
}

/// A message of a type and a slot.
pub(super) fn slotted(kind: MessageType, slot: u32) -> Vec<u8> {
    Writer::starting(kind.0).u32(slot).finish()
}

pub(super) fn power(slot: u32, state: u32) -> Vec<u8> {
    Writer::starting(MessageType::DEVICE_POWER_STATE_CHANGE.0).u32(slot).u32(state).u32(0).finish()
}

impl Guest {
    pub(super) fn new(options: HostOptions, function: FunctionSpec) -> Guest {
        let mut host = Host::new(options);
        let bus = host.add_bus(BusSpec::single(instance(), function));
        assert!(host.open_channel(bus, Time::ZERO));
        Guest { host, bus, now: Time::ZERO, next_id: 1 }
    }

    /// A host where nothing takes time, with the recorded NVMe function, brought up to 1.4 and D0.
    pub(super) fn in_d0() -> Guest {
        let mut guest = Guest::new(
            HostOptions::default().with_cost(CostModel::FREE),
            FunctionSpec::nvme().with_block(3, &[7; 100]),
        );
        guest.enter_d0(Version::V1_4);
        guest
    }

    /// The same with resources assigned and both BARs set.
    pub(super) fn ready() -> Guest {
        let mut guest = Guest::in_d0();
        guest.assign_null();
        guest.set_bars();
        guest
    }

    pub(super) fn enter_d0(&mut self, version: Version) {
        assert_eq!(self.negotiate(version), 0);
        assert_eq!(self.d0_entry(), 0);
    }

    pub(super) fn negotiate(&mut self, version: Version) -> u32 {
        self.status(&Writer::starting(MessageType::QUERY_PROTOCOL_VERSION.0).u32(version.0).finish())
    }

    pub(super) fn d0_entry(&mut self) -> u32 {
        self.status(&Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(WINDOW).finish())
    }

    pub(super) fn d0_exit(&mut self) -> u32 {
        self.status(&Writer::starting(MessageType::FDO_D0EXIT.0).finish())
    }

    pub(super) fn assign_null(&mut self) {
        assert_eq!(self.status(&assigned(MessageType::RESOURCES_ASSIGNED2, 0, [Descriptor::default(); 6])), 0);
    }

    /// The recorded BAR addresses, moved up.
    pub(super) fn set_bars(&mut self) {
        self.write(0x10, Width::Dword, 0);
        self.write(0x14, Width::Dword, 0x10);
        self.write(0x20, Width::Dword, 0x1_0000);
        self.write(0x24, Width::Dword, 0x10);
    }

    /// Sends without asking for a completion.
    pub(super) fn send(&mut self, payload: &[u8]) {
        self.host.guest_packet(self.bus, self.now, PacketKind::InBand, false, 0, payload).unwrap();
    }

    /// Sends and asks for a completion. Returns the transaction id.
    pub(super) fn ask(&mut self, payload: &[u8]) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.host.guest_packet(self.bus, self.now, PacketKind::InBand, true, id, payload).unwrap();
        id
    }

    /// The next packet, however long it takes.
    pub(super) fn packet(&mut self) -> Option<HostPacket> {
        self.now = self.now.max(self.host.next_due(self.bus)?);
        self.host.next_packet(self.bus, self.now)
    }

    /// Everything there is to come.
    pub(super) fn packets(&mut self) -> Vec<HostPacket> {
        core::iter::from_fn(|| self.packet()).collect()
    }

    /// Sends, and returns the completion; other packets on the way are thrown away.
    pub(super) fn call(&mut self, payload: &[u8]) -> Vec<u8> {
        let id = self.ask(payload);
        while let Some(packet) = self.packet() {
            if packet.kind == PacketKind::Completion && packet.transaction_id == id {
                return packet.payload;
            }
        }
        panic!("no completion");
    }

    pub(super) fn status(&mut self, payload: &[u8]) -> u32 {
        dword(&self.call(payload), 0)
    }

    pub(super) fn select(&mut self, slot: u32) {
        self.now = self.host.window_select(self.bus, self.now, slot);
    }

    pub(super) fn read(&mut self, offset: u16, width: Width) -> u32 {
        self.select(0);
        let (value, done) = self.host.window_read(self.bus, self.now, offset, width);
        self.now = done;
        value
    }

    pub(super) fn write(&mut self, offset: u16, width: Width, value: u32) {
        self.select(0);
        self.now = self.host.window_write(self.bus, self.now, offset, width, value);
    }

    pub(super) fn command(&mut self, value: u32) {
        self.write(0x04, Width::Word, value);
    }

    /// Creates an interrupt and returns its address and data.
    pub(super) fn create(&mut self, vector: u8) -> (u64, u32) {
        let reply = self.call(&create2(0, vector, 1));
        assert_eq!(dword(&reply, 0), 0);
        (u64::from_le_bytes(reply[16..24].try_into().unwrap()), dword(&reply, 12))
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    /// The violations that are not just remarks.
    pub(super) fn errors(&self) -> Vec<ViolationKind> {
        let errors = self.host.violations().iter().filter(|violation| violation.severity() == Severity::Error);
        errors.map(|violation| violation.kind).collect()
    }

    pub(super) fn decodes(&self) -> bool {
        self.host.function(self.bus, Slot::ZERO).unwrap().decodes
    }
}

pub(super) fn dword(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
