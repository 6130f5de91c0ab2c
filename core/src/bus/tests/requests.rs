//! Requests of the platform and of drivers.

use core::task::Poll;

use super::super::*;
use super::rig::*;
use crate::decode::GuestStyle;
use crate::interrupt::Architecture;
use crate::wire::*;

fn read(wslot: u32) -> Request {
    Request::ReadBlock { slot: slot(wslot), block: 1, bytes: 16 }
}

#[test]
fn blocks_are_read_written_and_invalidated() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    let ticket = rig.submit(read(0));
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Pending);
    rig.run();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Ok(Reply::Block([0x5A; 16].into_iter().collect()))));
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::UnknownTicket)));
    let data: BlockData = [1, 2, 3].into_iter().collect();
    let ticket = rig.submit(Request::WriteBlock { slot: slot(0), block: 2, data });
    rig.run();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Ok(Reply::Done)));
    assert_eq!(rig.host.said.last(), Some(&Said::Write(0, vec![1, 2, 3])));
    rig.host.message(HostMessage::InvalidateBlock { slot: 0, mask: 1 });
    rig.host.message(HostMessage::InvalidateBlock { slot: 0, mask: 1 << 63 });
    rig.host.message(HostMessage::InvalidateBlock { slot: 5, mask: 1 });
    for _ in 0..3 {
        let (kind, id, payload) = rig.host.inbox.pop_front().unwrap();
        rig.deliver(kind, id, &payload);
    }
    assert_eq!(rig.bus.poll_report(), Some(Report::BlocksInvalidated { slot: slot(0), mask: 1 << 63 | 1 }));
    assert_eq!(rig.bus.counters().unknown_slots, 1);
    let resources = rig.submit(Request::GetResources { slot: slot(0) });
    rig.run();
    assert_eq!(rig.bus.poll_reply(resources), Poll::Ready(Ok(Reply::Resources(MmioDescriptor::NONE))));
}

#[test]
fn what_cannot_be_asked_is_refused_at_once() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    assert_eq!(rig.bus.submit(rig.now, read(0)), Err(SubmitError::NotUp));
    let mut rig = rig.up();
    let now = rig.now;
    assert_eq!(rig.bus.submit(now, read(1)), Err(SubmitError::NoFunction(slot(1))));
    for bytes in [0, 129] {
        let request = Request::ReadBlock { slot: slot(0), block: 0, bytes };
        assert_eq!(rig.bus.submit(now, request), Err(SubmitError::BlockSize(bytes.into())));
    }
    let empty = Request::WriteBlock { slot: slot(0), block: 0, data: BlockData::new() };
    assert_eq!(rig.bus.submit(now, empty), Err(SubmitError::BlockSize(0)));
    assert_eq!(rig.bus.submit(now, create(0)), Err(SubmitError::NoInterruptRoom));
    let reset = Request::ResetDevice { slot: slot(0) };
    let refused = SubmitError::Version { needed: Version::V1_5, spoken: Version::V1_4 };
    assert_eq!(rig.bus.submit(now, reset), Err(refused));
}

#[test]
fn a_reset_tells_the_config_half() {
    let options = BusOptions { highest: Version::V1_5, ..BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86) };
    let mut rig = Rig::with(options).up();
    let ticket = rig.submit(Request::ResetDevice { slot: slot(0) });
    rig.run();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Ok(Reply::Done)));
    assert_eq!(rig.log.last(), Some(&Action::HostLostState { slot: Some(slot(0)) }));
    rig.host.refuse = |said| matches!(said, Said::Reset(_)).then_some(Status::NOT_SUPPORTED);
    let ticket = rig.submit(Request::ResetDevice { slot: slot(0) });
    rig.run();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Refused(Status::NOT_SUPPORTED))));
}

