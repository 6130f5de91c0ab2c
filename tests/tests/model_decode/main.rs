//! Every sequence of config accesses, up to a length, of a guest that does as it likes with two functions and two places
//! for their BARs, under every policy, in front of a strict host. The invariants are those of `docs/architecture.md`.
//!
//! Beside each function stands a write-through reference: the same device without anything in front of it. It says what
//! the guest must read (I4) and what at most it may cost (I6).

mod device;

use std::time::Instant;

use device::{A, B, BUS_MASTER, Broken, Device, Host, MEMORY, Reference, SIZE, address, legal};
use hvpci_core::Slot;
use hvpci_core::config::{ConfigOptions, ConfigSpace, FunctionSeed, Functions, Reach};
use hvpci_core::decode::Policy;
use hvpci_core::placement::{Aperture, Window};
use hvpci_core::wire::{FunctionDescription, ProbedBars};
use stateright::{Checker, DiscoveryClassification, Model, Property};

const PROBED: ProbedBars = ProbedBars([0xFFF0_000C, 0xFFFF_FFFF, 0, 0, 0, 0]);

/// What the guest, its kernel or the host does with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Command(u16),
    Bar(usize, u32),
    Bound(bool),
    /// The guest reads COMMAND.
    Read,
    /// The host resets the function and we are told.
    Lost,
    /// We are told of a loss that did not happen.
    FalseAlarm,
    Detach(Reach),
    /// The host has released what was detached.
    Released,
    Attach,
    Prefetch,
    PrefetchDone(bool),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    space: ConfigSpace,
    host: Host,
    reference: [Reference; 2],
    /// What the guest has written to the BARs, decode or not.
    written: [[u32; 2]; 2],
    /// What the guest has written to COMMAND.
    command: [u16; 2],
    /// The BARs as they stood at the guest's last 0->1.
    latched: [u64; 2],
    attached: [bool; 2],
    /// Detached, and the host has not released it yet.
    departing: [bool; 2],
    prefetching: [bool; 2],
    /// I6 cannot be held against a false alarm, which costs a pair.
    alarmed: bool,
}

fn slot(at: usize) -> Slot {
    Slot::from_wire(at as u32).unwrap()
}

impl World {
    fn new(policy: Policy) -> World {
        let options = ConfigOptions { policy, capacity: 2, cache: false, ..ConfigOptions::default() };
        let mut space = ConfigSpace::new(options).unwrap();
        for base in [A, B] {
            space.claim_window(Window { aperture: Aperture::High, base, size: SIZE }).unwrap();
        }
        let host = Host { strict: policy != Policy::Eager, ..Host::default() };
        let mut world = World {
            space,
            host,
            reference: Default::default(),
            written: Default::default(),
            command: Default::default(),
            latched: Default::default(),
            attached: [false; 2],
            departing: [false; 2],
            prefetching: [false; 2],
            alarmed: false,
        };
        world.attach(0);
        world.attach(1);
        world.finish();
        world
    }

    fn eager(&self) -> bool {
        self.space.options().policy == Policy::Eager
    }

    fn attach(&mut self, at: usize) {
        let base = [A, B][at];
        let description = FunctionDescription {
            slot: slot(at),
            vendor: 0x1414,
            device: 0xB111,
            revision: 0,
            prog_if: 0,
            sub_class: 2,
            base_class: 3,
            subsystem_vendor: 0,
            subsystem: 0,
            serial: 0,
            numa_node: None,
        };
        let bars = [Some(base), None, None, None, None, None];
        let seed = FunctionSeed { description, probed: PROBED, bars, host_bars_known: false };
        self.space.attach(&mut self.host, &seed).unwrap();
        self.attached[at] = true;
        let bar = [base as u32, (base >> 32) as u32];
        self.written[at] = bar;
        // Bus mastering is left as a previous kernel had it.
        let found = self.host.devices[at].command & BUS_MASTER;
        self.command[at] = found | if self.eager() { MEMORY } else { 0 };
        self.reference[at].device = Device { command: self.command[at], bar };
        self.latched[at] = base;
        if self.eager() {
            self.reference[at].maps += 1;
        }
    }

    fn guest_memory(&self, at: usize) -> bool {
        self.space.guest_view(slot(at)).is_some_and(|view| view.memory())
    }

