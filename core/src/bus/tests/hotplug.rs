//! Functions that come and go on a live bus.

use super::super::*;
use super::rig::*;
use crate::backend::RemovalReason;
use crate::config::Reach;
use crate::decode::GuestStyle;
use crate::wire::*;

const BOTH: [GuestStyle; 2] = [GuestStyle::ConfigSpace, GuestStyle::Messages];

#[test]
fn a_hot_added_function_gets_everything() {
    for style in BOTH {
        let mut rig = Rig::new(style).up();
        rig.host.said.clear();
        rig.host.functions.push((function(1), HUGE));
        rig.host.relations();
        rig.run();
        let null = style == GuestStyle::ConfigSpace;
        assert_eq!(rig.host.said, [Said::Requirements(1), Said::Assigned(AssignedForm::V2, 1, null)]);
        assert_eq!(rig.shown, [slot(0), slot(1)]);
        assert_eq!(rig.bus.status(), BusStatus::Running);
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn a_second_identical_list_changes_nothing() {
    // field.md, bug 5.
    for style in BOTH {
        let mut rig = Rig::new(style).up();
        let (said, log) = (rig.host.said.len(), rig.log.len());
        for _ in 0..3 {
            rig.host.relations();
        }
        rig.run();
        assert_eq!((rig.host.said.len(), rig.log.len()), (said, log));
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn the_newest_list_wins() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    let (f0, f1, f2) = (function(0), function(1), function(2));
    rig.host.functions = vec![(f0, PROBED), (f2, PROBED)];
    // Both are queued before the pump looks.
    for list in [vec![f1], vec![], vec![f0, f1], vec![f2, f0]] {
        rig.host.list(&list);
    }
    while let Some((kind, id, payload)) = rig.host.inbox.pop_front() {
        rig.deliver(kind, id, &payload);
    }
    rig.run();
    assert_eq!(rig.shown, [slot(0), slot(2)]);
    assert!(rig.unpublished().is_empty());
    assert_eq!(rig.said_about(|s| matches!(s, Said::Requirements(1))), []);
}

#[test]
fn a_function_missing_from_the_list_is_gone() {
    for style in BOTH {
        let mut rig = Rig::new(style).functions(&[(0, PROBED), (1, HUGE)]).up();
        let ticket = {
            rig.host.ignore = |said| matches!(said, Said::Read(..));
            rig.submit(Request::ReadBlock { slot: slot(1), block: 0, bytes: 4 })
        };
        rig.run();
        rig.host.said.clear();
        rig.host.functions.pop();
        rig.host.relations();
        rig.run();
        assert_eq!(rig.unpublished(), [(1, RemovalReason::Surprise)]);
        assert_eq!(rig.bus.poll_reply(ticket), core::task::Poll::Ready(Err(RequestError::FunctionGone)));
        assert!(rig.log.contains(&Action::Detach { slot: slot(1), reach: Reach::Gone }));
        // The host does not know it any more: nothing is said about it.
        assert_eq!(rig.host.said, []);
        assert_eq!(rig.bus.slots().collect::<Vec<_>>(), [slot(0)]);
        // Count 0.
        rig.host.functions.clear();
        rig.host.relations();
        rig.run();
        assert!(rig.shown.is_empty());
        assert_eq!(rig.bus.status(), BusStatus::Running);
        // Its space is used again.
        let windows = rig.windows.len();
        rig.host.functions = vec![(function(1), HUGE)];
        rig.host.relations();
        rig.run();
        assert_eq!((rig.shown.clone(), rig.windows.len()), (vec![slot(1)], windows));
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn a_new_identity_in_the_same_slot_is_a_removal_and_an_addition() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.host.functions[0].0.serial = 7;
    rig.publisher_stuck = true;
    rig.host.relations();
    rig.run();
    assert_eq!(rig.bus.function(slot(0)).unwrap().description.serial, 0x100);
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!(rig.bus.function(slot(0)).unwrap().description.serial, 7);
    assert_eq!((rig.shown.clone(), rig.unpublished().len()), (vec![slot(0)], 1));
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn eject_ends_with_ejection_complete() {
    for style in BOTH {
        let mut rig = Rig::new(style).functions(&[(0, PROBED), (1, PROBED)]).up();
        rig.host.said.clear();
        rig.host.message(HostMessage::Eject { slot: 1 });
        rig.host.message(HostMessage::Eject { slot: 1 });
        rig.host.message(HostMessage::Eject { slot: 9 });
        rig.host.message(HostMessage::Eject { slot: 0x1_0000 });
        rig.run();
        assert_eq!(rig.host.said, [Said::Released(1), Said::EjectComplete(1)]);
        assert_eq!(rig.unpublished(), [(1, RemovalReason::Eject)]);
        let counters = *rig.bus.counters();
        assert_eq!((counters.duplicate_ejects, counters.unknown_slots, counters.bad_slots), (1, 1, 1));
        // The config half hears that the host unmapped it once the host has answered something sent later.
        let unmapped = Action::HostUnmapped { slot: Some(slot(1)) };
        assert!(!rig.log.contains(&unmapped));
        let ticket = rig.submit(Request::GetResources { slot: slot(0) });
        rig.run();
        assert!(rig.bus.poll_reply(ticket).is_ready() && rig.log.contains(&unmapped));
        // It does not come back by itself, but with a list that names it.
        assert_eq!(rig.bus.slots().count(), 1);
        rig.host.functions.push((function(1), PROBED));
        rig.host.relations();
        rig.run();
        assert_eq!(rig.shown, [slot(0), slot(1)]);
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn eject_at_every_step_of_the_bring_up() {
    // field.md, bug 1.
    for style in BOTH {
        let steps = {
            let rig = Rig::new(style).functions(&[(0, PROBED), (1, PROBED)]).up();
            rig.events
        };
        for at in 0..steps {
            let mut rig = Rig::new(style).functions(&[(0, PROBED), (1, PROBED)]);
            rig.bus.request_start(rig.now);
            for _ in 0..at {
                rig.turn();
            }
            rig.host.message(HostMessage::Eject { slot: 1 });
            // A host that has asked for it back does not list it any more.
            rig.host.functions.pop();
            let known = rig.host.said.contains(&Said::Requirements(1));
            rig.run_out();
            assert_eq!(rig.bus.status(), BusStatus::Running, "at {at}");
            assert!(rig.shown.contains(&slot(0)));
            let complete = rig.said_about(|s| *s == Said::EjectComplete(1)).len();
            assert!(complete <= 1);
            if known {
                assert_eq!((complete, rig.shown.len()), (1, 1), "at {at} {style}");
            }
            rig.stop();
            rig.assert_nothing_left();
        }
    }
}

#[test]
fn an_eject_that_the_os_sits_on_is_reported() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.publisher_stuck = true;
    rig.host.message(HostMessage::Eject { slot: 0 });
    rig.run();
    rig.wait(59);
    assert!(!rig.reports.contains(&Report::EjectOverdue(slot(0))));
    rig.wait(1);
    assert!(rig.reports.contains(&Report::EjectOverdue(slot(0))));
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!(rig.host.said.last(), Some(&Said::EjectComplete(0)));
}

#[test]
fn relations_are_ignored_on_the_way_down() {
    // field.md, bug 5: relations while the bus is being removed.
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.publisher_stuck = true;
    rig.bus.request_stop(rig.now);
    rig.run();
    rig.host.functions.push((function(1), PROBED));
    rig.host.relations();
    rig.run();
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Stopped);
    assert_eq!(rig.bus.counters().ignored_messages, 1);
    rig.assert_nothing_left();
}

#[test]
fn a_read_in_a_probe_does_not_wait_for_the_publisher() {
    // The OS's publish is in flight, and the driver in it reads a config block.
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]);
    rig.publisher_stuck = true;
    rig.bus.request_start(rig.now);
    rig.run();
    assert_eq!(rig.bus.poll_publish(), Some(PublishAction::Publish { slot: slot(0) }));
    assert_eq!(rig.bus.poll_publish(), None);
    let ticket = rig.submit(Request::ReadBlock { slot: slot(0), block: 3, bytes: 9 });
    rig.run();
    let data = [0x5A; 9].into_iter().collect();
    assert_eq!(rig.bus.poll_reply(ticket), core::task::Poll::Ready(Ok(Reply::Block(data))));
}
