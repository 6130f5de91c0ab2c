//! The invariants of the decode policy, one test each by name.

use super::*;
use crate::decode::HostDecode;

const NON_EAGER: [Policy; 3] = [Policy::Deferred, Policy::Absorbing, Policy::Prefetch];

#[test]
fn i1_guest_on_means_host_on_with_the_bars_of_the_last_edge() {
    for policy in NON_EAGER {
        let mut rig = Rig::new(policy, 1);
        rig.bind(0, true);
        rig.command(0, 2);
        assert!(rig.host.functions[0].decodes());
        let held = rig.host.functions[0].bars();
        assert_eq!(held[2], place(0)[2].unwrap() as u32);
        // A 32-bit BAR moved with decode on: shadowed, counted, reported; the host stays where it was.
        rig.write(0, 0x18, 4, place(5)[2].unwrap() as u32);
        assert_eq!(rig.read(0, 0x18, 4), place(5)[2].unwrap() as u32);
        rig.command(0, 6);
        assert_eq!(rig.host.functions[0].bars(), held);
        assert_eq!(rig.ledger(0).stale_bars, 1);
        assert_eq!(rig.space.take_report(), Some(ConfigReport::StaleBar { slot: slot(0), register: 2 }));
        // At the next 0->1 it is applied.
        rig.command(0, 0);
        rig.command(0, 2);
        assert_eq!(rig.host.functions[0].bars()[2], place(5)[2].unwrap() as u32);
        rig.check();
    }
}

#[test]
fn i2_no_bar_is_written_while_host_decode_is_on() {
    // Unknown decode counts as on: after a loss the clear comes first.
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.command(0, 2);
    rig.space.host_lost_state(Functions::One(slot(0)));
    rig.move_to(0, 3);
    rig.command(0, 2);
    assert_eq!(rig.host.violations, Vec::<String>::new());
    // The host had lost nothing, so it saw the clear as an unmap.
    assert_eq!((rig.host.functions[0].maps, rig.host.functions[0].unmaps), (2, 1));
    // A lingering clear counts as on too.
    let mut rig = Rig::new(Policy::Absorbing, 1);
    rig.command(0, 2);
    rig.command(0, 0);
    rig.move_to(0, 4);
    rig.command(0, 2);
    assert_eq!(rig.host.functions[0].bars()[1], 0x10);
    rig.check();
}

#[test]
fn i3_nothing_is_mapped_outside_the_windows() {
    for bad in [0, 0x8000_0000, HIGH.base + HIGH.size - 0x8_0000, u64::MAX - 0xF_FFFF] {
        let mut rig = Rig::new(Policy::Deferred, 1);
        rig.write(0, 0x10, 4, bad as u32);
        rig.write(0, 0x14, 4, (bad >> 32) as u32);
        let address = rig.space.bars(slot(0)).unwrap()[0].unwrap();
        if address == HIGH.base + HIGH.size - 0x10_0000 {
            continue;
        }
        rig.command(0, 6);
        // Refused: the other bits went out, the guest sees Memory clear.
        assert_eq!(rig.host.functions[0].config[1] & 0xFFFF, 4, "{bad:#x}");
        assert_eq!(rig.read(0, 4, 2), 4);
        assert_eq!(rig.ledger(0).refused_enables, 1);
        let refused = EnableRefused::OutsideWindows { slot: slot(0), bar: 0, address };
        assert_eq!(rig.space.take_report(), Some(ConfigReport::EnableRefused(refused)));
        rig.move_to(0, 0);
        rig.command(0, 6);
        assert_eq!(rig.read(0, 4, 2), 6);
        rig.check();
    }
}

#[test]
fn i3_nothing_is_mapped_over_another_function() {
    let mut rig = Rig::new(Policy::Deferred, 2);
    rig.command(0, 2);
    // Another address, the same page: the host maps whole pages.
    let bars = place(0);
    rig.write(1, 0x18, 4, bars[2].unwrap() as u32 + 0x800);
    rig.command(1, 2);
    assert_eq!(rig.read(1, 4, 2), 0);
    assert_eq!(
        rig.space.take_report(),
        Some(ConfigReport::EnableRefused(EnableRefused::Overlaps {
            slot: slot(1),
            bar: 2,
            address: bars[2].unwrap() + 0x800,
            other: slot(0)
        }))
    );
    // Once the other is off it may.
    rig.command(0, 0);
    rig.command(1, 2);
    assert_eq!(rig.read(1, 4, 2), 2);
    rig.check();
}

#[test]
fn i3_a_lingering_function_never_blocks() {
    let mut rig = Rig::new(Policy::Absorbing, 3);
    for n in 0..2 {
        rig.command(n, 2);
        rig.command(n, 0);
        assert_eq!(rig.space.host_view(slot(n)).unwrap().decode(), HostDecode::On);
    }
    rig.move_to(2, 0);
    rig.write(2, 0x18, 4, place(1)[2].unwrap() as u32);
    rig.command(2, 2);
    assert_eq!(rig.read(2, 4, 2), 2);
    assert_eq!(rig.ledger(2).refused_enables, 0);
    assert!(!rig.host.functions[0].decodes() && !rig.host.functions[1].decodes());
    rig.check();
}

