//! Properties over random accesses of several functions, with the plain write-through device as the reference.

use proptest::prelude::*;

use super::*;
use crate::backend::{ConfigPort, Width};

/// One thing a guest may do to a function.
#[derive(Clone, Copy, Debug)]
enum Op {
    Command(u16),
    CommandByte(u8),
    Move(u64),
    Wild(u16, u32),
    Size(u16),
    Bound(bool),
    Flr,
    D3AndBack,
    Read(u16, usize),
    Raw(u16, usize, u32),
    Lost,
}

fn command() -> impl Strategy<Value = u16> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(memory, master, interrupt, fixed)| {
        u16::from(memory) << 1 | u16::from(master) << 2 | u16::from(interrupt) << 10 | u16::from(fixed) << 6
    })
}

fn access() -> impl Strategy<Value = (u16, usize)> {
    (prop_oneof![3 => 0u16..0x40, 2 => 0x40u16..0x110, 1 => any::<u16>()], 0usize..6)
}

/// Accesses that an unshadowed device and ours may be compared on.
fn tame() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => command().prop_map(Op::Command),
        1 => any::<u8>().prop_map(|v| Op::CommandByte(v & 6)),
        4 => (0u64..4).prop_map(Op::Move),
        2 => (0u16..6).prop_map(Op::Size),
        2 => any::<bool>().prop_map(Op::Bound),
        1 => Just(Op::Flr),
        1 => Just(Op::D3AndBack),
        6 => access().prop_map(|(offset, bytes)| Op::Read(offset, bytes)),
    ]
}

fn wild() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => tame(),
        2 => (0u16..6, any::<u32>()).prop_map(|(register, value)| Op::Wild(register, value)),
        2 => (access(), any::<u32>()).prop_map(|((offset, bytes), value)| Op::Raw(offset, bytes, value)),
        1 => Just(Op::Lost),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::Deferred), Just(Policy::Absorbing), Just(Policy::Prefetch)]
}

/// The guest in front of nothing but the device: every access goes through.
struct Plain(fake::FakeHost);

impl Plain {
    fn new(functions: usize) -> Plain {
        let mut host = fake::FakeHost::new(false);
        for n in 0..functions {
            host.add(slot(n), PROBED);
        }
        let mut plain = Plain(host);
        for n in 0..functions {
            let [high, _, low, ..] = place(n as u64).map(|bar| bar.unwrap_or(0));
            plain.write(n, 0x10, 4, high as u32);
            plain.write(n, 0x14, 4, (high >> 32) as u32);
            plain.write(n, 0x18, 4, low as u32);
        }
        plain
    }

    fn read(&mut self, n: usize, offset: u16, bytes: usize) -> Option<u32> {
        let width = Width::from_bytes(bytes).filter(|w| offset < 4096 && offset.is_multiple_of(w.bytes()))?;
        self.0.select(slot(n)).unwrap();
        Some(ConfigPort::read(&mut self.0, offset, width))
    }

    fn write(&mut self, n: usize, offset: u16, bytes: usize, value: u32) {
        if let Some(width) = Width::from_bytes(bytes).filter(|w| offset < 4096 && offset.is_multiple_of(w.bytes())) {
            self.0.select(slot(n)).unwrap();
            ConfigPort::write(&mut self.0, offset, width, value & width.all_ones());
        }
    }
}

/// Both sides, fed the same.
struct Pair {
    rig: Rig,
    plain: Plain,
    /// By function: the guest's BARs at its last 0->1.
    edges: Vec<Option<[Option<u64>; 6]>>,
}

impl Pair {
    fn new(policy: Policy, functions: usize) -> Pair {
        Pair { rig: Rig::new(policy, functions), plain: Plain::new(functions), edges: vec![None; functions] }
    }

    fn write(&mut self, n: usize, offset: u16, bytes: usize, value: u32) {
        let was = self.rig.space.guest_view(slot(n)).unwrap().memory();
        self.rig.write(n, offset, bytes, value);
        self.plain.write(n, offset, bytes, value);
        match (was, self.rig.space.guest_view(slot(n)).unwrap().memory()) {
            (false, true) => self.edges[n] = self.rig.space.bars(slot(n)),
            (_, false) => self.edges[n] = None,
            _ => {}
        }
        self.invariants();
    }

    fn invariants(&self) {
        // I2, I3, and a ledger that says what the host saw.
        self.rig.check();
        for (n, function) in self.rig.host.functions.iter().enumerate() {
            let view = self.rig.space.guest_view(slot(n)).unwrap();
            if view.memory() {
                // I1
                assert!(function.decodes(), "I1: {n} is off at the host");
                let held = self.rig.space.host_view(slot(n)).unwrap().addresses(view.layout());
                assert_eq!(Some(held), self.edges[n], "I1: {n}");
                let registers = function.bars();
                assert_eq!(u64::from(registers[0] & !0xF) | u64::from(registers[1]) << 32, held[0].unwrap(), "I1: {n}");
                assert_eq!(u64::from(registers[2]), held[2].unwrap(), "I1: {n}");
            }
            // I6
            let (ledger, plain) = (self.rig.ledger(n), &self.plain.0.functions[n]);
            assert!(ledger.maps <= plain.maps, "I6: {n}: {} maps, write-through {}", ledger.maps, plain.maps);
            assert!(ledger.unmaps <= plain.unmaps, "I6: {n}: {} unmaps, write-through {}", ledger.unmaps, plain.unmaps);
        }
    }

