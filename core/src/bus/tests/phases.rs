//! Starts, stops and suspends that cross each other, and what the config half hears of functions out of reach.

use super::super::*;
use super::rig::*;
use crate::backend::PlatformError;
use crate::decode::GuestStyle;
use crate::wire::HostMessage;

fn two() -> Rig {
    Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)])
}

/// The functions that the config half was told do not answer.
fn gone(rig: &Rig) -> Vec<u32> {
    let gone = |action: &Action| match action {
        Action::FunctionGone { slot } => Some(slot.to_wire()),
        _ => None,
    };
    rig.log.iter().filter_map(gone).collect()
}

#[test]
fn the_last_of_several_requests_counts() {
    let mut rig = two().up();
    rig.bus.request_stop(rig.now);
    rig.bus.request_start(rig.now);
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Running, "a bus on its way down is not suspended");

    let mut rig = two().up();
    rig.bus.request_suspend(rig.now);
    rig.bus.request_resume(rig.now);
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspended);
}

#[test]
fn a_bus_that_has_nothing_yet_is_stopped_and_not_suspended() {
    let mut rig = two();
    rig.bus.request_start(rig.now);
    rig.bus.request_suspend(rig.now);
    assert_eq!(rig.bus.status(), BusStatus::Stopped);
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!((rig.bus.status(), &rig.log[..]), (BusStatus::Stopped, &[][..]));
}

#[test]
fn a_bus_that_showed_nothing_has_no_maps_to_tell_of() {
    let mut rig = two();
    rig.host.ignore = |said| matches!(said, Said::Version(_));
    rig.bus.request_start(rig.now);
    rig.run();
    rig.rescind();
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Gone);
    assert!(!rig.log.iter().any(|action| matches!(action, Action::HostUnmapped { .. })));
}

#[test]
fn a_bus_that_is_gone_does_not_fail_too() {
    let mut rig = two();
    rig.bus.request_start(rig.now);
    assert_eq!(rig.bus.poll_action(), Some(Action::OpenChannel));
    rig.rescind();
    rig.bus.action_done(rig.now, ActionDone::ChannelOpened(Err(PlatformError::ChannelOpen)));
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Gone);
    assert!(!rig.reports.iter().any(|report| matches!(report, Report::Failed(_))), "{:?}", rig.reports);
}

#[test]
fn functions_of_a_stopped_bus_answer_until_their_drivers_are_gone() {
    let mut rig = two().up();
    rig.stop();
    assert_eq!(gone(&rig), []);
}

#[test]
fn functions_of_a_bus_stopped_in_its_sleep_do_not_answer() {
    let mut rig = two().up();
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(gone(&rig), []);
    rig.stop();
    assert_eq!(gone(&rig), [0, 1]);
}

#[test]
fn functions_that_have_their_resources_back_answer_though_others_do_not() {
    let mut rig = two().up();
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.host.ignore = |said| matches!(said, Said::Assigned(..));
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Resuming(Step::Assignment));
    rig.stop();
    assert_eq!(gone(&rig), [1]);
}

#[test]
fn the_status_names_what_is_waited_for() {
    type Wait = (fn(&Said) -> bool, Step);
    let waits: [Wait; 5] = [
        (|said| matches!(said, Said::Version(_)), Step::Version),
        (|said| matches!(said, Said::Relations), Step::Relations),
        (|said| matches!(said, Said::Requirements(1)), Step::Requirements),
        (|said| matches!(said, Said::D0Entry(_)), Step::D0Entry),
        (|said| matches!(said, Said::Assigned(..)), Step::Assignment),
    ];
    for (ignore, step) in waits {
        let mut rig = two();
        rig.host.ignore = ignore;
        rig.bus.request_start(rig.now);
        assert_eq!(rig.bus.status(), BusStatus::Starting(Step::Channel));
        rig.run();
        assert_eq!(rig.bus.status(), BusStatus::Starting(step));
    }
    // A function that comes later does not make the bus one that is starting.
    let mut rig = two().up();
    rig.host.ignore = |said| matches!(said, Said::Requirements(2));
    rig.host.list(&[function(0), function(1), function(2)]);
    rig.run();
    assert_eq!((rig.host.ignored.len(), rig.bus.status()), (1, BusStatus::Running));
    // One that wakes up says so.
    let mut rig = two().up();
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.host.ignore = |said| matches!(said, Said::D0Entry(_));
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Resuming(Step::D0Entry));
}

#[test]
fn what_went_unanswered_when_the_bus_went_down_is_not_taken_for_done() {
    // D0 entry: what the host did is not known, so it is left again.
    let mut rig = two();
    rig.host.ignore = |said| matches!(said, Said::D0Entry(_));
    rig.bus.request_start(rig.now);
    rig.run();
    rig.stop();
    assert_eq!(rig.host.said.last(), Some(&Said::D0Exit));
    rig.assert_nothing_left();
    // One that was never sent needs no exit.
    let mut rig = two();
    rig.host.ignore = |said| matches!(said, Said::Requirements(1));
    rig.bus.request_start(rig.now);
    rig.run();
    rig.stop();
    assert_eq!(rig.said_about(|said| matches!(said, Said::D0Exit)), []);
    // Resources: they are released.
    let mut rig = two();
    rig.host.ignore = |said| matches!(said, Said::Assigned(..));
    rig.bus.request_start(rig.now);
    rig.run();
    rig.stop();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Released(_))), [Said::Released(0)]);
    rig.assert_nothing_left();
}

#[test]
fn the_first_failure_is_the_one_that_is_told() {
    let mut rig = two().up();
    // What the way down has to say finds the ring closed, which is a failure too.
    rig.host.closed = true;
    rig.bus.fail(BusError::Timeout(Step::Relations));
    rig.run();
    let failed: Vec<_> = rig.reports.iter().filter(|report| matches!(report, Report::Failed(_))).collect();
    assert_eq!(failed, [&Report::Failed(BusError::Timeout(Step::Relations))]);
    assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::Timeout(Step::Relations)));
}

#[test]
fn an_ejected_function_answers_unless_the_host_has_its_resources_back() {
    let mut rig = two().up();
    rig.host.message(HostMessage::Eject { slot: 1 });
    rig.run();
    assert_eq!((&rig.shown[..], gone(&rig)), (&[slot(0)][..], vec![]));

    let mut rig = two().up();
    rig.host.ignore = |said| matches!(said, Said::D0Exit);
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspending);
    rig.host.message(HostMessage::Eject { slot: 1 });
    rig.run();
    assert_eq!((&rig.shown[..], gone(&rig)), (&[slot(0)][..], vec![1]));
}
