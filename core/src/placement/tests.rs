//! Tests of survey and pool together.

use proptest::prelude::*;

use super::*;
use crate::Slot;
use crate::config::{Bar, BarLayout};
use crate::wire::ProbedBars;

const GIB: u64 = 1 << 30;
const SLOT: Slot = Slot::ZERO;

fn slot(number: u32) -> Slot {
    Slot::from_wire(number).unwrap()
}

/// The layout of BARs given as (is_64bit, size), packed into the registers in order.
fn layout(bars: &[(bool, u64)]) -> BarLayout {
    let mut probed = [0u32; 6];
    let mut register = 0;
    for &(is_64bit, size) in bars {
        let mask = !(size - 1);
        probed[register] = mask as u32 | if is_64bit { 0xC } else { 0 };
        if is_64bit {
            probed[register + 1] = (mask >> 32) as u32;
        }
        register += if is_64bit { 2 } else { 1 };
    }
    let (layout, defects) = BarLayout::from_probed(&ProbedBars(probed));
    assert_eq!(defects, [None; 6]);
    layout
}

fn high(base: u64, size: u64) -> Window {
    Window { aperture: Aperture::High, base, size }
}

fn pool(windows: &[Window]) -> Pool {
    let mut pool = Pool::new();
    pool.reserve(8, 4).unwrap();
    for &window in windows {
        pool.add_window(window).unwrap();
    }
    pool
}

#[test]
fn the_recorded_nvme_function_gets_one_high_window() {
    let nvme = layout(&[(true, 0x1_0000), (true, 0x1000)]);
    let survey = survey([(SLOT, &nvme)]).unwrap();
    let need = WindowNeed { aperture: Aperture::High, size: 0x1_1000, align: 0x1_0000 };
    assert_eq!(survey.needs(Headroom::default()), [None, Some(need)]);
    let mut pool = pool(&[high(0xF_E000_0000, 0x1_1000)]);
    let placed = pool.place(SLOT, &nvme).unwrap();
    assert_eq!(placed, [Some(0xF_E000_0000), None, Some(0xF_E001_0000), None, None, None]);
    assert_eq!(pool.addresses(SLOT), placed);
    assert_eq!(pool.free_bytes(Aperture::High), 0);
}

#[test]
fn thirty_two_bit_bars_go_low_and_small_ones_take_a_page() {
    let mixed = layout(&[(false, 256), (true, 128 * GIB), (false, 0x4000)]);
    let survey = survey([(SLOT, &mixed)]).unwrap();
    assert_eq!(
        survey.needs(Headroom::default()),
        [
            Some(WindowNeed { aperture: Aperture::Low, size: 0x5000, align: 0x4000 }),
            Some(WindowNeed { aperture: Aperture::High, size: 128 * GIB, align: 128 * GIB })
        ]
    );
    let mut pool =
        pool(&[Window { aperture: Aperture::Low, base: 0xF800_0000, size: 0x5000 }, high(256 * GIB, 128 * GIB)]);
    let placed = pool.place(SLOT, &mixed).unwrap();
    assert_eq!(placed, [Some(0xF800_4000), Some(256 * GIB), None, Some(0xF800_0000), None, None]);
}

#[test]
fn a_function_without_bars_needs_nothing() {
    let none = BarLayout::default();
    assert_eq!(survey([(SLOT, &none)]).unwrap().needs(Headroom::default()), [None, None]);
    let mut pool = Pool::new();
    assert_eq!(pool.place(SLOT, &none), Ok([None; 6]));
    assert_eq!(pool.place(SLOT, &none), Ok([None; 6]));
}

