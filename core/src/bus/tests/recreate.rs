//! Interrupts of before a suspend, given up or lost while they are created again; a background map that is refused.

use super::super::*;
use super::rig::*;
use crate::decode::{GuestStyle, Policy};
use crate::wire::*;

/// Resumed, with the creation of the one interrupt of before left unanswered.
fn resuming() -> (Rig, InterruptHandle, MsiEntry, u64) {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.bus.reserve_interrupts(2).unwrap();
    let (handle, entry) = rig.interrupt(0);
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.host.ignore = |said| matches!(said, Said::Create(..));
    rig.bus.request_resume(rig.now);
    rig.run();
    let id = rig.host.ignored[0].0;
    (rig, handle, entry, id)
}

fn answer(status: Status) -> Vec<u8> {
    let entry = MsiEntry { address: 0xFEE0_2000, data: 0x99, message_count: 1, reserved: 0 };
    let mut buf = vec![0; 24];
    CreateInterruptReply { status, entry }.encode(&mut buf).unwrap();
    buf
}

fn deletes(rig: &Rig) -> Vec<Said> {
    rig.said_about(|said| matches!(said, Said::Delete(..)))
}

fn lost(rig: &Rig) -> usize {
    rig.reports.iter().filter(|report| matches!(report, Report::InterruptLost(_))).count()
}

#[test]
fn one_that_is_given_up_meanwhile_is_deleted_when_it_is_back() {
    let (mut rig, handle, _, id) = resuming();
    rig.bus.delete_by_handle(handle).unwrap();
    rig.deliver(PacketKind::Completion, id, &answer(Status::SUCCESS));
    rig.run();
    assert!(matches!(deletes(&rig)[..], [Said::Delete(0, MsiEntry { data: 0x99, .. })]));
    assert!(!rig.log.iter().any(|action| matches!(action, Action::InterruptRecreated { .. })), "nobody is told");
    assert_eq!(rig.bus.status(), BusStatus::Running);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn one_that_the_host_refuses_is_reported_if_anybody_still_wants_it() {
    for wanted in [true, false] {
        let (mut rig, handle, _, id) = resuming();
        if !wanted {
            rig.bus.delete_by_handle(handle).unwrap();
        }
        rig.deliver(PacketKind::Completion, id, &answer(Status::BAD_DATA));
        rig.run();
        assert_eq!((deletes(&rig), lost(&rig)), (vec![], usize::from(wanted)));
        assert_eq!(rig.bus.delete_by_handle(handle), Err(SubmitError::NoInterrupt));
    }
}

#[test]
fn one_that_is_given_up_while_suspended_does_not_come_back() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.bus.reserve_interrupts(2).unwrap();
    let (handle, _) = rig.interrupt(0);
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.bus.delete_by_handle(handle).unwrap();
    rig.host.said.clear();
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Create(..) | Said::Delete(..))), []);
}

#[test]
fn a_suspend_meanwhile_leaves_it_for_the_next_resume() {
    for wanted in [true, false] {
        let (mut rig, handle, ..) = resuming();
        if !wanted {
            rig.bus.delete_by_handle(handle).unwrap();
        }
        rig.bus.request_suspend(rig.now);
        rig.run();
        rig.wait(60);
        assert_eq!(rig.bus.status(), BusStatus::Suspended, "wanted {wanted}");
        rig.host.ignore = |_| false;
        rig.host.said.clear();
        rig.log.clear();
        rig.bus.request_resume(rig.now);
        rig.run();
        assert_eq!(rig.said_about(|said| matches!(said, Said::Create(..))).len(), usize::from(wanted));
        let told = rig.log.iter().filter(|action| matches!(action, Action::InterruptRecreated { .. }));
        assert_eq!(told.count(), usize::from(wanted));
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn a_background_map_that_the_config_half_refuses_is_not_asked_for() {
    let mut options = BusOptions::new(GuestStyle::ConfigSpace, crate::interrupt::Architecture::X86);
    options.policy = Policy::Prefetch;
    let mut rig = Rig::with(options);
    rig.fail = |action| matches!(action, Action::PrefetchStarted { .. });
    let rig = rig.up();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Power(..))), []);
    assert_eq!(rig.shown, [slot(0)], "its driver maps it");
}
