//! Things that go when the last one who uses them has left.

use core::sync::atomic::Ordering;

use crate::{Atomic, Kernel};

/// Set while the gate is open; the rest is how many are inside.
const OPEN: u64 = 1 << 63;

/// Whether a thing may be used, and how many use it. Who wants it to go closes the gate and waits until nobody is inside.
///
/// Who leaves touches the gate no more, so that it may go with the thing. That is why nobody is told: who waits looks.
pub struct Gate<K: Kernel>(K::Long);

impl<K: Kernel> Gate<K> {
    /// A closed one.
    pub fn new() -> Gate<K> {
        Gate(K::Long::new(0))
    }

    /// Opens it. Any context.
    pub fn open(&self) {
        let _ = self.change(|seen| Some(seen | OPEN));
    }

    /// Closes it: nobody enters after this. Any context.
    pub fn close(&self) {
        let _ = self.change(|seen| Some(seen & !OPEN));
    }

    /// Goes inside; `None` where the gate is closed. Any context.
    pub fn enter(&self) -> Option<Inside<'_, K>> {
        // Not `then_some`: what it would build, and drop, leaves.
        self.change(|seen| (seen & OPEN != 0).then_some(seen.wrapping_add(1))).then(|| Inside(self))
    }

    /// Whether nobody is inside. Then the caller sees what everybody did there. Any context.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) & !OPEN == 0
    }

    fn change(&self, next: impl Fn(u64) -> Option<u64>) -> bool {
        let mut seen = self.0.load(Ordering::Acquire);
        while let Some(next) = next(seen) {
            match self.0.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }
}

impl<K: Kernel> Default for Gate<K> {
    fn default() -> Self {
        Gate::new()
    }
}

/// Keeps what is behind a [`Gate`] there until it is dropped.
pub struct Inside<'a, K: Kernel>(&'a Gate<K>);

impl<K: Kernel> Drop for Inside<'_, K> {
    fn drop(&mut self) {
        // Nobody enters as often as would reach the flag.
        let _ = self.0.change(|seen| Some(seen.wrapping_sub(1)));
    }
}
