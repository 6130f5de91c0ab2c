//! Every fault does what it says, once, and where it was asked for.

use core::time::Duration;

use hvpci_core::Slot;
use hvpci_core::backend::Width;

use super::guest::{Guest, dword, power, slotted};
use crate::host::packet::{MessageType, status};
use crate::host::{ChannelState, Event, Fault, FaultPlan, HostPacket, PacketKind, SendRefused, Trigger};

const POWER: MessageType = MessageType::DEVICE_POWER_STATE_CHANGE;

/// A ready guest with a fault at its next power-state change; returns what comes back for one.
fn struck(fault: Fault) -> (Guest, u64, Vec<HostPacket>) {
    let mut guest = Guest::ready();
    guest.host.set_faults(guest.bus, FaultPlan::at(POWER, 1, fault));
    let id = guest.ask(&power(0, 1));
    let packets = guest.packets();
    (guest, id, packets)
}

fn completion(id: u64, payload: Vec<u8>) -> HostPacket {
    HostPacket { kind: PacketKind::Completion, transaction_id: id, payload }
}

/// The reply without a fault.
fn plain() -> Vec<u8> {
    vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
}

#[test]
fn a_fault_strikes_once_at_its_message() {
    let mut guest = Guest::ready();
    guest.host.set_faults(guest.bus, FaultPlan::at(POWER, 2, Fault::WrongStatus(5)));
    assert_eq!(guest.status(&slotted(MessageType::GET_RESOURCES, 0)), 1 | 1 << 16);
    let statuses: Vec<u32> = (0..4).map(|_| guest.status(&power(0, 4))).collect();
    assert_eq!(statuses, [0, 5, 0, 0]);

    guest.host.set_faults(guest.bus, FaultPlan::at_step(2, Fault::WrongStatus(6)));
    guest.status(&slotted(MessageType::GET_RESOURCES, 0));
    let statuses: Vec<u32> = (0..2).map(|_| guest.status(&power(0, 4))).collect();
    assert_eq!(statuses, [6, 0]);
}

#[test]
fn a_fault_may_go_on() {
    let mut guest = Guest::ready();
    let plan =
        FaultPlan::default().and(Trigger::Every(POWER), Fault::WrongStatus(5)).and(Trigger::From(4), Fault::Drop);
    guest.host.set_faults(guest.bus, plan);
    let statuses: Vec<u32> = (0..3).map(|_| guest.status(&power(0, 4))).collect();
    assert_eq!(statuses, [5, 5, 5]);
    guest.ask(&power(0, 4));
    guest.ask(&slotted(MessageType::GET_RESOURCES, 0));
    guest.host.send_relations(guest.bus, guest.now);
    assert_eq!(guest.packets(), []);
}

#[test]
fn a_fault_counts_where_it_changes_something() {
    let mut guest = Guest::ready();
    let resources = slotted(MessageType::GET_RESOURCES, 0);
    // not reached
    guest.host.set_faults(guest.bus, FaultPlan::at_step(2, Fault::Garbage));
    guest.ask(&power(0, 4));
    assert_eq!(guest.host.faults_struck(guest.bus), 0);
    guest.ask(&power(0, 4));
    assert_eq!(guest.host.faults_struck(guest.bus), 1);
    // with the next plan it counts on, and only what the plan is about
    guest.host.set_faults(guest.bus, FaultPlan::default().and(Trigger::Every(POWER), Fault::Garbage));
    guest.ask(&resources);
    guest.ask(&power(0, 4));
    assert_eq!(guest.host.faults_struck(guest.bus), 2);
    // an answer that nobody asked for cannot be spoiled; a request can be lost all the same
    for (fault, struck) in [(Fault::Garbage, 2), (Fault::LoseRequest, 3)] {
        guest.host.set_faults(guest.bus, FaultPlan::at_step(1, fault));
        guest.host.guest_packet(guest.bus, guest.now, PacketKind::InBand, false, 0, &resources).unwrap();
        assert_eq!(guest.host.faults_struck(guest.bus), struck, "{fault:?}");
    }
    // a notice of the host's can be spoiled, but not refused
    for (fault, struck) in [(Fault::Refuse(status::UNSUCCESSFUL), 3), (Fault::Garbage, 4)] {
        guest.host.set_faults(guest.bus, FaultPlan::at_step(1, fault));
        guest.host.send_relations(guest.bus, guest.now);
        assert_eq!(guest.host.faults_struck(guest.bus), struck, "{fault:?}");
    }
}

