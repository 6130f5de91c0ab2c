//! Data under a WDF spin lock.

use alloc::boxed::Box;
use core::cell::UnsafeCell;

use wdk_sys::{
    NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, WDF_OBJECT_ATTRIBUTES, WDFDEVICE, WDFSPINLOCK,
    call_unsafe_wdf_function_binding,
};

use super::{check, handle};
use crate::memory;

/// A value that is reached under a spin lock, at DISPATCH_LEVEL. The lock belongs to the device it was made for.
pub struct SpinLock<T> {
    lock: WDFSPINLOCK,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached under the lock only.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// Makes a lock that is deleted with `parent`.
    pub fn new(parent: WDFDEVICE, value: T) -> Result<SpinLock<T>, NTSTATUS> {
        Ok(SpinLock { lock: create(parent)?, value: UnsafeCell::new(value) })
    }

    /// The same in memory of its own, for a large value: kernel stacks are small, and moves through them are copies.
    pub fn boxed(parent: WDFDEVICE, value: T) -> Result<Box<SpinLock<T>>, NTSTATUS> {
        let lock = create(parent)?;
        let room = memory::try_room().ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(Box::write(room, SpinLock { lock, value: UnsafeCell::new(value) }))
    }

    /// Runs `f` under the lock, at DISPATCH_LEVEL. `f` must not take the same lock. At most DISPATCH_LEVEL.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: WdfSpinLockAcquire/Release on a live lock, paired; between the two nobody else reaches the value.
        unsafe {
            call_unsafe_wdf_function_binding!(WdfSpinLockAcquire, self.lock);
            let result = f(&mut *self.value.get());
            call_unsafe_wdf_function_binding!(WdfSpinLockRelease, self.lock);
            result
        }
    }
}

#[inline(never)]
fn create(parent: WDFDEVICE) -> Result<WDFSPINLOCK, NTSTATUS> {
    let mut attributes = WDF_OBJECT_ATTRIBUTES { ParentObject: parent.cast(), ..handle::attributes() };
    let mut lock = core::ptr::null_mut();
    // SAFETY: WdfSpinLockCreate with initialised attributes and a live parent.
    check(unsafe { call_unsafe_wdf_function_binding!(WdfSpinLockCreate, &mut attributes, &mut lock) })?;
    Ok(lock)
}
