//! Every interleaving of the engine with a host that answers, refuses, stays silent, adds, removes, ejects and rescinds,
//! and a platform that is slow and sometimes fails: explored exhaustively, within bounds, by the model checker stateright.
//!
//! A state is a [`Bus`] between an abstract host and an abstract platform ([`world::World`]). Each model allows so many
//! disturbances on one path, at most one of each kind, at any moment and in any order; everything else (when the pump and
//! the publisher get round to their work, in which order the host answers) is free.

mod events;
mod host;
mod mutants;
mod platform;
mod world;

use std::hash::{Hash, Hasher};
use std::time::Instant;

use events::{Disturbance, Event};
use hvpci_core::InstanceId;
use hvpci_core::bus::{Bus, BusOptions, BusStatus};
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::interrupt::Architecture;
use hvpci_core::wire::Version;
use mutants::Mutant;
use stateright::{Checker, DiscoveryClassification, Model, Property};
use world::{Broken, World};

/// A bus of so many functions, and how much may go wrong.
#[derive(Clone)]
struct Bounds {
    style: GuestStyle,
    policy: Policy,
    functions: u32,
    disturbances: u32,
    /// Of how many states one is tried for its ways on (see [`ends_well`]).
    sample: u64,
    mutant: Option<Mutant>,
}

impl Model for Bounds {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        let mut options = BusOptions::new(self.style, Architecture::X86);
        (options.highest, options.lowest) = (Version::V1_4, Version::V1_3);
        (options.max_functions, options.outstanding, options.policy) = (2, 2, self.policy);
        vec![World::new(fresh_bus(options), self.functions, self.mutant)]
    }

    fn actions(&self, state: &World, events: &mut Vec<Event>) {
        state.ordinary(events);
        state.disturbances(self.disturbances, events);
    }

    fn next_state(&self, state: &World, event: Event) -> Option<World> {
        let mut next = state.clone();
        next.step(event);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Bounds>> {
        vec![
            always("nothing is sent after a rescind", |_, w| w.broken != Some(Broken::SentAfterRescind)),
            always("nothing is sent on a closed channel", |_, w| w.broken != Some(Broken::SentWhileClosed)),
            always("ids are never 0 and never used twice", |_, w| w.broken != Some(Broken::TransactionId)),
            always("no message out of place", |_, w| !matches!(w.broken, Some(Broken::Protocol(_)))),
            always("no action out of place", |_, w| !matches!(w.broken, Some(Broken::Precondition(_)))),
            always("ejects are completed after the function is unused", |_, w| w.broken != Some(Broken::Eject)),
            always("no range is given away that may be mapped", |_, w| w.broken != Some(Broken::StillMapped)),
            always("reports are bounded", |_, w| w.broken != Some(Broken::Reports)),
            always("nothing is held when it is over", |_, w| w.broken != Some(Broken::Leftover)),
            always("a suspended bus keeps its functions and windows", |_, w| w.broken != Some(Broken::Dropped)),
            always("nothing is shown before its background map", |_, w| w.broken != Some(Broken::ShownEarly)),
            always("what is in quarantine was reported", |_, w| w.bus.quarantined_bytes() <= w.stated),
            always("there is a way on", |_, w| has_a_way_on(w)),
            always("a stop ends well with a host that answers", |m, w| m.skips(w) || ends_well(w, true)),
            always("a stop ends well with a silent host", |m, w| m.skips(w) || ends_well(w, false)),
            always("every request ends", |m, w| w.ticket.is_none() || m.skips(w) || request_ends(w)),
            always("left alone, the bus comes to rest", |m, w| m.skips(w) || comes_to_rest(w)),
            sometimes("the bus is up and idle", |_, w| is_idle(w)),
            sometimes("a range is in quarantine", |m, w| {
                w.bus.quarantined_bytes() != 0 || m.style == GuestStyle::ConfigSpace && m.policy != Policy::Prefetch
            }),
            sometimes("a function is shown", |_, w| w.platform.published != 0),
            sometimes("the bus is suspended", |_, w| matches!(w.bus.status(), BusStatus::Suspended)),
            sometimes("the bus is gone", |_, w| matches!(w.bus.status(), BusStatus::Gone)),
            sometimes("a bus that was offered again is up and idle", |_, w| w.offered_again && is_idle(w)),
            sometimes("the bus failed", |_, w| matches!(w.bus.status(), BusStatus::Failed(_))),
        ]
    }
}

