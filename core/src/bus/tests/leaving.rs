//! Functions that leave: what they take along, and what must not go before its time.

use super::super::*;
use super::rig::*;
use crate::config::Reach;
use crate::decode::{GuestStyle, Policy};
use crate::interrupt::Architecture;
use crate::wire::*;

fn rig(functions: u32) -> Rig {
    let functions: Vec<_> = (0..functions).map(|wslot| (wslot, PROBED)).collect();
    Rig::new(GuestStyle::ConfigSpace).functions(&functions)
}

fn get(wslot: u32) -> Request {
    Request::GetResources { slot: slot(wslot) }
}

fn eject(rig: &mut Rig, wslot: u32) {
    rig.host.message(HostMessage::Eject { slot: wslot });
    rig.run();
}

fn quarantined(rig: &Rig) -> usize {
    rig.reports.iter().filter(|report| matches!(report, Report::Quarantined { bytes: 1.., .. })).count()
}

#[test]
fn the_config_half_hears_of_each_release() {
    let mut rig = rig(3).up();
    rig.host.ring_full = usize::MAX;
    eject(&mut rig, 0);
    eject(&mut rig, 1);
    assert_eq!(rig.attached, [slot(2)]);
    rig.host.ring_full = 0;
    rig.run();
    rig.submit(get(2));
    rig.run();
    for wslot in [0, 1] {
        assert!(rig.log.contains(&Action::HostUnmapped { slot: Some(slot(wslot)) }), "{wslot}");
    }
}

#[test]
fn a_detached_function_is_forgotten_when_its_slot_is_taken_over() {
    let mut rig = rig(1).up();
    rig.refuse_publish = true;
    rig.sit_on = |action| matches!(action, Action::Detach { .. });
    rig.host.functions.push((function(1), PROBED));
    rig.host.relations();
    rig.run();
    assert_eq!(rig.sitting, Some(Action::Detach { slot: slot(1), reach: Reach::Host }));
    // It vanishes meanwhile, so that it is not released; an eject has the list worked through at once.
    rig.host.list(&[function(0)]);
    eject(&mut rig, 9);
    rig.refuse_publish = false;
    rig.sit_on = |_| false;
    rig.finish();
    rig.run();
    for functions in [vec![(function(0), PROBED), (function(1), PROBED)], vec![]] {
        rig.host.functions = functions;
        rig.host.relations();
        rig.run();
        assert_eq!(rig.attached.len(), rig.host.functions.len());
    }
    rig.stop();
    assert!(!rig.log.iter().any(|action| matches!(action, Action::HostUnmapped { .. })));
}

#[test]
fn a_place_is_kept_until_the_release_is_sent() {
    let mut rig = rig(2).up();
    let before = rig.bus.function(slot(1));
    rig.host.ring_full = usize::MAX;
    eject(&mut rig, 1);
    assert_eq!((&rig.attached[..], rig.bus.function(slot(1))), (&[slot(0)][..], before));
    rig.host.ring_full = 0;
    rig.run();
    assert_eq!(rig.bus.function(slot(1)), None);
}

#[test]
fn interrupts_go_with_the_resources() {
    let mut rig = rig(1).up();
    rig.bus.reserve_interrupts(1).unwrap();
    let (handle, _) = rig.interrupt(0);
    rig.host.ring_full = usize::MAX;
    eject(&mut rig, 0);
    assert_eq!(rig.bus.delete_by_handle(handle), Err(SubmitError::NoInterrupt));
}

#[test]
fn only_what_may_be_mapped_is_quarantined() {
    let d0 = Request::PowerState { slot: slot(1), state: PowerState::D0 };
    let d3 = Request::PowerState { slot: slot(1), state: PowerState::D3 };
    let read = Request::ReadBlock { slot: slot(1), block: 0, bytes: 4 };
    for (request, expected) in [(d0, 1), (d3, 0), (read, 0)] {
        let mut rig = rig(2).up();
        rig.host.ignore = |said| matches!(said, Said::Power(..) | Said::Read(..));
        rig.submit(request.clone());
        rig.run();
        eject(&mut rig, 1);
        assert_eq!(quarantined(&rig), expected, "{request:?}");
        assert_eq!(rig.bus.quarantined_bytes() != 0, expected != 0);
        rig.stop();
        rig.assert_nothing_left();
    }
}

