//! Every sequence of steps, up to a length, of guests that do as they like with two or three functions and the places for
//! their BARs, and of hosts that reset, remove, refuse and fall silent, under every policy and in both styles, in front of a
//! strict host. The invariants are those of `docs/decode-policy.md`; `docs/verification.md` says which model holds which.

mod checks;
mod device;
mod explore;
mod messages;
mod mutants;
mod world;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use device::{BUS_MASTER, Background, Broken, Device, MEMORY, PLACES};
use explore::explore;
use hvpci_core::config::{ConfigOptions, ConfigSpace, Reach};
use hvpci_core::decode::{GuestStyle, Policy};
use mutants::Mutant;
use stateright::{Model, Property};
use world::{Step, World};

/// What a model's guest is interested in: the product of everything would be too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// COMMAND and single BAR registers in any order: sizing, half addresses, writes with decode on; loss, removal.
    Moves,
    /// Whole BARs moved between all places (swaps, rotations), losses, removal; background maps.
    Swaps,
    /// Resets and power states through config space, restore by comparing, suspend, liveness; with the read cache.
    Resets,
    /// The message style, several functions under way at once.
    Messages,
}

impl Kind {
    fn caches(self) -> bool {
        self == Kind::Resets
    }
}

#[derive(Clone, Debug)]
struct Guest {
    policy: Policy,
    style: GuestStyle,
    kind: Kind,
    isolated: bool,
    functions: usize,
    mutant: Option<Mutant>,
    /// How many states were looked at.
    evaluated: Arc<AtomicUsize>,
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let isolated = if self.isolated { ", isolated" } else { "" };
        write!(f, "{:?}, {}, {} functions{isolated}", self.kind, self.policy, self.functions)
    }
}

impl Guest {
    /// The steps of a function that is there.
    fn steps_of(&self, world: &World, at: usize, may: &mut dyn FnMut(Step)) {
        match self.kind {
            Kind::Moves => {
                [0, MEMORY, BUS_MASTER, MEMORY | BUS_MASTER].into_iter().for_each(|value| may(Step::Command(value)));
                for base in &PLACES[..2] {
                    may(Step::Bar(0, *base as u32));
                    may(Step::Bar(1, (base >> 32) as u32));
                }
                may(Step::Read);
                may(Step::Lost);
                may(Step::Detach(Reach::Host));
                // The other ways to go are the same for both functions.
                if at == 0 {
                    may(Step::Bar(0, u32::MAX));
                    may(Step::Bar(1, u32::MAX));
                    if self.policy != Policy::Eager {
                        may(Step::FalseAlarm);
                    }
                    may(Step::Detach(Reach::Clear));
                    may(Step::Detach(Reach::Gone));
                }
            }
            Kind::Swaps => {
                [0, MEMORY].into_iter().for_each(|value| may(Step::Command(value)));
                (0..self.functions).for_each(|place| may(Step::Move(place)));
                may(Step::Lost);
                may(Step::Detach(Reach::Host));
            }
            Kind::Resets => self.steps_around_resets(world, at, may),
            Kind::Messages if world.sequences[at].is_empty() => {
                (0..self.functions).for_each(|place| may(Step::Move(place)));
                may(if world.guest_memory(at) { Step::PowerOff } else { Step::PowerOn });
                may(Step::Lost);
                may(Step::Detach(Reach::Host));
                if at == 0 && world.sequences.iter().all(|sequence| sequence.is_empty()) {
                    may(Step::Suspend);
                }
            }
            Kind::Messages => {
                for (done, ok) in [(true, true), (false, false), (true, false)] {
                    may(Step::Answer { done, ok });
                }
                may(Step::Detach(Reach::Host));
            }
        }
        if self.policy == Policy::Absorbing {
            [true, false].into_iter().for_each(|bound| may(Step::Bound(bound)));
        }
        // The engine asks for background maps in config-space style only.
        if self.policy == Policy::Prefetch && self.style == GuestStyle::ConfigSpace {
            match world.host.background[at] {
                Background::None => may(Step::Prefetch),
                Background::Sent => [Step::PrefetchLands, Step::PrefetchDone(false)].into_iter().for_each(may),
                Background::Over => [true, false].into_iter().for_each(|ok| may(Step::PrefetchDone(ok))),
            }
        }
    }

    fn steps_around_resets(&self, world: &World, at: usize, may: &mut dyn FnMut(Step)) {
        may(Step::Alive);
        may(Step::ReadPointer);
        if world.host.devices[at].silent {
            may(Step::ReadIds);
            may(Step::Detach(Reach::Gone));
            if world.resetting[at] {
                may(Step::Returns);
            }
            return;
        }
        if world.seen_dead[at] {
            // The PCI core goes on when the vendor id is back.
            may(Step::ReadIds);
            return;
        }
        [0, MEMORY].into_iter().for_each(|value| may(Step::Command(value)));
        may(Step::Restore);
        may(Step::Move(1));
        if at == 0 {
            may(Step::Flr);
            may(Step::Power(3));
            may(Step::Power(0));
            may(Step::Vanish);
            may(Step::Suspend);
        }
        may(Step::Detach(Reach::Host));
    }
}