    fn step(&mut self, at: usize, step: Step) {
        let me = slot(at);
        self.host.set_sent = false;
        match step {
            Step::Command(value) => self.write_command(at, value),
            Step::Bar(register, value) => {
                self.space.write(&mut self.host, me, 0x10 + 4 * register as u16, 4, value);
                self.reference[at].bar(register, value);
                if !self.eager() || !self.host.devices[at].memory() {
                    self.written[at][register] = value & [0xFFF0_0000, u32::MAX][register];
                }
            }
            Step::Bound(bound) => self.space.set_bound(&mut self.host, me, bound),
            Step::Read => self.read(at),
            Step::Lost | Step::FalseAlarm => {
                if step == Step::Lost {
                    self.host.reset(at);
                    self.prefetching[at] = false;
                } else {
                    self.alarmed = true;
                }
                self.space.host_lost_state(Functions::One(me));
                self.reference[at].device = Device::default();
                // Bus mastering is the host's own.
                (self.written[at], self.command[at]) = ([0; 2], self.host.devices[at].command & BUS_MASTER);
                if self.guest_memory(at) {
                    self.host.breaks(Broken::I7);
                }
            }
            Step::Detach(reach) => {
                self.space.detach(&mut self.host, me, reach);
                self.attached[at] = false;
                self.departing[at] = reach == Reach::Host;
                self.prefetching[at] = false;
                if reach == Reach::Gone {
                    self.host.reset(at);
                }
                if reach == Reach::Clear && self.host.devices[at].memory() {
                    self.host.breaks(Broken::I5);
                }
                self.reference[at].command(0);
            }
            Step::Released => {
                self.departing[at] = false;
                self.host.reset(at);
                self.space.host_unmapped(Functions::One(me));
            }
            Step::Attach => self.attach(at),
            Step::Prefetch => {
                if self.space.prefetch_started(me).is_ok() {
                    self.prefetching[at] = true;
                    self.host.set_memory(at, true);
                }
            }
            Step::PrefetchDone(ok) => {
                self.prefetching[at] = false;
                self.space.prefetch_finished(me, ok);
            }
        }
        self.finish();
    }

    fn write_command(&mut self, at: usize, value: u16) {
        let before = self.guest_memory(at);
        let target = address(self.written[at]);
        let other = 1 - at;
        // Whom I3 protects: a function whose guest has decode on. One that merely lingers must make way.
        let taken = self.guest_memory(other) && self.latched[other] == target;
        let allowed = self.eager() || (legal(target) && !taken);
        self.space.write(&mut self.host, slot(at), 0x04, 2, u32::from(value));
        self.reference[at].command(value);
        let after = self.guest_memory(at);
        let wanted = value & MEMORY != 0;
        self.command[at] = value & !MEMORY | if after { MEMORY } else { 0 };
        if wanted && !before && after != allowed || !wanted && after || wanted && before && !after {
            self.host.breaks(Broken::I3);
        }
        if after && !self.host.set_sent {
            self.host.breaks(Broken::I7);
        }
        if after && !before {
            self.latched[at] = if self.eager() { self.host.devices[at].address() } else { target };
        }
        if wanted && !after {
            // Refused: the reference goes on as the guest believes.
            self.reference[at].device.command &= !MEMORY;
        }
        // The other bits are not the policy's business: they are at the host.
        if (self.host.devices[at].command ^ value) & BUS_MASTER != 0 {
            self.host.breaks(Broken::I4);
        }
    }

    /// Reads must give what was written (I4).
    fn read(&mut self, at: usize) {
        let command = self.space.read(&mut self.host, slot(at), 0x04, 2);
        if command != u32::from(self.command[at]) {
            self.host.breaks(Broken::I4);
        }
        for (register, attributes) in [(0, 0xC), (1, 0)] {
            let bar = self.space.read(&mut self.host, slot(at), 0x10 + 4 * register as u16, 4);
            if bar != self.written[at][register] | attributes {
                self.host.breaks(Broken::I4);
            }
        }
    }

