//! Decode by message.

use super::*;

#[test]
fn message_style_maps_once_per_power_on() {
    let mut rig = Rig::with(messages(Policy::Deferred), 1);
    assert_eq!(rig.host.traps, 3, "decode is made sure to be off, and that is all");
    let plan = rig.space.plan_power_on(&mut rig.host, slot(0)).unwrap();
    assert_eq!(plan, PowerPlan { power_off_first: false, bars: Some(place(0)) });
    rig.space.bars_assigned(slot(0), &place(0));
    rig.space.power_completed(slot(0), true, true);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (1, 0));
    assert_eq!(rig.read(0, 4, 2) & 2, 2);
    assert!(rig.space.plan_power_off(slot(0)));
    rig.space.power_completed(slot(0), false, true);
    assert_eq!(rig.space.plan_power_on(&mut rig.host, slot(0)), Ok(PowerPlan::default()));
    rig.space.power_completed(slot(0), true, true);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (2, 1));
    // A rebalance with decode on: off first.
    rig.move_to(0, 4);
    let plan = rig.space.plan_power_on(&mut rig.host, slot(0)).unwrap();
    assert_eq!(plan, PowerPlan { power_off_first: true, bars: Some(place(4)) });
    // I3 holds here too.
    rig.space.power_completed(slot(0), false, true);
    rig.write(0, 0x14, 4, 0);
    assert!(rig.space.plan_power_on(&mut rig.host, slot(0)).is_err());
    assert_eq!(rig.ledger(0).refused_enables, 1);
}

/// Two drivers start at once, and their guest has moved the BARs onto each other: only one of the two gets a plan.
#[test]
fn two_power_ons_cannot_both_pass_i3() {
    let mut rig = Rig::with(messages(Policy::Deferred), 2);
    rig.move_to(0, 5);
    rig.move_to(1, 5);
    rig.space.plan_power_on(&mut rig.host, slot(0)).unwrap();
    let refused = rig.space.plan_power_on(&mut rig.host, slot(1));
    assert!(matches!(refused, Err(EnableRefused::Overlaps { other, .. }) if other == slot(0)), "{refused:?}");
    // D3, which makes way for the new BARs, is not the end of it; a D0 that failed is.
    rig.space.power_completed(slot(0), false, true);
    assert!(rig.space.plan_power_on(&mut rig.host, slot(1)).is_err());
    rig.space.power_abandoned(slot(0));
    rig.space.plan_power_on(&mut rig.host, slot(1)).unwrap();
    assert!(rig.space.plan_power_on(&mut rig.host, slot(0)).is_err());
    rig.space.bars_assigned(slot(1), &place(5));
    rig.host.functions[1].probed = PROBED;
    rig.space.power_completed(slot(1), true, true);
    assert!(rig.space.plan_power_on(&mut rig.host, slot(0)).is_err(), "it is mapped now");
    assert_eq!(rig.ledger(0).refused_enables, 2);
    // Elsewhere it may go on.
    rig.move_to(0, 6);
    rig.space.plan_power_on(&mut rig.host, slot(0)).unwrap();
    // What was planned does not outlive the function, or the host's state.
    rig.space.host_lost_state(Functions::All);
    for (n, at) in [(0, 7), (1, 7)] {
        rig.space.restart(&mut rig.host, slot(n), &place(at), true);
    }
    rig.space.plan_power_on(&mut rig.host, slot(1)).unwrap();
    rig.space.detach(&mut rig.host, slot(1), Reach::Gone);
    rig.space.plan_power_on(&mut rig.host, slot(0)).unwrap();
}

#[test]
fn message_style_absorbing_lingers_through_a_stop() {
    let mut rig = Rig::with(messages(Policy::Absorbing), 1);
    rig.space.bars_assigned(slot(0), &place(0));
    rig.space.power_completed(slot(0), true, true);
    assert!(!rig.space.plan_power_off(slot(0)));
    assert_eq!(rig.read(0, 4, 2) & 2, 0);
    assert_eq!(rig.space.plan_power_on(&mut rig.host, slot(0)), Ok(PowerPlan::default()));
    rig.space.power_completed(slot(0), true, true);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (1, 0));
}

// Several functions that are powered on at once, and messages that fail on the way.

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
        |rig: &mut Rig| rig.space.power_abandoned(slot(0)),
        |rig: &mut Rig| rig.space.power_completed(slot(0), true, false),
        |rig: &mut Rig| {
            rig.space.detach(&mut rig.host, slot(0), Reach::Gone);
        },
    ] {
        assert!(plan(&mut rig, 0).is_ok());
        assert!(plan(&mut rig, 1).is_err());
        end(&mut rig);
        assert!(plan(&mut rig, 1).is_ok());
        rig.space.power_abandoned(slot(1));
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
    rig.space.power_abandoned(slot(0));
    rig.move_to(0, 0);
    assert_eq!(plan(&mut rig, 0).unwrap().bars, Some(place(0)));
    rig.space.bars_assigned(slot(0), &place(0));
    rig.space.power_completed(slot(0), true, true);
    rig.space.power_completed(slot(0), false, true);
    assert_eq!(plan(&mut rig, 0).unwrap().bars, None, "told, and answered");
}

/// Eager passes BAR writes on at once. A host that may decode may have ignored them, and has to be told again.
#[test]
fn a_bar_that_eager_wrote_while_decode_was_in_doubt_is_sent_again() {
    let mut rig = Rig::with(messages(Policy::Eager), 1);
    rig.space.bars_assigned(slot(0), &place(0));
    rig.space.power_completed(slot(0), true, false);
    rig.move_to(0, 4);
    let plan = rig.space.plan_power_on(&mut rig.host, slot(0)).unwrap();
    assert_eq!(plan, PowerPlan { power_off_first: true, bars: Some(place(4)) });
    // Where decode is known to be off, they have arrived.
    rig.space.power_completed(slot(0), false, true);
    rig.space.power_abandoned(slot(0));
    rig.move_to(0, 5);
    assert_eq!(rig.space.plan_power_on(&mut rig.host, slot(0)), Ok(PowerPlan::default()));
}