impl Model for Guest {
    type State = World;
    type Action = (usize, Step);

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<(usize, Step)>) {
        self.evaluated.fetch_add(1, Ordering::Relaxed);
        if world.host.broken != 0 {
            return;
        }
        if world.suspended {
            steps.push((0, Step::Resume));
            return;
        }
        for at in 0..self.functions {
            let mut may = |step| steps.push((at, step));
            if world.attached[at] {
                self.steps_of(world, at, &mut may);
                continue;
            }
            if world.departing[at] {
                if world.host.background[at] == Background::Sent {
                    may(Step::PrefetchLands);
                }
                may(Step::Released);
            }
            // In message style the host is asked to assign anew only after RESOURCES_RELEASED.
            if !(world.departing[at] && world.messages()) {
                may(Step::Attach);
            }
        }
    }

    fn next_state(&self, world: &World, (at, step): (usize, Step)) -> Option<World> {
        let mut next = world.clone();
        next.step(at, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Guest>> {
        fn holds(broken: Broken, condition: fn(&Guest, &World) -> bool) -> Property<Guest> {
            Property::always(name_of(broken), condition)
        }
        vec![
            holds(Broken::I1, |_, w| w.is_whole(Broken::I1)),
            holds(Broken::I2, |_, w| w.is_whole(Broken::I2)),
            holds(Broken::I3, |_, w| w.is_whole(Broken::I3)),
            holds(Broken::I4, |_, w| w.is_whole(Broken::I4)),
            holds(Broken::I5, |_, w| w.is_whole(Broken::I5)),
            holds(Broken::I6, |_, w| w.is_whole(Broken::I6)),
            holds(Broken::I7, |_, w| w.is_whole(Broken::I7)),
            holds(Broken::I8, |_, w| w.is_whole(Broken::I8)),
            holds(Broken::I9, |_, w| w.is_whole(Broken::I9)),
            Property::sometimes("all are mapped", |m: &Guest, w: &World| {
                w.host.devices[..m.functions].iter().all(Device::memory)
            }),
            Property::sometimes("a function is gone, and nothing is mapped", |m: &Guest, w: &World| {
                w.attached[..m.functions].contains(&false) && !w.host.devices.iter().any(Device::memory)
            }),
        ]
    }
}

impl World {
    fn is_whole(&self, broken: Broken) -> bool {
        self.host.broken & 1 << broken as u16 == 0
    }
}

/// The property of an invariant.
fn name_of(broken: Broken) -> &'static str {
    match broken {
        Broken::I1 => "I1 guest decode on means host decode on",
        Broken::I2 => "I2 no BAR write with decode on",
        Broken::I3 => "I3 never over anything else, legal enables pass",
        Broken::I4 => "I4 reads are those of the bare device",
        Broken::I5 => "I5 nothing left of what is gone",
        Broken::I6 => "I6 no dearer than write-through",
        Broken::I7 => "I7 a loss is seen by guest and host",
        Broken::I8 => "I8 an isolated VM's falling edge is at the host at once",
        Broken::I9 => "I9 liveness tests ask the device",
    }
}

fn guest(policy: Policy, kind: Kind, functions: usize) -> Guest {
    let style = if kind == Kind::Messages { GuestStyle::Messages } else { GuestStyle::ConfigSpace };
    Guest { policy, style, kind, isolated: false, functions, mutant: None, evaluated: Arc::default() }
}

fn isolated_guest(policy: Policy, kind: Kind) -> Guest {
    Guest { isolated: true, ..guest(policy, kind, 2) }
}

#[test]
fn eager() {
    explore(guest(Policy::Eager, Kind::Moves, 2), 5);
    explore(guest(Policy::Eager, Kind::Resets, 2), 6);
}

#[test]
fn deferred() {
    explore(guest(Policy::Deferred, Kind::Moves, 2), 5);
    explore(guest(Policy::Deferred, Kind::Resets, 2), 6);
    explore(guest(Policy::Deferred, Kind::Swaps, 3), 5);
}

#[test]
fn absorbing() {
    explore(guest(Policy::Absorbing, Kind::Moves, 2), 5);
    explore(guest(Policy::Absorbing, Kind::Resets, 2), 6);
    explore(guest(Policy::Absorbing, Kind::Swaps, 3), 5);
}

#[test]
fn prefetch() {
    explore(guest(Policy::Prefetch, Kind::Moves, 2), 5);
    explore(guest(Policy::Prefetch, Kind::Resets, 2), 6);
    explore(guest(Policy::Prefetch, Kind::Swaps, 3), 5);
}

#[test]
fn messages() {
    explore(guest(Policy::Deferred, Kind::Messages, 2), 8);
    explore(guest(Policy::Absorbing, Kind::Messages, 2), 8);
    explore(guest(Policy::Eager, Kind::Messages, 2), 8);
    explore(guest(Policy::Prefetch, Kind::Messages, 2), 8);
    explore(guest(Policy::Deferred, Kind::Messages, 3), 6);
}

#[test]
fn isolated() {
    explore(isolated_guest(Policy::Eager, Kind::Moves), 5);
    explore(isolated_guest(Policy::Deferred, Kind::Moves), 5);
    explore(isolated_guest(Policy::Eager, Kind::Resets), 5);
    explore(isolated_guest(Policy::Deferred, Kind::Resets), 5);
    explore(isolated_guest(Policy::Eager, Kind::Messages), 7);
    explore(isolated_guest(Policy::Deferred, Kind::Messages), 7);
    for policy in [Policy::Absorbing, Policy::Prefetch] {
        let options = ConfigOptions { policy, isolated: true, ..ConfigOptions::default() };
        assert!(ConfigSpace::new(options).is_err(), "I8: {policy} in an isolated VM");
    }
}
