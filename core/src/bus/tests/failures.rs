//! Failures of the host and of the platform: typed, and no larger than they are.

use super::super::*;
use super::rig::*;
use crate::backend::{PlatformError, RemovalReason};
use crate::decode::GuestStyle;
use crate::wire::*;

#[test]
fn one_bad_function_leaves_the_others() {
    type Refuse = fn(&Said) -> Option<Status>;
    let cases: [(Refuse, FunctionError); 2] = [
        (
            |said| matches!(said, Said::Requirements(1)).then_some(Status::BAD_DATA),
            FunctionError::Requirements(Status::BAD_DATA),
        ),
        (
            |said| matches!(said, Said::Assigned(_, 1, _)).then_some(Status::BAD_DATA),
            FunctionError::Assignment(Status::BAD_DATA),
        ),
    ];
    for (refuse, error) in cases {
        for style in [GuestStyle::ConfigSpace, GuestStyle::Messages] {
            let mut rig = Rig::new(style).functions(&[(0, PROBED), (1, PROBED), (2, PROBED)]);
            rig.host.refuse = refuse;
            let mut rig = rig.up();
            assert_eq!(rig.shown, [slot(0), slot(2)]);
            assert!(rig.reports.contains(&Report::FunctionFailed { slot: slot(1), error }));
            // An identical list does not bring it back.
            rig.host.relations();
            rig.run();
            assert_eq!(rig.shown, [slot(0), slot(2)]);
            rig.stop();
            rig.assert_nothing_left();
        }
    }
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]);
    rig.fail = |action| *action == Action::Attach { slot: slot(0) };
    let mut rig = rig.up();
    assert_eq!((rig.shown.clone(), rig.host.said.last()), (vec![slot(1)], Some(&Said::Released(0))));
    rig.stop();
    rig.assert_nothing_left();
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    rig.refuse_publish = true;
    let mut rig = rig.up();
    let error = FunctionError::Publish(PlatformError::Refused);
    assert!(rig.reports.contains(&Report::FunctionFailed { slot: slot(0), error }));
    assert!(rig.attached.is_empty());
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn an_unanswered_assignment_quarantines_its_range() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, HUGE)]);
    rig.host.ignore = |said| matches!(said, Said::Assigned(_, 1, _));
    rig.bus.request_start(rig.now);
    rig.run();
    assert!(rig.shown.is_empty());
    rig.wait(60);
    assert_eq!(rig.shown, [slot(0)]);
    let error = FunctionError::Timeout(FunctionStep::Assignment);
    assert!(rig.reports.contains(&Report::FunctionFailed { slot: slot(1), error }));
    assert_eq!(rig.bus.quarantined_bytes(), 128 * GIB);
    assert_eq!(rig.host.said.last(), Some(&Said::Released(1)));
    // The late answer is recognised.
    let id = rig.host.ignored[0].0;
    rig.deliver(PacketKind::Completion, id, &[0; 8]);
    assert_eq!(rig.bus.counters().late_completions, 1);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn platform_failures_end_in_typed_errors() {
    for style in [GuestStyle::ConfigSpace, GuestStyle::Messages] {
        let mut rig = Rig::new(style);
        rig.fail = |action| *action == Action::OpenChannel;
        rig.bus.request_start(rig.now);
        rig.run();
        assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::OpenChannel(PlatformError::ChannelOpen)));
        rig.assert_nothing_left();
        let mut rig = Rig::new(style);
        rig.fail = |action| *action == Action::ReserveConfigWindow;
        rig.bus.request_start(rig.now);
        rig.run();
        assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::ConfigWindow(PlatformError::NoMmioSpace)));
        rig.assert_nothing_left();
        let mut rig = Rig::new(style).up();
        rig.host.closed = true;
        rig.submit(Request::GetResources { slot: slot(0) });
        rig.run();
        assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::ChannelClosed));
        assert_eq!(rig.unpublished(), [(0, RemovalReason::Surprise)]);
        rig.assert_nothing_left();
    }
}

#[test]
fn a_late_d0_entry_is_taken_back() {
    for style in [GuestStyle::ConfigSpace, GuestStyle::Messages] {
        let mut rig = Rig::new(style);
        rig.host.ignore = |said| matches!(said, Said::D0Entry(_) | Said::D0Exit);
        rig.bus.request_start(rig.now);
        rig.run();
        rig.wait(60);
        // It may have worked: D0EXIT is sent, and waited for, 10 s.
        assert_eq!((rig.host.said.last(), rig.bus.status()), (Some(&Said::D0Exit), BusStatus::Stopping));
        rig.deliver(PacketKind::Completion, rig.host.ignored[0].0, &[0; 8]);
        assert_eq!(rig.bus.counters().late_completions, 1);
        rig.wait(9);
        assert_eq!(rig.bus.status(), BusStatus::Stopping);
        rig.wait(1);
        assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::Timeout(Step::D0Entry)));
        rig.assert_nothing_left();
    }
}

#[test]
fn a_host_that_never_lists_its_functions_is_given_up() {
    for style in [GuestStyle::ConfigSpace, GuestStyle::Messages] {
        let mut rig = Rig::new(style);
        rig.bus.request_start(rig.now);
        while !rig.host.said.iter().any(|s| matches!(s, Said::Relations | Said::D0Entry(_))) {
            rig.turn();
        }
        // The list is lost on the way.
        rig.host.inbox.retain(|(kind, ..)| *kind == PacketKind::Completion);
        rig.run();
        rig.wait(60);
        assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::Timeout(Step::Relations)));
        rig.assert_nothing_left();
    }
}

/// Message style: BARs are sent only of functions that the config half has, and with it their decode is off (I2).
#[test]
fn a_message_guest_sends_no_bars_of_what_could_not_be_attached() {
    let mut rig = Rig::new(GuestStyle::Messages).functions(&[(0, PROBED), (1, PROBED)]);
    rig.fail = |action| *action == Action::Attach { slot: slot(0) };
    let mut rig = rig.up();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Assigned(_, 0, _))), []);
    assert_eq!(rig.said_about(|said| matches!(said, Said::Assigned(_, 1, _))).len(), 1);
    assert_eq!(rig.shown, [slot(1)]);
    rig.stop();
    rig.assert_nothing_left();
}
