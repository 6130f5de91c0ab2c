//! Rescind and silence at every step of whole lives: each ends, in time, and leaves nothing.

use super::super::*;
use super::rig::*;
use crate::decode::{GuestStyle, Policy};
use crate::interrupt::Architecture;
use crate::wire::*;

/// A whole life: up, an interrupt, a block, hot add, eject, suspend, resume, stop.
fn life(rig: &mut Rig) {
    let dead = |rig: &Rig| !matches!(rig.bus.status(), BusStatus::Running | BusStatus::Suspended | BusStatus::Stopped);
    rig.bus.request_start(rig.now);
    rig.run_out();
    if rig.bus.reserve_interrupts(2).is_err() || dead(rig) {
        return;
    }
    for request in [create(0), Request::ReadBlock { slot: slot(0), block: 0, bytes: 8 }] {
        let _ = rig.bus.submit(rig.now, request);
    }
    rig.run_out();
    rig.host.functions.push((function(2), PROBED));
    if !rig.host.silent && !rig.host.rescinded {
        rig.host.relations();
        rig.host.message(HostMessage::Eject { slot: 1 });
    }
    rig.run_out();
    rig.bus.request_suspend(rig.now);
    rig.run_out();
    if dead(rig) {
        return;
    }
    rig.bus.request_resume(rig.now);
    rig.run_out();
    rig.stop();
}

fn rig(style: GuestStyle, policy: Policy) -> Rig {
    let options = BusOptions { policy, ..BusOptions::new(style, Architecture::X86) };
    Rig::with(options).functions(&[(0, PROBED), (1, HUGE)])
}

fn cases() -> [(GuestStyle, Policy); 3] {
    [
        (GuestStyle::ConfigSpace, Policy::Deferred),
        (GuestStyle::ConfigSpace, Policy::Prefetch),
        (GuestStyle::Messages, Policy::Deferred),
    ]
}

#[test]
fn rescind_at_every_step() {
    for (style, policy) in cases() {
        let mut plain = rig(style, policy);
        life(&mut plain);
        assert_eq!(plain.bus.status(), BusStatus::Stopped, "{:?}", plain.reports);
        plain.assert_nothing_left();
        assert!(plain.events > 60, "{}", plain.events);
        for at in 0..plain.events {
            let mut rig = rig(style, policy);
            rig.rescind_at = Some(at);
            life(&mut rig);
            rig.run_out();
            assert_eq!(rig.bus.status(), BusStatus::Gone, "at {at} {style} {policy}");
            rig.assert_nothing_left();
            // Final.
            rig.bus.request_start(rig.now);
            assert_eq!(rig.bus.poll_action(), None);
        }
    }
}

#[test]
fn silence_at_every_step() {
    for (style, policy) in cases() {
        let mut plain = rig(style, policy);
        life(&mut plain);
        for at in 0..plain.events {
            let mut rig = rig(style, policy);
            rig.silent_at = Some(at);
            life(&mut rig);
            rig.stop();
            let status = rig.bus.status();
            assert!(matches!(status, BusStatus::Stopped | BusStatus::Failed(_)), "{status:?} at {at} {style} {policy}");
            rig.assert_nothing_left();
            // A host that comes back serves a new start.
            rig.host.silent = false;
            rig.silent_at = None;
            rig.bus.request_start(rig.now);
            rig.run_out();
            assert_eq!(rig.bus.status(), BusStatus::Running, "again, at {at}");
        }
    }
}

#[test]
fn stop_at_every_step() {
    for (style, policy) in cases() {
        let mut plain = rig(style, policy);
        plain.bus.request_start(plain.now);
        plain.run();
        for at in 0..plain.events {
            let mut rig = rig(style, policy);
            rig.bus.request_start(rig.now);
            for _ in 0..at {
                rig.turn();
            }
            rig.stop();
            assert_eq!(rig.bus.status(), BusStatus::Stopped);
            rig.assert_nothing_left();
        }
    }
}

#[test]
fn rescind_after_silence() {
    // A host that stops answering, and takes the bus away in the middle of the waiting.
    let mut plain = rig(GuestStyle::ConfigSpace, Policy::Deferred);
    life(&mut plain);
    for at in 0..plain.events {
        let mut rig = rig(GuestStyle::ConfigSpace, Policy::Deferred);
        rig.silent_at = Some(at);
        rig.rescind_at = Some(at + 3);
        life(&mut rig);
        if !rig.host.rescinded {
            rig.rescind();
        }
        rig.run_out();
        assert_eq!(rig.bus.status(), BusStatus::Gone);
        rig.assert_nothing_left();
    }
}

#[test]
fn a_clone_goes_the_same_way() {
    let mut rig = rig(GuestStyle::ConfigSpace, Policy::Deferred);
    rig.bus.request_start(rig.now);
    for _ in 0..12 {
        rig.turn();
    }
    let copy = rig.bus.clone();
    assert_eq!(copy, rig.bus);
    rig.bus = copy;
    rig.run();
    assert_eq!(rig.bus.status(), BusStatus::Running);
}