#[test]
fn lost_answers_and_lost_requests() {
    let (guest, _, packets) = struck(Fault::Drop);
    assert!(packets.is_empty() && guest.decodes());
    let (guest, _, packets) = struck(Fault::LoseRequest);
    assert!(packets.is_empty() && !guest.decodes());
}

#[test]
fn a_lost_answer_keeps_its_transaction_id_in_use() {
    let (mut guest, id, _) = struck(Fault::Drop);
    let request = power(0, 4);
    guest.host.guest_packet(guest.bus, guest.now, PacketKind::InBand, true, id, &request).unwrap();
    assert_eq!(guest.errors(), [crate::host::ViolationKind::TransactionIdInUse(id)]);
}

#[test]
fn a_refusal_does_nothing() {
    let (guest, id, packets) = struck(Fault::Refuse(status::UNSUCCESSFUL));
    assert_eq!(packets, [completion(id, vec![1, 0, 0, 0xC0])]);
    assert!(!guest.decodes());
}

#[test]
fn a_function_may_be_asked_for_or_go_at_a_message() {
    let slot = Slot::ZERO;
    let mut guest = Guest::ready();
    guest.host.set_faults(guest.bus, FaultPlan::default().and(Trigger::From(1), Fault::Eject(slot)));
    let (first, second) = (guest.ask(&power(0, 1)), guest.ask(&power(0, 1)));
    assert!(guest.host.function(guest.bus, slot).unwrap().ejecting);
    // It asks once, and before it answers.
    let eject = vec![0x0B, 0, 0x49, 0x42, 0, 0, 0, 0];
    let eject = HostPacket { kind: PacketKind::InBand, transaction_id: 0, payload: eject };
    let packets: Vec<_> = (0..3).map(|_| guest.packet().unwrap()).collect();
    assert_eq!(packets, [eject, completion(first, plain()), completion(second, plain())]);

    let (guest, _, packets) = struck(Fault::Remove(slot));
    assert_eq!(packets[0].payload, [0x19, 0, 0x49, 0x42, 0, 0, 0, 0]);
    assert_eq!(packets[1].payload, status::BAD_DATA.to_le_bytes());
    assert_eq!(guest.host.slots(guest.bus), []);
}

#[test]
fn nobody_is_asked_for_a_function_while_the_channel_is_closed() {
    let mut guest = Guest::ready();
    guest.host.close_channel(guest.bus, guest.now);
    guest.host.eject(guest.bus, guest.now, Slot::ZERO);
    assert_eq!(guest.host.slots(guest.bus), []);
}

/// The steps of a run can be listed, to have a fault at each of them.
#[test]
fn messages_are_remembered_while_a_plan_counts_them() {
    let mut guest = Guest::ready();
    guest.status(&power(0, 1));
    assert_eq!(guest.host.counted_messages(guest.bus), []);
    guest.host.set_faults(guest.bus, FaultPlan::at_step(0, Fault::Drop));
    guest.status(&power(0, 4));
    guest.status(&power(0, 1));
    guest.host.send_relations(guest.bus, guest.now);
    let counted = guest.host.counted_messages(guest.bus);
    let seen: Vec<_> = counted.iter().map(|m| (m.kind, m.nth, m.step, m.from_host, m.wants_completion)).collect();
    let relations = (MessageType::BUS_RELATIONS2, 1, 3, true, false);
    assert_eq!(seen, [(POWER, 1, 1, false, true), (POWER, 2, 2, false, true), relations]);
}

#[test]
fn delays() {
    let mut guest = Guest::ready();
    guest.host.set_faults(guest.bus, FaultPlan::at(POWER, 1, Fault::Delay(Duration::from_secs(70))));
    let start = guest.now;
    let (late, early) = (guest.ask(&power(0, 1)), guest.ask(&power(0, 1)));
    assert_eq!(guest.packet().unwrap().transaction_id, early);
    assert_eq!(guest.now, start);
    assert_eq!(guest.packet().unwrap().transaction_id, late);
    assert_eq!(guest.now.since(start), Duration::from_secs(70));
}

