//! A whole bus on many threads under [shuttle], which chooses at random, or by PCT, which thread goes on at each step, and can
//! repeat any run.
//!
//! Shipped is the core with its driver, and hvpci-sync; the platform in `platform.rs` has shuttle's locks around them where a
//! backend has its kernel's. There are the threads of a kernel: workers that run the pump's and the publisher's work items,
//! one for timers, one on which packets and the rescind arrive, two that access config space, drivers whose requests are
//! answered or given up, the one that brings the bus up and down, and the host, which ejects, removes and rescinds at any time.
//!
//! In the end everything must have been given back, every call has returned, no more is said to a channel that is gone, and
//! both sides count the same maps. A lost wake-up shows as a bus in which all wait for ever.
//!
//! `HVPCI_SHUTTLE=N` runs N times as many orders.

mod board;
mod defect;
mod platform;
mod port;
mod task;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use hvpci_core::decode::GuestStyle;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use defect::Defect;
use world::World;

/// A fixed seed, so that CI does not fail a change for an order that main has too.
const SEED: u64 = 1;
/// PCT finds a bug that needs so many changes of thread, with a known probability.
const DEPTH: usize = 4;

fn times() -> usize {
    let text = std::env::var("HVPCI_SHUTTLE").unwrap_or_else(|_| "1".into());
    text.parse().expect("HVPCI_SHUTTLE is a number")
}

fn run(scheduler: impl Scheduler + 'static, world: World) -> usize {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    // Of what shuttle does not model: weak memory, which is loom's part, and when statics are dropped, which matters to none.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || world.live())
}

fn explore(orders: usize, world: World) {
    let orders = orders * times();
    let random = run(RandomScheduler::new_from_seed(SEED, orders), world);
    let pct = run(PctScheduler::new_from_seed(SEED, DEPTH, orders), world);
    println!("{world:?}: {random} random orders, {pct} by PCT with {DEPTH} changes");
}

#[test]
fn a_config_space_guest_on_work_items_that_do_not_overlap() {
    explore(1000, World { style: GuestStyle::ConfigSpace, overlap: false, silent: false, defect: None });
}

#[test]
fn a_message_guest_on_work_items_that_overlap() {
    explore(1000, World { style: GuestStyle::Messages, overlap: true, silent: false, defect: None });
}

/// Calls whose deadlines come together: whoever ends them, each returns.
#[test]
fn calls_that_a_silent_host_leaves_waiting() {
    explore(1500, World { style: GuestStyle::ConfigSpace, overlap: true, silent: true, defect: None });
}

/// Each seeded defect is found. What the same orders say of a bus without it is in the tests above.
#[test]
fn seeded_defects_are_found() {
    for defect in Defect::ALL {
        let world = World { style: GuestStyle::ConfigSpace, overlap: true, silent: false, defect: Some(defect) };
        let found = catch_unwind(AssertUnwindSafe(|| run(RandomScheduler::new_from_seed(SEED, 5000), world)));
        let failure = found.expect_err(&format!("{defect:?} was not found"));
        let said = failure.downcast_ref::<String>().map(String::as_str).or(failure.downcast_ref::<&str>().copied());
        let said = said.unwrap_or_default();
        assert!(
            defect.shows_as().iter().any(|text| said.contains(text)),
            "{defect:?} was found for another reason: {said}"
        );
    }
}
