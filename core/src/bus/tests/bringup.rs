//! Bring-up and teardown.

use core::time::Duration;

use super::super::*;
use super::rig::*;
use crate::backend::RemovalReason;
use crate::config::Reach;
use crate::decode::{GuestStyle, Policy};
use crate::interrupt::Architecture;
use crate::placement::{Aperture, Headroom, PlacementError};
use crate::wire::*;

fn options(style: GuestStyle) -> BusOptions {
    BusOptions::new(style, Architecture::X86)
}

#[test]
fn config_space_style_in_the_order_of_linux() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(1, PROBED), (0, HUGE)]).up();
    assert_eq!(
        rig.host.said,
        [
            Said::Version(Version::V1_4),
            Said::Relations,
            Said::Requirements(0),
            Said::Requirements(1),
            Said::D0Entry(CONFIG_WINDOW),
            Said::Assigned(AssignedForm::V2, 0, true),
            Said::Assigned(AssignedForm::V2, 1, true),
        ]
    );
    let log = &rig.log;
    assert_eq!(log[..2], [Action::OpenChannel, Action::ReserveConfigWindow]);
    assert!(matches!(log[2], Action::ReserveWindow(need) if need.aperture == Aperture::Low && need.size == 4096));
    assert!(
        matches!(log[3], Action::ReserveWindow(need) if need.size == 128 * GIB + 0x1_0000 && need.align == 128 * GIB)
            || matches!(log[4], Action::ReserveWindow(need) if need.size == 128 * GIB + 0x1_0000)
    );
    assert_eq!(log[log.len() - 2..], [Action::Attach { slot: slot(0) }, Action::Attach { slot: slot(1) }]);
    assert_eq!(rig.published_log, [PublishAction::Publish { slot: slot(0) }, PublishAction::Publish { slot: slot(1) }]);
    let info = rig.bus.function(slot(0)).unwrap();
    assert_eq!(info.bars[1].unwrap() % (128 * GIB), 0);
    assert!(!rig.bus.seed(slot(0)).unwrap().host_bars_known);
    assert_eq!(rig.bus.messages(slot(1)), 4);

    rig.host.said.clear();
    rig.stop();
    assert_eq!(rig.host.said, [Said::Released(1), Said::Released(0), Said::D0Exit]);
    assert_eq!(rig.unpublished(), [(1, RemovalReason::Shutdown), (0, RemovalReason::Shutdown)]);
    assert!(rig.log.contains(&Action::Detach { slot: slot(1), reach: Reach::Host }));
    assert_eq!(rig.bus.status(), BusStatus::Stopped);
    rig.assert_nothing_left();
    // And again, with ids going on.
    rig.bus.request_start(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Running);
}