#[test]
fn changed_answers() {
    let (_, id, packets) = struck(Fault::Truncate(3));
    assert_eq!(packets, [completion(id, vec![0; 3])]);
    let (_, id, packets) = struck(Fault::Extend(2));
    assert_eq!(packets, [completion(id, [plain(), vec![0xEE; 2]].concat())]);
    let (guest, id, packets) = struck(Fault::WrongStatus(0xC000_0001));
    assert_eq!((packets[0].transaction_id, dword(&packets[0].payload, 0)), (id, 0xC000_0001));
    assert!(guest.decodes());
    let (_, id, packets) = struck(Fault::WrongTransactionId);
    assert_eq!(packets.len(), 1);
    assert_ne!(packets[0].transaction_id, id);
    let (_, id, packets) = struck(Fault::Duplicate);
    assert_eq!(packets, [completion(id, plain()), completion(id, plain())]);
    let (_, id, packets) = struck(Fault::Garbage);
    assert_eq!((packets[0].transaction_id, packets[0].payload.len()), (id, 16));
    assert_ne!(packets[0].payload, plain());
    let (_, _, again) = struck(Fault::Garbage);
    assert_eq!(packets, again);
}

#[test]
fn an_unknown_message_comes_first() {
    let (_, id, packets) = struck(Fault::UnknownMessage);
    assert_eq!((packets.len(), packets[0].kind), (2, PacketKind::InBand));
    assert_eq!(MessageType(dword(&packets[0].payload, 0)).name(), None);
    assert_eq!(packets[1], completion(id, plain()));
}

#[test]
fn the_channel_ends() {
    let (mut guest, _, packets) = struck(Fault::Rescind);
    assert_eq!((packets, guest.host.channel(guest.bus)), (vec![], ChannelState::Rescinded));
    guest.host.poll_event();
    assert_eq!(guest.host.poll_event(), Some(Event::Rescinded(guest.bus)));

    let (mut guest, _, packets) = struck(Fault::CloseChannel);
    assert_eq!((packets, guest.host.channel(guest.bus)), (vec![], ChannelState::Dead));
    guest.host.poll_event();
    assert_eq!(guest.host.poll_event(), Some(Event::ChannelDied(guest.bus)));
    let sent = guest.host.guest_packet(guest.bus, guest.now, PacketKind::InBand, false, 0, &[0; 8]);
    assert_eq!(sent, Err(SendRefused::Closed));
    assert_eq!(guest.read(0, Width::Dword), u32::MAX);
    guest.host.close_channel(guest.bus, guest.now);
    assert!(guest.host.open_channel(guest.bus, guest.now));
}

#[test]
fn the_device_falls_silent() {
    let (mut guest, id, packets) = struck(Fault::DeviceGone(Slot::ZERO));
    assert_eq!(packets, [completion(id, plain())]);
    assert_eq!(guest.read(0, Width::Word), 0xFFFF);
}

#[test]
fn the_hosts_own_messages_are_struck_too() {
    let mut guest = Guest::ready();
    let plan = FaultPlan::at(MessageType::BUS_RELATIONS2, 1, Fault::Truncate(6))
        .and(Trigger::Message(MessageType::BUS_RELATIONS2, 2), Fault::Drop)
        .and(Trigger::Message(MessageType::EJECT, 1), Fault::Rescind);
    guest.host.set_faults(guest.bus, plan);
    for _ in 0..3 {
        guest.host.send_relations(guest.bus, guest.now);
    }
    let lengths: Vec<usize> = guest.packets().iter().map(|packet| packet.payload.len()).collect();
    assert_eq!(lengths, [6, 36]);
    guest.host.eject(guest.bus, guest.now, Slot::ZERO);
    assert_eq!(guest.host.channel(guest.bus), ChannelState::Rescinded);
    assert_eq!(guest.packets(), []);
}

#[test]
fn a_rescind_in_the_middle_of_d0_entry() {
    let mut guest = Guest::in_d0();
    guest.d0_exit();
    guest.host.set_faults(guest.bus, FaultPlan::at(MessageType::BUS_RELATIONS2, 1, Fault::Rescind));
    guest.ask(&crate::host::packet::Writer::starting(MessageType::FDO_D0ENTRY.0).u32(0).u64(0xF800_0000).finish());
    assert_eq!(guest.packets(), []);
    assert_eq!(guest.host.channel(guest.bus), ChannelState::Rescinded);
    assert_eq!(guest.host.window_address(guest.bus), None);
}
