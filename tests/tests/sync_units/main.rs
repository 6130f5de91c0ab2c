//! The shipped units under [loom], which runs each test with every order in which its threads can meet and with every value
//! that the memory model lets a read return.
//!
//! What surrounds the units keeps what kernels promise: `queue.rs` a work item, `event.rs` an event. The tests in `defects.rs`
//! break one thing each, an atomic, a promise or a caller's duty, and must fail.
//!
//! Each test bounds how often a thread is interrupted, if at all, so that it takes seconds; `HVPCI_PREEMPTIONS=1` allows one
//! more in each.

mod block;
mod defects;
mod event;
mod gate;
mod kernel;
mod loan;
mod place;
mod queue;
mod rig;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many more interruptions than in CI.
fn more() -> usize {
    std::env::var("HVPCI_PREEMPTIONS").map_or(0, |text| text.parse().expect("HVPCI_PREEMPTIONS is a number"))
}

/// Runs `model` in every order, with at most `preemptions` interruptions of a running thread (`None`: no bound). Returns how
/// many orders there were.
fn check(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) -> usize {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions.map(|usual| usual + more());
    // The default is made for small tests; what is not finished by then must not pass.
    builder.max_branches = 100_000;
    let orders = Arc::new(AtomicUsize::new(0));
    let count = orders.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    if preemptions.is_some() && more() > 0 {
        println!("with {} preemptions more than it says:", more());
    }
    orders.load(Ordering::Relaxed)
}
