//! Suspend and resume.

use super::super::*;
use super::rig::*;
use crate::backend::RemovalReason;
use crate::decode::{GuestStyle, Policy};
use crate::interrupt::Architecture;
use crate::wire::*;

const BOTH: [GuestStyle; 2] = [GuestStyle::ConfigSpace, GuestStyle::Messages];

fn suspended(style: GuestStyle) -> (Rig, InterruptHandle, MsiEntry) {
    let mut rig = Rig::new(style).functions(&[(0, PROBED), (1, HUGE)]).up();
    rig.bus.reserve_interrupts(4).unwrap();
    let (handle, entry) = rig.interrupt(0);
    rig.host.said.clear();
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspended);
    (rig, handle, entry)
}

#[test]
fn everything_is_kept_and_comes_back() {
    for style in BOTH {
        let (mut rig, handle, entry) = suspended(style);
        assert_eq!(rig.host.said, [Said::Released(1), Said::Released(0), Said::D0Exit]);
        assert_eq!(rig.shown, [slot(0), slot(1)]);
        assert!(!rig.open && rig.window && rig.windows.len() == 2 && rig.attached.len() == 2);
        assert!(rig.log.contains(&Action::HostUnmapped { slot: None }));
        let before = rig.bus.function(slot(1)).unwrap();
        rig.host.said.clear();
        rig.log.clear();
        rig.bus.request_resume(rig.now);
        rig.run();
        assert_eq!(rig.bus.status(), BusStatus::Running);
        assert_eq!(rig.bus.function(slot(1)).unwrap(), before);
        let null = style == GuestStyle::ConfigSpace;
        let mut expected = vec![Said::Version(Version::V1_4)];
        if null {
            expected.push(Said::Relations);
        }
        expected.extend([
            Said::D0Entry(CONFIG_WINDOW),
            Said::Assigned(AssignedForm::V2, 0, null),
            Said::Assigned(AssignedForm::V2, 1, null),
            Said::Create(CreateForm::V3, 0, 0x30),
        ]);
        assert_eq!(rig.host.said, expected);
        assert!(rig.log.contains(&Action::HostLostState { slot: None }));
        let told = rig.log.iter().find_map(|action| match action {
            Action::InterruptRecreated { handle, entry, .. } => Some((*handle, *entry)),
            _ => None,
        });
        let (same, new) = told.unwrap();
        assert!(same == handle && new != entry);
        // suspend, resume, suspend (field.md, bug 10), and stop out of a suspend.
        rig.bus.request_suspend(rig.now);
        rig.run();
        assert_eq!(rig.bus.status(), BusStatus::Suspended);
        rig.stop();
        assert_eq!(rig.unpublished(), [(1, RemovalReason::Shutdown), (0, RemovalReason::Shutdown)]);
        rig.assert_nothing_left();
    }
}

#[test]
fn only_the_old_version_will_do() {
    let (mut rig, ..) = suspended(GuestStyle::ConfigSpace);
    rig.host.versions = vec![Version::V1_3];
    rig.host.said.clear();
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.host.said, [Said::Version(Version::V1_4)]);
    assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::VersionLost { version: Version::V1_4 }));
    rig.assert_nothing_left();
}

#[test]
fn functions_may_come_and_go_over_a_suspend() {
    for style in BOTH {
        let (mut rig, ..) = suspended(style);
        rig.host.functions = vec![(function(1), HUGE), (function(2), PROBED)];
        rig.bus.request_resume(rig.now);
        rig.run();
        assert_eq!(rig.shown, [slot(1), slot(2)]);
        assert_eq!(rig.unpublished(), [(0, RemovalReason::Surprise)]);
        // The interrupt of the one that is gone is not created again.
        assert_eq!(rig.said_about(|s| matches!(s, Said::Create(..))), []);
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn an_interrupt_that_does_not_come_back_is_reported() {
    let (mut rig, handle, entry) = suspended(GuestStyle::ConfigSpace);
    rig.host.refuse = |said| matches!(said, Said::Create(..)).then_some(Status::BAD_DATA);
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Running);
    assert!(rig.reports.contains(&Report::InterruptLost(handle)));
    let delete = Request::DeleteInterrupt { slot: slot(0), entry };
    assert_eq!(rig.bus.submit(rig.now, delete), Err(SubmitError::NoInterrupt));
}

#[test]
fn an_interrupt_deleted_while_suspended_stays_away() {
    let (mut rig, _, entry) = suspended(GuestStyle::ConfigSpace);
    rig.submit(Request::DeleteInterrupt { slot: slot(0), entry });
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.said_about(|s| matches!(s, Said::Create(..) | Said::Delete(..))), []);
}

