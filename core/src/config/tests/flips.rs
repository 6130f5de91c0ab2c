//! The flip table of `reference/decode.md` section 9: what each guest's habits cost under each policy.

use super::*;
use crate::wire::ProbedBars;

/// BAR layouts with none to three 64-bit BARs.
const LAYOUTS: [(u64, ProbedBars); 4] = [
    (0, ProbedBars([0xFFF0_0000, 0xFFFF_F000, 0, 0, 0xFFFF_FF00, 0])),
    (1, ProbedBars([0xFFF0_000C, 0xFFFF_FFFF, 0, 0, 0, 0])),
    (2, ProbedBars([0xFFF0_000C, 0xFFFF_FFFF, 0xFFFF_F000, 0xFFF0_000C, 0xFFFF_FFFF, 0])),
    (3, ProbedBars([0xFFF0_000C, 0xFFFF_FFFF, 0xFFF0_000C, 0xFFFF_FFFF, 0xFFF0_000C, 0xFFFF_FFFF])),
];

/// Where the registers of a layout go: every BAR at its own place.
fn addresses(probed: &ProbedBars) -> [Option<u64>; 6] {
    let mut bars = [None; 6];
    for (n, bar) in BarLayout::from_probed(probed).0.iter().enumerate() {
        let base = if bar.is_64bit { HIGH.base } else { LOW.base };
        bars[usize::from(bar.index)] = Some(base + n as u64 * 0x10_0000);
    }
    bars
}

fn rig(policy: Policy, probed: ProbedBars) -> Rig {
    let mut rig = Rig::new(policy, 0);
    rig.space.claim_window(Window { base: LOW.base + LOW.size, ..LOW }).unwrap();
    rig.space.claim_window(Window { base: LOW.base, size: 0x1000_0000 - 0x1000, ..LOW }).unwrap();
    rig.host.windows.push(Window { base: LOW.base, size: 0x1000_0000 - 0x1000, ..LOW });
    rig.host.add(slot(0), probed);
    let seed = FunctionSeed {
        description: rig.host.functions[0].description,
        probed,
        bars: addresses(&probed),
        host_bars_known: false,
    };
    rig.space.attach(&mut rig.host, &seed).unwrap();
    rig
}

/// `__pci_read_base`: sizes one BAR, with decode off around it where it is on; a 64-bit BAR takes two registers.
fn size(rig: &mut Rig, register: u16, toggles: bool) -> u16 {
    let command = rig.read(0, 4, 2) as u16;
    if toggles && command & 3 != 0 {
        rig.command(0, command & !3);
    }
    let mut registers = 1;
    let offset = 0x10 + 4 * register;
    let old = rig.read(0, offset, 4);
    rig.write(0, offset, 4, u32::MAX);
    let ones = rig.read(0, offset, 4);
    rig.write(0, offset, 4, old);
    if ones & 7 == 4 {
        let old = rig.read(0, offset + 4, 4);
        rig.write(0, offset + 4, 4, u32::MAX);
        rig.read(0, offset + 4, 4);
        rig.write(0, offset + 4, 4, old);
        registers = 2;
    }
    if toggles && command & 3 != 0 {
        rig.command(0, command);
    }
    registers
}

/// `pci_read_bases` with the ROM, one BAR at a time or in a batch under one clear.
fn read_bases(rig: &mut Rig, batch: bool) {
    let command = rig.read(0, 4, 2) as u16;
    if batch && command & 3 != 0 {
        rig.command(0, command & !3);
    }
    let mut register = 0;
    while register < 6 {
        register += size(rig, register, !batch);
    }
    if !batch && command & 3 != 0 {
        rig.command(0, command & !3);
        rig.command(0, command);
    }
    if batch && command & 3 != 0 {
        rig.command(0, command);
    }
}

/// `pci_std_update_resource` for every BAR, to where it is: 64-bit BARs with decode off around it, unconditionally.
fn assign(rig: &mut Rig, probed: &ProbedBars) {
    let bars = addresses(probed);
    for bar in BarLayout::from_probed(probed).0.iter() {
        let address = bars[usize::from(bar.index)].unwrap();
        let command = rig.read(0, 4, 2) as u16;
        let offset = 0x10 + 4 * u16::from(bar.index);
        if bar.is_64bit {
            rig.command(0, command & !2);
        }
        rig.write(0, offset, 4, address as u32 | bar.attributes());
        if bar.is_64bit {
            rig.write(0, offset + 4, 4, (address >> 32) as u32);
            rig.command(0, command);
        }
    }
}

/// `pci_enable_device` and `pci_set_master`.
fn enable(rig: &mut Rig) {
    for bit in [2, 4] {
        let command = rig.read(0, 4, 2) as u16;
        if command & bit == 0 {
            rig.command(0, command | bit);
        }
    }
}

