//! Reads and writes of every width and offset, the read cache, and the table of functions.

use super::*;
use crate::wire::ProbedBars;

#[test]
fn every_width_at_every_offset_reads_what_the_device_holds() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    let mut expected: Vec<u8> = rig.host.functions[0].config.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    for (at, bar) in place(0).into_iter().enumerate() {
        if let Some(bar) = bar {
            let bytes = (bar | if at == 0 { 0xC } else { 0 }).to_le_bytes();
            let wide = if at == 0 { 8 } else { 4 };
            expected[0x10 + 4 * at..][..wide].copy_from_slice(&bytes[..wide]);
        }
    }
    for round in 0..2 {
        for bytes in [1, 2, 4] {
            for offset in (0..4096).step_by(bytes) {
                let read = rig.read(0, offset as u16, bytes).to_le_bytes();
                assert_eq!(read[..bytes], expected[offset..][..bytes], "round {round}: {bytes} bytes at {offset:#x}");
            }
        }
    }
    rig.check();
}

#[test]
fn what_config_space_does_not_have_reads_all_ones_and_drops_writes() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    let traps = rig.traps(|rig| {
        for (n, offset, bytes, value) in [
            (0, 1, 2, 0xFFFF),
            (0, 2, 4, u32::MAX),
            (0, 0x40, 3, 0xFF_FFFF),
            (0, 4096, 1, 0xFF),
            (0, 65535, 4, u32::MAX),
            (0, 0, 8, u32::MAX),
            (0, 0, 0, u32::MAX),
            (9, 0, 2, 0xFFFF),
        ] {
            assert_eq!(rig.read(n, offset, bytes), value, "{n} {offset} {bytes}");
            rig.write(n, offset, bytes, 0);
        }
        // Identity, ROM and INTx: writes are dropped here.
        for offset in [0x00, 0x08, 0x2C, 0x30, 0x3C] {
            rig.write(0, offset, 4, u32::MAX);
        }
    });
    assert_eq!(traps, 0);
    rig.write(0, 4, 8, 2);
    assert_eq!(rig.read(0, 4, 2), 0);
}

#[test]
fn intx_and_rom_read_zero_whatever_the_host_has() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.host.functions[0].config[0x3C / 4] = 0x0000_0105;
    rig.host.functions[0].config[0x30 / 4] = 0xFFFF_F801;
    assert_eq!(rig.read(0, 0x3C, 4), 0);
    assert_eq!(rig.read(0, 0x3D, 1), 0);
    assert_eq!(rig.read(0, 0x30, 4), 0);
    assert_eq!(rig.host.reads.last(), Some(&(0, 0x3E, 2)), "no more than what is missing");
}

#[test]
fn what_cannot_change_is_asked_once() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    let scan: &[(u16, usize)] = &[
        (0x06, 2),
        (0x34, 1),
        (0x40, 2),
        (0x4C, 2),
        (0x90, 2),
        (0x98, 2),
        (0x92, 2),
        (0x44, 4),
        (0x48, 4),
        (0x100, 4),
    ];
    for (offset, bytes) in scan {
        rig.read(0, *offset, *bytes);
    }
    let traps = rig.traps(|rig| {
        for (offset, bytes) in &scan[1..] {
            rig.read(0, *offset, *bytes);
        }
    });
    assert_eq!(traps, 0);
    // Control and status never: Device Control, Link Status, PMCSR, and what lies behind no header.
    for (offset, bytes) in [(0x06, 2), (0x54, 2), (0x5E, 2), (0x94, 2), (0x0F, 1), (0x58, 4), (0x50, 4), (0x104, 4)] {
        rig.read(0, offset, bytes);
        assert_eq!(
            rig.traps(|rig| {
                rig.read(0, offset, bytes);
            }),
            1,
            "{offset:#x}"
        );
    }
    // The one switch.
    rig.space.set_read_cache(slot(0), false);
    for (offset, bytes) in scan {
        assert_eq!(
            rig.traps(|rig| {
                rig.read(0, *offset, *bytes);
            }),
            1,
            "{offset:#x}"
        );
    }
    rig.check();
}

