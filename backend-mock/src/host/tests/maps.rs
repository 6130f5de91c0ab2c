//! What a map costs, who waits for it, and what is counted.

use core::time::Duration;

use hvpci_core::backend::Width;
use hvpci_core::wire::Version;
use hvpci_core::{InstanceId, Slot, Time};

use super::guest::{Guest, WINDOW, power};
use crate::host::device::{BarSpec, Device};
use crate::host::packet::{MessageType, Writer};
use crate::host::{BusId, BusSpec, CostModel, FunctionSpec, Host, HostOptions, MapReason, PacketKind, ViolationKind};

const GIB_128: u64 = 128 << 30;

fn free_but_maps(parallel: u32) -> HostOptions {
    HostOptions::default().with_cost(CostModel {
        parallel,
        map_128_gib: Duration::from_millis(1800),
        ..CostModel::FREE
    })
}

/// A host with `count` buses of one 128 GiB GPU, each in D0 with its resources assigned and its BAR placed.
fn gpus(options: HostOptions, count: u8) -> (Host, Vec<BusId>) {
    let mut host = Host::new(options);
    let mut buses = Vec::new();
    for number in 0..count {
        let instance = InstanceId::from_bytes([number; 16]);
        let bus = host.add_bus(BusSpec::single(instance, FunctionSpec::gpu(GIB_128)));
        assert!(host.open_channel(bus, Time::ZERO));
        let assigned = Writer::starting(MessageType::RESOURCES_ASSIGNED2.0).u32(0).zeros(200).finish();
        for packet in [
            Writer::starting(MessageType::QUERY_PROTOCOL_VERSION.0).u32(Version::V1_4.0).finish(),
            Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(WINDOW + 0x2000 * u64::from(number)).finish(),
            assigned,
        ] {
            host.guest_packet(bus, Time::ZERO, PacketKind::InBand, false, 0, &packet).unwrap();
        }
        host.window_select(bus, Time::ZERO, 0);
        host.window_write(bus, Time::ZERO, 0x14, Width::Dword, 0x20 * (u32::from(number) + 1));
        buses.push(bus);
    }
    (host, buses)
}

#[test]
fn fourteen_maps_take_turns_or_run_at_once() {
    for (parallel, last) in [(1, 25_200), (2, 12_600), (14, 1_800), (100, 1_800)] {
        let (mut host, buses) = gpus(free_but_maps(parallel), 14);
        let ends: Vec<Time> =
            buses.iter().map(|bus| host.window_write(*bus, Time::ZERO, 0x04, Width::Word, 2)).collect();
        assert_eq!(ends.iter().max(), Some(&Time::ZERO.after(Duration::from_millis(last))), "{parallel}");
        let total = host.total_ledger();
        assert_eq!((total.maps, total.host_map_time), (14, Duration::from_millis(25_200)));
        assert_eq!(host.timeline().len(), 14);
        for (span, end) in host.timeline().iter().zip(ends) {
            assert_eq!((span.asked, span.end, span.reason), (Time::ZERO, end, MapReason::ConfigWrite));
            assert_eq!(span.end.since(span.start), Duration::from_millis(1800));
        }
        assert_eq!(host.violations(), []);
    }
}

#[test]
fn power_maps_complete_when_they_are_done() {
    let (mut host, buses) = gpus(free_but_maps(14), 14);
    for bus in &buses {
        host.guest_packet(*bus, Time::ZERO, PacketKind::InBand, true, 1, &power(0, 1)).unwrap();
    }
    let done = Time::ZERO.after(Duration::from_millis(1800));
    for bus in &buses {
        // The relations of D0ENTRY are there at once, the completion is not.
        assert_eq!(host.next_packet(*bus, Time::ZERO).unwrap().kind, PacketKind::InBand);
        assert_eq!(host.next_packet(*bus, Time::ZERO), None);
        assert_eq!(host.next_due(*bus), Some(done));
        assert_eq!(host.next_packet(*bus, done).unwrap().transaction_id, 1);
    }
    assert!(host.timeline().iter().all(|span| span.reason == MapReason::Power));
}