fn linux(policy: Policy, probed: ProbedBars, batch: bool) -> Ledger {
    let mut rig = rig(policy, probed);
    read_bases(&mut rig, batch);
    assign(&mut rig, &probed);
    rig.bind(0, true);
    enable(&mut rig);
    assert!(rig.host.functions[0].decodes());
    rig.check();
    rig.ledger(0)
}

#[test]
fn linux_before_5_19_pays_eight_maps_with_any_layout() {
    for (_, probed) in LAYOUTS {
        let ledger = linux(Policy::Eager, probed, false);
        assert_eq!((ledger.maps, ledger.unmaps), (8, 7), "{probed:x?}");
    }
}

#[test]
fn batch_sizing_alone_leaves_two_and_one_per_64_bit_bar() {
    for (n64, probed) in LAYOUTS {
        let ledger = linux(Policy::Eager, probed, true);
        assert_eq!((ledger.maps, ledger.unmaps), (2 + n64, 1 + n64), "{probed:x?}");
    }
}

#[test]
fn deferred_pays_one_map_with_any_guest_and_layout() {
    for (_, probed) in LAYOUTS {
        for batch in [false, true] {
            for policy in [Policy::Deferred, Policy::Absorbing] {
                let ledger = linux(policy, probed, batch);
                assert_eq!((ledger.maps, ledger.unmaps), (1, 0), "{policy} {probed:x?}");
            }
        }
    }
}

#[test]
fn our_target_one_clear_one_set_and_the_implemented_registers() {
    let (_, probed) = LAYOUTS[2];
    let mut rig = rig(Policy::Deferred, probed);
    read_bases(&mut rig, false);
    assign(&mut rig, &probed);
    let command = rig.read(0, 4, 2) as u16;
    rig.command(0, command | 2);
    let bars = rig.host.writes.iter().filter(|(_, offset, _)| (0x10..0x28).contains(offset)).count();
    let commands = rig.host.writes.iter().filter(|(_, offset, _)| *offset == 4).count();
    assert_eq!((bars, commands), (5, 2));
}

#[test]
fn an_enabled_function_scanned_again_costs_what_its_guest_does_or_nothing() {
    for (policy, maps, unmaps) in [(Policy::Deferred, 8, 7), (Policy::Absorbing, 1, 0)] {
        for (n64, probed) in LAYOUTS {
            let mut rig = rig(policy, probed);
            rig.bind(0, true);
            enable(&mut rig);
            rig.bind(0, false);
            read_bases(&mut rig, false);
            assign(&mut rig, &probed);
            rig.bind(0, true);
            enable(&mut rig);
            assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (maps, unmaps), "{policy} {n64}");
            rig.check();
        }
    }
}

/// FreeBSD: every sizing and every assignment clears and restores, and decode is on after the first BAR.
#[test]
fn freebsd_fresh_pays_once_per_bar_as_long_as_its_bars_are_valid() {
    let (_, probed) = LAYOUTS[2];
    for (policy, maps, unmaps) in [(Policy::Deferred, 3, 2), (Policy::Absorbing, 1, 0)] {
        let mut rig = rig(policy, probed);
        let bars = addresses(&probed);
        for bar in BarLayout::from_probed(&probed).0.iter() {
            let command = rig.read(0, 4, 2) as u16;
            rig.command(0, command & !2);
            rig.write(0, 0x10 + 4 * u16::from(bar.index), 4, bars[usize::from(bar.index)].unwrap() as u32);
            rig.command(0, command);
            let command = rig.read(0, 4, 2) as u16;
            rig.command(0, command | 2);
        }
        assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (maps, unmaps), "{policy}");
        rig.check();
    }
}

/// `pci_reset_function`: COMMAND = interrupts off, FLR, restore.
#[test]
fn a_function_reset_by_its_driver_pays_one_map_more() {
    for policy in [Policy::Deferred, Policy::Absorbing, Policy::Prefetch] {
        let (_, probed) = LAYOUTS[2];
        let mut rig = rig(policy, probed);
        rig.bind(0, true);
        enable(&mut rig);
        let saved: Vec<u32> = (4..10).map(|dword| rig.read(0, dword * 4, 4)).collect();
        rig.command(0, 0x0400);
        rig.write(0, 0x54, 2, 0xA810);
        for dword in (4..10u16).rev() {
            if rig.read(0, dword * 4, 4) != saved[usize::from(dword - 4)] {
                rig.write(0, dword * 4, 4, saved[usize::from(dword - 4)]);
            }
        }
        rig.command(0, 6);
        assert_eq!((rig.ledger(0).maps, rig.ledger(0).unmaps), (2, 1), "{policy}");
        assert_eq!(rig.host.functions[0].bars().to_vec(), saved);
        rig.check();
    }
}
