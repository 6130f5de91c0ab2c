//! A global allocator for tests that fails one allocation of chosen code: the n-th that a thread makes while it is inside.
//!
//! What is outside (a mock host, a test) never sees a failure, so code whose allocations may fail can be tested in the
//! middle of code whose allocations may not. This is the one crate of the workspace's tests with `unsafe` in it: an
//! allocator cannot be written without, and it does nothing but ask the system's.
//!
//! ```
//! use hvpci_test_alloc::{Failing, enter, fail_at, leave, take_counts};
//!
//! #[global_allocator]
//! static ALLOCATOR: Failing = Failing;
//!
//! fail_at(Some(2));
//! enter();
//! let (first, second) = (Vec::<u8>::new().try_reserve_exact(64), Vec::<u8>::new().try_reserve_exact(64));
//! leave();
//! assert!(first.is_ok() && second.is_err());
//! assert_eq!(take_counts(), (2, 1));
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

thread_local! {
    // `const` initialisers without destructors: reading them allocates nothing and is legal in an allocator.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static FAIL_AT: Cell<Option<u64>> = const { Cell::new(None) };
    static MADE: Cell<u64> = const { Cell::new(0) };
    static FAILED: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, failing where it was told to.
pub struct Failing;

/// The code whose allocations count begins, on this thread.
pub fn enter() {
    INSIDE.set(true);
}

/// The code whose allocations count ends, on this thread.
pub fn leave() {
    INSIDE.set(false);
}

/// Has the n-th allocation from now (from 1) that this thread makes inside fail; `None` lets all succeed.
pub fn fail_at(nth: Option<u64>) {
    FAIL_AT.set(nth);
    MADE.set(0);
    FAILED.set(0);
}

/// How many allocations this thread has made inside since [`fail_at`], and how many of them failed; nothing fails from now.
pub fn take_counts() -> (u64, u64) {
    FAIL_AT.set(None);
    (MADE.get(), FAILED.get())
}

/// Whether the allocation that is being made shall fail.
fn fails() -> bool {
    if !INSIDE.get() {
        return false;
    }
    MADE.set(MADE.get() + 1);
    let fails = FAIL_AT.get() == Some(MADE.get());
    if fails {
        FAILED.set(FAILED.get() + 1);
    }
    fails
}

// SAFETY: every block comes from `System` and goes back to it with the layout it came with: the four methods hand their
// arguments on unchanged, so that what `System` promises holds here. A null pointer, the only other answer, is what the
// trait defines for a failed allocation; of a failed `realloc` the old block is untouched. Nothing here unwinds: the
// thread-locals are constants without destructors, and the additions cannot overflow before 2^64 allocations.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout, as the caller's contract has it.
        if fails() { null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        if fails() { null_mut() } else { unsafe { System.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block came from `System` with this layout; the size is as the caller's contract has it.
        if fails() { null_mut() } else { unsafe { System.realloc(block, layout, size) } }
    }
}
