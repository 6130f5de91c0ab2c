//! Tests of the config half against a strict fake of the host's side.

mod fake;
mod flips;
mod hazards;
mod invariants;
mod lifecycle;
mod power;
mod properties;
mod reads;
mod recording;

use super::*;
use crate::Slot;
use crate::decode::{GuestStyle, Ledger, Policy};
use crate::placement::{Aperture, Window};
use crate::wire::ProbedBars;
use fake::FakeHost;

/// The windows of all test buses.
pub const LOW: Window = Window { aperture: Aperture::Low, base: 0xF000_0000, size: 0x10_0000 };
pub const HIGH: Window = Window { aperture: Aperture::High, base: 0x10_0000_0000, size: 0x1000_0000 };

/// A 64-bit prefetchable BAR of 1 MiB in registers 0 and 1, a 32-bit one of 256 bytes in register 2.
pub const PROBED: ProbedBars = ProbedBars([0xFFF0_000C, 0xFFFF_FFFF, 0xFFFF_FF00, 0, 0, 0]);

pub fn slot(n: usize) -> Slot {
    Slot::from_wire(n as u32).unwrap()
}

/// Where function `n` has its BARs when place number `place` is asked for.
pub fn place(place: u64) -> [Option<u64>; 6] {
    [Some(HIGH.base + place * 0x10_0000), None, Some(LOW.base + place * 0x1000), None, None, None]
}

/// A bus and its host.
pub struct Rig {
    pub host: FakeHost,
    pub space: ConfigSpace,
}

impl Rig {
    /// `functions` functions, each at its own place, attached under `policy`.
    pub fn new(policy: Policy, functions: usize) -> Rig {
        Rig::with(ConfigOptions { policy, capacity: 8, ..ConfigOptions::default() }, functions)
    }

    pub fn with(options: ConfigOptions, functions: usize) -> Rig {
        let mut rig =
            Rig { host: FakeHost::new(options.policy != Policy::Eager), space: ConfigSpace::new(options).unwrap() };
        for window in [LOW, HIGH] {
            rig.space.claim_window(window).unwrap();
        }
        for n in 0..functions {
            rig.host.add(slot(n), PROBED);
            rig.attach(n);
        }
        rig
    }

    pub fn attach(&mut self, n: usize) {
        let seed = FunctionSeed {
            description: self.host.functions[n].description,
            probed: self.host.functions[n].probed,
            bars: place(n as u64),
            host_bars_known: false,
        };
        self.space.attach(&mut self.host, &seed).unwrap();
    }

    pub fn read(&mut self, n: usize, offset: u16, bytes: usize) -> u32 {
        self.space.read(&mut self.host, slot(n), offset, bytes)
    }

    pub fn write(&mut self, n: usize, offset: u16, bytes: usize, value: u32) {
        self.space.write(&mut self.host, slot(n), offset, bytes, value);
    }

    pub fn command(&mut self, n: usize, value: u16) {
        self.write(n, 4, 2, u32::from(value));
    }

    /// Writes the BAR registers that put function `n` at a place.
    pub fn move_to(&mut self, n: usize, at: u64) {
        let bars = place(at);
        let [high, _, low, ..] = bars.map(|bar| bar.unwrap_or(0));
        self.write(n, 0x10, 4, high as u32);
        self.write(n, 0x14, 4, (high >> 32) as u32);
        self.write(n, 0x18, 4, low as u32);
    }

    pub fn bind(&mut self, n: usize, bound: bool) {
        self.space.set_bound(&mut self.host, slot(n), bound);
    }

    pub fn ledger(&self, n: usize) -> Ledger {
        self.space.ledger(slot(n)).unwrap()
    }

    /// The traps that `f` makes.
    pub fn traps(&mut self, f: impl FnOnce(&mut Rig)) -> u64 {
        let before = self.host.traps;
        f(self);
        self.host.traps - before
    }

    /// What must hold at all times: the host saw no violation, and the ledger says what the host saw.
    pub fn check(&self) {
        assert_eq!(self.host.violations, Vec::<String>::new());
        for (n, function) in self.host.functions.iter().enumerate() {
            let Some(ledger) = self.space.ledger(slot(n)) else { continue };
            assert_eq!((ledger.maps, ledger.unmaps), (function.maps, function.unmaps), "function {n}");
            assert_eq!(ledger.host_unmaps, function.host_unmaps, "function {n}");
        }
        assert_eq!(self.space.total_ledger().traps, self.host.traps);
    }
}

pub fn messages(policy: Policy) -> ConfigOptions {
    ConfigOptions { policy, style: GuestStyle::Messages, capacity: 8, ..ConfigOptions::default() }
}