/// The bus of an offer.
fn fresh_bus(options: BusOptions) -> Bus {
    let mut bus = Bus::new(InstanceId::from_bytes([7; 16]), options).unwrap();
    bus.reserve_interrupts(1).unwrap();
    bus
}

fn always(name: &'static str, holds: fn(&Bounds, &World) -> bool) -> Property<Bounds> {
    Property::always(name, holds)
}

fn sometimes(name: &'static str, holds: fn(&Bounds, &World) -> bool) -> Property<Bounds> {
    Property::sometimes(name, holds)
}

impl Bounds {
    fn skips(&self, world: &World) -> bool {
        let mut hasher = std::hash::DefaultHasher::new();
        world.hash(&mut hasher);
        !hasher.finish().is_multiple_of(self.sample)
    }
}

/// Something will happen by itself, or the bus rests.
fn has_a_way_on(world: &World) -> bool {
    let rests = matches!(
        world.bus.status(),
        BusStatus::Running | BusStatus::Suspended | BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone
    );
    let busy = world.platform.pumping.is_some() || world.platform.publishing.is_some() || world.host.full;
    if rests || busy || world.bus.poll_timeout().is_some() {
        return true;
    }
    let mut bus = world.bus.clone();
    // The pump has an action, packets to send, or at least something to work out.
    bus.poll_action().is_some() || bus.poll_publish().is_some() || bus != world.bus
}

/// The steps that a fair platform and, if it `answers`, a fair host do, in turns; `false` when nothing changes any more.
fn one_round(world: &mut World, answers: bool) -> bool {
    let before = world.clone();
    world.step(Event::RingDrains);
    for (done, begin) in [(Event::PumpDone, Event::Pump), (Event::PublisherDone, Event::Publisher)] {
        world.step(begin);
        world.step(done);
    }
    let mut events = Vec::new();
    world.ordinary(&mut events);
    let wanted = events.into_iter().find(|event| match event {
        Event::Answer(_) | Event::List => answers,
        Event::Fetch => true,
        _ => false,
    });
    if let Some(event) = wanted {
        world.step(event);
    }
    if *world == before {
        // Nothing but a deadline can help.
        world.step(Event::Disturb(Disturbance::Silence, 0));
    }
    *world != before
}

const ROUNDS: usize = 300;

/// From here, a stop leads to the end, whether the host answers or not.
fn ends_well(world: &World, answers: bool) -> bool {
    let mut world = world.clone();
    if world.platform.pumping.is_some() {
        world.step(Event::PumpDone);
    }
    if world.platform.publishing.is_some() {
        world.step(Event::PublisherDone);
    }
    world.step(Event::Disturb(Disturbance::Stop, 0));
    for _ in 0..ROUNDS {
        if !one_round(&mut world, answers) {
            break;
        }
    }
    world.broken.is_none() && world.is_over() && world.platform.is_bare() && world.bus.quarantined_bytes() == 0
}

/// Up, everything that the host lists shown, nobody waiting for anything.
fn is_idle(world: &World) -> bool {
    let listed = world.host.list.iter().fold(0, |all, f| all | host::bit(f.slot));
    let busy = world.platform.pumping.is_some() || world.platform.publishing.is_some() || world.ticket.is_some();
    world.bus.status() == BusStatus::Running
        && world.platform.published == listed
        && !busy
        && world.host.pending.is_empty()
        && world.bus.poll_timeout().is_none()
        && world.bus.clone().poll_action().is_none()
}