#[test]
fn message_style_in_the_order_of_windows() {
    for before in [true, false] {
        let mut rig = Rig::new(GuestStyle::Messages).functions(&[(0, HUGE)]);
        rig.host.relations_before_d0_reply = before;
        let mut rig = rig.up();
        assert_eq!(
            rig.host.said,
            [
                Said::Version(Version::V1_4),
                Said::D0Entry(CONFIG_WINDOW),
                Said::Requirements(0),
                Said::Assigned(AssignedForm::V2, 0, false),
            ]
        );
        let address = rig.bus.function(slot(0)).unwrap().bars[1].unwrap();
        let mut bars = MmioDescriptor::NONE;
        bars[1] = MmioDescriptor::Memory { address, length: 128 * GIB };
        assert_eq!(rig.host.bars, [(0, bars)]);
        assert!(rig.bus.seed(slot(0)).unwrap().host_bars_known);
        // The child's driver starts and stops.
        for (state, on) in [(PowerState::D0, true), (PowerState::D3, false)] {
            let ticket = rig.submit(Request::PowerState { slot: slot(0), state });
            let second = rig.bus.submit(rig.now, Request::PowerState { slot: slot(0), state });
            assert_eq!(second, Err(SubmitError::PowerPending(slot(0))));
            rig.run();
            assert_eq!(rig.bus.poll_reply(ticket), core::task::Poll::Ready(Ok(Reply::Done)));
            assert_eq!(rig.log.last(), Some(&Action::PowerCompleted { slot: slot(0), on, ok: true }));
        }
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn every_version_in_both_styles() {
    for style in [GuestStyle::ConfigSpace, GuestStyle::Messages] {
        for version in Version::SPOKEN {
            let mut rig = Rig::with(BusOptions { highest: Version::V1_6, ..options(style) });
            rig.host.versions = vec![version];
            let mut rig = rig.up();
            assert_eq!(rig.bus.version(), Some(version));
            let asked: Vec<_> = Version::SPOKEN.into_iter().take_while(|v| *v >= version).map(Said::Version).collect();
            assert_eq!(rig.host.said[..asked.len()], asked);
            let form = if version == Version::V1_1 { AssignedForm::V1 } else { AssignedForm::V2 };
            assert!(rig.host.said.contains(&Said::Assigned(form, 0, style == GuestStyle::ConfigSpace)));
            rig.bus.reserve_interrupts(1).unwrap();
            rig.interrupt(0);
            let create = rig.said_about(|s| matches!(s, Said::Create(..)));
            assert_eq!(create, [Said::Create(version.create_form(), 0, 0x30)]);
            rig.stop();
            rig.assert_nothing_left();
        }
    }
}

#[test]
fn a_host_of_1_0_only_is_refused() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    rig.host.versions = vec![Version::V1_0];
    rig.bus.request_start(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::NoCommonVersion { lowest: Version::V1_1 }));
    assert_eq!(rig.host.said.len(), 4);
    rig.assert_nothing_left();
    let low = BusOptions { highest: Version::V1_0, lowest: Version::V1_0, ..options(GuestStyle::Messages) };
    let instance = rig.bus.instance();
    assert!(matches!(Bus::new(instance, low), Err(NewBusError::Versions { .. })));
    let none = BusOptions { max_functions: 0, ..options(GuestStyle::Messages) };
    assert_eq!(Bus::new(instance, none), Err(NewBusError::MaxFunctions(0)));
    let none = BusOptions { outstanding: 0, ..options(GuestStyle::Messages) };
    assert_eq!(Bus::new(instance, none), Err(NewBusError::Outstanding));
}

#[test]
fn only_a_revision_mismatch_means_try_the_next() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    rig.host.refuse = |said| matches!(said, Said::Version(_)).then_some(Status::BAD_DATA);
    rig.bus.request_start(rig.now);
    rig.run();
    let error = BusError::Negotiation { version: Version::V1_4, status: Status::BAD_DATA };
    assert_eq!(rig.bus.status(), BusStatus::Failed(error));
    assert_eq!(rig.host.said, [Said::Version(Version::V1_4)]);
    rig.assert_nothing_left();
    // A failure is no end: a new start tries again.
    rig.host.refuse = |_| None;
    let mut rig = rig.up();
    rig.stop();
    assert_eq!(rig.bus.status(), BusStatus::Stopped);
}

#[test]
fn kdump_one_retry_of_d0_entry() {
    // field.md, bug 6.
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (3, PROBED)]);
    rig.host.d0_refusals = 1;
    let mut rig = rig.up();
    let said =
        rig.said_about(|s| matches!(s, Said::D0Entry(_) | Said::D0Exit | Said::Released(_) | Said::Assigned(..)));
    assert_eq!(
        said,
        [
            Said::D0Entry(CONFIG_WINDOW),
            Said::Released(3),
            Said::Released(0),
            Said::D0Exit,
            Said::D0Entry(CONFIG_WINDOW),
            Said::Assigned(AssignedForm::V2, 0, true),
            Said::Assigned(AssignedForm::V2, 3, true),
        ]
    );
    assert!(rig.reports.contains(&Report::D0Retry(Status(0xC000_0001))));
    rig.host.said.clear();
    rig.stop();
    assert_eq!(rig.host.said, [Said::Released(3), Said::Released(0), Said::D0Exit]);

    let mut rig = Rig::new(GuestStyle::Messages);
    rig.host.d0_refusals = 2;
    rig.bus.request_start(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Failed(BusError::D0Entry { status: Status(0xC000_0001) }));
    assert_eq!(rig.said_about(|s| matches!(s, Said::D0Entry(_))).len(), 2);
    rig.assert_nothing_left();
}