#[test]
fn an_unfinished_background_map_is_quarantined_and_told() {
    let mut options = BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86);
    options.policy = Policy::Prefetch;
    let mut rig = Rig::with(options);
    rig.host.ignore = |said| matches!(said, Said::Power(..));
    let mut rig = rig.up();
    eject(&mut rig, 0);
    assert_eq!(quarantined(&rig), 1);
    assert!(rig.log.contains(&Action::PrefetchFinished { slot: slot(0), ok: false }));
}

#[test]
fn functions_find_room_when_others_have_left() {
    let full = || {
        let options = BusOptions { max_functions: 2, ..BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86) };
        Rig::with(options).functions(&[(0, PROBED), (1, PROBED)]).up()
    };
    let mut rig = full();
    rig.host.functions = vec![(function(1), PROBED), (function(2), PROBED)];
    rig.host.relations();
    rig.run();
    assert_eq!(rig.shown, [slot(1), slot(2)]);

    let mut rig = full();
    rig.host.functions = vec![(FunctionDescription { serial: 7, ..function(0) }, PROBED), (function(2), PROBED)];
    rig.host.relations();
    rig.run();
    assert_eq!(rig.shown, [slot(0), slot(2)]);
    assert_eq!(rig.bus.function(slot(0)).unwrap().description.serial, 7);
}

#[test]
fn nothing_is_said_about_an_ejected_function_whose_slot_has_another() {
    let mut rig = rig(1).up();
    rig.bus.reserve_interrupts(1).unwrap();
    let (handle, _) = rig.interrupt(0);
    rig.publisher_stuck = true;
    eject(&mut rig, 0);
    rig.host.functions[0].0.serial = 7;
    rig.host.relations();
    rig.run();
    assert_eq!(rig.bus.submit(rig.now, get(0)), Err(SubmitError::NoFunction(slot(0))));
    rig.bus.delete_by_handle(handle).unwrap();
    rig.run();
    assert_eq!(rig.said_about(|said| matches!(said, Said::Delete(..))), []);
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!(rig.bus.function(slot(0)).unwrap().description.serial, 7);
}

#[test]
fn a_bus_is_not_up_again_before_an_exchanged_function_is() {
    let mut rig = rig(2).up();
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.host.functions[0].0.serial = 7;
    rig.publisher_stuck = true;
    rig.bus.request_resume(rig.now);
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Resuming(Step::Requirements));
    rig.publisher_stuck = false;
    rig.run();
    assert_eq!((rig.bus.status(), rig.shown.len()), (BusStatus::Running, 2));
}

#[test]
fn an_exchanged_function_goes_before_another_comes() {
    let mut rig = rig(2);
    rig.sit_on = |action| *action == Action::Attach { slot: slot(0) };
    rig.bus.request_start(rig.now);
    rig.run();
    rig.host.functions[0].0.serial = 7;
    rig.host.relations();
    rig.run();
    rig.finish();
    assert_eq!(rig.bus.poll_action(), Some(Action::FunctionGone { slot: slot(0) }));
}

#[test]
fn an_eject_is_completed_on_the_way_down() {
    let mut rig = rig(2).up();
    rig.publisher_stuck = true;
    eject(&mut rig, 1);
    rig.bus.request_stop(rig.now);
    rig.publisher_stuck = false;
    rig.run();
    let said = rig.said_about(|said| matches!(said, Said::EjectComplete(_) | Said::D0Exit));
    assert_eq!(said, [Said::EjectComplete(1), Said::D0Exit]);
    rig.assert_nothing_left();
}
