//! Config accesses that no hardware answers: all ones, dropped, and never a panic.

use hvpci_core::Slot;
use hvpci_core::driver;
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::FunctionSpec;
use hvpci_tests::bench::{Bench, Bus, GIB, slot};
use proptest::prelude::*;

fn booted() -> (Bench, Bus) {
    let mut bench = Bench::new(GuestKind::Linux612);
    let bus = bench.boot([FunctionSpec::gpu(GIB), FunctionSpec::nvme()]);
    (bench, bus)
}

fn all_ones(bytes: usize) -> u32 {
    match bytes {
        1..=3 => (1 << (8 * bytes)) - 1,
        _ => u32::MAX,
    }
}

fn legal(offset: u16, bytes: usize) -> bool {
    matches!(bytes, 1 | 2 | 4) && usize::from(offset) % bytes == 0 && offset < 4096
}

#[test]
fn every_width_at_every_edge() {
    let (mut bench, bus) = booted();
    let before = bus.ledger();
    let edges = (0..8).chain(0x3C..0x48).chain(0xFC..0x104).chain(4084..4108).chain(65520..=65535);
    for offset in edges {
        for bytes in 0..=8 {
            for n in [0, 1, 2, 31, 255] {
                let value = driver::config_read(bus.as_ref(), slot(n), offset, bytes);
                if n > 1 || !legal(offset, bytes) {
                    assert_eq!(value, all_ones(bytes), "slot {n}, {bytes} bytes at {offset:#x}");
                    driver::config_write(bus.as_ref(), slot(n), offset, bytes, 0);
                }
            }
        }
    }
    let after = bus.ledger();
    assert_eq!((after.maps, after.unmaps), (before.maps, before.unmaps));
    bench.shut_down();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(hvpci_tests::cases(16)))]

    /// Any accesses at all: what is illegal reads all ones; nothing panics, and the bus can still be shut down with nothing
    /// left.
    #[test]
    fn any_accesses(
        accesses in prop::collection::vec((0u32..256, any::<u16>(), 0usize..9, any::<u32>(), any::<bool>()), 1..400),
    ) {
        let (mut bench, bus) = booted();
        for (n, offset, bytes, value, write) in accesses {
            // Mostly at functions that are there, and mostly inside config space.
            let (n, offset) = (if n < 200 { n % 2 } else { n }, if n % 8 == 0 { offset } else { offset % 4104 });
            if write {
                driver::config_write(bus.as_ref(), slot(n), offset, bytes, value);
            } else {
                let read = driver::config_read(bus.as_ref(), slot(n), offset, bytes);
                if n > 1 || !legal(offset, bytes) {
                    prop_assert_eq!(read, all_ones(bytes));
                }
            }
        }
        bench.stop_all();
        bench.assert_nothing_left();
        prop_assert_eq!(bench.errors(), []);
    }
}

/// Slots that do not exist cannot even be named.
#[test]
fn slots_end_at_255() {
    assert_eq!(Slot::from_wire(256), None);
    assert_eq!(Slot::from_wire(u32::MAX), None);
}
