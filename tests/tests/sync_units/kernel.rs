//! Kernels made of loom's atomics: a sound one and broken ones.

use std::sync::atomic::Ordering;

use hvpci_core::Time;
use hvpci_sync::{Atomic, Kernel};
use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

/// As it should be.
pub const SOUND: u8 = 0;
/// No operation orders anything: every barrier is missing.
pub const UNORDERED: u8 = 1;
/// What reads and writes does so in two steps.
pub const TORN: u8 = 2;

/// A kernel with one of the faults above.
pub struct Checked<const FAULT: u8>;

impl<const FAULT: u8> Kernel for Checked<FAULT> {
    type Flag = Atom<AtomicBool, FAULT>;
    type Byte = Atom<AtomicU8, FAULT>;
    type Long = Atom<AtomicU64, FAULT>;

    fn now() -> Time {
        Time::from_nanos(CLOCK.load(Ordering::Acquire))
    }
}

impl<const FAULT: u8> Checked<FAULT> {
    /// Whether a time has come.
    pub fn has_come(at: Time) -> bool {
        Self::now() >= at
    }
}

loom::lazy_static! {
    static ref CLOCK: AtomicU64 = AtomicU64::new(0);
}

/// Moves the clock on.
pub fn set_clock(now: u64) {
    CLOCK.store(now, Ordering::Release);
}

/// An atomic with a fault.
pub struct Atom<A, const FAULT: u8>(A);

fn order<const FAULT: u8>(order: Ordering) -> Ordering {
    if FAULT == UNORDERED { Ordering::Relaxed } else { order }
}

macro_rules! atomic {
    ($($atomic:ty: $value:ty),*) => {$(
        impl<const FAULT: u8> Atomic<$value> for Atom<$atomic, FAULT> {
            fn new(value: $value) -> Self {
                Atom(<$atomic>::new(value))
            }

            fn load(&self, how: Ordering) -> $value {
                self.0.load(order::<FAULT>(how))
            }

            fn store(&self, value: $value, how: Ordering) {
                self.0.store(value, order::<FAULT>(how));
            }

            fn swap(&self, value: $value, how: Ordering) -> $value {
                if FAULT == TORN {
                    let before = self.0.load(Ordering::Acquire);
                    self.0.store(value, Ordering::Release);
                    return before;
                }
                self.0.swap(value, order::<FAULT>(how))
            }

            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if FAULT == TORN {
                    let before = self.0.load(Ordering::Acquire);
                    if before != current {
                        return Err(before);
                    }
                    self.0.store(new, Ordering::Release);
                    return Ok(before);
                }
                self.0.compare_exchange(current, new, order::<FAULT>(success), order::<FAULT>(failure))
            }
        }
    )*};
}

atomic!(AtomicBool: bool, AtomicU8: u8, AtomicU64: u64);
