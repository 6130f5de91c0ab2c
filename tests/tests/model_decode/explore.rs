//! Runs a model for so many steps, or until it finds what was put into it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::time::Instant;

use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model, Property};

use super::Guest;
use super::device::Broken;
use super::mutants::Mutant;

/// How many steps deeper than in CI: `HVPCI_MODEL_DEPTH=2 cargo test ...` (see `docs/verification.md`).
fn deeper() -> usize {
    std::env::var("HVPCI_MODEL_DEPTH").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Looks at every state that at most `steps` steps lead to, or at fewer if it is to finish before.
///
/// stateright gives the first state depth 1 and does not look at states of the depth that it is to end at: hence the 2.
/// It is one thread, because of several each goes its own way to a state: not always the shortest, and what the bound then
/// cuts off behind it nobody looks at.
fn search<M>(model: M, steps: usize, finish: HasDiscoveries) -> impl Checker<M>
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq + Send + Sync>
        + Send
        + Sync
        + 'static,
{
    model.checker().threads(1).target_max_depth(steps + 2).finish_when(finish).spawn_bfs().join()
}

/// Every sequence of at most `steps` steps. Panics with the shortest sequence that breaks an invariant.
pub fn explore(guest: Guest, steps: usize) {
    let start = Instant::now();
    let (name, steps, evaluated) = (guest.to_string(), steps + deeper(), guest.evaluated.clone());
    let checker = search(guest, steps, HasDiscoveries::All);
    // Those that only the next step leads to are known to stateright, too, but nobody has looked at them.
    let evaluated = evaluated.load(Ordering::Relaxed);
    println!("{name}: {evaluated} states in {steps} steps, {:.1} s", start.elapsed().as_secs_f64());
    let mut broken = 0;
    for (property, path) in checker.discoveries() {
        if matches!(checker.discovery_classification(property), DiscoveryClassification::Counterexample) {
            broken += 1;
            println!("NOT SO: {property}\n  {:?}", path.last_state().host);
            println!("  {:?}", path.clone().into_actions());
        }
    }
    assert_eq!(broken, 0, "{name}: see above");
    checker.assert_properties();
}

/// The model with a defect put in: the checker must find that `broken` does not hold, and without the defect it must not.
pub fn finds(guest: Guest, mutant: Mutant, broken: Broken) {
    const STEPS: usize = 7;
    let property = super::name_of(broken);
    let seeded = Guest { mutant: Some(mutant), ..guest.clone() };
    let checker = search(seeded, STEPS, HasDiscoveries::AnyOf(BTreeSet::from([property])));
    let Some(path) = checker.discovery(property) else {
        panic!("{mutant:?} was not found in {} states", checker.unique_state_count());
    };
    let steps = path.into_actions();
    println!("{mutant:?}: found after {} states: {steps:?}", checker.unique_state_count());
    // The same steps are harmless without the defect: it is the defect that was found.
    let mut world = super::World::new(&guest);
    steps.into_iter().for_each(|(at, step)| world.step(at, step));
    assert_eq!(world.host.broken, 0, "{mutant:?}: the steps break something by themselves");
}

/// Counts its steps, and breaks at one of them.
struct Counter {
    breaks_at: usize,
}

impl Model for Counter {
    type State = usize;
    type Action = ();

    fn init_states(&self) -> Vec<usize> {
        vec![0]
    }

    fn actions(&self, _: &usize, actions: &mut Vec<()>) {
        actions.push(());
    }

    fn next_state(&self, count: &usize, (): ()) -> Option<usize> {
        Some(count + 1)
    }

    fn properties(&self) -> Vec<Property<Counter>> {
        vec![Property::always("it is whole", |model: &Counter, count| *count != model.breaks_at)]
    }
}

#[test]
fn the_bound_is_the_number_of_steps() {
    for breaks_at in 1..9 {
        let found = |steps| search(Counter { breaks_at }, steps, HasDiscoveries::All).discovery("it is whole");
        let path = found(breaks_at).expect("what breaks with the last step is found");
        assert_eq!(path.into_actions().len(), breaks_at);
        assert!(found(breaks_at - 1).is_none(), "{} steps are not {breaks_at}", breaks_at - 1);
    }
}
