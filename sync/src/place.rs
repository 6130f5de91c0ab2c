//! Places that one at a time may have.

use core::sync::atomic::Ordering;

use crate::{Atomic, Kernel};

/// One of a fixed number of places, such as where a caller waits, a packet lies or memory is kept in reserve.
pub struct Place<K: Kernel>(K::Flag);

impl<K: Kernel> Place<K> {
    /// A place that nobody has.
    pub fn new() -> Place<K> {
        Place(K::Flag::new(false))
    }

    /// Takes the place; `false` where somebody has it. Who gets it sees what was done before it was given back. Any
    /// context.
    #[must_use]
    pub fn take(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives the place back. For who has it. Any context.
    pub fn give_back(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether somebody has the place. Any context.
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<K: Kernel> Default for Place<K> {
    fn default() -> Self {
        Place::new()
    }
}
