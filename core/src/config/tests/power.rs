//! Message style: several functions that are powered on at once, and messages that fail on the way.

use super::*;

fn rig() -> Rig {
    Rig::with(messages(Policy::Deferred), 2)
}

fn plan(rig: &mut Rig, n: usize) -> Result<PowerPlan, EnableRefused> {
    rig.space.plan_power_on(&mut rig.host, slot(n))
}

/// A function that is started while another is on its way to the same range: until now both were let through, because
/// neither had decode on yet.
#[test]
fn a_range_is_taken_from_the_moment_it_was_checked() {
    let mut rig = rig();
    rig.move_to(1, 0);
    assert!(plan(&mut rig, 0).is_ok());
    let refused = EnableRefused::Overlaps { slot: slot(1), bar: 0, address: place(0)[0].unwrap(), other: slot(0) };
    assert_eq!(plan(&mut rig, 1), Err(refused));
    // Not through the window either.
    rig.command(1, 2);
    assert_eq!(rig.read(1, 4, 2) & 2, 0);
    // POWER_STATE_CHANGE to D3 is only the first half of a move.
    rig.space.power_completed(slot(0), false, true);
    assert_eq!(plan(&mut rig, 1), Err(refused));
    rig.space.bars_assigned(slot(0), &place(0));
    rig.space.power_completed(slot(0), true, true);
    assert_eq!(plan(&mut rig, 1), Err(refused), "now because it is on");
    rig.space.power_completed(slot(0), false, true);
    assert!(plan(&mut rig, 1).is_ok());
}

#[test]
fn a_range_is_free_again_when_its_power_on_came_to_nothing() {
    let mut rig = rig();
    rig.move_to(1, 0);
    for end in [
        |rig: &mut Rig| rig.space.power_on_failed(slot(0)),
        |rig: &mut Rig| rig.space.power_completed(slot(0), true, false),
        |rig: &mut Rig| {
            rig.space.detach(&mut rig.host, slot(0), Reach::Gone);
        },
    ] {
        assert!(plan(&mut rig, 0).is_ok());
        assert!(plan(&mut rig, 1).is_err());
        end(&mut rig);
        assert!(plan(&mut rig, 1).is_ok());
        rig.space.power_on_failed(slot(1));
    }
    // The one that comes next into the slot has no part in what was planned before.
    rig.attach(0);
    assert!(plan(&mut rig, 1).is_ok());
}

/// A function that is moved twice: the first RESOURCES_ASSIGNED was done and its answer lost. Until now the host was taken
/// to hold the addresses from before, and was not told again when the guest went back to them.
#[test]
fn an_assignment_without_an_answer_is_made_again() {
    let mut rig = rig();
    rig.space.bars_assigned(slot(0), &place(0));
    rig.move_to(0, 3);
    assert_eq!(plan(&mut rig, 0).unwrap().bars, Some(place(3)));
    rig.space.power_on_failed(slot(0));
    rig.move_to(0, 0);
    assert_eq!(plan(&mut rig, 0).unwrap().bars, Some(place(0)));
    rig.space.bars_assigned(slot(0), &place(0));
    rig.space.power_completed(slot(0), true, true);
    rig.space.power_completed(slot(0), false, true);
    assert_eq!(plan(&mut rig, 0).unwrap().bars, None, "told, and answered");
}
