//! Every violation can be provoked, and is noted once.

use hvpci_core::Slot;
use hvpci_core::backend::Width;
use hvpci_core::wire::Version;

use super::guest::{BAR, Guest, WINDOW, assigned, create2, delete, power, slotted};
use crate::host::device::BarSpec;
use crate::host::packet::{Descriptor, MessageType, Writer, status};
use crate::host::{CostModel, FunctionSpec, HostOptions, PacketKind, Severity, ViolationKind};

fn fresh(version: Version) -> Guest {
    let mut guest = Guest::new(HostOptions::default().with_cost(CostModel::FREE), FunctionSpec::nvme());
    assert_eq!(guest.negotiate(version), 0);
    guest
}

/// The request fails, and this is noted about it.
fn refused(guest: &mut Guest, request: &[u8], kind: ViolationKind) {
    guest.host.clear_violations();
    assert_eq!(guest.status(request), status::BAD_DATA, "{kind:?}");
    assert_eq!(guest.errors(), [kind]);
    let noted = guest.host.violations()[0];
    assert_eq!((noted.bus, noted.time), (guest.bus, guest.now));
    assert!(!noted.to_string().is_empty());
}

#[test]
fn nothing_before_the_version() {
    let mut guest = Guest::new(HostOptions::default().with_cost(CostModel::FREE), FunctionSpec::nvme());
    for kind in [
        MessageType::QUERY_RESOURCE_REQUIREMENTS,
        MessageType::RESOURCES_RELEASED,
        MessageType::FDO_D0EXIT,
        MessageType::QUERY_BUS_RELATIONS,
    ] {
        refused(&mut guest, &slotted(kind, 0), ViolationKind::NotNegotiated(kind));
    }
}

#[test]
fn a_second_negotiation() {
    let mut guest = fresh(Version::V1_4);
    guest.negotiate(Version::V1_3);
    assert_eq!(guest.errors(), [ViolationKind::NegotiatedTwice]);
}

#[test]
fn requests_out_of_turn() {
    let mut guest = fresh(Version::V1_6);
    let create = create2(0, 0x20, 1);
    for request in [create.clone(), power(0, 1), slotted(MessageType::RESET_DEVICE, 0), delete(0, 0xFEE0_0000, 0)] {
        let kind = MessageType(u32::from_le_bytes(request[..4].try_into().unwrap()));
        refused(&mut guest, &request, ViolationKind::OutOfOrder(kind));
    }
    for kind in [MessageType::RESOURCES_ASSIGNED2, MessageType::RESOURCES_ASSIGNED3] {
        let request = assigned(kind, 0, [Descriptor::default(); 6]);
        refused(&mut guest, &request, ViolationKind::OutOfOrder(kind));
    }
    let exit = Writer::starting(MessageType::FDO_D0EXIT.0).finish();
    refused(&mut guest, &exit, ViolationKind::OutOfOrder(MessageType::FDO_D0EXIT));
    guest.host.clear_violations();
    assert_eq!(guest.d0_entry(), 0);
    // In D0, but without resources.
    refused(&mut guest, &create, ViolationKind::OutOfOrder(MessageType::CREATE_INTERRUPT2));
    refused(&mut guest, &power(0, 1), ViolationKind::OutOfOrder(MessageType::DEVICE_POWER_STATE_CHANGE));
    let entry = Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(WINDOW).finish();
    refused(&mut guest, &entry, ViolationKind::OutOfOrder(MessageType::FDO_D0ENTRY));
}

#[test]
fn requests_after_d0_exit() {
    let mut guest = Guest::in_d0();
    guest.d0_exit();
    for request in [create2(0, 0x20, 1), power(0, 1), slotted(MessageType::RESOURCES_RELEASED, 0)] {
        let kind = MessageType(u32::from_le_bytes(request[..4].try_into().unwrap()));
        refused(&mut guest, &request, ViolationKind::AfterD0Exit(kind));
    }
}

#[test]
fn messages_newer_than_the_version() {
    let reset = slotted(MessageType::RESET_DEVICE, 0);
    let none = [Descriptor::default(); 6];
    for (version, request) in [
        (Version::V1_1, assigned(MessageType::RESOURCES_ASSIGNED2, 0, none)),
        (Version::V1_1, create2(0, 0x20, 1)),
        (Version::V1_3, assigned(MessageType::RESOURCES_ASSIGNED3, 0, none)),
        (Version::V1_4, reset),
    ] {
        let kind = MessageType(u32::from_le_bytes(request[..4].try_into().unwrap()));
        let mut guest = fresh(version);
        guest.d0_entry();
        refused(&mut guest, &request, ViolationKind::NewerThanVersion(kind, version));
    }
    let mut guest = fresh(Version::V1_1);
    guest.d0_entry();
    assert_eq!(guest.status(&assigned(MessageType::RESOURCES_ASSIGNED, 0, none)), 0);
}

