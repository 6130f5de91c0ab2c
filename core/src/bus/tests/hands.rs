//! What pump and publisher have in hand, and what waits for it.

use super::super::*;
use super::rig::*;
use crate::Slot;
use crate::decode::GuestStyle;
use crate::wire::*;

fn two(style: GuestStyle) -> Rig {
    Rig::new(style).functions(&[(0, PROBED), (1, PROBED)])
}

/// Up, but for the publisher, which has not begun.
fn unpublished() -> Rig {
    let mut rig = two(GuestStyle::ConfigSpace);
    rig.publisher_stuck = true;
    rig.up()
}

#[test]
fn the_host_is_heard_while_the_channel_opens_and_not_while_it_closes() {
    let mut rig = two(GuestStyle::ConfigSpace);
    rig.sit_on = |action| matches!(action, Action::OpenChannel | Action::CloseChannel);
    rig.bus.request_start(rig.now);
    rig.run();
    rig.deliver(PacketKind::InBand, 0, &[]);
    assert_eq!((rig.bus.counters().received, rig.bus.counters().ignored_messages), (1, 0));
    rig.finish();
    rig.run();
    rig.bus.request_stop(rig.now);
    rig.run();
    let received = rig.bus.counters().received;
    rig.deliver(PacketKind::InBand, 0, &[]);
    assert_eq!((rig.bus.counters().received, rig.bus.counters().ignored_messages), (received, 1));
    rig.finish();
    rig.run();
    rig.assert_nothing_left();
}

#[test]
fn a_publisher_answers_for_what_it_has_in_hand() {
    let mut rig = unpublished();
    let mut odd = 0;
    let mut refused = |rig: &mut Rig, done: ActionDone| {
        rig.bus.action_done(rig.now, done);
        odd += 1;
        assert_eq!((rig.bus.counters().unexpected_actions, rig.bus.poll_publish()), (odd, None));
    };
    assert_eq!(rig.bus.poll_publish(), Some(PublishAction::Publish { slot: slot(0) }));
    refused(&mut rig, ActionDone::Published { slot: slot(1), result: Ok(()) });
    refused(&mut rig, ActionDone::Unpublished { slot: slot(0) });
    rig.bus.action_done(rig.now, ActionDone::Published { slot: slot(0), result: Ok(()) });
    rig.host.message(HostMessage::Eject { slot: 0 });
    rig.run();
    assert!(matches!(rig.bus.poll_publish(), Some(PublishAction::Unpublish { slot: of, .. }) if of == slot(0)));
    refused(&mut rig, ActionDone::Unpublished { slot: slot(1) });
    refused(&mut rig, ActionDone::Published { slot: slot(0), result: Ok(()) });
}

#[test]
fn a_function_is_shown_when_all_have_resources_and_the_config_half() {
    for style in [GuestStyle::ConfigSpace, GuestStyle::Messages] {
        let mut rig = two(style);
        rig.publisher_stuck = true;
        rig.bus.request_start(rig.now);
        let (mut assigned, mut attached) = (0, 0);
        while rig.turn() {
            let count = |which: &dyn Fn(Slot) -> bool| [slot(0), slot(1)].into_iter().filter(|s| which(*s)).count();
            assigned = count(&|slot| rig.bus.is_assigned(slot));
            attached = count(&|slot| rig.attached.contains(&slot));
            assert!(assigned <= rig.said_about(|said| matches!(said, Said::Assigned(..))).len());
            assert_eq!(rig.bus.has_publish_work(), (assigned, attached) == (2, 2), "{style}");
        }
        assert_eq!((assigned, attached), (2, 2));
    }
}

#[test]
fn a_suspend_waits_for_the_publisher() {
    let mut rig = unpublished();
    assert_eq!(rig.bus.poll_publish(), Some(PublishAction::Publish { slot: slot(0) }));
    rig.host.said.clear();
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!((rig.bus.status(), &rig.host.said[..]), (BusStatus::Suspending, &[][..]));
    rig.bus.action_done(rig.now, ActionDone::Published { slot: slot(0), result: Ok(()) });
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspended);
}

#[test]
fn nothing_is_shown_on_the_way_down() {
    let mut rig = unpublished();
    assert!(rig.bus.has_publish_work());
    rig.bus.request_suspend(rig.now);
    assert!(!rig.bus.has_publish_work());
    rig.bus.request_resume(rig.now);
    assert!(!rig.bus.has_publish_work(), "it goes down first");
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!((rig.bus.status(), rig.shown.len()), (BusStatus::Running, 2));
}

#[test]
fn a_bus_that_was_never_started_is_stopped_at_once() {
    let mut rig = two(GuestStyle::ConfigSpace);
    rig.bus.request_stop(rig.now);
    assert_eq!(rig.bus.status(), BusStatus::Stopped);
}

#[test]
fn a_message_guest_that_waits_for_bars_says_so() {
    let mut rig = two(GuestStyle::Messages);
    rig.host.ignore = |said| matches!(said, Said::Requirements(1));
    rig.bus.request_start(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Starting(Step::Requirements));
}

#[test]
fn the_list_of_before_a_refused_entry_counts_for_config_space_guests_alone() {
    let mut rig = two(GuestStyle::ConfigSpace);
    rig.host.d0_refusals = 1;
    let rig = rig.up();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Relations)), [Said::Relations]);

    let mut rig = two(GuestStyle::Messages);
    rig.host.d0_refusals = 1;
    rig.host.relations_before_d0_reply = false;
    rig.host.ignore = |said| matches!(said, Said::D0Exit);
    rig.bus.request_start(rig.now);
    rig.run();
    let (id, _) = rig.host.ignored.pop().unwrap();
    rig.host.complete(id, vec![0; 8]);
    rig.host.functions.remove(0);
    rig.run();
    assert_eq!((rig.bus.status(), &rig.shown[..]), (BusStatus::Running, &[slot(1)][..]));
    assert_eq!(rig.said_about(|said| matches!(said, Said::Requirements(_))), [Said::Requirements(1)]);
}
