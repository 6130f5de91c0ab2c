//! What a ring that is full or closed leaves undone.

use core::task::Poll;

use super::super::outstanding::Work;
use super::super::*;
use super::rig::*;
use crate::Time;
use crate::decode::GuestStyle;
use crate::interrupt::Architecture;
use crate::wire::*;

fn two() -> Rig {
    Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)])
}

fn get(wslot: u32) -> Request {
    Request::GetResources { slot: slot(wslot) }
}

#[test]
fn what_moved_without_the_pump_is_told_until_the_pump_looks() {
    let mut rig = two().up();
    rig.bus.request_suspend(rig.now);
    rig.host.ring_full = 2;
    assert!(rig.bus.transmit(rig.now, &mut rig.host), "the functions are to be released");
    assert_eq!(rig.bus.poll_timeout(), Some(Time::ZERO));
    assert!(!rig.bus.transmit(rig.now, &mut rig.host), "nothing more moves");
    assert_eq!(rig.bus.poll_timeout(), Some(Time::ZERO), "the pump has not looked");
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspended);
}

#[test]
fn d0_that_was_never_asked_for_is_not_left() {
    let mut rig = two();
    rig.host.ignore = |said| matches!(said, Said::Requirements(1));
    rig.bus.request_start(rig.now);
    rig.run();
    let (id, _) = rig.host.ignored.pop().unwrap();
    let mut answer = vec![0; 28];
    ResourceRequirementsReply { status: Status::SUCCESS, bars: PROBED }.encode(&mut answer).unwrap();
    rig.host.complete(id, answer);
    rig.host.ring_full = 1;
    rig.run();
    assert_eq!((rig.host.ring_full, rig.bus.status()), (0, BusStatus::Starting(Step::D0Entry)));
    rig.stop();
    assert_eq!(rig.said_about(|said| matches!(said, Said::D0Entry(_) | Said::D0Exit)), []);
    rig.assert_nothing_left();
}

#[test]
fn resources_that_were_never_assigned_are_not_released() {
    let mut rig = two();
    rig.host.ignore = |said| matches!(said, Said::D0Entry(_));
    rig.bus.request_start(rig.now);
    rig.run();
    let (id, _) = rig.host.ignored.pop().unwrap();
    rig.host.complete(id, vec![0; 8]);
    rig.host.ring_full = 1;
    rig.run();
    assert_eq!((rig.host.ring_full, rig.bus.status()), (0, BusStatus::Starting(Step::Assignment)));
    rig.stop();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Assigned(..) | Said::Released(_))), []);
    rig.assert_nothing_left();
}

#[test]
fn an_interrupt_that_was_never_asked_for_can_be_asked_for_again() {
    let mut rig = two().up();
    rig.bus.reserve_interrupts(1).unwrap();
    rig.host.ring_full = 1;
    let ticket = rig.submit(create(0));
    rig.run();
    rig.wait(60);
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Timeout)));
    rig.interrupt(0);
}

#[test]
fn a_question_of_the_engine_that_was_never_sent_takes_no_room_of_callers() {
    let options = BusOptions { outstanding: 1, ..BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86) };
    let mut rig = Rig::with(options).up();
    rig.host.functions.push((function(1), PROBED));
    rig.host.relations();
    rig.host.ring_full = usize::MAX;
    rig.run();
    rig.wait(60);
    let error = FunctionError::Timeout(FunctionStep::Requirements);
    assert!(rig.reports.contains(&Report::FunctionFailed { slot: slot(1), error }));
    rig.host.ring_full = 0;
    let ticket = rig.submit(get(0));
    rig.run();
    assert!(matches!(rig.bus.poll_reply(ticket), Poll::Ready(Ok(_))));
}

#[test]
fn a_bus_whose_channel_died_takes_no_requests() {
    let mut rig = two().up();
    rig.publisher_stuck = true;
    rig.host.closed = true;
    let ticket = rig.submit(get(0));
    rig.run();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Closed)));
    assert_eq!(rig.shown, [slot(0), slot(1)]);
    assert_eq!(rig.bus.submit(rig.now, get(0)), Err(SubmitError::NotUp));
}

#[test]
fn what_cannot_be_put_into_bytes_does_not_hold_up_the_line() {
    let mut rig = Rig::new(GuestStyle::Messages).up();
    // Message style names BARs, and slot 9 has none.
    let request = Request::AssignResources { slot: slot(9), bars: [None; 6] };
    let ticket = Ticket(rig.bus.table.push_caller(request).unwrap());
    assert!(rig.bus.table.push_engine(Work::Assign(slot(9))));
    let other = rig.submit(get(0));
    rig.host.said.clear();
    rig.run();
    assert_eq!(rig.host.said, [Said::Get(0)]);
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Closed)));
    assert!(rig.bus.poll_reply(other).is_ready());
    assert_eq!(rig.bus.table.iter().count(), 0);
}