#[test]
fn the_table_is_bounded_and_late_answers_are_recognised() {
    let options = BusOptions { outstanding: 2, ..BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86) };
    let mut rig = Rig::with(options).up();
    rig.host.ignore = |said| matches!(said, Said::Read(..));
    let (a, b) = (rig.submit(read(0)), rig.submit(read(0)));
    assert_eq!(rig.bus.submit(rig.now, read(0)), Err(SubmitError::Full));
    rig.run();
    // Given up, but the host may still answer: the entry stays taken.
    rig.bus.withdraw(a);
    assert_eq!(rig.bus.submit(rig.now, read(0)), Err(SubmitError::Full));
    rig.wait(60);
    assert_eq!(rig.bus.poll_reply(b), Poll::Ready(Err(RequestError::Timeout)));
    assert_eq!(rig.bus.poll_reply(a), Poll::Ready(Err(RequestError::UnknownTicket)));
    assert_eq!((rig.bus.submit(rig.now, read(0)), rig.bus.counters().timeouts), (Err(SubmitError::Full), 2));
    let ids: Vec<u64> = rig.host.ignored.iter().map(|(id, _)| *id).collect();
    for id in &ids {
        rig.deliver(PacketKind::Completion, *id, &[0; 24]);
        rig.deliver(PacketKind::Completion, *id, &[0; 24]);
    }
    let counters = *rig.bus.counters();
    assert_eq!((counters.late_completions, counters.duplicate_completions), (2, 2));
    rig.host.ignore = |_| false;
    let c = rig.submit(read(0));
    rig.run();
    assert!(matches!(rig.bus.poll_reply(c), Poll::Ready(Ok(_))));
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn what_was_not_sent_is_taken_back() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    let said = rig.host.said.len();
    let ticket = rig.submit(read(0));
    rig.bus.withdraw(ticket);
    rig.run();
    assert_eq!(rig.host.said.len(), said);
}

#[test]
fn a_power_request_that_times_out_is_told_and_quarantined() {
    let mut rig = Rig::new(GuestStyle::Messages).functions(&[(0, HUGE)]).up();
    rig.host.ignore = |said| matches!(said, Said::Power(..));
    let ticket = rig.submit(Request::PowerState { slot: slot(0), state: PowerState::D0 });
    rig.run();
    // Other buses' functions may be mapped first: a minute is not long.
    rig.wait(60);
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Pending);
    rig.wait(10 * 60);
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Timeout)));
    assert_eq!(rig.log.last(), Some(&Action::PowerCompleted { slot: slot(0), on: true, ok: false }));
    rig.host.message(HostMessage::Eject { slot: 0 });
    rig.run();
    assert_eq!(rig.bus.quarantined_bytes(), 128 * GIB);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn moved_bars_can_be_assigned_again() {
    let mut rig = Rig::new(GuestStyle::Messages).functions(&[(0, HUGE)]).up();
    let bars = [None, Some(1 << 45), None, None, None, None];
    let ticket = rig.submit(Request::AssignResources { slot: slot(0), bars });
    rig.run();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Ok(Reply::Done)));
    let (_, sent) = rig.host.bars.last().unwrap();
    assert_eq!(sent[1], MmioDescriptor::Memory { address: 1 << 45, length: 128 * GIB });
}

#[test]
fn requests_end_with_the_bus() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.host.ignore = |said| matches!(said, Said::Read(..));
    let ticket = rig.submit(read(0));
    rig.run();
    rig.rescind();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Rescinded)));
    assert_eq!(rig.bus.submit(rig.now, read(0)), Err(SubmitError::Rescinded));
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Gone);
    rig.assert_nothing_left();
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.host.ignore = |said| matches!(said, Said::Read(..));
    let ticket = rig.submit(read(0));
    rig.run();
    rig.stop();
    assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Closed)));
}

#[test]
fn a_driver_may_use_the_host_while_it_is_unbound() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.publisher_stuck = true;
    rig.bus.request_stop(rig.now);
    rig.run();
    let ticket = rig.submit(read(0));
    rig.run();
    assert!(matches!(rig.bus.poll_reply(ticket), Poll::Ready(Ok(_))));
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Stopped);
    assert_eq!(rig.bus.submit(rig.now, read(0)), Err(SubmitError::NotUp));
}