#[test]
fn a_small_function_first_does_not_push_a_large_one_out() {
    // Packing from the bottom would put 64 KiB and 4 KiB at the start and leave no aligned MiB.
    let (small, large) = (layout(&[(true, 0x1_0000), (true, 0x1000)]), layout(&[(true, 1 << 20)]));
    let need = survey([(slot(0), &small), (slot(1), &large)]).unwrap().need(Aperture::High, Headroom::default());
    let need = need.unwrap();
    assert_eq!((need.size, need.align), (0x11_1000, 1 << 20));
    let mut pool = pool(&[high(0x1_0010_0000, need.size)]);
    assert_eq!(pool.place(slot(0), &small).unwrap()[0], Some(0x1_0020_0000));
    assert_eq!(pool.place(slot(1), &large).unwrap()[0], Some(0x1_0010_0000));
}

#[test]
fn sizes_no_address_space_holds_are_refused_and_forgotten() {
    let sane = layout(&[(true, GIB)]);
    let hostile = layout(&[(true, 1 << 63), (true, 1 << 63), (true, 1 << 63)]);
    let mut survey = survey([(slot(0), &sane)]).unwrap();
    let before = survey;
    let error = survey.add(slot(1), &hostile).unwrap_err();
    assert_eq!(error, PlacementError::Impossible { slot: slot(1), bar: 0, size: 1 << 63, aperture: Aperture::High });
    assert_eq!(survey, before);
    // 32-bit BARs alone can outgrow 4 GiB.
    let two_gib = layout(&[(false, 2 * GIB), (false, 2 * GIB), (false, 16)]);
    assert!(matches!(survey.add(slot(1), &two_gib), Err(PlacementError::Impossible { bar: 2, size: 16, .. })));
    assert!(matches!(
        pool(&[high(256 * GIB, GIB)]).place(slot(1), &hostile),
        Err(PlacementError::NoSpace { size: 0x8000_0000_0000_0000, missing: u64::MAX, .. })
    ));
}

#[test]
fn headroom_is_page_rounded_and_never_more_than_an_aperture() {
    let survey = Survey::new();
    let [low, high] = survey.needs(Headroom { low: 1, high: u64::MAX });
    assert_eq!(low, Some(WindowNeed { aperture: Aperture::Low, size: 4096, align: 4096 }));
    assert_eq!(high.unwrap().size, Aperture::High.capacity());
    assert_eq!(survey.refused(&low.unwrap()), None);
}

#[test]
fn the_error_says_what_is_missing_and_what_to_do() {
    let gpu = layout(&[(true, 16 * 1024 * 1024), (true, 128 * GIB), (true, 32 * 1024 * 1024)]);
    let mut pool = pool(&[high(4 * GIB, GIB)]);
    let before = pool.clone();
    let error = pool.place(slot(2), &gpu).unwrap_err();
    assert_eq!(pool, before, "a failed placement takes nothing");
    assert_eq!(
        error.to_string(),
        "function 02.0: no room for BAR 2 of 128 GiB: 128 GiB more high MMIO space (above 4 GiB) needed, 1 GiB free in \
         this bus's windows; shut the VM down, give it at least that much more with Set-VM -HighMemoryMappedIoSpace and \
         start it again"
    );
    let all = survey([(slot(2), &gpu)]).unwrap();
    let need = all.need(Aperture::High, Headroom::default()).unwrap();
    let size = 128 * GIB;
    assert_eq!(
        all.refused(&need),
        Some(PlacementError::NoSpace {
            slot: slot(2),
            bar: 2,
            size,
            aperture: Aperture::High,
            free: 0,
            missing: size + (48 << 20)
        })
    );
}

#[test]
fn the_missing_bytes_suffice() {
    let gpu = layout(&[(true, 1 << 24), (true, 1 << 30), (true, 1 << 25)]);
    let mut pool = pool(&[high(4 * GIB, 0x1000)]);
    let Err(PlacementError::NoSpace { missing, free: 0x1000, .. }) = pool.place(SLOT, &gpu) else { panic!() };
    pool.add_window(high(8 * GIB, missing)).unwrap();
    pool.place(SLOT, &gpu).unwrap();
    assert_eq!(pool.free_bytes(Aperture::High), 0x1000);
}

