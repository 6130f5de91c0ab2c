//! The hazards of `reference/decode.md` section 8, by name.

use super::*;
use crate::Time;
use crate::backend::{ConfigPort, Width};
use crate::decode::HostDecode;

#[test]
fn t1_decode_left_on_by_a_previous_kernel_is_cleared_before_any_bar_write() {
    for policy in Policy::ALL {
        let mut rig = Rig::new(policy, 0);
        rig.host.add(slot(0), PROBED);
        rig.host.functions[0].config[1] |= 2 | 4;
        rig.attach(0);
        assert_eq!(rig.host.writes[0], (0, 4, 4), "{policy}: bus master stays, Memory goes");
        assert_eq!(rig.ledger(0).unmaps, 1);
        if policy != Policy::Eager {
            rig.command(0, 6);
        }
        assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (1, 1));
        assert_eq!(rig.host.violations, Vec::<String>::new());
    }
}

#[test]
fn t1_holds_for_a_message_guest_too() {
    for policy in [Policy::Deferred, Policy::Absorbing] {
        let mut rig = Rig::with(messages(policy), 0);
        rig.host.add(slot(0), PROBED);
        rig.host.functions[0].config[1] |= 2 | 4;
        rig.attach(0);
        assert_eq!(rig.host.writes, [(0, 4, 4)], "{policy}: bus master stays, Memory goes, no BAR is written");
        // Again after D0 was entered anew: whatever the host kept of it.
        rig.space.power_completed(slot(0), true, true);
        rig.host.power(0, true);
        rig.space.host_lost_state(Functions::All);
        rig.host.functions[0].host_unmaps = 1;
        rig.host.functions[0].maps = 1;
        rig.space.restart(&mut rig.host, slot(0), &place(0), true);
        assert_eq!(rig.host.writes[1..], [(0, 4, 4)], "{policy}");
        assert!(!rig.host.functions[0].decodes());
        assert!(!rig.space.host_view(slot(0)).unwrap().may_be_mapped());
    }
}

#[test]
fn t2_sizing_is_answered_from_the_probed_masks() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    let traps = rig.traps(|rig| {
        for (register, mask) in [(0, 0xFFF0_000C), (1, 0xFFFF_FFFF), (2, 0xFFFF_FF00), (3, 0), (4, 0), (5, 0)] {
            let offset = 0x10 + 4 * register;
            let before = rig.read(0, offset, 4);
            rig.write(0, offset, 4, u32::MAX);
            assert_eq!(rig.read(0, offset, 4), mask, "{register}");
            rig.write(0, offset, 4, before);
            assert_eq!(rig.read(0, offset, 4), before);
        }
    });
    assert_eq!(traps, 0);
}

#[test]
fn t2_masks_are_probed_again_after_a_resizable_bar_control_write() {
    for policy in Policy::ALL {
        let mut rig = Rig::new(policy, 1);
        rig.command(0, 0);
        rig.write(0, 0x108, 4, 3 << 8 | 0x20);
        rig.write(0, 0x10, 4, u32::MAX);
        assert_eq!(rig.read(0, 0x10, 4), 0xFF80_000C, "{policy}: 8 MiB now");
        assert_eq!(rig.space.layout(slot(0)).unwrap().get(0).unwrap().size, 8 << 20);
        assert_eq!(rig.space.take_report(), Some(ConfigReport::BarsResized { slot: slot(0) }));
        rig.write(0, 0x10, 4, 0);
        rig.command(0, 2);
        assert!(rig.host.functions[0].decodes());
        rig.check();
    }
}

#[test]
fn t2_a_bar_that_grew_is_checked_with_its_new_size() {
    let mut rig = Rig::new(Policy::Deferred, 2);
    rig.command(1, 2);
    rig.write(0, 0x108, 4, 3 << 8 | 0x20);
    // The guest enables without having looked at its BARs: 8 MiB from place 0 lie over place 1.
    rig.command(0, 2);
    assert_eq!(rig.read(0, 4, 2), 0);
    rig.command(1, 0);
    rig.command(0, 2);
    assert_eq!(rig.read(0, 4, 2), 2);
    // A reset may bring the old size back.
    rig.host.functions[0].probed = PROBED;
    rig.write(0, 0x54, 2, 0xA810);
    rig.move_to(0, 0);
    rig.command(0, 2);
    assert_eq!(rig.space.layout(slot(0)).unwrap().get(0).unwrap().size, 1 << 20);
    rig.check();
}

