//! Channels that close and are rescinded, functions that come and go, rings that fill up.

use core::time::Duration;

use hvpci_core::Slot;
use hvpci_core::backend::Width;
use hvpci_core::wire::Version;

use super::guest::{Guest, dword, slotted};
use crate::host::packet::{MessageType, Writer};
use crate::host::{
    ChannelState, CostModel, Event, FunctionSpec, HostOptions, LeakKind, PacketKind, SendRefused, ViolationKind,
};

fn second() -> FunctionSpec {
    FunctionSpec::gpu(1 << 30).at(Slot::new(0, 1).unwrap()).with_serial(7)
}

/// The slots in the next packet, which must be relations.
fn relations(guest: &mut Guest) -> Vec<u32> {
    let packet = guest.packet().unwrap();
    assert_eq!(dword(&packet.payload, 0), MessageType::BUS_RELATIONS2.0);
    let entries: Vec<u32> = packet.payload[8..].chunks(28).map(|entry| dword(entry, 12)).collect();
    assert_eq!(entries.len(), dword(&packet.payload, 4) as usize);
    entries
}

#[test]
fn closing_reports_what_is_still_held() {
    let mut guest = Guest::ready();
    guest.command(6);
    let (address, data) = guest.create(0x30);
    guest.host.close_channel(guest.bus, guest.now);
    let kinds: Vec<LeakKind> = guest.host.leaks().iter().map(|leak| leak.kind).collect();
    let wanted = [LeakKind::PowerUp, LeakKind::Decode, LeakKind::Resources, LeakKind::Interrupt { address, data }];
    assert_eq!(kinds, wanted);
    assert!(!guest.decodes());
    assert_eq!(guest.host.ledger(guest.bus, Slot::ZERO).host_unmaps, 1);
    // Everything was taken back: the next conversation starts afresh.
    assert!(guest.host.open_channel(guest.bus, guest.now));
    guest.enter_d0(Version::V1_3);
    guest.assign_null();
    assert_eq!(guest.errors(), []);
}

#[test]
fn an_orderly_guest_leaks_nothing() {
    let mut guest = Guest::ready();
    guest.command(6);
    let (address, data) = guest.create(0x30);
    guest.status(&super::guest::delete(0, address, data));
    guest.status(&slotted(MessageType::RESOURCES_RELEASED, 0));
    guest.d0_exit();
    guest.host.close_channel(guest.bus, guest.now);
    assert_eq!((guest.host.leaks(), guest.host.violations()), (&[][..], &[][..]));
}

#[test]
fn a_rescinded_channel_is_silent_and_its_window_all_ones() {
    let mut guest = Guest::ready();
    guest.command(6);
    guest.ask(&slotted(MessageType::GET_RESOURCES, 0));
    guest.host.rescind(guest.bus, guest.now);
    assert_eq!(guest.packets(), []);
    assert!(!guest.decodes());
    assert_eq!(guest.host.ledger(guest.bus, Slot::ZERO).host_unmaps, 1);
    assert_eq!(guest.read(0, Width::Word), 0xFFFF);
    assert_eq!(guest.errors(), []);
    let sent = guest.host.guest_packet(guest.bus, guest.now, PacketKind::InBand, false, 0, &[0; 8]);
    assert_eq!(sent, Err(SendRefused::Closed));
    assert_eq!(guest.errors(), [ViolationKind::ChannelGone]);
    guest.host.close_channel(guest.bus, guest.now);
    assert_eq!(guest.host.leaks(), []);
    assert!(!guest.host.open_channel(guest.bus, guest.now));

    assert_eq!(guest.host.poll_event(), Some(Event::Offered(guest.bus)));
    assert_eq!(guest.host.poll_event(), Some(Event::Rescinded(guest.bus)));
    guest.host.offer(guest.bus);
    assert_eq!(guest.host.poll_event(), Some(Event::Offered(guest.bus)));
    assert_eq!(guest.host.poll_event(), None);
    assert!(guest.host.open_channel(guest.bus, guest.now));
    guest.enter_d0(Version::V1_4);
}

#[test]
fn functions_are_added_and_taken_away_under_way() {
    let mut guest = Guest::ready();
    let two = second().description.slot;
    assert!(guest.host.add_function(guest.bus, guest.now, second()));
    assert!(!guest.host.add_function(guest.bus, guest.now, second()));
    assert_eq!(relations(&mut guest), [0, two.to_wire()]);
    assert_eq!(guest.status(&slotted(MessageType::QUERY_RESOURCE_REQUIREMENTS, two.to_wire())), 0);
    guest.command(2);

    assert!(guest.host.remove_function(guest.bus, guest.now, Slot::ZERO));
    assert!(!guest.host.remove_function(guest.bus, guest.now, Slot::ZERO));
    assert_eq!(relations(&mut guest), [two.to_wire()]);
    assert_eq!(guest.read(0, Width::Dword), u32::MAX);
    let ledger = guest.host.ledger(guest.bus, Slot::ZERO);
    assert_eq!((ledger.maps, ledger.host_unmaps), (1, 1));
    // Messages that crossed the removal are late, not wrong.
    assert_ne!(guest.status(&slotted(MessageType::RESOURCES_RELEASED, 0)), 0);
    assert_eq!(guest.errors(), []);
    assert_eq!(guest.host.slots(guest.bus), [two]);
}

#[test]
fn relations_do_not_go_to_a_guest_that_has_not_asked() {
    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::nvme());
    guest.negotiate(Version::V1_4);
    guest.host.add_function(guest.bus, guest.now, second());
    assert_eq!(guest.packets(), []);
    guest.send(&Writer::starting(MessageType::QUERY_BUS_RELATIONS.0).finish());
    assert_eq!(relations(&mut guest).len(), 2);
    guest.host.send_relations(guest.bus, guest.now);
    assert_eq!(relations(&mut guest).len(), 2);
}