/// From here, with a silent host, what a driver asked for comes back to it one way or the other.
fn request_ends(world: &World) -> bool {
    let mut world = world.clone();
    for _ in 0..ROUNDS {
        if world.ticket.is_none() || !one_round(&mut world, false) {
            break;
        }
    }
    world.ticket.is_none()
}

/// From here, with a fair host, the bus gets where it is going; and if nothing was refused, left out or lost on the way,
/// what the host lists is what the OS has.
fn comes_to_rest(world: &World) -> bool {
    let harmful = [Disturbance::Refuse, Disturbance::Silence, Disturbance::Fail];
    let harmed = harmful.iter().any(|d| world.happened & (1 << *d as u32) != 0);
    let mut world = world.clone();
    if world.platform.pumping.is_some() {
        world.step(Event::PumpDone);
    }
    if world.platform.publishing.is_some() {
        world.step(Event::PublisherDone);
    }
    for _ in 0..ROUNDS {
        if !one_round(&mut world, true) {
            break;
        }
    }
    if world.broken.is_some() {
        return false;
    }
    match world.bus.status() {
        BusStatus::Running if world.host.closed => true,
        BusStatus::Running => {
            let listed = world.host.list.iter().fold(0, |all, f| all | host::bit(f.slot));
            harmed || world.platform.published == listed
        }
        BusStatus::Suspended => true,
        BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone => world.platform.is_bare(),
        _ => false,
    }
}

fn explore(name: &str, bounds: Bounds) {
    let start = Instant::now();
    // One thread: of several each goes its own way to a state, and the depth would be that of some way.
    let checker = bounds.checker().threads(1).spawn_bfs().join();
    println!(
        "{name}: {} states, {} transitions, at most {} steps from the first, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        // The first state has depth 1.
        checker.max_depth() - 1,
        start.elapsed().as_secs_f64(),
    );
    // In a few lines what went wrong; the whole last state would fill the screen.
    let mut broken = 0;
    for (property, path) in checker.discoveries() {
        if matches!(checker.discovery_classification(property), DiscoveryClassification::Counterexample) {
            broken += 1;
            let last = path.last_state();
            println!("NOT SO: {property}\n  {:?}\n  {:?}, {:?}", last.broken, last.bus.status(), last.host);
            println!("  {:?}\n  {:?}", last.platform, path.clone().into_actions());
        }
    }
    assert_eq!(broken, 0, "{name}: see above");
    checker.assert_properties();
}

/// How many more disturbances on a path than in CI: `HVPCI_MODEL_DISTURBANCES=1` (see `docs/verification.md`).
fn more() -> u32 {
    std::env::var("HVPCI_MODEL_DISTURBANCES").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn bounds(style: GuestStyle, policy: Policy, functions: u32, disturbances: u32, sample: u64) -> Bounds {
    Bounds { style, policy, functions, disturbances: disturbances + more(), sample, mutant: None }
}

#[test]
fn one_function_in_config_space_style() {
    explore("config-space, 1 function", bounds(GuestStyle::ConfigSpace, Policy::Deferred, 1, 3, 256));
}

#[test]
fn one_function_in_message_style() {
    explore("messages, 1 function", bounds(GuestStyle::Messages, Policy::Deferred, 1, 3, 256));
}

#[test]
fn two_functions_in_config_space_style() {
    explore("config-space, 2 functions", bounds(GuestStyle::ConfigSpace, Policy::Deferred, 2, 2, 256));
}

#[test]
fn two_functions_in_message_style() {
    explore("messages, 2 functions", bounds(GuestStyle::Messages, Policy::Deferred, 2, 2, 256));
}

#[test]
fn two_functions_with_background_maps() {
    explore("prefetch, 2 functions", bounds(GuestStyle::ConfigSpace, Policy::Prefetch, 2, 2, 256));
}