#[test]
fn functions_without_bars_and_buses_without_functions() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, ProbedBars::default())]).up();
    assert!(rig.windows.is_empty());
    assert_eq!(rig.shown, [slot(0)]);
    rig.stop();
    rig.assert_nothing_left();
    let mut rig = Rig::new(GuestStyle::Messages).functions(&[]).up();
    assert!(rig.shown.is_empty());
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_full_bus() {
    let all: Vec<_> = (0..256).map(|s| (s, PROBED)).collect();
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&all).up();
    assert_eq!(rig.shown.len(), 256);
    assert_eq!(rig.windows.len(), 2);
    rig.host.said.clear();
    rig.stop();
    assert_eq!(rig.host.said.len(), 257);
    rig.assert_nothing_left();
    // Less room than the host lists: the rest is left out, and said.
    let options = BusOptions { max_functions: 2, ..options(GuestStyle::ConfigSpace) };
    let mut rig = Rig::with(options).functions(&all[..5]).up();
    assert_eq!((rig.shown.len(), rig.bus.counters().functions_left_out > 0), (2, true));
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn what_does_not_fit_fails_alone() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, HUGE), (2, PROBED)]);
    rig.no_space = |need| need.size >= 128 * GIB;
    let mut rig = rig.up();
    assert_eq!(rig.shown, [slot(0), slot(2)]);
    let failed = rig.reports.iter().find_map(|report| match report {
        Report::FunctionFailed { slot, error: FunctionError::Placement(PlacementError::NoSpace { missing, .. }) } => {
            Some((slot.to_wire(), *missing))
        }
        _ => None,
    });
    assert_eq!(failed, Some((1, 128 * GIB)));
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn headroom_is_given_up_before_functions_are() {
    let headroom = Headroom { low: 0, high: 1 << 40 };
    let options = BusOptions { headroom, ..options(GuestStyle::ConfigSpace) };
    let mut rig = Rig::with(options);
    rig.no_space = |need| need.size >= 1 << 40;
    let mut rig = rig.up();
    assert_eq!(rig.shown, [slot(0)]);
    rig.stop();
    rig.assert_nothing_left();
    let mut rig = Rig::with(options).up();
    assert!(rig.windows.iter().any(|w| w.size == (1 << 40) + 0x1_0000));
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn prefetch_starts_all_maps_before_anything_is_shown() {
    let options = BusOptions { policy: Policy::Prefetch, ..options(GuestStyle::ConfigSpace) };
    let mut rig = Rig::with(options).functions(&[(0, HUGE), (1, HUGE), (2, ProbedBars::default())]);
    rig.host.ignore = |said| matches!(said, Said::Power(1, _));
    let mut rig = rig.up();
    // The map of the second is still running: it is not shown, nor what comes after it.
    assert_eq!(rig.shown, [slot(0)]);
    let power = rig.said_about(|s| matches!(s, Said::Power(..)));
    assert_eq!(power, [Said::Power(0, PowerState::D0), Said::Power(1, PowerState::D0)]);
    assert!(rig.log.contains(&Action::PrefetchFinished { slot: slot(0), ok: true }));
    let id = rig.host.ignored[0].0;
    rig.deliver(PacketKind::Completion, id, &[0; 8]);
    rig.run();
    assert_eq!(rig.log.last(), Some(&Action::PrefetchFinished { slot: slot(1), ok: true }));
    assert_eq!(rig.shown, [slot(0), slot(1), slot(2)]);
    // With the publisher late, everything is sent all the same.
    let mut late = Rig::with(options).functions(&[(0, HUGE), (1, HUGE)]);
    late.publisher_stuck = true;
    late.bus.request_start(late.now);
    late.run();
    assert_eq!(late.said_about(|s| matches!(s, Said::Power(..))).len(), 2);
    // With the ring full just then, nothing is shown before both are sent.
    let mut full = Rig::with(options).functions(&[(0, HUGE), (1, HUGE)]);
    full.bus.request_start(full.now);
    while full.attached.len() < 2 {
        full.turn();
    }
    full.host.ring_full = usize::MAX;
    full.run();
    assert_eq!((full.shown.len(), full.said_about(|s| matches!(s, Said::Power(..))).len()), (0, 0));
    full.host.ring_full = 0;
    full.run();
    assert_eq!(full.shown.len(), 2);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_function_is_not_kept_from_the_os_for_ever() {
    let options = BusOptions { policy: Policy::Prefetch, ..options(GuestStyle::ConfigSpace) };
    let mut rig = Rig::with(options).functions(&[(0, HUGE), (1, HUGE)]);
    rig.host.ignore = |said| matches!(said, Said::Power(..));
    let mut rig = rig.up();
    rig.wait(59);
    assert!(rig.shown.is_empty());
    assert_eq!(rig.bus.poll_timeout(), Some(rig.now.after(Duration::from_secs(1))));
    let overdue = |rig: &Rig, n| rig.reports.contains(&Report::PrefetchOverdue(slot(n)));
    assert!(!overdue(&rig, 0) && !overdue(&rig, 1));
    rig.wait(1);
    assert_eq!(rig.shown, [slot(0), slot(1)]);
    assert!(overdue(&rig, 0) && overdue(&rig, 1));
    // The map itself is waited for as before, and told to the config half when it comes.
    let id = rig.host.ignored[0].0;
    rig.deliver(PacketKind::Completion, id, &[0; 8]);
    rig.run();
    assert_eq!(rig.log.last(), Some(&Action::PrefetchFinished { slot: slot(0), ok: true }));
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_map_that_the_ring_never_takes_keeps_a_function_no_longer() {
    let options = BusOptions { policy: Policy::Prefetch, ..options(GuestStyle::ConfigSpace) };
    let mut rig = Rig::with(options).functions(&[(0, HUGE)]);
    rig.bus.request_start(rig.now);
    while rig.attached.is_empty() {
        rig.turn();
    }
    rig.host.ring_full = usize::MAX;
    rig.run();
    rig.wait(59);
    assert!(rig.shown.is_empty());
    rig.wait(1);
    assert_eq!(rig.shown, [slot(0)]);
    assert!(rig.log.contains(&Action::PrefetchFinished { slot: slot(0), ok: false }));
    // Never sent: the host maps nothing later on either.
    rig.host.ring_full = 0;
    rig.run();
    assert_eq!(rig.said_about(|s| matches!(s, Said::Power(..))), []);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_map_that_fails_keeps_nothing_from_the_os() {
    let options = BusOptions { policy: Policy::Prefetch, ..options(GuestStyle::ConfigSpace) };
    let mut rig = Rig::with(options).functions(&[(0, HUGE)]);
    rig.host.ignore = |said| matches!(said, Said::Power(..));
    let mut rig = rig.up();
    assert!(rig.shown.is_empty());
    let id = rig.host.ignored[0].0;
    rig.deliver(PacketKind::Completion, id, &0xC000_0001_u32.to_le_bytes());
    rig.run();
    assert!(rig.log.contains(&Action::PrefetchFinished { slot: slot(0), ok: false }));
    assert_eq!(rig.shown, [slot(0)]);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_map_that_never_ends_is_quarantined_when_its_function_goes() {
    let options = BusOptions { policy: Policy::Prefetch, ..options(GuestStyle::ConfigSpace) };
    let mut rig = Rig::with(options).functions(&[(0, HUGE)]);
    rig.host.ignore = |said| matches!(said, Said::Power(..));
    let mut rig = rig.up();
    // The host may map the functions of other buses first: a minute is not long.
    rig.wait(60);
    assert!(!rig.log.iter().any(|action| matches!(action, Action::PrefetchFinished { .. })));
    rig.wait(10 * 60);
    assert_eq!(rig.log.last(), Some(&Action::PrefetchFinished { slot: slot(0), ok: false }));
    rig.host.message(HostMessage::Eject { slot: 0 });
    rig.run();
    assert_eq!(rig.bus.quarantined_bytes(), 128 * GIB);
    rig.stop();
    rig.assert_nothing_left();
}

#[test]
fn a_full_ring_only_delays() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace);
    rig.host.ring_full = 1;
    rig.bus.request_start(rig.now);
    for _ in 0..50 {
        rig.run();
        rig.host.ring_full = usize::from(rig.host.said.len().is_multiple_of(2));
    }
    rig.host.ring_full = 0;
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Running);
    assert!(rig.bus.counters().ring_full > 0);
}