#[test]
fn an_ejected_function_goes_when_the_guest_says_so() {
    let mut guest = Guest::ready();
    guest.host.add_function(guest.bus, guest.now, second());
    guest.packets();
    let two = second().description.slot;
    guest.host.eject(guest.bus, guest.now, two);
    // The limit of the eject is due, too.
    let packet = guest.host.next_packet(guest.bus, guest.now).unwrap();
    assert_eq!(packet.payload, [0x0B, 0, 0x49, 0x42, 0x20, 0, 0, 0]);
    assert!(guest.host.function(guest.bus, two).unwrap().ejecting);
    guest.send(&Writer::starting(MessageType::EJECTION_COMPLETE.0).u32(two.to_wire()).u32(0).finish());
    assert_eq!(relations(&mut guest), [0]);
    // The last one takes the channel with it. Eight bytes are as good as twelve.
    guest.host.eject(guest.bus, guest.now, Slot::ZERO);
    guest.send(&slotted(MessageType::EJECTION_COMPLETE, 0));
    assert_eq!(guest.host.channel(guest.bus), ChannelState::Rescinded);
    assert_eq!(guest.errors(), []);
}

#[test]
fn an_emptied_bus_may_stay() {
    let options = HostOptions { rescind_after_eject: false, ..HostOptions::default() };
    let mut guest = Guest::new(options.with_cost(CostModel::FREE), FunctionSpec::nvme());
    guest.enter_d0(Version::V1_4);
    guest.host.eject(guest.bus, guest.now, Slot::ZERO);
    assert!(guest.host.next_packet(guest.bus, guest.now).is_some());
    guest.send(&slotted(MessageType::EJECTION_COMPLETE, 0));
    assert_eq!(guest.host.channel(guest.bus), ChannelState::Open);
    assert_eq!(relations(&mut guest).len(), 0);
}

#[test]
fn an_eject_that_is_not_answered_ends_by_force() {
    let mut guest = Guest::ready();
    guest.host.eject(guest.bus, guest.now, Slot::ZERO);
    guest.host.next_packet(guest.bus, guest.now);
    guest.wait(Duration::from_secs(59));
    assert_eq!(guest.host.next_packet(guest.bus, guest.now), None);
    assert_eq!(guest.host.channel(guest.bus), ChannelState::Open);
    guest.wait(Duration::from_secs(1));
    assert_eq!(guest.host.next_due(guest.bus), Some(guest.now));
    assert_eq!(guest.host.next_packet(guest.bus, guest.now), None);
    assert_eq!(guest.host.channel(guest.bus), ChannelState::Rescinded);
    assert_eq!(guest.errors(), [ViolationKind::EjectTimedOut]);
}

#[test]
fn block_invalidation_is_sixteen_bytes() {
    let mut guest = Guest::ready();
    guest.host.set_block(guest.bus, Slot::ZERO, 3, &[1]);
    guest.host.invalidate_block(guest.bus, guest.now, Slot::ZERO, 1 << 3 | 1 << 63);
    let packet = guest.packet().unwrap();
    assert_eq!(packet.payload, [0x12, 0, 0x49, 0x42, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0x80]);
}

#[test]
fn packets_of_a_tests_own_making_come_as_they_are() {
    let mut guest = Guest::in_d0();
    guest.host.send_raw(guest.bus, guest.now, PacketKind::Completion, 99, &[1, 2, 3]);
    guest.host.send_eject(guest.bus, guest.now, 0xFFFF_FFFF);
    let raw = guest.packet().unwrap();
    assert_eq!((raw.kind, raw.transaction_id, raw.payload), (PacketKind::Completion, 99, vec![1, 2, 3]));
    assert_eq!(guest.packet().unwrap().payload, [0x0B, 0, 0x49, 0x42, 0xFF, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn a_guest_that_does_not_drain_is_not_read() {
    let options = HostOptions { ring_bytes: 2048, ..HostOptions::default() };
    let mut guest = Guest::new(options.with_cost(CostModel::FREE), FunctionSpec::nvme());
    guest.enter_d0(Version::V1_4);
    let request = slotted(MessageType::GET_RESOURCES, 0);
    let mut sent = 0u64;
    let refused = loop {
        match guest.host.guest_packet(guest.bus, guest.now, PacketKind::InBand, true, 1000 + sent, &request) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
        assert!(sent < 1000);
    };
    assert_eq!(refused, SendRefused::RingFull);
    assert!(guest.host.unread_packets(guest.bus) > 0);
    // Draining lets the host read on; nothing is lost and the order stays.
    let ids: Vec<u64> = guest.packets().iter().map(|packet| packet.transaction_id).collect();
    assert_eq!(ids, (1000..1000 + sent).collect::<Vec<u64>>());
    assert_eq!(guest.host.unread_packets(guest.bus), 0);
}

#[test]
fn a_full_bus_of_256_functions() {
    let mut guest = Guest::new(HostOptions::default().with_cost(CostModel::FREE), FunctionSpec::nvme());
    for slot in 1..=255 {
        let slot = Slot::from_wire(slot).unwrap();
        assert!(guest.host.add_function(guest.bus, guest.now, FunctionSpec::nvme().at(slot)));
    }
    guest.enter_d0(Version::V1_4);
    guest.send(&Writer::starting(MessageType::QUERY_BUS_RELATIONS.0).finish());
    assert_eq!(relations(&mut guest), (0..256).collect::<Vec<u32>>());
}
