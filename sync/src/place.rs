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

    /// Takes the place; `false` where somebody has it. Who gets it sees what was done before it was given back, and who gives
    /// it back sees what was done before others asked for it in vain. Any context.
    #[must_use]
    pub fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Gives the place back. For who has it. Any context.
    pub fn give_back(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Whether somebody has the place. Any context.
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether somebody looked for a place among several and found none, and has to be told when one comes free.
pub struct Shortage<K: Kernel>(K::Flag);

impl<K: Kernel> Shortage<K> {
    /// There is none.
    pub fn new() -> Shortage<K> {
        Shortage(K::Flag::new(false))
    }

    /// What `take` finds by [`Place::take`]. Where it finds nothing, whoever gives a place back next is asked to say so. Any
    /// context.
    pub fn take<T>(&self, take: impl Fn() -> Option<T>) -> Option<T> {
        take().or_else(|| {
            self.0.swap(true, Ordering::AcqRel);
            // One that came free before that was said has told nobody.
            take()
        })
    }

    /// For who has just given a place back: whether somebody has to be told. Any context.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl<K: Kernel> Default for Shortage<K> {
    fn default() -> Self {
        Shortage::new()
    }
}

impl<K: Kernel> Default for Place<K> {
    fn default() -> Self {
        Place::new()
    }
}