    /// Holds the invariants against the state after a step.
    fn finish(&mut self) {
        self.space.forget_statistics();
        for at in 0..2 {
            let device = self.host.devices[at];
            if self.guest_memory(at) && (!device.memory() || device.address() != self.latched[at]) {
                self.host.breaks(Broken::I1);
            }
            if !self.attached[at] && !self.departing[at] && device.memory() {
                self.host.breaks(Broken::I5);
            }
        }
        let sum = |count: fn(&Reference) -> u32| self.reference.iter().map(count).sum::<u32>();
        let (maps, unmaps) = (sum(|r| r.maps), sum(|r| r.unmaps));
        let counted = self.space.options().policy != Policy::Prefetch && !self.alarmed;
        if counted && (self.host.maps > maps || self.host.unmaps > unmaps) {
            self.host.breaks(Broken::I6);
        }
        // Only the distance to the reference matters for what is to come.
        let (least_maps, least_unmaps) = (self.host.maps.min(maps), self.host.unmaps.min(unmaps));
        self.host.maps -= least_maps;
        self.host.unmaps -= least_unmaps;
        for reference in &mut self.reference {
            (reference.maps, reference.unmaps) = (0, 0);
        }
        self.reference[0].maps = maps - least_maps;
        self.reference[0].unmaps = unmaps - least_unmaps;
        if !counted {
            (self.host.maps, self.host.unmaps, self.reference[0].maps, self.reference[0].unmaps) = (0, 0, 0, 0);
        }
        self.host.set_sent = false;
    }
}

#[derive(Clone)]
struct Guest {
    policy: Policy,
}

impl Model for Guest {
    type State = World;
    type Action = (usize, Step);

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.policy)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<(usize, Step)>) {
        for at in 0..2 {
            let mut may = |step| steps.push((at, step));
            if !world.attached[at] {
                may(Step::Attach);
                if world.departing[at] {
                    may(Step::Released);
                }
                continue;
            }
            [0, MEMORY, BUS_MASTER, MEMORY | BUS_MASTER].into_iter().for_each(|value| may(Step::Command(value)));
            for base in [A, B] {
                may(Step::Bar(0, base as u32));
                may(Step::Bar(1, (base >> 32) as u32));
            }
            may(Step::Read);
            may(Step::Lost);
            if self.policy == Policy::Absorbing {
                [true, false].into_iter().for_each(|bound| may(Step::Bound(bound)));
            }
            if self.policy == Policy::Prefetch {
                match world.prefetching[at] {
                    true => [true, false].into_iter().for_each(|ok| may(Step::PrefetchDone(ok))),
                    false => may(Step::Prefetch),
                }
            }
            // The other ways to go are the same for both functions.
            if at == 0 {
                may(Step::Bar(0, u32::MAX));
                if self.policy != Policy::Eager {
                    may(Step::FalseAlarm);
                }
                may(Step::Detach(Reach::Clear));
                may(Step::Detach(Reach::Gone));
            }
            may(Step::Detach(Reach::Host));
        }
    }

    fn next_state(&self, world: &World, (at, step): (usize, Step)) -> Option<World> {
        let mut next = world.clone();
        next.step(at, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Guest>> {
        vec![
            holds("I1 guest decode on means host decode on", |_, w| w.host.broken != Some(Broken::I1)),
            holds("I2 no BAR write with decode on", |_, w| w.host.broken != Some(Broken::I2)),
            holds("I3 never over anything else, legal enables pass", |_, w| w.host.broken != Some(Broken::I3)),
            holds("I4 reads are those of the bare device", |_, w| w.host.broken != Some(Broken::I4)),
            holds("I5 nothing left of what is gone", |_, w| w.host.broken != Some(Broken::I5)),
            holds("I6 no dearer than write-through", |_, w| w.host.broken != Some(Broken::I6)),
            holds("I7 a loss is seen by guest and host", |_, w| w.host.broken != Some(Broken::I7)),
            Property::sometimes("both are mapped", |_, w: &World| w.host.devices.iter().all(Device::memory)),
        ]
    }
}

fn holds(name: &'static str, condition: fn(&Guest, &World) -> bool) -> Property<Guest> {
    Property::always(name, condition)
}

fn explore(policy: Policy, depth: usize) {
    let start = Instant::now();
    let checker = Guest { policy }.checker().threads(1).target_max_depth(depth).spawn_bfs().join();
    println!(
        "{policy}: {} states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64(),
    );
    let mut broken = 0;
    for (property, path) in checker.discoveries() {
        if matches!(checker.discovery_classification(property), DiscoveryClassification::Counterexample) {
            broken += 1;
            println!("NOT SO: {property}\n  {:?}", path.last_state().host);
            println!("  {:?}", path.clone().into_actions());
        }
    }
    assert_eq!(broken, 0, "{policy}: see above");
    checker.assert_properties();
}

#[test]
fn eager() {
    explore(Policy::Eager, 7);
}

#[test]
fn deferred() {
    explore(Policy::Deferred, 7);
}

#[test]
fn absorbing() {
    explore(Policy::Absorbing, 7);
}

#[test]
fn prefetch() {
    explore(Policy::Prefetch, 7);
}