#[test]
fn the_cache_is_dropped_when_the_host_may_answer_differently() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    for (offset, bytes) in [(0x06, 2), (0x34, 1), (0x40, 2)] {
        rig.read(0, offset, bytes);
    }
    rig.space.host_lost_state(Functions::One(slot(0)));
    rig.host.functions[0].config[0x34 / 4] = 0x4C;
    assert_eq!(rig.read(0, 0x34, 1), 0x4C);
}

#[test]
fn a_guest_write_drops_what_it_touches_and_no_more() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    for (offset, bytes) in [(0x06, 2), (0x34, 1), (0x40, 4), (0x44, 4)] {
        rig.read(0, offset, bytes);
    }
    rig.write(0, 0x42, 2, 0x8000);
    let traps = rig.traps(|rig| {
        rig.read(0, 0x40, 2);
        rig.read(0, 0x44, 4);
    });
    assert_eq!(traps, 0);
    // Message Control itself: asked once after each write.
    for traps in [1, 0, 0] {
        assert_eq!(
            rig.traps(|rig| {
                assert_eq!(rig.read(0, 0x42, 2) & 0xC000, 0x8000);
            }),
            traps
        );
    }
    rig.write(0, 0x44, 4, 1);
    assert_eq!(
        rig.traps(|rig| {
            rig.read(0, 0x44, 4);
        }),
        1
    );
}

#[test]
fn all_ones_are_never_cached() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.host.functions[0].gone = true;
    assert_eq!(rig.read(0, 0x0E, 1), 0xFF);
    assert_eq!(rig.read(0, 0x100, 4), u32::MAX);
    assert_eq!(rig.read(0, 4, 4), u32::MAX);
    rig.host.functions[0].gone = false;
    assert_eq!(rig.read(0, 0x0E, 1), 0);
    assert_eq!(rig.read(0, 0x100, 4), 0x0001_0015);
    // Except where a function that is there says so: it has no extended capabilities.
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.host.functions[0].config[0x100 / 4] = u32::MAX;
    assert_eq!(rig.read(0, 0x100, 4), u32::MAX);
    assert_eq!(rig.traps(|rig| assert_eq!(rig.read(0, 0x100, 4), u32::MAX)), 0);
}

#[test]
fn byte_writes_of_command_keep_the_other_byte() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.write(0, 5, 1, 0x04);
    rig.write(0, 4, 1, 0x06);
    assert_eq!(rig.host.functions[0].config[1] & 0xFFFF, 0x0406);
    assert_eq!((rig.read(0, 4, 1), rig.read(0, 5, 1)), (6, 4));
    rig.write(0, 4, 1, 0);
    assert_eq!(rig.host.functions[0].config[1] & 0xFFFF, 0x0400);
    rig.check();
}

#[test]
fn a_function_without_bars_has_an_ordinary_memory_bit() {
    let mut rig = Rig::new(Policy::Deferred, 0);
    rig.host.add(slot(0), ProbedBars::default());
    rig.host.functions[0].writable = 0x0404;
    rig.attach(0);
    rig.command(0, 6);
    assert_eq!(rig.read(0, 4, 2), 4, "Memory is hardwired to zero in this one");
    assert_eq!((rig.ledger(0).maps, rig.ledger(0).refused_enables), (0, 0));
    rig.check();
}

#[test]
fn a_walk_of_our_own_only_for_a_write_that_may_reset() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    let first = rig.traps(|rig| rig.write(0, 0x54, 2, 0x2810));
    // Status, pointer, four headers, the write.
    assert_eq!(first, 7);
    assert_eq!(rig.traps(|rig| rig.write(0, 0x54, 2, 0x2810)), 1);
    assert_eq!(rig.traps(|rig| rig.write(0, 0x0C, 1, 0x10)), 1);
}

