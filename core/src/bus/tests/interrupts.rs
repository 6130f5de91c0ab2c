//! Interrupts: created, deleted, created too late.

use core::task::Poll;

use super::super::*;
use super::rig::*;
use crate::decode::GuestStyle;
use crate::wire::*;

fn deletes(rig: &Rig) -> Vec<Said> {
    rig.said_about(|s| matches!(s, Said::Delete(..)))
}

fn rig() -> Rig {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.bus.reserve_interrupts(2).unwrap();
    rig
}

#[test]
fn an_interrupt_is_created_and_deleted() {
    let mut rig = rig();
    let (_, entry) = rig.interrupt(0);
    let (second, _) = rig.interrupt(0);
    assert_eq!(rig.bus.submit(rig.now, create(0)), Err(SubmitError::NoInterruptRoom));
    let delete = Request::DeleteInterrupt { slot: slot(0), entry };
    let ticket = rig.submit(delete.clone());
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Ok(Reply::Done)));
    rig.run();
    assert_eq!(deletes(&rig), [Said::Delete(0, entry)]);
    assert_eq!(rig.bus.submit(rig.now, delete), Err(SubmitError::NoInterrupt));
    rig.bus.delete_by_handle(second).unwrap();
    assert_eq!(rig.bus.delete_by_handle(second), Err(SubmitError::NoInterrupt));
    rig.run();
    assert_eq!(deletes(&rig).len(), 2);
    // The room is free again.
    rig.interrupt(0);
    // Aliases of a group are never deleted.
    let alias = MsiEntry { message_count: 0, ..entry };
    rig.submit(Request::DeleteInterrupt { slot: slot(0), entry: alias });
    rig.run();
    assert_eq!(deletes(&rig).len(), 2);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn room_that_was_made_elsewhere_takes_the_records_over() {
    let mut rig = rig();
    let (_, entry) = rig.interrupt(0);
    rig.interrupt(0);
    assert_eq!(rig.bus.submit(rig.now, create(0)), Err(SubmitError::NoInterruptRoom));
    let mut room = InterruptRoom::new(2).unwrap();
    rig.bus.take_interrupt_room(&mut room);
    assert_eq!((rig.bus.interrupt_room(), rig.bus.submit(rig.now, create(0))), (2, Err(SubmitError::NoInterruptRoom)));
    let mut room = InterruptRoom::new(3).unwrap();
    rig.bus.take_interrupt_room(&mut room);
    assert_eq!(rig.bus.interrupt_room(), 3);
    rig.interrupt(0);
    rig.submit(Request::DeleteInterrupt { slot: slot(0), entry });
    rig.run();
    assert_eq!(deletes(&rig), [Said::Delete(0, entry)]);
    rig.stop();
    rig.assert_nothing_left();
}

fn created(data: u32) -> (MsiEntry, Vec<u8>) {
    let entry = MsiEntry { address: 0xFEE0_1000, data, message_count: 1, reserved: 0 };
    let mut buf = vec![0; 24];
    CreateInterruptReply { status: Status::SUCCESS, entry }.encode(&mut buf).unwrap();
    (entry, buf)
}

#[test]
fn a_late_creation_is_deleted_again() {
    for timed_out in [false, true] {
        let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]).up();
        rig.bus.reserve_interrupts(2).unwrap();
        rig.host.ignore = |said| matches!(said, Said::Create(..));
        let ticket = rig.submit(create(0));
        rig.run();
        if timed_out {
            rig.wait(60);
            assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Timeout)));
        } else {
            rig.bus.withdraw(ticket);
        }
        // The next would wait as long, and for longer than a driver with dozens of vectors has.
        assert_eq!(rig.bus.submit(rig.now, create(0)), Err(SubmitError::Unanswered(slot(0))));
        // Its record's room is kept for it.
        rig.submit(create(1));
        assert_eq!(rig.bus.submit(rig.now, create(1)), Err(SubmitError::NoInterruptRoom));
        let (entry, reply) = created(0x77);
        rig.deliver(PacketKind::Completion, rig.host.ignored[0].0, &reply);
        rig.run();
        assert_eq!(deletes(&rig), [Said::Delete(0, entry)]);
        assert_eq!(rig.bus.counters().late_interrupts_deleted, 1);
        // The host is there again.
        rig.submit(create(0));
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn a_creation_withdrawn_after_its_answer_is_deleted() {
    let mut rig = rig();
    let ticket = rig.submit(create(0));
    rig.run();
    rig.bus.withdraw(ticket);
    rig.run();
    assert_eq!(deletes(&rig).len(), 1);
}

#[test]
fn interrupts_leave_with_their_function() {
    let mut rig = rig();
    let (handle, _) = rig.interrupt(0);
    rig.host.message(HostMessage::Eject { slot: 0 });
    rig.run();
    // RELEASED unmaps them at the host: no DELETE.
    assert_eq!(deletes(&rig), []);
    assert_eq!(rig.bus.delete_by_handle(handle), Err(SubmitError::NoInterrupt));
}

#[test]
fn a_refused_creation_leaves_nothing() {
    let mut rig = rig();
    rig.host.refuse = |said| matches!(said, Said::Create(..)).then_some(Status::BAD_DATA);
    for _ in 0..4 {
        let ticket = rig.submit(create(0));
        rig.run();
        assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Refused(Status::BAD_DATA))));
    }
}