#[test]
fn unknown_malformed_and_misaddressed_messages() {
    let mut guest = Guest::ready();
    for kind in [0x4249_00FF, 0, 0x4249_000B, 0x4249_000D, 0x4249_0018] {
        let request = Writer::starting(kind).u32(0).finish();
        refused(&mut guest, &request, ViolationKind::UnknownMessage(MessageType(kind)));
    }
    let no_room = Writer::starting(MessageType::RESOURCES_ASSIGNED2.0).zeros(132).finish();
    refused(&mut guest, &no_room, ViolationKind::Malformed(MessageType::RESOURCES_ASSIGNED2));
    for state in [0, 5] {
        refused(&mut guest, &power(0, state), ViolationKind::Malformed(MessageType::DEVICE_POWER_STATE_CHANGE));
    }
    for slot in [1, 256, u32::MAX] {
        let kind = MessageType::QUERY_RESOURCE_REQUIREMENTS;
        refused(&mut guest, &slotted(kind, slot), ViolationKind::UnknownSlot(kind, slot));
    }
}

#[test]
fn transaction_ids() {
    let mut guest = Guest::ready();
    let request = slotted(MessageType::GET_RESOURCES, 0);
    let send = |guest: &mut Guest, id: u64| {
        guest.host.guest_packet(guest.bus, guest.now, PacketKind::InBand, true, id, &request).unwrap();
    };
    send(&mut guest, 0);
    assert_eq!(guest.errors(), [ViolationKind::ZeroTransactionId(MessageType::GET_RESOURCES)]);
    guest.packets();
    send(&mut guest, 77);
    send(&mut guest, 77);
    assert_eq!(guest.errors()[1..], [ViolationKind::TransactionIdInUse(77)]);
    guest.packets();
    // Read by the guest: free again.
    send(&mut guest, 77);
    assert_eq!(guest.errors().len(), 2);
}

#[test]
fn resources_twice_and_descriptors_that_do_not_fit() {
    let mut guest = Guest::ready();
    guest.assign_null();
    assert_eq!(guest.errors(), [ViolationKind::AssignedTwice]);
    guest.status(&slotted(MessageType::RESOURCES_RELEASED, 0));
    let mut descriptors = [Descriptor::default(); 6];
    descriptors[4] = Descriptor::memory(0x800, 4096);
    let request = assigned(MessageType::RESOURCES_ASSIGNED2, 0, descriptors);
    refused(&mut guest, &request, ViolationKind::BadDescriptor { register: 4 });
}

#[test]
fn deleting_what_is_not_there() {
    let mut guest = Guest::ready();
    let (address, data) = guest.create(0x20);
    for (address, data) in [(address + 4, data), (address, data + 1)] {
        refused(&mut guest, &delete(0, address, data), ViolationKind::UnknownInterrupt { address, data });
    }
}

#[test]
fn bars_written_while_decoding_are_ignored() {
    let mut guest = Guest::ready();
    guest.command(2);
    guest.write(0x24, Width::Dword, 0x99);
    assert_eq!(guest.read(0x24, Width::Dword), 0x10);
    assert_eq!(guest.errors(), [ViolationKind::BarWriteWhileDecoding { register: 5 }]);
    // By message, too.
    let mut descriptors = [Descriptor::default(); 6];
    descriptors[0] = Descriptor::memory(BAR + (1 << 20), 64 << 10);
    guest.host.clear_violations();
    guest.status(&assigned(MessageType::RESOURCES_ASSIGNED2, 0, descriptors));
    let noted = guest.errors();
    // An empty descriptor writes nothing.
    assert_eq!(noted[1..], [ViolationKind::BarWriteWhileDecoding { register: 0 }]);
    assert_eq!(guest.host.function(guest.bus, Slot::ZERO).unwrap().bars[1], 0x10);
}

#[test]
fn decode_where_it_must_not_be() {
    let mut guest = Guest::in_d0();
    guest.assign_null();
    guest.write(0x14, Width::Dword, 0x10);
    guest.command(2);
    assert_eq!(guest.errors(), [ViolationKind::DecodeAtZero { register: 4 }]);
    guest.command(0);

    guest.host.clear_violations();
    guest.write(0x20, Width::Dword, 0x8000);
    guest.write(0x24, Width::Dword, 0x10);
    guest.command(2);
    let (other_bus, other_slot) = (guest.bus, Slot::ZERO);
    assert_eq!(guest.errors(), [ViolationKind::DecodeOverlap { register: 4, other_bus, other_slot }]);
    guest.command(0);

    guest.host.clear_violations();
    guest.host.give_aperture(guest.bus, BAR, 0x1_0000);
    guest.write(0x20, Width::Dword, 0x1_0000);
    guest.command(2);
    let address = BAR + 0x1_0000;
    assert_eq!(guest.errors(), [ViolationKind::DecodeOutsideAperture { register: 4, address }]);
    guest.command(0);

    guest.host.clear_violations();
    guest.host.give_aperture(guest.bus, address, 0x1000);
    guest.command(2);
    guest.command(0);
    assert_eq!(guest.errors(), []);
    guest.host.take_aperture(guest.bus, address, 0x1000);
    guest.command(2);
    assert_eq!(guest.errors().len(), 1);
}

