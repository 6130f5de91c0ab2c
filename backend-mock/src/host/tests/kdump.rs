//! A crashed guest and the kdump kernel after it.

use hvpci_core::Slot;
use hvpci_core::backend::Width;
use hvpci_core::wire::Version;

use super::guest::{Guest, slotted};
use crate::host::packet::{MessageType, status};
use crate::host::{ChannelState, FunctionSpec, HostOptions, ViolationKind};

fn crashed() -> Guest {
    let mut guest = Guest::ready();
    guest.command(6);
    guest.create(0x30);
    guest.host.crash(guest.bus);
    assert_eq!(guest.host.channel(guest.bus), ChannelState::Offered);
    assert!(guest.host.open_channel(guest.bus, guest.now));
    guest
}

#[test]
fn the_state_of_the_dead_kernel_stays() {
    let mut guest = crashed();
    let state = guest.host.function(guest.bus, Slot::ZERO).unwrap();
    assert!(state.decodes && state.assigned);
    assert_eq!((state.command, state.bars, state.interrupts.len()), (6, [0xC, 0x10, 0, 0, 0x1_000C, 0x10], 1));
    // A new conversation: the version must be agreed again.
    assert_eq!(guest.d0_entry(), status::BAD_DATA);
    assert_eq!(guest.errors(), [ViolationKind::NotNegotiated(MessageType::FDO_D0ENTRY)]);
}

#[test]
fn d0_entry_fails_until_released_and_exited() {
    let mut guest = crashed();
    assert_eq!(guest.negotiate(Version::V1_4), 0);
    assert_eq!(guest.d0_entry(), status::UNSUCCESSFUL);
    assert_eq!(guest.d0_entry(), status::UNSUCCESSFUL);
    // What Linux does: RELEASED for its children, D0EXIT, and once more.
    guest.send(&slotted(MessageType::RESOURCES_RELEASED, 0));
    assert_eq!(guest.d0_entry(), status::UNSUCCESSFUL);
    assert_eq!(guest.d0_exit(), 0);
    assert_eq!(guest.d0_entry(), 0);
    let state = guest.host.function(guest.bus, Slot::ZERO).unwrap();
    assert!(!state.decodes && !state.assigned && state.interrupts.is_empty());
    assert_eq!(guest.read(0x04, Width::Word), 4);
    assert_eq!(guest.errors(), []);
    guest.assign_null();
    assert_eq!(guest.host.ledger(guest.bus, Slot::ZERO).host_unmaps, 1);
}

#[test]
fn a_machine_that_was_off_has_nothing_left_over() {
    let mut guest = Guest::ready();
    guest.command(6);
    guest.create(0x30);
    guest.host.power_cycle(guest.bus, guest.now);
    assert!(guest.decodes(), "not while the channel is open");
    guest.host.crash(guest.bus);
    guest.host.power_cycle(guest.bus, guest.now);
    let state = guest.host.function(guest.bus, Slot::ZERO).unwrap();
    assert_eq!(
        (state.command, state.bars, state.interrupts.len(), state.assigned),
        (0, [0xC, 0, 0, 0, 0xC, 0], 0, false)
    );
    assert_eq!(guest.host.device(guest.bus, Slot::ZERO).unwrap().resets(), 1);
    assert!(guest.host.open_channel(guest.bus, guest.now));
    assert_eq!(guest.negotiate(Version::V1_4), 0);
    assert_eq!(guest.d0_entry(), 0);
}

#[test]
fn leaving_d0_alone_is_not_enough() {
    let mut guest = crashed();
    guest.negotiate(Version::V1_4);
    assert_eq!(guest.d0_exit(), 0);
    assert_eq!(guest.d0_entry(), status::UNSUCCESSFUL);
    guest.send(&slotted(MessageType::RESOURCES_RELEASED, 0));
    assert_eq!(guest.d0_entry(), 0);
    assert_eq!(guest.errors(), []);
}

#[test]
fn releasing_every_slot_is_a_remark_at_most() {
    let mut guest = crashed();
    guest.negotiate(Version::V1_4);
    assert_eq!(guest.d0_entry(), status::UNSUCCESSFUL);
    for slot in 0..=255 {
        guest.send(&slotted(MessageType::RESOURCES_RELEASED, slot));
    }
    assert_eq!(guest.d0_exit(), 0);
    assert_eq!(guest.d0_entry(), 0);
    assert_eq!(guest.errors(), []);
    assert_eq!(guest.host.violations().len(), 255);
}

#[test]
fn the_status_can_be_chosen_and_recovery_from_a_refusal_is_no_violation() {
    let options = HostOptions { leftover_status: 0xC000_0184, ..HostOptions::default() };
    let mut guest = Guest::new(options, FunctionSpec::nvme());
    guest.enter_d0(Version::V1_4);
    guest.host.crash(guest.bus);
    guest.host.open_channel(guest.bus, guest.now);
    guest.negotiate(Version::V1_4);
    assert_eq!(guest.d0_entry(), 0xC000_0184);
    assert_eq!(guest.d0_exit(), 0);
    assert_eq!(guest.d0_entry(), 0);
    assert_eq!(guest.errors(), []);
}

#[test]
fn decode_and_bars_left_by_a_previous_kernel() {
    let mut guest = Guest::in_d0();
    guest.host.set_leftover(guest.bus, Slot::ZERO, true, &[(0, 0xFF00_0000), (4, 0xFF10_0000)]);
    assert_eq!(guest.read(0x04, Width::Word), 2);
    assert_eq!(guest.read(0x10, Width::Dword), 0xFF00_000C);
    guest.command(0);
    assert_eq!(guest.host.ledger(guest.bus, Slot::ZERO).unmaps, 1);
    guest.set_bars();
    assert_eq!(guest.errors(), []);
}
