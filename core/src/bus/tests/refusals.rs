//! Requests that are refused at once, and answers that wait.

use core::task::Poll;

use super::super::*;
use super::rig::*;
use crate::decode::GuestStyle;
use crate::wire::*;

fn get(wslot: u32) -> Request {
    Request::GetResources { slot: slot(wslot) }
}

/// A bus on its way up that waits for an answer.
fn starting(ignore: fn(&Said) -> bool) -> Rig {
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    rig.host.ignore = ignore;
    rig.bus.request_start(rig.now);
    rig.run();
    rig
}

#[test]
fn a_bus_that_is_not_up_knows_no_functions() {
    let mut rig = starting(|said| matches!(said, Said::Requirements(_)));
    assert_eq!(rig.bus.submit(rig.now, get(9)), Err(SubmitError::NotUp));
    let mut rig = starting(|said| matches!(said, Said::Assigned(..)));
    assert_eq!(rig.bus.submit(rig.now, get(9)), Err(SubmitError::NoFunction(slot(9))));
    assert_eq!(rig.bus.submit(rig.now, get(0)), Err(SubmitError::NotUp));
}

#[test]
fn a_function_that_a_new_list_does_not_have_takes_no_requests() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]).up();
    rig.host.list(&[function(0)]);
    let (kind, id, payload) = rig.host.inbox.pop_front().unwrap();
    rig.deliver(kind, id, &payload);
    assert_eq!(rig.bus.submit(rig.now, get(1)), Err(SubmitError::NoFunction(slot(1))));
    assert!(rig.bus.submit(rig.now, get(0)).is_ok());
}

#[test]
fn the_longest_block_can_be_read() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    let read = |bytes| Request::ReadBlock { slot: slot(0), block: 0, bytes };
    assert_eq!(rig.bus.submit(rig.now, read(129)), Err(SubmitError::BlockSize(129)));
    let ticket = rig.submit(read(128));
    rig.run();
    let Poll::Ready(Ok(Reply::Block(data))) = rig.bus.poll_reply(ticket) else { panic!("no block") };
    assert_eq!(data.len(), 128);
}

#[test]
fn power_is_answered_when_the_config_half_has_heard() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    let power = rig.submit(Request::PowerState { slot: slot(0), state: PowerState::D0 });
    let other = rig.submit(get(0));
    rig.bus.transmit(rig.now, &mut rig.host);
    while let Some((kind, id, payload)) = rig.host.inbox.pop_front() {
        rig.deliver(kind, id, &payload);
    }
    assert!(rig.bus.poll_reply(power).is_pending());
    assert!(rig.bus.poll_reply(other).is_ready());
    rig.run();
    assert_eq!(rig.bus.poll_reply(power), Poll::Ready(Ok(Reply::Done)));
}

#[test]
fn no_two_interrupts_have_one_number() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.bus.reserve_interrupts(2).unwrap();
    let (first, second) = (rig.interrupt(0).0, rig.interrupt(0).0);
    assert_ne!(first.number(), second.number());
}
