//! Things that are lent, where the lender may go before the borrower.

use core::sync::atomic::Ordering;

use crate::{Atomic, Kernel};

/// The lender has it.
const FREE: u8 = 0;
/// Somebody has borrowed it.
const LENT: u8 = 1;
/// The lender has gone: the borrower, or nobody, has it.
const LEFT: u8 = 2;

/// Where a thing stands that one at a time may borrow, such as a block of memory in which this lies. Whoever is the last to
/// have to do with it, lender or borrower, ends it, and that is one of them.
pub struct Loan<K: Kernel>(K::Byte);

impl<K: Kernel> Loan<K> {
    /// The lender has it.
    pub fn new() -> Loan<K> {
        Loan(K::Byte::new(FREE))
    }

    /// Borrows the thing; `false` where somebody else has, or the lender has gone. Who gets it sees what the one before did with
    /// it. Any context.
    #[must_use]
    pub fn borrow(&self) -> bool {
        self.0.compare_exchange(FREE, LENT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Gives the thing back. For who has borrowed it, and does not touch it after this, unless this returns `true`: the lender
    /// has gone, and the caller ends the thing. Any context.
    #[must_use]
    pub fn give_back(&self) -> bool {
        self.0.compare_exchange(LENT, FREE, Ordering::AcqRel, Ordering::Acquire).is_err()
    }

    /// The lender goes. For the lender, once, and it does not touch the thing after this, unless this returns `true`: nobody has
    /// borrowed it, and the caller ends it. Any context.
    #[must_use]
    pub fn leave(&self) -> bool {
        self.0.swap(LEFT, Ordering::AcqRel) == FREE
    }
}

impl<K: Kernel> Default for Loan<K> {
    fn default() -> Self {
        Loan::new()
    }
}
