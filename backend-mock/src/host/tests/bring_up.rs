//! Negotiation, relations, D0ENTRY and D0EXIT.

use hvpci_core::backend::Width;
use hvpci_core::wire::Version;

use super::guest::{Guest, WINDOW, dword};
use crate::host::packet::{MessageType, Writer, status};
use crate::host::{CostModel, FunctionSpec, HostOptions, PacketKind, VersionReply};

const ALL: [Version; 6] = [Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4, Version::V1_5, Version::V1_6];

fn query(guest: &mut Guest, version: Version) -> (u32, u32) {
    let reply = guest.call(&Writer::starting(MessageType::QUERY_PROTOCOL_VERSION.0).u32(version.0).finish());
    assert_eq!(reply.len(), 8);
    (dword(&reply, 0), dword(&reply, 4))
}

#[test]
fn any_subset_of_versions_may_be_offered() {
    for set in 1u32..64 {
        let offered: Vec<Version> =
            ALL.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, version)| *version).collect();
        let options = HostOptions::default().with_cost(CostModel::FREE).with_versions(&offered);
        for version in ALL.into_iter().chain([Version::V1_0, Version(0x0002_0000), Version(u32::MAX)]) {
            let mut guest = Guest::new(options.clone(), FunctionSpec::nvme());
            let wanted = if offered.contains(&version) { status::SUCCESS } else { status::REVISION_MISMATCH };
            let highest = offered.last().unwrap().0;
            assert_eq!(query(&mut guest, version), (wanted, highest), "{offered:?} {version}");
        }
    }
}

#[test]
fn a_refused_version_may_be_followed_by_another() {
    let options = HostOptions::openvmm();
    assert_eq!(options.version_reply, VersionReply::Fixed(Version::V1_3));
    let mut guest = Guest::new(options, FunctionSpec::nvme());
    assert_eq!(query(&mut guest, Version::V1_1), (status::REVISION_MISMATCH, 0x0001_0003));
    assert_eq!(query(&mut guest, Version::V1_6), (status::SUCCESS, 0x0001_0003));
    assert_eq!(guest.errors(), []);
}

#[test]
fn relations_follow_the_version() {
    for (version, kind, bytes) in [
        (Version::V1_1, MessageType::BUS_RELATIONS, 28),
        (Version::V1_2, MessageType::BUS_RELATIONS, 28),
        (Version::V1_3, MessageType::BUS_RELATIONS2, 36),
        (Version::V1_6, MessageType::BUS_RELATIONS2, 36),
    ] {
        let mut guest = Guest::new(HostOptions::default(), FunctionSpec::nvme());
        assert_eq!(guest.negotiate(version), 0);
        guest.send(&Writer::starting(MessageType::QUERY_BUS_RELATIONS.0).finish());
        let packets = guest.packets();
        assert_eq!(packets.len(), 1);
        assert_eq!((packets[0].kind, packets[0].transaction_id), (PacketKind::InBand, 0));
        assert_eq!((dword(&packets[0].payload, 0), packets[0].payload.len()), (kind.0, bytes));
    }
}

#[test]
fn a_completion_of_query_bus_relations_is_empty() {
    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::nvme());
    guest.negotiate(Version::V1_4);
    assert_eq!(guest.call(&Writer::starting(MessageType::QUERY_BUS_RELATIONS.0).finish()).len(), 0);
}

#[test]
fn relations_come_before_or_after_the_d0_completion() {
    for before in [true, false] {
        let options = HostOptions { relations_before_d0: before, ..HostOptions::default() };
        let mut guest = Guest::new(options, FunctionSpec::nvme());
        guest.negotiate(Version::V1_3);
        guest.ask(&Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(WINDOW).finish());
        let kinds: Vec<PacketKind> = guest.packets().iter().map(|packet| packet.kind).collect();
        let in_order = [PacketKind::InBand, PacketKind::Completion];
        assert_eq!(kinds, if before { in_order } else { [in_order[1], in_order[0]] });
    }
}

#[test]
fn the_window_answers_between_d0_entry_and_d0_exit() {
    let mut guest = Guest::in_d0();
    assert_eq!(guest.host.window_address(guest.bus), Some(WINDOW));
    assert_eq!(guest.read(0, Width::Dword), 0xC03E_1414);
    assert_eq!(guest.errors(), []);
    assert_eq!(guest.d0_exit(), 0);
    assert_eq!(guest.host.window_address(guest.bus), None);
    assert_eq!(guest.read(0, Width::Dword), u32::MAX);
    assert_eq!(guest.d0_entry(), 0);
    assert_eq!(guest.read(0, Width::Word), 0x1414);
}

#[test]
fn d0_exit_turns_decode_off_unless_the_host_leaves_that_to_the_close() {
    for clears in [true, false] {
        let options = HostOptions { d0_exit_clears_decode: clears, ..HostOptions::default() };
        let mut guest = Guest::new(options, FunctionSpec::nvme());
        guest.enter_d0(Version::V1_4);
        guest.assign_null();
        guest.set_bars();
        guest.command(2);
        guest.d0_exit();
        assert_eq!(guest.decodes(), !clears);
        let ledger = guest.host.bus_ledger(guest.bus);
        assert_eq!((ledger.maps, ledger.unmaps, ledger.host_unmaps), (1, 0, u64::from(clears)));
        guest.host.close_channel(guest.bus, guest.now);
        assert!(!guest.decodes());
        assert_eq!(guest.host.bus_ledger(guest.bus).host_unmaps, 1);
    }
}

#[test]
fn answers_take_a_round_trip() {
    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::nvme());
    guest.ask(&Writer::starting(MessageType::QUERY_PROTOCOL_VERSION.0).u32(Version::V1_4.0).finish());
    assert_eq!(guest.host.next_packet(guest.bus, guest.now), None);
    let due = guest.host.next_due(guest.bus).unwrap();
    assert_eq!(due.as_nanos(), 200_000);
    assert!(guest.host.next_packet(guest.bus, due).is_some());
}