#[test]
fn the_table_has_bounds() {
    for capacity in [0, 257] {
        let options = ConfigOptions { capacity, ..ConfigOptions::default() };
        assert_eq!(ConfigSpace::new(options).err(), Some(ConfigError::Capacity));
    }
    let mut rig = Rig::with(ConfigOptions { capacity: 2, ..ConfigOptions::default() }, 2);
    let seed = |n: usize, rig: &Rig| FunctionSeed {
        description: crate::wire::FunctionDescription { slot: slot(n), ..rig.host.functions[0].description },
        probed: PROBED,
        bars: [None; 6],
        host_bars_known: false,
    };
    let (again, third) = (seed(1, &rig), seed(2, &rig));
    assert_eq!(rig.space.attach(&mut rig.host, &again), Err(ConfigError::AlreadyAttached(slot(1))));
    assert_eq!(rig.space.attach(&mut rig.host, &third), Err(ConfigError::Full));
    rig.space.reserve(256).unwrap();
    assert_eq!(rig.space.functions.len(), 2, "cells are made when they are first needed");
    let table = rig.space.functions.as_ptr();
    for n in 2..256 {
        rig.host.add(slot(n), PROBED);
        let seed = seed(n, &rig);
        rig.space.attach(&mut rig.host, &seed).unwrap();
    }
    assert_eq!(rig.space.slots().count(), 256);
    assert_eq!(rig.space.functions.as_ptr(), table, "nothing was allocated");
    assert_eq!(rig.read(255, 0, 4), 0xC03E_1414);
    rig.space.detach(&mut rig.host, slot(77), Reach::Gone);
    assert_eq!(rig.read(77, 0, 4), u32::MAX);
    let seed = seed(77, &rig);
    rig.space.attach(&mut rig.host, &seed).unwrap();
    assert_eq!(rig.read(77, 0, 4), 0xC03E_1414);
}

#[test]
fn room_grows_without_touching_the_functions() {
    let mut rig = Rig::with(ConfigOptions { capacity: 1, ..ConfigOptions::default() }, 1);
    assert_eq!(rig.space.wants_room(), Some(2));
    for (capacity, error) in [(0, Some(ConfigError::Capacity)), (257, Some(ConfigError::Capacity)), (1, None)] {
        assert_eq!(Room::new(capacity).err(), error);
    }
    rig.command(0, 2);
    let look = |rig: &mut Rig| (rig.read(0, 4, 2), rig.ledger(0).maps, rig.space.bars(slot(0)));
    let before = look(&mut rig);
    for room in [1, 2] {
        rig.space.grow(&mut Room::new(room).unwrap());
    }
    assert_eq!(look(&mut rig), before);
    assert_eq!(rig.space.wants_room(), None);
    // Windows want room as well: two are there.
    for n in 0..4 {
        assert_eq!(rig.space.wants_room(), None, "{n}");
        rig.space.claim_window(Window { aperture: Aperture::High, base: (n + 1) << 50, size: 0x1000 }).unwrap();
    }
    assert_eq!(rig.space.wants_room(), Some(4));
    rig.space.reserve(256).unwrap();
    assert_eq!(rig.space.wants_room(), None);
}

#[test]
fn what_moves_over_a_kernel_stack_is_small() {
    assert!(size_of::<super::super::function::Function>() <= 1536);
    assert!(size_of::<ConfigSpace>() <= 1536);
}

#[test]
fn windows_have_bounds_too() {
    let mut space = ConfigSpace::new(ConfigOptions::default()).unwrap();
    for (base, size) in [(0, 0), (0x1000, 0x10), (0x10, 0x1000), (!0xFFF, 0x2000)] {
        let window = Window { aperture: Aperture::High, base, size };
        assert_eq!(space.claim_window(window), Err(ConfigError::BadWindow));
    }
    // One function: a low and a high window at the start, and as many if it is replaced.
    for n in 0..4 {
        space.claim_window(Window { aperture: Aperture::High, base: n << 32, size: 0x1000 }).unwrap();
    }
    assert_eq!(space.claim_window(LOW), Err(ConfigError::TooManyWindows));
    assert!(!space.unclaim_window(LOW));
    assert!(space.unclaim_window(Window { aperture: Aperture::High, base: 0, size: 0x1000 }));
    space.claim_window(LOW).unwrap();
}

#[test]
fn reports_are_bounded() {
    let mut rig = Rig::new(Policy::Deferred, 1);
    rig.command(0, 2);
    for n in 0..20 {
        rig.write(0, 0x18, 4, LOW.base as u32 + 0x1000 * (n + 3));
    }
    assert_eq!(core::iter::from_fn(|| rig.space.take_report()).count(), 16);
    assert_eq!(rig.space.lost_reports(), 4);
    assert_eq!(rig.ledger(0).stale_bars, 20);
}
