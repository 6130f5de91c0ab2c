//! The records of interrupts, and which of them are deleted at the host.

use super::super::*;
use super::rig::*;
use crate::decode::GuestStyle;
use crate::wire::*;

fn up() -> Rig {
    let rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]);
    let mut rig = rig.up();
    rig.bus.reserve_interrupts(4).unwrap();
    rig
}

fn no_creation(said: &Said) -> bool {
    matches!(said, Said::Create(..))
}

/// The host's answer to the oldest creation that it ignored; it gives `data`, for `messages` of them.
fn give(rig: &mut Rig, data: u32, messages: u16) -> MsiEntry {
    let entry = MsiEntry { address: 0xFEE0_1000, data, message_count: messages, reserved: 0 };
    let mut buf = vec![0; 24];
    CreateInterruptReply { status: Status::SUCCESS, entry }.encode(&mut buf).unwrap();
    let (id, _) = rig.host.ignored.remove(0);
    rig.deliver(PacketKind::Completion, id, &buf);
    entry
}

fn deletes(rig: &Rig) -> Vec<Said> {
    rig.said_about(|said| matches!(said, Said::Delete(..)))
}

/// A list without function 1 has come, and the pump has not seen it.
fn unlisted(rig: &mut Rig) {
    rig.host.list(&[function(0)]);
    let (kind, id, payload) = rig.host.inbox.pop_front().unwrap();
    rig.deliver(kind, id, &payload);
}

#[test]
fn an_alias_of_the_host_is_not_deleted() {
    let mut rig = up();
    rig.host.ignore = no_creation;
    // One that is deleted, and one that came too late.
    rig.submit(create(0));
    rig.run();
    let alias = give(&mut rig, 0x50, 0);
    rig.submit(Request::DeleteInterrupt { slot: slot(0), entry: alias });
    let ticket = rig.submit(create(0));
    rig.run();
    rig.bus.withdraw(ticket);
    give(&mut rig, 0x51, 0);
    rig.run();
    assert_eq!((deletes(&rig), rig.bus.counters().late_interrupts_deleted), (vec![], 0));
}

#[test]
fn nothing_is_deleted_of_a_function_that_is_not_on_the_newest_list() {
    let mut rig = up();
    let (handle, _) = rig.interrupt(1);
    rig.host.ignore = no_creation;
    let ticket = rig.submit(create(1));
    rig.run();
    rig.bus.withdraw(ticket);
    unlisted(&mut rig);
    rig.bus.delete_by_handle(handle).unwrap();
    give(&mut rig, 0x52, 1);
    rig.bus.transmit(rig.now, &mut rig.host);
    rig.run();
    assert_eq!((deletes(&rig), rig.bus.counters().late_interrupts_deleted), (vec![], 0));
}

#[test]
fn what_nobody_fetched_is_deleted_and_nothing_else() {
    let mut rig = up();
    rig.interrupt(0);
    rig.host.ignore = no_creation;
    let ticket = rig.submit(create(0));
    rig.run();
    let entry = give(&mut rig, 0x53, 1);
    rig.bus.withdraw(ticket);
    rig.run();
    assert_eq!(deletes(&rig), [Said::Delete(0, entry)]);
}

/// Suspended with two interrupts and resumed; the first of them is being created again.
fn resuming() -> (Rig, [(InterruptHandle, MsiEntry); 2]) {
    let mut rig = up();
    let held = [rig.interrupt(0), rig.interrupt(1)];
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.host.ignore = no_creation;
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.host.ignored.len(), 1);
    (rig, held)
}

#[test]
fn one_that_the_host_has_forgotten_is_neither_deleted_nor_created_again() {
    let (mut rig, [_, (second, _)]) = resuming();
    rig.bus.delete_by_handle(second).unwrap();
    give(&mut rig, 0x54, 1);
    rig.run();
    assert_eq!((deletes(&rig), rig.host.ignored.len()), (vec![], 0));
    assert_eq!(rig.bus.status(), BusStatus::Running);
}

#[test]
fn until_its_driver_knows_the_new_entry_the_old_one_names_an_interrupt() {
    let (mut rig, [(_, old), _]) = resuming();
    let entry = give(&mut rig, 0x55, 1);
    assert_ne!((old.address, old.data), (entry.address, entry.data));
    rig.submit(Request::DeleteInterrupt { slot: slot(0), entry: old });
    rig.run();
    assert_eq!(deletes(&rig), [Said::Delete(0, entry)]);
}

#[test]
fn one_that_is_given_up_while_its_driver_is_told_stays_given_up() {
    let (mut rig, [(first, _), _]) = resuming();
    let entry = give(&mut rig, 0x56, 1);
    assert_eq!(rig.bus.poll_action(), Some(Action::InterruptRecreated { handle: first, slot: slot(0), entry }));
    rig.bus.delete_by_handle(first).unwrap();
    rig.bus.action_done(rig.now, ActionDone::Done);
    rig.run();
    assert_eq!(deletes(&rig), [Said::Delete(0, entry)]);
}