#[test]
fn requests_are_refused_while_suspended_and_ended_before() {
    let (mut rig, ..) = suspended(GuestStyle::ConfigSpace);
    let request = Request::GetResources { slot: slot(0) };
    assert_eq!(rig.bus.submit(rig.now, request.clone()), Err(SubmitError::NotUp));
    rig.bus.request_resume(rig.now);
    rig.run();
    rig.host.ignore = |said| matches!(said, Said::Get(_));
    let ticket = rig.submit(request);
    rig.run();
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.poll_reply(ticket), core::task::Poll::Ready(Err(RequestError::Closed)));
}

#[test]
fn an_eject_in_progress_is_finished_before_the_suspend() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]).up();
    rig.publisher_stuck = true;
    rig.host.message(HostMessage::Eject { slot: 1 });
    rig.run();
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspending);
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspended);
    assert!(rig.host.said.contains(&Said::EjectComplete(1)));
    assert_eq!(rig.shown, [slot(0)]);
}

#[test]
fn suspend_and_resume_at_every_step_of_the_bring_up() {
    for style in BOTH {
        let steps = Rig::new(style).functions(&[(0, PROBED), (1, HUGE)]).up().events;
        for at in 0..steps {
            let mut rig = Rig::new(style).functions(&[(0, PROBED), (1, HUGE)]);
            rig.bus.request_start(rig.now);
            for _ in 0..at {
                rig.turn();
            }
            rig.bus.request_suspend(rig.now);
            rig.run_out();
            let status = rig.bus.status();
            assert!(matches!(status, BusStatus::Suspended | BusStatus::Stopped), "{status:?} at {at}");
            assert!(!rig.open);
            rig.bus.request_start(rig.now);
            rig.run_out();
            assert_eq!(rig.bus.status(), BusStatus::Running, "at {at} {style}: {:?}", rig.reports);
            assert_eq!(rig.shown.len(), 2);
            rig.stop();
            rig.assert_nothing_left();
        }
    }
}

#[test]
fn a_host_that_forgets_all_interrupts_does_not_fill_the_table() {
    let options =
        BusOptions { outstanding: 2, ..BusOptions::new(GuestStyle::ConfigSpace, crate::interrupt::Architecture::X86) };
    let mut rig = Rig::with(options).up();
    rig.bus.reserve_interrupts(40).unwrap();
    for _ in 0..40 {
        rig.interrupt(0);
    }
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.host.ignore = |said| matches!(said, Said::Create(..));
    rig.bus.request_resume(rig.now);
    rig.run_out();
    assert_eq!(rig.bus.status(), BusStatus::Running);
    assert_eq!(rig.reports.iter().filter(|r| matches!(r, Report::InterruptLost(_))).count(), 40);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_bus_suspended_before_it_knew_its_version_negotiates_afresh() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    rig.host.versions = vec![Version::V1_2];
    rig.bus.request_start(rig.now);
    rig.turn();
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspended);
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!((rig.bus.status(), rig.bus.version()), (BusStatus::Running, Some(Version::V1_2)));
}

#[test]
fn what_a_suspend_kept_from_being_mapped_ahead_is_mapped_ahead_after_it() {
    let mut options = BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86);
    options.policy = Policy::Prefetch;
    let mut rig = Rig::with(options).functions(&[(0, PROBED), (1, PROBED)]);
    rig.host.ignore = |said| matches!(said, Said::Power(..));
    rig.bus.request_start(rig.now);
    rig.run();
    assert_eq!(rig.shown, [], "its map is waited for");
    rig.bus.request_suspend(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Suspended);
    rig.host.ignore = |_| false;
    rig.host.said.clear();
    rig.bus.request_resume(rig.now);
    rig.run();
    let power = rig.said_about(|said| matches!(said, Said::Power(..)));
    assert_eq!(power, [Said::Power(0, PowerState::D0), Said::Power(1, PowerState::D0)]);
    assert_eq!(rig.shown, [slot(0), slot(1)]);
    // What is in use comes back by its driver's hand.
    rig.host.said.clear();
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Power(..))), []);
    rig.stop();
    rig.assert_nothing_left();
}

/// The OS sees to a new function once those that it has are whole again.
#[test]
fn nothing_new_is_shown_before_the_interrupts_are_made_again() {
    for style in BOTH {
        let (mut rig, ..) = suspended(style);
        rig.host.functions.push((function(2), PROBED));
        rig.host.ignore = |said| matches!(said, Said::Create(..));
        rig.bus.request_resume(rig.now);
        rig.run();
        assert_eq!(rig.bus.status(), BusStatus::Resuming(Step::Interrupts));
        assert_eq!(rig.attached, [slot(0), slot(1), slot(2)]);
        assert!(!rig.bus.has_publish_work() && rig.shown == [slot(0), slot(1)]);
        rig.wait(60);
        assert_eq!(rig.bus.status(), BusStatus::Running);
        assert_eq!(rig.shown, [slot(0), slot(1), slot(2)]);
    }
}
