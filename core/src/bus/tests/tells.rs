//! What the bus says of itself, and what it tells the config half and callers.

use core::task::Poll;

use super::super::*;
use super::rig::*;
use crate::decode::{GuestStyle, Policy};
use crate::interrupt::Architecture;
use crate::wire::*;

#[test]
fn the_config_half_hears_that_a_function_is_gone_before_its_driver_goes() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]).up();
    rig.host.list(&[function(0)]);
    let (kind, id, payload) = rig.host.inbox.pop_front().unwrap();
    rig.deliver(kind, id, &payload);
    assert_eq!(rig.bus.poll_action(), Some(Action::FunctionGone { slot: slot(1) }));
    assert!(!rig.bus.has_publish_work() && rig.bus.poll_publish().is_none());
    rig.bus.action_done(rig.now, ActionDone::Done);
    assert!(rig.bus.has_publish_work());
    rig.run();
    assert_eq!(rig.shown, [slot(0)]);
}

#[test]
fn a_background_map_that_the_channel_outlived_has_failed() {
    let mut options = BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86);
    options.policy = Policy::Prefetch;
    let mut rig = Rig::with(options);
    rig.host.ignore = |said| matches!(said, Said::Power(..));
    let mut rig = rig.up();
    assert!(rig.log.contains(&Action::PrefetchStarted { slot: slot(0) }));
    let ended = Action::PrefetchFinished { slot: slot(0), ok: false };
    assert!(!rig.log.contains(&ended));
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert!(rig.log.contains(&ended));
}

#[test]
fn an_answer_that_came_too_late_makes_room_again() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.host.ignore = |said| matches!(said, Said::Read(..));
    for _ in 0..300 {
        let ticket = rig.submit(Request::ReadBlock { slot: slot(0), block: 0, bytes: 4 });
        rig.run_out();
        let (id, _) = rig.host.ignored.pop().unwrap();
        let mut answer = vec![0; 16];
        let length = ReadBlockReply { status: Status::SUCCESS, data: &[1; 4] }.encode(&mut answer).unwrap();
        answer.truncate(length);
        rig.host.complete(id, answer);
        rig.run();
        assert_eq!(rig.bus.poll_reply(ticket), Poll::Ready(Err(RequestError::Timeout)));
    }
}

#[test]
fn a_bus_knows_its_windows() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, HUGE)]);
    assert_eq!((rig.bus.config_window(), rig.bus.windows().count()), (None, 0));
    rig = rig.up();
    assert_eq!(rig.bus.config_window(), Some(CONFIG_WINDOW));
    let windows: Vec<_> = rig.bus.windows().collect();
    assert_eq!(windows.len(), rig.windows.len());
    assert!(rig.windows.iter().all(|window| windows.contains(window)));
}

#[test]
fn forgotten_statistics_are_those_of_a_new_bus() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    assert_ne!((rig.bus.counters(), rig.bus.messages(slot(0))), (&Counters::default(), 0));
    assert_ne!(rig.bus.messages(slot(0)), 0);
    rig.bus.forget_statistics();
    assert_eq!((rig.bus.counters(), rig.bus.messages(slot(0))), (&Counters::default(), 0));
}

#[test]
fn messages_are_counted_for_the_function_they_are_about() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]).up();
    let before = [rig.bus.messages(slot(0)), rig.bus.messages(slot(1)), rig.bus.counters().bus_messages];
    rig.submit(Request::ReadBlock { slot: slot(1), block: 0, bytes: 4 });
    rig.run();
    let after = [rig.bus.messages(slot(0)), rig.bus.messages(slot(1)), rig.bus.counters().bus_messages];
    assert_eq!(after, [before[0], before[1] + 2, before[2]]);
}

#[test]
fn an_answer_to_what_was_asked_before_says_nothing_of_a_release() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]).up();
    rig.host.ignore = |said| matches!(said, Said::Read(0, 7, _));
    rig.submit(Request::ReadBlock { slot: slot(0), block: 7, bytes: 4 });
    rig.host.message(HostMessage::Eject { slot: 1 });
    rig.run();
    assert_eq!(rig.host.said.last(), Some(&Said::EjectComplete(1)));
    let unmapped = Action::HostUnmapped { slot: Some(slot(1)) };
    let mut answer = vec![0; 16];
    ReadBlockReply { status: Status::SUCCESS, data: &[1; 4] }.encode(&mut answer).unwrap();
    let (id, _) = rig.host.ignored.remove(0);
    rig.deliver(PacketKind::Completion, id, &answer);
    rig.run();
    assert!(!rig.log.contains(&unmapped), "the block was asked for before the release was sent");
    rig.submit(Request::ReadBlock { slot: slot(0), block: 0, bytes: 4 });
    rig.run();
    assert!(rig.log.contains(&unmapped));
}

#[test]
fn a_completion_of_an_id_that_comes_next_is_unknown() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    let next = rig.host.ids.iter().max().unwrap() + 1;
    rig.deliver(PacketKind::Completion, next, &[0; 8]);
    assert_eq!((rig.bus.counters().unknown_completions, rig.bus.counters().duplicate_completions), (1, 0));
}
