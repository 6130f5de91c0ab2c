//! Which windows the platform is asked for.

use super::super::*;
use super::rig::*;
use crate::decode::GuestStyle;
use crate::interrupt::Architecture;
use crate::placement::{Headroom, PlacementError, WindowNeed};
use crate::wire::HostMessage;

fn asked(rig: &Rig) -> Vec<WindowNeed> {
    let need = |action: &Action| match action {
        Action::ReserveWindow(need) => Some(*need),
        _ => None,
    };
    rig.log.iter().filter_map(need).collect()
}

fn sizes(rig: &Rig) -> Vec<u64> {
    asked(rig).iter().map(|need| need.size).collect()
}

fn with_headroom(headroom: Headroom) -> Rig {
    Rig::with(BusOptions { headroom, ..BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86) })
}

#[test]
fn a_function_that_comes_later_asks_for_itself_alone() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, HUGE)]).up();
    rig.host.functions.push((function(1), HUGE));
    rig.host.relations();
    rig.run();
    assert_eq!((sizes(&rig), &rig.shown[..]), (vec![128 * GIB; 2], &[slot(0), slot(1)][..]));
}

#[test]
fn headroom_that_cannot_be_had_is_done_without() {
    let mut rig = with_headroom(Headroom { low: 1 << 20, high: GIB }).functions(&[(0, PROBED), (1, PROBED)]);
    rig.no_space = |need| need.size > GIB;
    let rig = rig.up();
    assert_eq!(sizes(&rig), [(1 << 20) + (8 << 10), GIB + (128 << 10), 128 << 10]);
    assert_eq!(rig.shown, [slot(0), slot(1)]);
}

#[test]
fn no_space_is_asked_for_a_function_that_has_left_meanwhile() {
    let mut rig = with_headroom(Headroom { low: 0, high: GIB }).functions(&[(0, HUGE), (1, HUGE)]);
    rig.sit_on = |action| matches!(action, Action::ReserveWindow(_));
    rig.no_space = |need| need.size > 256 * GIB;
    rig.bus.request_start(rig.now);
    rig.run();
    rig.host.message(HostMessage::Eject { slot: 1 });
    rig.run();
    rig.sit_on = |_| false;
    rig.finish();
    rig.run();
    assert_eq!((sizes(&rig), &rig.shown[..]), (vec![257 * GIB, 128 * GIB], &[slot(0)][..]));
}

#[test]
fn a_window_for_one_function_is_aligned_to_it() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, HUGE)]);
    rig.no_space = |_| true;
    let rig = rig.up();
    let aligned: Vec<_> = asked(&rig).iter().map(|need| (need.size, need.align)).collect();
    assert_eq!(aligned, [(128 * GIB, 128 * GIB); 2]);
}

#[test]
fn without_memory_only_functions_without_a_place_fail() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, HUGE)]).up();
    rig.sit_on = |action| matches!(action, Action::ReserveWindow(_));
    rig.host.functions.push((function(1), HUGE));
    rig.host.relations();
    rig.run();
    rig.bus.fail_unplaced(|slot| PlacementError::TableFull { slot });
    rig.finish();
    rig.run();
    let failed = |report: &&Report| matches!(report, Report::FunctionFailed { .. });
    let error = FunctionError::Placement(PlacementError::TableFull { slot: slot(1) });
    let expected = Report::FunctionFailed { slot: slot(1), error };
    assert_eq!(rig.reports.iter().filter(failed).collect::<Vec<_>>(), [&expected]);
    assert_eq!(rig.shown, [slot(0)]);
}

#[test]
fn a_window_that_is_given_twice_goes_back_once_and_stays_once() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, HUGE)]).up();
    let window = rig.windows[0];
    rig.sit_on = |action| matches!(action, Action::ReserveWindow(_));
    rig.host.functions.push((function(1), HUGE));
    rig.host.relations();
    rig.run();
    rig.sitting = None;
    rig.bus.action_done(rig.now, ActionDone::Window(Ok(window)));
    assert_eq!(rig.bus.poll_action(), Some(Action::ReleaseWindow(window)));
    rig.bus.action_done(rig.now, ActionDone::Done);
    assert_eq!(rig.bus.windows().collect::<Vec<_>>(), [window]);
    rig.sit_on = |_| false;
    rig.run();
    assert_eq!(rig.shown, [slot(0), slot(1)]);
    rig.stop();
    rig.assert_nothing_left();
}
