//! What waits for what on the way up, and what goes on without the pump.

use super::super::*;
use super::rig::*;
use crate::decode::GuestStyle;
use crate::wire::*;

const REFUSED: Status = Status(0xC000_0001);

/// Until the host has said everything that it was not told to keep to itself.
fn started(style: GuestStyle, ignore: fn(&Said) -> bool) -> Rig {
    let mut rig = Rig::new(style).functions(&[(0, PROBED), (3, PROBED)]);
    rig.host.ignore = ignore;
    rig.bus.request_start(rig.now);
    rig.run();
    rig
}

/// Takes the host's packets without waking the pump, as a channel callback does.
fn callback(rig: &mut Rig) {
    while let Some((kind, id, payload)) = rig.host.inbox.pop_front() {
        rig.deliver(kind, id, &payload);
    }
    rig.bus.transmit(rig.now, &mut rig.host);
}

#[test]
fn a_list_that_comes_early_waits_for_d0() {
    let mut rig = started(GuestStyle::Messages, |said| matches!(said, Said::D0Entry(_)));
    rig.host.relations();
    rig.run();
    assert_eq!(rig.host.said, [Said::Version(Version::V1_4), Said::D0Entry(CONFIG_WINDOW)]);
    assert_eq!(rig.bus.status(), BusStatus::Starting(Step::D0Entry));
}

#[test]
fn a_message_guest_asks_for_the_list_to_clear_away_what_is_on_it() {
    let mut rig = Rig::new(GuestStyle::Messages).functions(&[(0, PROBED), (3, PROBED)]);
    rig.host.d0_refusals = 1;
    let rig = rig.up();
    let before: Vec<_> = rig.host.said.iter().take_while(|said| !matches!(said, Said::Assigned(..))).cloned().collect();
    assert_eq!(
        before[1..7],
        [
            Said::D0Entry(CONFIG_WINDOW),
            Said::Relations,
            Said::Released(3),
            Said::Released(0),
            Said::D0Exit,
            Said::D0Entry(CONFIG_WINDOW),
        ]
    );
}

#[test]
fn a_list_is_worked_through_by_the_pump_alone() {
    let mut rig = Rig::new(GuestStyle::Messages).functions(&[(0, PROBED)]);
    rig.host.refuse = |said| matches!(said, Said::D0Entry(_)).then_some(REFUSED);
    rig.host.ignore = |said| matches!(said, Said::Relations);
    rig.bus.request_start(rig.now);
    rig.run();
    assert_eq!(rig.host.said.last(), Some(&Said::Relations));
    rig.host.relations();
    callback(&mut rig);
    assert_eq!(rig.host.said.last(), Some(&Said::Relations));
    assert_eq!(rig.bus.slots().count(), 0);
    rig.run();
    assert_eq!(
        rig.said_about(|said| matches!(said, Said::Released(_) | Said::D0Exit)),
        [Said::Released(0), Said::D0Exit]
    );
}

#[test]
fn what_needs_no_pump_goes_on_without_it() {
    let mut rig = started(GuestStyle::ConfigSpace, |said| matches!(said, Said::Requirements(3)));
    let (id, _) = rig.host.ignored.pop().unwrap();
    rig.host.ignore = |_| false;
    let mut answer = vec![0; 28];
    ResourceRequirementsReply { status: Status::SUCCESS, bars: PROBED }.encode(&mut answer).unwrap();
    rig.host.complete(id, answer);
    callback(&mut rig);
    assert_eq!(rig.host.said.last(), Some(&Said::D0Entry(CONFIG_WINDOW)));
}

#[test]
fn a_bus_is_up_again_when_its_interrupts_are() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.bus.reserve_interrupts(1).unwrap();
    rig.interrupt(0);
    rig.bus.request_suspend(rig.now);
    rig.run();
    rig.host.ignore = |said| matches!(said, Said::Create(..));
    rig.bus.request_resume(rig.now);
    rig.run();
    assert!(matches!(rig.host.said.last(), Some(Said::Create(..))));
    assert_eq!(rig.bus.status(), BusStatus::Resuming(Step::Interrupts));
}

#[test]
fn a_request_of_a_driver_does_not_hold_the_bus_up() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).up();
    rig.host.ignore = |said| matches!(said, Said::Read(..));
    rig.submit(Request::ReadBlock { slot: slot(0), block: 0, bytes: 4 });
    rig.host.functions.push((function(1), PROBED));
    rig.host.relations();
    rig.run();
    assert_eq!(rig.shown, [slot(0), slot(1)]);
}

#[test]
fn a_list_does_not_hold_back_requests_about_functions_that_are_on_it() {
    let mut rig = Rig::new(GuestStyle::ConfigSpace).functions(&[(0, PROBED), (1, PROBED)]).up();
    rig.host.list(&[function(0)]);
    callback(&mut rig);
    rig.submit(Request::ReadBlock { slot: slot(0), block: 0, bytes: 4 });
    rig.bus.transmit(rig.now, &mut rig.host);
    assert_eq!(rig.said_about(|said| matches!(said, Said::Read(..))), [Said::Read(0, 0, 4)]);
}

#[test]
fn what_is_under_way_for_one_function_survives_the_removal_of_another() {
    let mut rig = started(GuestStyle::ConfigSpace, |said| matches!(said, Said::Assigned(_, 0, _)));
    rig.host.list(&[function(0)]);
    rig.run();
    let (id, _) = rig.host.ignored.pop().unwrap();
    rig.host.complete(id, vec![0; 8]);
    rig.run();
    assert_eq!((rig.bus.status(), &rig.shown[..]), (BusStatus::Running, &[slot(0)][..]));
}
