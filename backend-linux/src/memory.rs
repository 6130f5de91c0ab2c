//! The global allocator: the kernel's, through the shim.
//!
//! The core allocates fallibly everywhere but in one place, the futures that [`hvpci_core::backend::Platform`] hands out; those
//! are made by the two workers alone, one at a time each, and the shim keeps a block in reserve for either
//! (`struct hvpci_reserve`). Nothing else gets that block: see [`future`].

use alloc::alloc::{GlobalAlloc, Layout, handle_alloc_error};
use alloc::boxed::Box;
use core::pin::Pin;

use crate::ffi;

struct Kernel;

// SAFETY: hvpci_shim_alloc gives memory of the size and alignment asked for or null, any context; hvpci_shim_free takes it
// back.
unsafe impl GlobalAlloc for Kernel {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no precondition; the caller's layout has a size above zero.
        unsafe { ffi::hvpci_shim_alloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _layout: Layout) {
        // SAFETY: the caller got `memory` from alloc.
        unsafe { ffi::hvpci_shim_free(memory) }
    }
}

#[global_allocator]
static KERNEL: Kernel = Kernel;

/// A box, or `None` without memory.
pub fn try_box<T>(value: T) -> Option<Box<T>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Some(Box::new(value));
    }
    // SAFETY: the layout has a size above zero.
    let memory = unsafe { alloc::alloc::alloc(layout) }.cast::<T>();
    if memory.is_null() {
        return None;
    }
    // SAFETY: `memory` is valid for a T and was allocated with a T's layout by the global allocator.
    unsafe {
        memory.write(value);
        Some(Box::from_raw(memory))
    }
}

/// A boxed future.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Boxes a future, in the block of the worker that runs this where there is no memory. Sleepable.
pub fn future<'a, F: Future + Send + 'a>(future: F) -> Boxed<'a, F::Output> {
    const { assert!(size_of::<F>() > 0 && size_of::<F>() <= ffi::RESERVE_BYTES) };
    let layout = Layout::new::<F>();
    // SAFETY: no precondition.
    let memory = unsafe { ffi::hvpci_shim_alloc_future(layout.size(), layout.align()) }.cast::<F>();
    if memory.is_null() {
        // Not a worker, or a second future of one: the box has no way to say so.
        handle_alloc_error(layout);
    }
    // SAFETY: `memory` is valid for an F; hvpci_shim_free takes it back, by which the global allocator frees.
    unsafe {
        memory.write(future);
        Box::into_pin(Box::from_raw(memory))
    }
}