#[test]
fn an_enable_behind_a_power_map_waits_and_is_no_second_map() {
    let (mut host, buses) = gpus(free_but_maps(1), 1);
    host.guest_packet(buses[0], Time::ZERO, PacketKind::InBand, true, 1, &power(0, 1)).unwrap();
    let half = Time::ZERO.after(Duration::from_millis(900));
    let done = Time::ZERO.after(Duration::from_millis(1800));
    assert_eq!(host.window_write(buses[0], half, 0x04, Width::Word, 6), done);
    assert_eq!(host.total_ledger().maps, 1);
    // Reads do not wait; a write when the map is over does not either.
    assert_eq!(host.window_read(buses[0], half, 0x04, Width::Word), (6, half));
    let later = done.after(Duration::from_secs(1));
    assert_eq!(host.window_write(buses[0], later, 0x04, Width::Word, 2), later);
    // A second D0 while the first map runs completes with it.
    let (mut host, buses) = gpus(free_but_maps(1), 1);
    for id in [1, 2] {
        host.guest_packet(buses[0], Time::ZERO, PacketKind::InBand, true, id, &power(0, 1)).unwrap();
    }
    host.next_packet(buses[0], Time::ZERO);
    assert_eq!(host.next_packet(buses[0], done).unwrap().transaction_id, 1);
    assert_eq!(host.next_packet(buses[0], done).unwrap().transaction_id, 2);
    assert_eq!(host.total_ledger().maps, 1);
}

#[test]
fn an_unmap_waits_behind_the_map_and_is_free() {
    let (mut host, buses) = gpus(free_but_maps(1), 1);
    host.guest_packet(buses[0], Time::ZERO, PacketKind::InBand, true, 1, &power(0, 1)).unwrap();
    let done = Time::ZERO.after(Duration::from_millis(1800));
    assert_eq!(host.window_write(buses[0], Time::ZERO, 0x04, Width::Word, 0), done);
    let total = host.total_ledger();
    assert_eq!((total.maps, total.unmaps, total.host_map_time), (1, 1, Duration::from_millis(1800)));
}

#[test]
fn the_cost_is_proportional_to_the_page_rounded_bytes() {
    let model = CostModel::default();
    assert_eq!(model.map_time(GIB_128), Duration::from_millis(1800));
    assert_eq!(model.map_time(64 << 30), Duration::from_millis(900));
    assert_eq!(model.map_time(GIB_128 + (64 << 30)), Duration::from_millis(2700));
    assert_eq!(model.map_time(0), Duration::ZERO);
    assert!(model.map_time(u64::MAX) > Duration::from_secs(1_000_000));

    let gpu =
        FunctionSpec::gpu_with_bars(&[BarSpec::narrow(0, 256), BarSpec::wide(2, 1 << 20), BarSpec::narrow(5, 4096)]);
    assert_eq!(gpu.device.map_bytes(), (1 << 20) + 2 * 4096);
}

#[test]
fn a_function_without_bars_maps_nothing() {
    let description = FunctionSpec::nvme().description;
    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::new(description, Device::new(&description)));
    guest.enter_d0(Version::V1_4);
    guest.assign_null();
    let before = guest.now;
    guest.command(2);
    // Two traps, no map time, and no map: the bit alone changes.
    assert_eq!(guest.now.since(before), Duration::from_micros(40));
    let ledger = guest.host.ledger(guest.bus, Slot::ZERO);
    assert_eq!((ledger.maps, ledger.host_map_time, ledger.traps), (0, Duration::ZERO, 2));
    assert_eq!(guest.errors(), []);
}

#[test]
fn writes_that_do_not_change_decode_cost_a_trap() {
    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::gpu(GIB_128));
    guest.enter_d0(Version::V1_4);
    guest.assign_null();
    guest.write(0x14, Width::Dword, 0x20);
    guest.command(2);
    let before = guest.now;
    guest.command(2);
    guest.command(6);
    guest.command(0x402);
    assert_eq!(guest.now.since(before), Duration::from_micros(120));
    let ledger = guest.host.ledger(guest.bus, Slot::ZERO);
    assert_eq!((ledger.maps, ledger.unmaps, ledger.traps), (1, 0, 10));
}

#[test]
fn two_functions_must_not_lie_over_each_other() {
    let (mut host, buses) = gpus(free_but_maps(1), 2);
    host.window_write(buses[1], Time::ZERO, 0x14, Width::Dword, 0x20);
    host.window_write(buses[0], Time::ZERO, 0x04, Width::Word, 2);
    assert_eq!(host.violations(), []);
    host.window_write(buses[1], Time::ZERO, 0x04, Width::Word, 2);
    let kind = ViolationKind::DecodeOverlap { register: 0, other_bus: buses[0], other_slot: Slot::ZERO };
    assert_eq!(host.violations().iter().map(|found| found.kind).collect::<Vec<_>>(), [kind]);
}