#[test]
fn small_bars_take_a_page_each() {
    let small = [BarSpec::narrow(0, 256), BarSpec::narrow(1, 256)];
    let mut guest = Guest::new(HostOptions::default().with_cost(CostModel::FREE), FunctionSpec::gpu_with_bars(&small));
    guest.enter_d0(Version::V1_4);
    guest.assign_null();
    guest.write(0x10, Width::Dword, 0xE000_0000);
    guest.write(0x14, Width::Dword, 0xE000_0F00);
    guest.command(2);
    let (other_bus, other_slot) = (guest.bus, Slot::ZERO);
    let wanted = [
        ViolationKind::DecodeOffPage { register: 1, address: 0xE000_0F00 },
        ViolationKind::DecodeOverlap { register: 1, other_bus, other_slot },
    ];
    assert_eq!(guest.errors(), wanted);
    guest.command(0);
    guest.write(0x14, Width::Dword, 0xE000_1000);
    guest.command(2);
    assert_eq!(guest.errors().len(), 2);
}

#[test]
fn decode_by_power_is_checked_as_well() {
    let mut guest = Guest::in_d0();
    guest.assign_null();
    guest.status(&power(0, 1));
    assert_eq!(guest.errors(), [0, 4].map(|register| ViolationKind::DecodeAtZero { register }));
}

#[test]
fn windows_where_they_must_not_be() {
    let mut guest = fresh(Version::V1_4);
    for window in [0, WINDOW + 8, u64::MAX - 0xFFF] {
        let entry = Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(window).finish();
        refused(&mut guest, &entry, ViolationKind::BadWindow(window));
    }
    guest.host.set_leftover(guest.bus, Slot::ZERO, true, &[(0, WINDOW & !0xFFFF), (4, BAR)]);
    let entry = Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(WINDOW).finish();
    refused(&mut guest, &entry, ViolationKind::BadWindow(WINDOW));
}

#[test]
fn accesses_that_the_window_does_not_have() {
    let mut guest = Guest::ready();
    guest.select(0);
    let (bus, now) = (guest.bus, guest.now);
    assert_eq!(guest.host.window_page_load(bus, now, 0, 4).0, u32::MAX);
    guest.host.window_page_store(bus, now, 0, 2, 0);
    guest.host.window_page_store(bus, now, 4, 4, 0);
    assert_eq!(guest.errors(), [ViolationKind::SelectorAccess; 3]);
    guest.host.clear_violations();
    for (offset, bytes) in [(0x1001, 2), (0x1002, 4), (0x1000, 8), (0x1000, 3), (0x1000, 0), (0x2000, 4), (u32::MAX, 1)]
    {
        guest.host.window_page_load(bus, now, offset, bytes);
        guest.host.window_page_store(bus, now, offset, bytes, 0);
        assert_eq!(guest.errors(), [ViolationKind::BadConfigAccess { offset, bytes }; 2]);
        guest.host.clear_violations();
    }
    guest.d0_exit();
    guest.host.clear_violations();
    assert_eq!(guest.host.window_read(bus, now, 0, Width::Word).0, 0xFFFF);
    assert_eq!(guest.errors(), [ViolationKind::WindowNotMapped]);
}

#[test]
fn ejection_complete_without_eject() {
    let mut guest = Guest::ready();
    let request = slotted(MessageType::EJECTION_COMPLETE, 0);
    refused(&mut guest, &request, ViolationKind::UnexpectedEjectionComplete);
    assert!(guest.host.function(guest.bus, Slot::ZERO).is_some());
}

#[test]
fn remarks_are_no_errors() {
    let mut guest = Guest::ready();
    guest.d0_exit();
    guest.d0_entry();
    guest.send(&slotted(MessageType::RESOURCES_RELEASED, 5));
    let noted: Vec<(Severity, ViolationKind)> =
        guest.host.violations().iter().map(|found| (found.severity(), found.kind)).collect();
    let wanted = [ViolationKind::NotReleasedBeforeD0Exit, ViolationKind::ReleasedUnassigned(5)];
    assert_eq!(noted, wanted.map(|kind| (Severity::Info, kind)));
}

#[test]
fn completions_from_the_guest_mean_nothing() {
    let mut guest = Guest::ready();
    guest.host.guest_packet(guest.bus, guest.now, PacketKind::Completion, false, 0, &[]).unwrap();
    assert_eq!((guest.packets(), guest.errors()), (vec![], vec![]));
}
