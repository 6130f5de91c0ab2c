//! Runs a model to its depth, or until it finds what was put into it.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};

use super::Guest;
use super::device::Broken;
use super::mutants::Mutant;

/// How many steps deeper than in CI: `HVPCI_MODEL_DEPTH=2 cargo test ...` (see `docs/verification.md`).
fn deeper() -> usize {
    std::env::var("HVPCI_MODEL_DEPTH").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Every sequence of `depth` steps. Panics with the shortest sequence that breaks an invariant.
pub fn explore(guest: Guest, depth: usize) {
    let start = Instant::now();
    let name = guest.to_string();
    let checker = guest.checker().threads(2).target_max_depth(depth + deeper()).spawn_bfs().join();
    println!(
        "{name}: {} states, {} transitions, depth {}, {:.1} s",
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
    assert_eq!(broken, 0, "{name}: see above");
    checker.assert_properties();
}

/// The model with a defect put in: the checker must find that `broken` does not hold, and without the defect it must not.
pub fn finds(guest: Guest, mutant: Mutant, broken: Broken) {
    const DEPTH: usize = 7;
    let property = super::name_of(broken);
    let seeded = Guest { mutant: Some(mutant), ..guest };
    let checker = seeded
        .checker()
        .threads(1)
        .target_max_depth(DEPTH)
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])))
        .spawn_bfs()
        .join();
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