#[test]
fn i3_a_departing_function_is_cleared_before_its_range_is_used() {
    let mut rig = Rig::new(Policy::Deferred, 2);
    rig.command(0, 2);
    rig.space.detach(&mut rig.host, slot(0), Reach::Host);
    assert!(!rig.space.unclaim_window(HIGH), "still in use");
    // The host has not processed the release yet.
    rig.move_to(1, 0);
    rig.command(1, 2);
    assert_eq!(rig.host.violations, Vec::<String>::new());
    assert!(rig.host.functions[1].decodes() && !rig.host.functions[0].decodes());
    // And after it has, nobody writes to it any more.
    rig.space.host_unmapped(Functions::One(slot(0)));
    rig.command(1, 0);
    let writes = rig.host.writes.len();
    rig.command(1, 2);
    assert!(rig.host.writes[writes..].iter().all(|(slot, ..)| *slot == 1));
    assert!(rig.space.detach(&mut rig.host, slot(1), Reach::Gone).host_unmaps == 1);
    assert!(rig.space.unclaim_window(HIGH));
}

#[test]
fn i4_a_bit_is_served_only_once_it_is_known() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    // Known from attach.
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 4, 2), 0)), 0);
    // Bit 10 can be written, bit 6 cannot in this function: only the host knows.
    rig.command(0, 0x0440);
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 4, 2), 0x0400)), 1);
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 4, 2), 0x0400)), 0);
    // Learned: the same write and its undoing need no more reads.
    assert_eq!(rig.traps(|rig| rig.command(0, 0x0440)), 0);
    assert_eq!(rig.traps(|rig| rig.command(0, 0)), 1);
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 4, 2), 0)), 0);
    rig.check();
}

#[test]
fn i4_status_is_volatile_and_touched_only_where_meant() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    assert_eq!(rig.read(0, 4, 4), 0x8010_0000);
    rig.write(0, 4, 4, 0x0000_0400);
    assert_eq!(rig.host.functions[0].config[1], 0x8010_0400, "COMMAND alone");
    assert_eq!(rig.host.writes.last(), Some(&(0, 4, 0x0400)));
    rig.write(0, 4, 4, 0x8000_0400);
    assert_eq!(rig.read(0, 4, 4), 0x0010_0400);
    assert_eq!(rig.host.writes.last(), Some(&(0, 6, 0x8000)));
    // Not cached: what the hardware sets shows.
    rig.host.functions[0].config[1] |= 0x4000_0000;
    assert_eq!(rig.read(0, 6, 2), 0x4010);
    assert_eq!(rig.read(0, 7, 1), 0x40);
    rig.write(0, 7, 1, 0x40);
    assert_eq!(rig.read(0, 4, 4), 0x0010_0400);
    rig.check();
}

#[test]
fn i5_a_detached_function_leaves_nothing_mapped() {
    for policy in Policy::ALL {
        let mut rig = Rig::new(policy, 1);
        rig.command(0, 2);
        rig.command(0, 0);
        let maps = rig.ledger(0).maps;
        let ledger = rig.space.detach(&mut rig.host, slot(0), Reach::Clear);
        assert!(!rig.host.functions[0].decodes());
        assert_eq!((ledger.maps, ledger.unmaps), (maps, maps), "{policy}");
        assert_eq!(rig.read(0, 0, 4), u32::MAX);
        assert_eq!(rig.space.total_ledger().maps, maps);
        assert!(rig.space.ledger(slot(0)).is_none());
    }
    // Where the host does it, the map is booked as the host's.
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.command(0, 2);
    let traps = rig.host.traps;
    let ledger = rig.space.detach(&mut rig.host, slot(0), Reach::Host);
    assert_eq!((ledger.unmaps, ledger.host_unmaps, rig.host.traps), (0, 1, traps));
}

#[test]
fn i6_absorbing_a_moved_bar_costs_no_more_than_write_through() {
    let mut rig = Rig::new(Policy::Absorbing, 1);
    rig.command(0, 2);
    rig.command(0, 0);
    rig.move_to(0, 3);
    rig.command(0, 2);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (2, 1));
    // Landing where they were: nothing.
    rig.command(0, 0);
    rig.move_to(0, 5);
    rig.move_to(0, 3);
    rig.command(0, 2);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (2, 1));
    rig.check();
}