#[test]
fn t3_suppression_ends_when_the_host_may_have_lost_state() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    assert_eq!(rig.traps(|rig| rig.command(0, 0)), 0);
    rig.space.host_lost_state(Functions::One(slot(0)));
    assert_eq!(rig.traps(|rig| rig.command(0, 0)), 1);
}

#[test]
fn t4a_a_lingering_clear_is_flushed_before_its_bars_change() {
    let mut rig = Rig::new(Policy::Absorbing, 1);
    rig.command(0, 2);
    rig.command(0, 0);
    rig.move_to(0, 2);
    let writes = rig.host.writes.len();
    rig.command(0, 2);
    let [high, _, low, ..] = place(2).map(|bar| bar.unwrap_or(0) as u32);
    // The high half has not changed.
    assert_eq!(rig.host.writes[writes..], [(0, 4, 0), (0, 0x10, high | 0xC), (0, 0x18, low), (0, 4, 2)]);
    rig.check();
}

#[test]
fn t4b_a_lingering_clear_is_flushed_before_another_function_takes_its_place() {
    // Two functions swapped at once: both are unmapped before either is mapped.
    let mut rig = Rig::new(Policy::Absorbing, 2);
    for n in 0..2 {
        rig.command(n, 2);
        rig.command(n, 0);
    }
    rig.move_to(0, 1);
    rig.move_to(1, 0);
    rig.command(0, 2);
    assert!(!rig.host.functions[1].decodes());
    rig.command(1, 2);
    for n in 0..2 {
        assert_eq!((rig.ledger(n).maps, rig.ledger(n).unmaps), (2, 1));
        assert_eq!(rig.read(n, 4, 2), 2);
    }
    rig.check();
}

#[test]
fn nothing_is_sent_to_the_slot_of_a_lingering_function_that_is_gone() {
    let mut rig = Rig::new(Policy::Absorbing, 2);
    rig.command(1, 2);
    rig.command(1, 0);
    rig.space.function_gone(slot(1));
    // Somebody else is in the slot by now; the host has nothing of the old function mapped.
    rig.host.functions[1].reset();
    let before = rig.host.writes.len();
    rig.move_to(0, 1);
    rig.command(0, 2);
    assert!(rig.host.writes[before..].iter().all(|(slot, ..)| *slot == 0), "{:?}", &rig.host.writes[before..]);
    assert!(rig.host.functions[0].decodes());
}

#[test]
fn t4c_resets_and_d3_flush_a_lingering_clear() {
    for (offset, bytes, value) in [(0x54, 2, 0xA810), (0x9C, 1, 1), (0x94, 2, 3)] {
        let mut rig = Rig::new(Policy::Absorbing, 1);
        rig.command(0, 2);
        rig.command(0, 0);
        assert!(rig.host.functions[0].decodes());
        rig.write(0, offset, bytes, value);
        assert!(!rig.host.functions[0].decodes());
        assert_eq!((rig.ledger(0).unmaps, rig.ledger(0).host_unmaps), (1, 0), "{offset:#x}");
        rig.check();
    }
}

#[test]
fn t4c_binding_a_driver_flushes_and_its_own_clears_do_not_linger() {
    let mut rig = Rig::new(Policy::Absorbing, 1);
    rig.command(0, 2);
    rig.command(0, 0);
    assert!(rig.host.functions[0].decodes());
    rig.bind(0, true);
    assert!(!rig.host.functions[0].decodes());
    rig.command(0, 2);
    rig.command(0, 0);
    assert!(!rig.host.functions[0].decodes());
    rig.check();
}

