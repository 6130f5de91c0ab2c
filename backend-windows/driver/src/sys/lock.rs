//! Data under a WDF spin lock.

use core::cell::UnsafeCell;

use wdk_sys::{NTSTATUS, WDF_OBJECT_ATTRIBUTES, WDFDEVICE, WDFSPINLOCK, call_unsafe_wdf_function_binding};

use super::{check, handle};

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
        let mut attributes = WDF_OBJECT_ATTRIBUTES { ParentObject: parent.cast(), ..handle::attributes() };
        let mut lock = core::ptr::null_mut();
        // SAFETY: WdfSpinLockCreate with initialised attributes and a live parent.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfSpinLockCreate, &mut attributes, &mut lock) })?;
        Ok(SpinLock { lock, value: UnsafeCell::new(value) })
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