#[test]
fn a_quarantined_range_goes_to_nobody_until_released() {
    let bar = layout(&[(true, 0x1000)]);
    let window = high(4 * GIB, 0x2000);
    let mut pool = pool(&[window]);
    let first = pool.place(slot(0), &bar).unwrap();
    assert_eq!(pool.quarantine(slot(0)), 0x1000);
    assert_eq!(pool.addresses(slot(0)), [None; 6]);
    assert_eq!(pool.free(slot(0)), 0, "a quarantined range is not freed with its slot");
    // The slot may come back, elsewhere; then the window is full.
    assert_ne!(pool.place(slot(0), &bar).unwrap(), first);
    assert!(matches!(pool.place(slot(1), &bar), Err(PlacementError::NoSpace { free: 0, .. })));
    assert!(matches!(pool.restore(slot(1), &bar, &first), Err(PlacementError::NotRestorable { .. })));
    assert_eq!(pool.free(slot(0)), 0x1000);
    assert_eq!(pool.remove_window(window), Err(WindowError::InUse(window)));
    assert_eq!((pool.quarantined_bytes(), pool.free_bytes(Aperture::High)), (0x1000, 0x1000));
    assert_eq!(pool.release_quarantine(), 0x1000);
    assert_eq!(pool.place(slot(1), &bar), Ok(first));
    pool.free(slot(1));
    assert_eq!(pool.remove_window(window), Ok(()));
    assert_eq!(pool.remove_window(window), Err(WindowError::Unknown(window)));
}

