//! The IRQL of each thread, and the calls into the driver that start at one and must come back at the same.

use std::cell::Cell;

use crate::{rule, trace};

/// PASSIVE_LEVEL.
pub const PASSIVE: u8 = 0;
/// APC_LEVEL.
pub const APC: u8 = 1;
/// DISPATCH_LEVEL.
pub const DISPATCH: u8 = 2;

thread_local! {
    static IRQL: Cell<u8> = const { Cell::new(PASSIVE) };
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// The IRQL of this thread.
pub fn current() -> u8 {
    IRQL.get()
}

/// Sets the IRQL of this thread and returns the one before.
pub fn set(level: u8) -> u8 {
    IRQL.replace(level)
}

/// A spin lock was taken (+1) or given back (-1) by this thread.
pub fn held(change: i32) {
    HELD.set(HELD.get().wrapping_add_signed(change));
}

/// Spin locks this thread holds.
pub fn holds() -> u32 {
    HELD.get()
}

/// The driver called `what`, which is legal up to `level`.
pub fn at_most(level: u8, what: &str) {
    rule!(current() <= level, "{what} called at IRQL {}, legal up to {level}", current());
}

/// The driver called `what`, which is legal at `level` alone.
pub fn exactly(level: u8, what: &str) {
    rule!(current() == level, "{what} called at IRQL {}, legal at {level} only", current());
}

/// Calls the driver at `level`.
pub fn at<R>(level: u8, what: &str, call: impl FnOnce() -> R) -> R {
    trace!("-> {what} at IRQL {level}");
    let (before, locks) = (set(level), holds());
    let result = call();
    rule!(current() == level, "{what} was called at IRQL {level} and returned at {}", current());
    rule!(holds() == locks, "{what} returned with {} spin lock(s) held", holds().wrapping_sub(locks));
    set(before);
    trace!("<- {what}");
    result
}