    fn apply(&mut self, n: usize, op: Op) {
        match op {
            Op::Command(value) => self.write(n, 4, 2, u32::from(value)),
            Op::CommandByte(value) => self.write(n, 4, 1, u32::from(value)),
            Op::Move(at) => {
                let [high, _, low, ..] = place(at).map(|bar| bar.unwrap_or(0));
                self.write(n, 0x10, 4, high as u32);
                self.write(n, 0x14, 4, (high >> 32) as u32);
                self.write(n, 0x18, 4, low as u32);
            }
            Op::Wild(register, value) => self.write(n, 0x10 + 4 * register, 4, value),
            Op::Size(register) => {
                let old = self.rig.read(n, 0x10 + 4 * register, 4);
                self.write(n, 0x10 + 4 * register, 4, u32::MAX);
                self.write(n, 0x10 + 4 * register, 4, old);
            }
            Op::Bound(bound) => self.rig.bind(n, bound),
            Op::Flr => self.write(n, 0x54, 2, 0xA810),
            Op::D3AndBack => {
                self.write(n, 0x94, 2, 3);
                self.write(n, 0x94, 2, 0);
            }
            Op::Read(offset, bytes) => {
                self.rig.read(n, offset, bytes);
            }
            // Resizable BAR has a test of its own.
            Op::Raw(offset, bytes, value) if offset & !3 != 0x108 => self.write(n, offset, bytes, value),
            Op::Raw(..) => {}
            Op::Lost => {
                self.rig.host.functions[n].reset();
                self.plain.0.functions[n].reset();
                self.rig.space.host_lost_state(Functions::One(slot(n)));
                self.edges[n] = None;
            }
        }
        self.invariants();
    }

    /// Whether a tame guest would do this: no BAR is touched with decode on, no overlap is enabled.
    fn is_sane(&self, n: usize, op: Op) -> bool {
        let functions = &self.plain.0.functions;
        let enables = match op {
            Op::Command(value) => value & 2 != 0,
            Op::CommandByte(value) => value & 2 != 0,
            Op::Move(_) | Op::Size(_) | Op::Wild(..) => return !functions[n].decodes(),
            _ => false,
        };
        let pages = functions[n].pages();
        let free = functions.iter().enumerate().all(|(other, function)| {
            other == n
                || !function.decodes()
                || pages.iter().all(|(first, last)| function.pages().iter().all(|(f, l)| f > last || first > l))
        });
        let inside = pages.iter().all(|(first, last)| {
            [LOW, HIGH].iter().any(|window| *first >= window.base && *last < window.base + window.size)
        });
        !enables || functions[n].decodes() || (free && inside)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(1000)))]

    /// I1, I2, I3, I6 whatever the guest does.
    #[test]
    fn invariants_hold_for_any_guest(
        policy in prop_oneof![Just(Policy::Deferred), Just(Policy::Absorbing), Just(Policy::Prefetch)],
        ops in prop::collection::vec((0usize..3, wild()), 1..60),
    ) {
        let mut pair = Pair::new(policy, 3);
        for (n, op) in ops {
            pair.apply(n, op);
        }
    }

    /// I4: a guest that does nothing an unshadowed device would not take reads what it would read there.
    #[test]
    fn a_sane_guest_reads_what_an_unshadowed_device_returns(
        policy in policy(),
        cache in any::<bool>(),
        ops in prop::collection::vec((0usize..3, tame()), 1..60),
    ) {
        let mut pair = Pair::new(policy, 3);
        for n in 0..3 {
            pair.rig.space.set_read_cache(slot(n), cache);
        }
        for (n, op) in ops {
            if !pair.is_sane(n, op) {
                continue;
            }
            if let Op::Read(offset, bytes) = op
                && let Some(value) = pair.plain.read(n, offset, bytes)
            {
                prop_assert_eq!(pair.rig.read(n, offset, bytes), value, "{} bytes at {:#x}", bytes, offset);
            }
            pair.apply(n, op);
            for (offset, bytes) in [(4, 2), (4, 4), (0x10, 4), (0x14, 4), (0x18, 4), (0, 4), (0x40, 4), (0x94, 2)] {
                prop_assert_eq!(
                    pair.rig.read(n, offset, bytes),
                    pair.plain.read(n, offset, bytes).unwrap(),
                    "{} bytes at {:#x} after {:?}", bytes, offset, op
                );
            }
        }
        prop_assert_eq!(pair.rig.space.total_ledger().refused_enables, 0);
    }

    /// Eager is the plain write-through device.
    #[test]
    fn eager_costs_exactly_what_write_through_costs(
        ops in prop::collection::vec((0usize..3, wild()), 1..60),
    ) {
        let mut rig = Rig::new(Policy::Eager, 3);
        let mut plain = Plain::new(3);
        for n in 0..3 {
            plain.write(n, 4, 2, 2);
        }
        for (n, op) in ops {
            let (offset, bytes, value) = match op {
                Op::Command(value) => (4, 2, u32::from(value)),
                Op::CommandByte(value) => (4, 1, u32::from(value)),
                Op::Wild(register, value) => (0x10 + 4 * register, 4, value),
                Op::Move(at) => (0x18, 4, place(at)[2].unwrap() as u32),
                _ => continue,
            };
            rig.write(n, offset, bytes, value);
            plain.write(n, offset, bytes, value);
            let (ours, theirs) = (&rig.host.functions[n], &plain.0.functions[n]);
            prop_assert_eq!((ours.maps, ours.unmaps, ours.bars()), (theirs.maps, theirs.unmaps, theirs.bars()));
            prop_assert_eq!((rig.ledger(n).maps, rig.ledger(n).unmaps), (ours.maps, ours.unmaps));
            for offset in [0x04, 0x10, 0x14, 0x18, 0x1C] {
                prop_assert_eq!(rig.read(n, offset, 4), plain.read(n, offset, 4).unwrap());
            }
        }
    }
}