#[test]
fn restoring_asks_for_the_same_addresses_or_nothing() {
    let bars = layout(&[(true, 0x2000), (true, 0x1000)]);
    let mut pool = pool(&[high(4 * GIB, 0x4000)]);
    let placed = pool.place(SLOT, &bars).unwrap();
    let before = pool.clone();
    assert_eq!(pool.restore(SLOT, &bars, &placed), Err(PlacementError::AlreadyPlaced { slot: SLOT }));
    pool.free(SLOT);
    let empty = pool.clone();
    let mut defect = |change: fn(&mut BarAddresses)| {
        let mut addresses = placed;
        change(&mut addresses);
        match pool.restore(SLOT, &bars, &addresses) {
            Err(PlacementError::NotRestorable { bar, defect, .. }) => {
                assert_eq!(pool, empty);
                (bar, defect)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(defect(|a| a[2] = None), (2, RestoreDefect::Mismatch));
    assert_eq!(defect(|a| a[5] = Some(0)), (5, RestoreDefect::Mismatch));
    assert_eq!(defect(|a| a[0] = Some(4 * GIB + 0x1000)), (0, RestoreDefect::Misaligned));
    assert_eq!(defect(|a| a[0] = Some(4 * GIB + 0x4000)), (0, RestoreDefect::Outside));
    assert_eq!(defect(|a| a[0] = Some(u64::MAX - 0x1FFF)), (0, RestoreDefect::Outside));
    assert_eq!(defect(|a| a[2] = a[0]), (2, RestoreDefect::Taken));
    pool.restore(SLOT, &bars, &placed).unwrap();
    assert_eq!(pool, before);
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    let mut pool = pool(&[high(4 * GIB, 0x4000)]);
    let low = |base, size| Window { aperture: Aperture::Low, base, size };
    for window in [
        high(4 * GIB + 0x8000, 0),
        high(4 * GIB + 0x8800, 0x1000),
        high(4 * GIB + 0x8000, 0x800),
        high(u64::MAX - 0xFFF, 0x1000),
        high(1 << 52, 0x1000),
        high(4 * GIB - 0x1000, 0x2000),
        low(4 * GIB - 0x1000, 0x2000),
        low(8 * GIB, 0x1000),
        low(0, 0x1000),
    ] {
        assert_eq!(pool.add_window(window), Err(WindowError::Malformed(window)), "{window:x?}");
    }
    for window in [high(4 * GIB, 0x1000), high(4 * GIB + 0x3000, 0x2000)] {
        assert_eq!(pool.add_window(window), Err(WindowError::Overlaps(window)));
    }
    for base in [4 * GIB + 0x4000, 5 * GIB, 6 * GIB] {
        pool.add_window(high(base, 0x1000)).unwrap();
    }
    assert_eq!(pool.add_window(low(0x1000, 0x1000)), Err(WindowError::TableFull));
    assert!(pool.contains(4 * GIB, 0x4000));
    assert!(!pool.contains(4 * GIB, 0x5000), "a range over two windows is in neither");
    assert!(!pool.contains(4 * GIB, 0) && !pool.contains(u64::MAX, 2));
}

#[test]
fn the_table_is_as_large_as_reserved() {
    let six = layout(&[(false, 16); 6]);
    let mut pool = Pool::new();
    assert_eq!(pool.place(SLOT, &six), Err(PlacementError::TableFull { slot: SLOT }));
    pool.reserve(1, 1).unwrap();
    pool.add_window(Window { aperture: Aperture::Low, base: 0xF000_0000, size: 0x10_0000 }).unwrap();
    for _ in 0..2 {
        pool.place(SLOT, &six).unwrap();
        pool.quarantine(SLOT);
    }
    assert_eq!(pool.place(SLOT, &six), Err(PlacementError::TableFull { slot: SLOT }));
    pool.release_quarantine();
    pool.place(SLOT, &six).unwrap();
}

/// What must hold of a pool at any time.
fn check(pool: &Pool) {
    for (at, claim) in pool.claims().iter().enumerate() {
        assert!(claim.size >= 4096 && claim.size.is_power_of_two());
        assert_eq!(claim.base % claim.size, 0, "natural alignment");
        let window = pool.windows().iter().filter(|w| w.contains(claim.base, claim.size)).count();
        assert_eq!(window, 1, "inside one window");
        for other in &pool.claims()[at + 1..] {
            assert!(claim.base + claim.size <= other.base, "{claim:x?} and {other:x?} overlap");
        }
    }
    for aperture in Aperture::BOTH {
        let windows: u64 = pool.windows().iter().filter(|w| w.aperture == aperture).map(|w| w.size).sum();
        let low = aperture == Aperture::Low;
        let claims: u64 = pool.claims().iter().filter(|c| (c.base < 4 * GIB) == low).map(|c| c.size).sum();
        assert_eq!(pool.free_bytes(aperture), windows - claims);
    }
}

/// BARs of any size that fits 4 GiB low or `most` (an exponent) high, in up to six registers.
fn any_layout(most: u32) -> impl Strategy<Value = BarLayout> {
    let bar = (any::<bool>(), 4..most)
        .prop_map(|(wide, exponent)| (wide, 1 << if wide { exponent } else { exponent.min(26) }));
    prop::collection::vec(bar, 0..6).prop_map(|mut bars| {
        while bars.iter().map(|b: &(bool, u64)| if b.0 { 2 } else { 1 }).sum::<u64>() > 6 {
            bars.pop();
        }
        layout(&bars)
    })
}

/// Windows as the needs say, at some aligned place.
fn grant(pool: &mut Pool, needs: &[Option<WindowNeed>; 2], step: u64) {
    for need in needs.iter().flatten() {
        let room = (need.aperture.end() - need.size - need.aperture.start()) / need.align;
        let base = need.aperture.start().next_multiple_of(need.align) + (step % room.max(1)) * need.align;
        let base = if base + need.size > need.aperture.end() { base - need.align } else { base.max(need.align) };
        pool.add_window(Window { aperture: need.aperture, base, size: need.size }).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(256)))]

    #[test]
    fn what_was_surveyed_fits_in_any_order(
        layouts in prop::collection::vec(any_layout(40), 1..8).prop_shuffle(),
        added in any_layout(34),
        step in any::<u64>(),
    ) {
        let functions = || (0u32..).map(slot).zip(&layouts);
        let survey = survey(functions()).unwrap();
        let hot: u64 = added.iter().filter(|b| b.is_64bit).map(Bar::footprint).sum();
        let hot_low: u64 = added.iter().filter(|b| !b.is_64bit).map(Bar::footprint).sum();
        let mut pool = Pool::new();
        pool.reserve(9, 2).unwrap();
        grant(&mut pool, &survey.needs(Headroom { low: hot_low, high: hot }), step);
        for (slot, layout) in functions() {
            let addresses = pool.place(slot, layout).unwrap();
            check(&pool);
            for bar in layout.iter() {
                let base = addresses[usize::from(bar.index)].unwrap();
                prop_assert_eq!(base % bar.size, 0);
                prop_assert_eq!(base < 4 * GIB, !bar.is_64bit);
            }
        }
        prop_assert_eq!(pool.free_bytes(Aperture::High), hot);
        pool.place(slot(200), &added).unwrap();
        check(&pool);
        prop_assert_eq!((pool.free_bytes(Aperture::Low), pool.free_bytes(Aperture::High)), (0, 0));
        // The same placements can be had again, in a pool built anew.
        let mut again = Pool::new();
        again.reserve(9, 2).unwrap();
        for &window in pool.windows() {
            again.add_window(window).unwrap();
        }
        again.restore(slot(200), &added, &pool.addresses(slot(200))).unwrap();
        for (slot, layout) in functions() {
            again.restore(slot, layout, &pool.addresses(slot)).unwrap();
        }
        prop_assert_eq!(again, pool);
    }

    #[test]
    fn any_sequence_keeps_the_pool_sound(
        steps in prop::collection::vec((0u32..6, 0u8..5, any_layout(22)), 1..40),
        windows in prop::collection::vec((0u64..64, 1u64..64), 1..5),
    ) {
        let mut pool = Pool::new();
        pool.reserve(4, 8).unwrap();
        for (at, size) in windows {
            let _ = pool.add_window(high(4 * GIB + at * 0x1_5000, size * 0x3000));
            let _ = pool.add_window(Window { aperture: Aperture::Low, base: at * 0x1_5000, size: size * 0x3000 });
        }
        for (number, step, layout) in steps {
            let slot = slot(number);
            let before = pool.clone();
            match step {
                0 => {
                    let freed = pool.free(slot);
                    prop_assert_eq!(freed, before.ranges(slot).map(|c| c.size).sum::<u64>());
                    prop_assert_eq!(pool.quarantined_bytes(), before.quarantined_bytes());
                }
                1 => {
                    let bytes = pool.quarantine(slot);
                    prop_assert_eq!(pool.quarantined_bytes(), before.quarantined_bytes() + bytes);
                    prop_assert_eq!(pool.claims().len(), before.claims().len());
                }
                2 => {
                    pool.release_quarantine();
                    prop_assert_eq!(pool.quarantined_bytes(), 0);
                }
                _ => match pool.place(slot, &layout) {
                    Ok(addresses) => {
                        prop_assert_eq!(addresses, pool.addresses(slot));
                        prop_assert_eq!(addresses.iter().flatten().count(), layout.iter().count());
                        prop_assert_eq!(before.clone().place(slot, &layout), Ok(addresses), "deterministic");
                    }
                    Err(PlacementError::NoSpace { aperture, free, missing, .. }) => {
                        prop_assert_eq!(&pool, &before);
                        prop_assert_eq!(free, pool.free_bytes(aperture));
                        prop_assert!(missing > 0);
                    }
                    Err(_) => prop_assert_eq!(&pool, &before),
                },
            }
            check(&pool);
        }
    }
}
