//! The machine's clock and its threads, without a driver. What ends the process is looked at from outside.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use hvpci_loader::fail::Verdict;
use hvpci_loader::world::{self, Step, World};

/// Set where a test runs in a process of its own, which it ends.
const INSIDE: &str = "HVPCI_WORLD_TEST";

/// Runs the test of this name once more, in a process of its own that does `what`, which nothing can end but the clock's
/// finding that nothing ever will.
fn deadlocks(name: &str, waits_for: &str, what: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        what();
        return;
    }
    let own = std::env::current_exe().unwrap_or_default();
    let ended = Command::new(own).args(["--exact", "--nocapture", name]).env(INSIDE, "1").output();
    let Ok(ended) = ended else { panic!("this test cannot start itself") };
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(Verdict::Deadlock as i32), "{said}");
    assert!(said.contains(waits_for), "{said}");
}

#[test]
fn a_deadlock_is_found_and_named() {
    deadlocks("a_deadlock_is_found_and_named", "a thing that never comes", || {
        world::spawn("another", || world::sleep(1_000_000));
        world::wait("a thing that never comes", |_| Step::<()>::Sleep);
    });
}

/// The lock's owner sleeps: Windows would spin meanwhile, and not get there.
#[test]
fn the_clock_stands_still_at_a_spin_lock() {
    deadlocks("the_clock_stands_still_at_a_spin_lock", "a lock", || {
        world::spawn("another", || world::sleep(1_000_000));
        world::spin("a lock", |_| Step::<()>::Sleep);
    });
}

/// In one test, because the world is one: this thread is the one that it begins with.
#[test]
fn the_clock_jumps_to_the_next_deadline_only() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for microseconds in [30_u64, 10, 20] {
        let seen = Arc::clone(&seen);
        world::spawn("a sleeper", move || {
            world::sleep(microseconds * 1000);
            let now = world::with(|world| world.now());
            seen.lock().unwrap_or_else(PoisonError::into_inner).push((microseconds, now));
            world::with(World::changed);
        });
    }
    let all = || Some(seen.lock().unwrap_or_else(PoisonError::into_inner).clone()).filter(|all| all.len() == 3);
    let all = world::wait("all three", |_| all().map_or(Step::Sleep, Step::Done));
    assert_eq!(all, [(10, 1_000_010_000), (20, 1_000_020_000), (30, 1_000_030_000)]);
}
