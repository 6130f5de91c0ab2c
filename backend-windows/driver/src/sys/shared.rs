//! Shared ownership whose allocation can fail, which that of `alloc` cannot.

use alloc::boxed::Box;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::memory;

/// A value that goes when the last of its owners goes. It does not move.
pub struct Shared<T>(NonNull<Inner<T>>);

struct Inner<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: owners on several processors reach the value at once, and any of them may drop it.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The first owner of a value; `None` without memory, and then the value is dropped.
    pub fn try_new(value: T) -> Option<Shared<T>> {
        let room = memory::try_room()?;
        let inner = Box::write(room, Inner { owners: AtomicUsize::new(1), value });
        Some(Shared(NonNull::from(Box::leak(inner))))
    }

    /// Where the value lies, for as long as there are owners.
    pub(super) fn place(&mut self) -> *mut T {
        // SAFETY: this owner keeps the value; no reference to it is made.
        unsafe { &raw mut (*self.0.as_ptr()).value }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        // SAFETY: this owner keeps the value. More owners than can be counted do not fit into memory, unless they are
        // forgotten; nothing forgets any.
        unsafe { self.0.as_ref() }.owners.fetch_add(1, Ordering::Relaxed);
        Shared(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this owner keeps the value, and nobody has it for themselves.
        unsafe { &self.0.as_ref().value }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: this owner keeps the value until here.
        if unsafe { self.0.as_ref() }.owners.fetch_sub(1, Ordering::Release) == 1 {
            // What the other owners did comes before the end.
            fence(Ordering::Acquire);
            // SAFETY: the last owner, and the memory of a box.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}