#[test]
fn t4_other_bits_of_a_lingering_clear_go_out_now() {
    let mut rig = Rig::new(Policy::Absorbing, 1);
    rig.command(0, 6);
    rig.command(0, 0x0400);
    // Bus master off and interrupts off at once, Memory kept: a device must not go on with DMA.
    assert_eq!(rig.host.functions[0].config[1] & 0xFFFF, 0x0402);
    assert_eq!(rig.read(0, 4, 2), 0x0400);
    rig.check();
}

#[test]
fn t5_bars_are_told_at_the_edge_only_if_they_differ_low_then_high() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    let writes = rig.host.writes.len();
    rig.command(0, 2);
    let [high, _, low, ..] = place(0).map(|bar| bar.unwrap_or(0));
    assert_eq!(
        rig.host.writes[writes..],
        [(0, 0x10, high as u32 | 0xC), (0, 0x14, 0x10), (0, 0x18, low as u32), (0, 4, 2)]
    );
    rig.command(0, 0);
    rig.write(0, 0x14, 4, 0x10);
    let writes = rig.host.writes.len();
    rig.command(0, 2);
    assert_eq!(rig.host.writes[writes..], [(0, 4, 2)]);
    rig.check();
}

#[test]
fn no_access_reaches_the_function_selected_before_while_selects_are_denied() {
    let mut rig = Rig::new(Policy::Deferred, 2);
    let there = rig.read(1, 6, 2);
    rig.read(0, 6, 2);
    let (reads, writes) = (rig.host.reads.len(), rig.host.writes.len());
    rig.host.denied = 2;
    assert_eq!(rig.read(1, 6, 2), 0xFFFF);
    rig.write(1, 0x0C, 1, 0x10);
    assert_eq!((rig.host.reads.len(), rig.host.writes.len()), (reads, writes), "an access after a denied select");
    // Each access tried anew; nobody knows what is selected, so that the function of before is selected again as well.
    rig.host.denied = 1;
    assert_eq!(rig.read(0, 6, 2), 0xFFFF);
    assert_eq!(rig.read(1, 6, 2), there);
}

#[test]
fn t12_the_selector_is_written_only_when_it_changes_or_is_forgotten() {
    let mut rig = Rig::new(Policy::Deferred, 2);
    rig.read(1, 6, 2);
    assert_eq!(
        rig.traps(|rig| {
            rig.read(1, 6, 2);
        }),
        1
    );
    assert_eq!(
        rig.traps(|rig| {
            rig.read(0, 6, 2);
        }),
        2
    );
    rig.space.forget_selector();
    assert_eq!(
        rig.traps(|rig| {
            rig.read(0, 6, 2);
        }),
        2
    );
    rig.space.host_lost_state(Functions::All);
    assert_eq!(
        rig.traps(|rig| {
            rig.read(0, 6, 2);
        }),
        2
    );
}

#[test]
fn half_updated_64_bit_bar_never_decodes() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    // Only the low half of a new address: what results is outside the windows.
    rig.write(0, 0x14, 4, 0x77);
    rig.command(0, 2);
    assert_eq!((rig.read(0, 4, 2), rig.host.functions[0].maps), (0, 0));
    rig.check();
}

#[test]
fn memory_read_back_comes_from_the_shadow_whatever_the_host_says() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.command(0, 2);
    rig.host.functions[0].config[1] &= !2;
    rig.command(0, 0x0402);
    rig.host.functions[0].config[1] &= !2;
    assert_eq!(rig.read(0, 4, 2) & 2, 2);
}

#[test]
fn a_reset_through_config_space_is_followed() {
    // FLR, AF FLR, and D3hot to D0 of a function without No_Soft_Reset.
    for writes in [&[(0x54, 2, 0xA810)][..], &[(0x9C, 1, 1)], &[(0x94, 2, 3), (0x94, 2, 0)]] {
        let mut rig = Rig::new(Policy::Deferred, 1);
        rig.command(0, 6);
        for (offset, bytes, value) in writes {
            rig.write(0, *offset, *bytes, *value);
        }
        assert_eq!(rig.space.take_report(), Some(ConfigReport::Reset { slot: slot(0) }), "{writes:x?}");
        assert_eq!(rig.read(0, 4, 2), 0);
        assert_eq!(rig.read(0, 0x10, 4), 0xC);
        rig.move_to(0, 0);
        rig.command(0, 6);
        assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps, rig.ledger(0).host_unmaps), (2, 0, 1));
        rig.check();
    }
    // With No_Soft_Reset nothing is lost.
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.host.functions[0].config[0x94 / 4] = 8;
    rig.command(0, 6);
    rig.write(0, 0x94, 2, 3);
    rig.write(0, 0x94, 2, 0);
    assert_eq!(rig.space.take_report(), None);
    assert_eq!(rig.read(0, 4, 2), 6);
    rig.check();
}

