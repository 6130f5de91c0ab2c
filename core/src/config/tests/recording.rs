//! The recorded guest on our config half: the same values, a quarter of the traps.

use super::*;
use crate::backend::{ConfigPort, SelectError, Width};
use crate::wire::FunctionDescription;

/// The recorded device, as far as its config accesses need it.
struct Recorded {
    config: [u32; 1024],
    traps: u64,
    maps: u64,
    unmaps: u64,
    violations: u64,
}

const MASKS: [u32; 6] = [0xFFFF_000C, 0xFFFF_FFFF, 0, 0, 0xFFFF_F00C, 0xFFFF_FFFF];

impl Recorded {
    fn new() -> Recorded {
        let mut config = [0; 1024];
        for (offset, value) in [
            (0x00, 0xC03E_1414),
            (0x04, 0x0010_0000),
            (0x08, 0x0108_0200),
            (0x34, 0x40),
            (0x40, 0x003F_4C11),
            (0x44, 0x0000_0004),
            (0x48, 0),
            (0x4C, 0x0002_0010),
            (0x50, 0x0000_8000),
            (0x54, 0x0000_2810),
            (0x58, 0x0040_0105),
            (0x5C, 0x0105_0000),
            (0x78, 0x0000_003E),
            (0x7C, 0x0000_0005),
        ] {
            config[offset / 4] = value;
        }
        Recorded { config, traps: 0, maps: 0, unmaps: 0, violations: 0 }
    }
}

impl ConfigPort for Recorded {
    fn select(&mut self, _: Slot) -> Result<(), SelectError> {
        self.traps += 1;
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        self.traps += 1;
        (self.config[usize::from(offset / 4)] >> ((offset % 4) * 8)) & width.all_ones()
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        self.traps += 1;
        let shift = u32::from(offset % 4) * 8;
        let (at, lanes) = (usize::from(offset / 4), width.all_ones() << shift);
        let merged = (self.config[at] & !lanes) | (value << shift & lanes);
        let writable = match offset & !3 {
            0x04 => {
                let (was, on) = (self.config[1] & 2 != 0, merged & 2 != 0);
                self.maps += u64::from(!was && on);
                self.unmaps += u64::from(was && !on);
                0x0406
            }
            0x10..=0x24 => {
                self.violations += u64::from(self.config[1] & 2 != 0);
                MASKS[at - 4] & if at % 2 == 0 { !0xF } else { !0 }
            }
            0x40 => 0x8000_0000,
            0x54 => 0x7FFF,
            0x5C | 0x74 | 0x7C => 0xFFFF,
            _ => 0,
        };
        self.config[at] = (self.config[at] & !writable) | (merged & writable);
        if (0x10..=0x24).contains(&(offset & !3)) {
            self.config[at] |= MASKS[at - 4] & if at % 2 == 0 { 0xF } else { 0 };
        }
    }
}

fn attached(policy: Policy) -> (Recorded, ConfigSpace) {
    let mut host = Recorded::new();
    let mut space = ConfigSpace::new(ConfigOptions { policy, ..ConfigOptions::default() }).unwrap();
    space.claim_window(Window { aperture: Aperture::High, base: 0x1_0000_0000, size: 0x2_0000 }).unwrap();
    let description = FunctionDescription {
        slot: Slot::ZERO,
        vendor: 0x1414,
        device: 0xC03E,
        revision: 0,
        prog_if: 2,
        sub_class: 8,
        base_class: 1,
        subsystem_vendor: 0,
        subsystem: 0,
        serial: 0x3F5A_E738,
        numa_node: None,
    };
    let seed = FunctionSeed { description, probed: ProbedBars(MASKS), bars: [None; 6], host_bars_known: false };
    space.attach(&mut host, &seed).unwrap();
    (host, space)
}

/// Feeds the recorded accesses, vendor id polls as [`ConfigSpace::alive`]. Under Absorbing the scope opens at the header
/// type read that starts a scan and closes at the first set of bus master.
fn feed(host: &mut Recorded, space: &mut ConfigSpace, text: &str) -> Vec<String> {
    let mut mismatches = Vec::new();
    for (number, line) in text.lines().filter(|line| !line.starts_with('#')).enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let offset = u16::from_str_radix(words[1], 16).unwrap();
        let bytes: usize = words[2].parse().unwrap();
        let value = u32::from_str_radix(words[3], 16).unwrap();
        if words[0] == "W" {
            if offset == 4 && value & 4 != 0 {
                space.set_bound(host, Slot::ZERO, true);
            }
            space.write(host, Slot::ZERO, offset, bytes, value);
            continue;
        }
        if offset == 0x0E {
            space.set_bound(host, Slot::ZERO, false);
        }
        let read = if offset == 0 && bytes == 2 {
            assert!(space.alive(host, Slot::ZERO));
            space.read(host, Slot::ZERO, offset, bytes)
        } else {
            space.read(host, Slot::ZERO, offset, bytes)
        };
        if read != value {
            mismatches.push(format!("{number}: {line} read {read:x}"));
        }
    }
    mismatches
}

const BOOT: &str = include_str!("testdata/boot.txt");
const REMOVE: &str = include_str!("testdata/remove.txt");

#[test]
fn the_recorded_boot_needs_a_quarter_of_the_traps() {
    let (mut host, mut space) = attached(Policy::Deferred);
    assert_eq!(feed(&mut host, &mut space, BOOT), Vec::<String>::new());
    assert!(host.traps <= 478 / 4, "{} traps", host.traps);
    assert_eq!((host.maps, host.unmaps, host.violations), (1, 0, 0));
    let ledger = space.ledger(Slot::ZERO).unwrap();
    assert_eq!((ledger.maps, ledger.unmaps, ledger.traps), (1, 0, host.traps));
}

#[test]
fn the_recorded_boot_is_the_same_under_every_policy() {
    // The recorded guest places the BARs by itself, so Eager sets no decode ahead of it either.
    for policy in Policy::ALL {
        let (mut host, mut space) = attached(policy);
        assert_eq!(feed(&mut host, &mut space, BOOT), Vec::<String>::new(), "{policy}");
        assert_eq!((host.maps, host.unmaps, host.violations), (1, 0, 0), "{policy}");
    }
}

#[test]
fn remove_and_rescan_costs_seven_maps_deferred_and_none_absorbing() {
    for (policy, maps, unmaps) in [(Policy::Deferred, 8, 7), (Policy::Absorbing, 1, 0)] {
        let (mut host, mut space) = attached(policy);
        assert_eq!(feed(&mut host, &mut space, REMOVE), Vec::<String>::new(), "{policy}");
        assert_eq!((host.maps, host.unmaps, host.violations), (maps, unmaps, 0), "{policy}");
        let ledger = space.ledger(Slot::ZERO).unwrap();
        assert_eq!((ledger.maps, ledger.unmaps), (maps, unmaps), "{policy}");
        assert!(host.traps <= 964 / 4, "{policy}: {} traps", host.traps);
    }
}
