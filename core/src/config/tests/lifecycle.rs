//! Functions that come, go, are started by message and lose their state in any order: what the host must never see.

use proptest::prelude::*;

use super::*;
use crate::decode::GuestStyle;

#[derive(Clone, Copy, Debug)]
enum Op {
    Attach,
    Detach(Reach),
    /// The host processes a release.
    Released,
    Restart(u64),
    Lost,
    Command(u16),
    Move(u64),
    Bound(bool),
    Prefetch(bool),
    PowerOn,
    PowerOff,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Attach),
        1 => prop_oneof![Just(Reach::Host), Just(Reach::Clear), Just(Reach::Gone)].prop_map(Op::Detach),
        1 => Just(Op::Released),
        1 => (0u64..4).prop_map(Op::Restart),
        1 => Just(Op::Lost),
        6 => prop_oneof![Just(0u16), Just(2), Just(6)].prop_map(Op::Command),
        3 => (0u64..4).prop_map(Op::Move),
        1 => any::<bool>().prop_map(Op::Bound),
        2 => any::<bool>().prop_map(Op::Prefetch),
        3 => Just(Op::PowerOn),
        2 => Just(Op::PowerOff),
    ]
}

/// The host's side of RESOURCES_ASSIGNED with descriptors.
fn assign(rig: &mut Rig, n: usize, bars: &[Option<u64>; 6]) {
    assert!(!rig.host.functions[n].decodes(), "I2: BARs of {n} assigned with decode on");
    let [high, _, low, ..] = bars.map(|bar| bar.unwrap_or(0));
    let config = &mut rig.host.functions[n].config;
    config[4] = high as u32 | 0xC;
    config[5] = (high >> 32) as u32;
    config[6] = low as u32;
    rig.space.bars_assigned(slot(n), bars);
}

fn power_on(rig: &mut Rig, n: usize) {
    let Ok(plan) = rig.space.plan_power_on(&mut rig.host, slot(n)) else { return };
    if plan.power_off_first {
        rig.host.power(n, false);
        rig.space.power_completed(slot(n), false, true);
    }
    if let Some(bars) = plan.bars {
        assign(rig, n, &bars);
    }
    rig.host.power(n, true);
    rig.space.power_completed(slot(n), true, true);
    assert_eq!(rig.read(n, 4, 2) & 2, 2);
}

fn prefetch(rig: &mut Rig, n: usize, ok: bool) {
    if rig.space.prefetch_started(slot(n)).is_ok() {
        rig.host.power(n, true);
        rig.space.prefetch_finished(slot(n), ok);
    }
}

fn apply(rig: &mut Rig, n: usize, op: Op, released: &mut [bool]) {
    let attached = rig.space.ledger(slot(n)).is_some();
    let style = rig.space.options().style;
    match op {
        // A message guest's engine waits for the release before it attaches again.
        Op::Attach if !attached && (style == GuestStyle::ConfigSpace || released[n]) => {
            rig.attach(n);
            released[n] = true;
        }
        Op::Detach(reach) if attached => {
            rig.space.detach(&mut rig.host, slot(n), reach);
            released[n] = reach != Reach::Host;
            if reach == Reach::Gone {
                rig.host.functions[n].reset();
            } else if reach == Reach::Clear {
                assert!(!rig.host.functions[n].decodes(), "I5");
            }
        }
        Op::Released if !attached && !released[n] => {
            rig.host.functions[n].reset();
            rig.space.host_unmapped(Functions::One(slot(n)));
            released[n] = true;
        }
        Op::Restart(at) if attached => {
            rig.host.functions[n].reset();
            rig.space.restart(&mut rig.host, slot(n), &place(at), false);
        }
        Op::Lost if attached => {
            rig.host.functions[n].reset();
            rig.space.host_lost_state(Functions::One(slot(n)));
        }
        Op::Command(value) => rig.command(n, value),
        Op::Move(at) => rig.move_to(n, at),
        Op::Bound(bound) => rig.bind(n, bound),
        Op::Prefetch(ok) if attached && rig.space.options().policy == Policy::Prefetch => prefetch(rig, n, ok),
        Op::PowerOn if style == GuestStyle::Messages && attached => power_on(rig, n),
        Op::PowerOff if style == GuestStyle::Messages && attached && rig.space.plan_power_off(slot(n)) => {
            rig.host.power(n, false);
            rig.space.power_completed(slot(n), false, true);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(1000)))]

    #[test]
    fn no_order_of_events_breaks_i2_i3_or_the_count_of_maps(
        policy in prop_oneof![Just(Policy::Deferred), Just(Policy::Absorbing), Just(Policy::Prefetch)],
        style in prop_oneof![Just(GuestStyle::ConfigSpace), Just(GuestStyle::Messages)],
        ops in prop::collection::vec((0usize..3, op()), 1..80),
    ) {
        let options = ConfigOptions { policy, style, capacity: 4, ..ConfigOptions::default() };
        let mut rig = Rig::with(options, 3);
        let mut released = [true; 3];
        for (n, op) in ops {
            apply(&mut rig, n, op, &mut released);
            prop_assert_eq!(&rig.host.violations, &Vec::<String>::new(), "after {:?} of {}", op, n);
            let total = rig.space.total_ledger();
            let maps: u64 = rig.host.functions.iter().map(|function| function.maps).sum();
            prop_assert_eq!(total.traps, rig.host.traps);
            // Of a prefetch that is told to have failed nobody knows whether it mapped, until the guest enables the function:
            // until then the count may be high by one, never low.
            prop_assert!(total.maps >= maps && (policy == Policy::Prefetch || total.maps == maps));
            for n in 0..3 {
                let on = rig.space.guest_view(slot(n)).is_some_and(|view| view.memory());
                prop_assert!(!on || rig.host.functions[n].decodes(), "I1: {}", n);
            }
        }
        // I5: at the end nothing of ours is left.
        for (n, released) in released.into_iter().enumerate() {
            rig.space.detach(&mut rig.host, slot(n), Reach::Clear);
            prop_assert!(!released || !rig.host.functions[n].decodes(), "I5: {}", n);
        }
    }
}