#[test]
fn prefetch_costs_one_map_and_a_moved_bar_a_pair() {
    let mut rig = Rig::new(Policy::Prefetch, 1);
    rig.space.prefetch_started(slot(0)).unwrap();
    rig.host.power(0, true);
    assert_eq!(rig.space.host_view(slot(0)).unwrap().decode(), HostDecode::Mapping);
    // The scan's own COMMAND writes do not undo it.
    rig.command(0, 0x0400);
    assert_eq!(rig.read(0, 4, 2), 0x0400);
    rig.command(0, 0);
    rig.command(0, 0);
    assert!(rig.host.functions[0].decodes());
    rig.command(0, 2);
    rig.space.prefetch_finished(slot(0), true);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps, rig.ledger(0).wasted_prefetches), (1, 0, 0));
    // Once the guest has used it, a clear is a clear.
    rig.command(0, 0);
    assert!(!rig.host.functions[0].decodes());
    assert_eq!((rig.ledger(0).unmaps, rig.ledger(0).wasted_prefetches), (1, 0));
    rig.check();
    let mut rig = Rig::new(Policy::Prefetch, 1);
    rig.space.prefetch_started(slot(0)).unwrap();
    rig.host.power(0, true);
    rig.space.prefetch_finished(slot(0), true);
    rig.move_to(0, 2);
    rig.command(0, 2);
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps, rig.ledger(0).wasted_prefetches), (2, 1, 1));
    rig.check();
}

#[test]
fn a_prefetch_that_may_not_be_is_refused() {
    let mut rig = Rig::new(Policy::Prefetch, 1);
    rig.write(0, 0x14, 4, 0);
    assert!(matches!(rig.space.prefetch_started(slot(0)), Err(EnableRefused::OutsideWindows { .. })));
    rig.move_to(0, 3);
    assert_eq!(rig.space.prefetch_started(slot(0)), Err(EnableRefused::BarsNotTold { slot: slot(0) }));
    assert_eq!(rig.space.prefetch_started(slot(5)), Err(EnableRefused::NoFunction { slot: slot(5) }));
    // One that fails leaves the host's decode unknown; the guest's enable puts it right.
    let mut rig = Rig::new(Policy::Prefetch, 1);
    rig.space.prefetch_started(slot(0)).unwrap();
    rig.space.prefetch_finished(slot(0), false);
    rig.command(0, 2);
    assert!(rig.host.functions[0].decodes());
    assert_eq!((rig.ledger(0).maps, rig.host.functions[0].maps), (1, 1), "a map that failed is not counted twice");
    // One that the guest has used before it failed was the guest's.
    let mut rig = Rig::new(Policy::Prefetch, 1);
    rig.space.prefetch_started(slot(0)).unwrap();
    rig.command(0, 2);
    rig.space.prefetch_finished(slot(0), false);
    assert_eq!((rig.ledger(0).maps, rig.host.functions[0].maps), (1, 1));
}

#[test]
fn the_host_may_be_measured() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.host.map_takes = Some(1_800_000_000);
    rig.command(0, 2);
    rig.command(0, 6);
    rig.command(0, 0);
    assert_eq!(rig.ledger(0).host_map_time, core::time::Duration::from_millis(1800));
    assert_eq!(rig.host.now(), Some(Time::from_nanos(1_800_000_000)));
    rig.host.select(slot(0)).unwrap();
    assert_eq!(ConfigPort::read(&mut rig.host, 4, Width::Word), 0);
}
