//! Work items and timers of a bus device, which go with it.

use core::mem::size_of;

use hvpci_core::Time;
use wdk_sys::{
    NTSTATUS, ULONG, WDF_OBJECT_ATTRIBUTES, WDF_TIMER_CONFIG, WDF_WORKITEM_CONFIG, WDFDEVICE, WDFTIMER, WDFWORKITEM,
    call_unsafe_wdf_function_binding,
};

use super::handle::{self, Context};
use super::{check, nt};

/// A WDF work item, deleted with its device.
#[derive(Clone, Copy)]
pub struct WorkItem(WDFWORKITEM);

// SAFETY: a handle; WDF synchronises.
unsafe impl Send for WorkItem {}
// SAFETY: as above.
unsafe impl Sync for WorkItem {}

impl WorkItem {
    /// Makes a work item whose callback finds `context`.
    ///
    /// # Safety
    ///
    /// `parent` is a live device, and `callback` may be called with such a context until the device is gone.
    pub unsafe fn new(
        parent: WDFDEVICE,
        context: Context,
        callback: unsafe extern "C" fn(WDFWORKITEM),
    ) -> Result<WorkItem, NTSTATUS> {
        let mut config = WDF_WORKITEM_CONFIG {
            Size: size_of::<WDF_WORKITEM_CONFIG>() as ULONG,
            EvtWorkItemFunc: Some(callback),
            ..WDF_WORKITEM_CONFIG::default()
        };
        let mut attributes = WDF_OBJECT_ATTRIBUTES { ParentObject: parent.cast(), ..handle::attributes_with_context() };
        let mut item = core::ptr::null_mut();
        // SAFETY: WdfWorkItemCreate with initialised arguments and a live parent; nobody has queued the item yet.
        unsafe {
            check(call_unsafe_wdf_function_binding!(WdfWorkItemCreate, &mut config, &mut attributes, &mut item))?;
            handle::set_context(item.cast(), context);
        }
        Ok(WorkItem(item))
    }

    /// Queues the work item. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// The device is not deleted.
    pub unsafe fn enqueue(self) {
        // SAFETY: WdfWorkItemEnqueue on a live work item; queueing a queued one is nothing.
        unsafe { call_unsafe_wdf_function_binding!(WdfWorkItemEnqueue, self.0) }
    }

    /// Waits until the callback is neither queued nor running. PASSIVE_LEVEL, not from the callback.
    ///
    /// # Safety
    ///
    /// The device is not deleted.
    pub unsafe fn flush(self) {
        // SAFETY: WdfWorkItemFlush on a live work item at PASSIVE_LEVEL.
        unsafe { call_unsafe_wdf_function_binding!(WdfWorkItemFlush, self.0) }
    }
}

/// A one-shot WDF timer, deleted with its device.
#[derive(Clone, Copy)]
pub struct Timer(WDFTIMER);

// SAFETY: a handle; WDF synchronises.
unsafe impl Send for Timer {}
// SAFETY: as above.
unsafe impl Sync for Timer {}

impl Timer {
    /// Makes a timer whose callback, at DISPATCH_LEVEL, finds `context`.
    ///
    /// # Safety
    ///
    /// As for [`WorkItem::new`].
    pub unsafe fn new(
        parent: WDFDEVICE,
        context: Context,
        callback: unsafe extern "C" fn(WDFTIMER),
    ) -> Result<Timer, NTSTATUS> {
        let mut config = WDF_TIMER_CONFIG {
            Size: size_of::<WDF_TIMER_CONFIG>() as ULONG,
            EvtTimerFunc: Some(callback),
            ..WDF_TIMER_CONFIG::default()
        };
        let mut attributes = WDF_OBJECT_ATTRIBUTES { ParentObject: parent.cast(), ..handle::attributes_with_context() };
        let mut timer = core::ptr::null_mut();
        // SAFETY: WdfTimerCreate with initialised arguments and a live parent; nobody has started the timer yet.
        unsafe {
            check(call_unsafe_wdf_function_binding!(WdfTimerCreate, &mut config, &mut attributes, &mut timer))?;
            handle::set_context(timer.cast(), context);
        }
        Ok(Timer(timer))
    }

    /// Runs the callback at `deadline`, instead of when it was due before. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// The device is not deleted.
    pub unsafe fn start(self, deadline: Time) {
        // SAFETY: WdfTimerStart on a live timer with a relative time.
        let _was_set = unsafe { call_unsafe_wdf_function_binding!(WdfTimerStart, self.0, nt::relative(deadline)) };
    }

    /// Stops the timer and waits until its callback is not running. PASSIVE_LEVEL.
    ///
    /// # Safety
    ///
    /// The device is not deleted.
    pub unsafe fn stop(self) {
        // SAFETY: WdfTimerStop with Wait TRUE on a live timer at PASSIVE_LEVEL.
        let _was_set = unsafe { call_unsafe_wdf_function_binding!(WdfTimerStop, self.0, 1) };
    }
}