#[test]
fn i7_after_a_loss_both_views_start_afresh() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.command(0, 6);
    rig.read(0, 0x40, 4);
    rig.host.functions[0].reset();
    rig.space.host_lost_state(Functions::All);
    assert_eq!(rig.space.host_view(slot(0)).unwrap().decode(), HostDecode::Unknown);
    assert_eq!([0x10, 0x14, 0x18].map(|offset| rig.read(0, offset, 4)), [0xC, 0, 0]);
    // COMMAND is asked of the host again, and all ones are passed on and not learned.
    rig.host.functions[0].silent = 2;
    assert_eq!(rig.read(0, 4, 4), u32::MAX);
    assert_eq!(rig.read(0, 4, 2), 0xFFFF);
    assert_eq!(rig.read(0, 4, 2), 0);
    // The guest restores: everything is told anew.
    rig.move_to(0, 0);
    rig.command(0, 6);
    assert!(rig.host.functions[0].decodes());
    assert_eq!(rig.ledger(0).host_unmaps, 1);
    rig.check();
}

#[test]
fn i7_a_restart_after_resume_brings_the_host_to_where_the_policy_starts() {
    for policy in Policy::ALL {
        let mut rig = Rig::new(policy, 1);
        rig.command(0, 2);
        rig.host.functions[0].reset();
        rig.space.host_unmapped(Functions::All);
        rig.space.forget_selector();
        rig.space.restart(&mut rig.host, slot(0), &place(0), false);
        let eager = policy == Policy::Eager;
        assert_eq!((rig.host.functions[0].decodes(), rig.read(0, 4, 2)), (eager, if eager { 2 } else { 0 }));
        rig.command(0, 6);
        assert_eq!(rig.host.functions[0].bars()[2], place(0)[2].unwrap() as u32);
        assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps, rig.ledger(0).host_unmaps), (2, 0, 1), "{policy}");
        rig.check();
    }
}

#[test]
fn i7_a_set_of_memory_is_always_sent() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.command(0, 2);
    assert_eq!(rig.traps(|rig| rig.command(0, 2)), 1);
    // Equal writes with Memory clear are not.
    rig.command(0, 0);
    assert_eq!(rig.traps(|rig| rig.command(0, 0)), 0);
    assert_eq!(rig.ledger(0).writes_absorbed, 1);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (1, 1));
    rig.check();
}

#[test]
fn i8_isolated_vms_see_every_falling_edge_at_once() {
    for policy in Policy::ALL {
        let options = ConfigOptions { policy, isolated: true, ..ConfigOptions::default() };
        let space = ConfigSpace::new(options);
        if policy.allowed_when_isolated() {
            let mut rig = Rig::with(options, 1);
            rig.command(0, 2);
            assert!(rig.host.functions[0].decodes());
            rig.command(0, 0);
            assert!(!rig.host.functions[0].decodes());
        } else {
            assert_eq!(space.err(), Some(ConfigError::NotAllowedWhenIsolated(policy)));
        }
    }
}

#[test]
fn i9_liveness_is_asked_of_the_host() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 0, 2), 0x1414)), 0);
    for _ in 0..3 {
        assert_eq!(rig.traps(|rig| assert!(rig.space.alive(&mut rig.host, slot(0)))), 1);
    }
    rig.host.functions[0].gone = true;
    assert!(!rig.space.alive(&mut rig.host, slot(0)));
    assert!(!rig.space.alive(&mut rig.host, slot(7)));
    // Once it was found missing, nothing of it is answered from memory (I4), ...
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.read(0, 0x06, 2);
    rig.read(0, 0x34, 1);
    rig.write(0, 0x04, 2, 0x0006);
    assert_eq!(rig.read(0, 0x04, 2), 0x0006);
    rig.host.functions[0].gone = true;
    assert!(!rig.space.alive(&mut rig.host, slot(0)));
    for (offset, bytes, ones) in [(0x00, 2, 0xFFFF), (0x04, 2, 0xFFFF), (0x34, 1, 0xFF)] {
        assert_eq!(rig.read(0, offset, bytes), ones, "{offset:#x}");
    }
    // ... and if it comes back as it was, it is again.
    rig.host.functions[0].gone = false;
    assert_eq!([rig.read(0, 0x04, 2), rig.read(0, 0x34, 1), rig.read(0, 0x00, 2)], [0x0006, 0x40, 0x1414]);
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 0x00, 2), 0x1414)), 0);
    // After a reset a guest that polls the vendor id sees the truth until the function answers.
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.host.functions[0].reset();
    rig.space.host_lost_state(Functions::One(slot(0)));
    rig.host.functions[0].silent = 2;
    assert_eq!(rig.read(0, 0, 4), u32::MAX);
    assert_eq!(rig.read(0, 0, 2), 0xFFFF);
    assert_eq!(rig.read(0, 0, 4), 0xC03E_1414);
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 0, 4), 0xC03E_1414)), 0);
    // Our own poll settles it as well.
    rig.space.host_lost_state(Functions::One(slot(0)));
    assert!(rig.space.alive(&mut rig.host, slot(0)));
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 0, 4), 0xC03E_1414)), 0);
}
