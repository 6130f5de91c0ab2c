//! Data under a WDF spin lock.

use alloc::boxed::Box;
use core::cell::UnsafeCell;

use wdk_sys::{NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, WDFSPINLOCK, call_unsafe_wdf_function_binding};

use super::{check, handle, memory};

/// A value that is reached under a spin lock, at DISPATCH_LEVEL.
///
/// The lock is no child of a device, with which it would be deleted: the value may be reached for longer than that, by who
/// holds an interface of a child. It is deleted when this is dropped.
pub struct SpinLock<T> {
    lock: Lock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached under the lock only.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// Makes a lock around a value. At most DISPATCH_LEVEL.
    pub fn new(value: T) -> Result<SpinLock<T>, NTSTATUS> {
        Ok(SpinLock { lock: Lock::new()?, value: UnsafeCell::new(value) })
    }

    /// The same in memory of its own, for a large value: kernel stacks are small, and moves through them are copies.
    pub fn boxed(value: T) -> Result<Box<SpinLock<T>>, NTSTATUS> {
        let lock = Lock::new()?;
        let room = memory::try_room().ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(Box::write(room, SpinLock { lock, value: UnsafeCell::new(value) }))
    }

    /// Runs `f` under the lock, at DISPATCH_LEVEL. `f` must not take the same lock. At most DISPATCH_LEVEL.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: WdfSpinLockAcquire/Release on a live lock, paired; between the two nobody else reaches the value.
        unsafe {
            call_unsafe_wdf_function_binding!(WdfSpinLockAcquire, self.lock.0);
            let result = f(&mut *self.value.get());
            call_unsafe_wdf_function_binding!(WdfSpinLockRelease, self.lock.0);
            result
        }
    }
}

/// A WDF spin lock of the driver, deleted when dropped.
struct Lock(WDFSPINLOCK);

impl Lock {
    #[inline(never)]
    fn new() -> Result<Lock, NTSTATUS> {
        let mut attributes = handle::attributes();
        let mut lock = core::ptr::null_mut();
        // SAFETY: WdfSpinLockCreate with initialised attributes; without a parent in them the lock is the driver object's.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfSpinLockCreate, &mut attributes, &mut lock) })?;
        Ok(Lock(lock))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: WdfObjectDelete at DISPATCH_LEVEL at most, once, on a lock that nobody holds: its owner is being dropped.
        unsafe { call_unsafe_wdf_function_binding!(WdfObjectDelete, self.0.cast()) }
    }
}
