//! Requests to a child device: internal device controls of METHOD_NEITHER, which only drivers of this machine send, so that
//! the addresses in them are as good as their senders. A request is completed once: by who has it, or when it is dropped.

use core::ffi::c_void;

use wdk_sys::{
    _WDF_EXECUTION_LEVEL, _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_TRI_STATE, NTSTATUS, STATUS_UNSUCCESSFUL, ULONG,
    WDF_IO_QUEUE_CONFIG, WDF_OBJECT_ATTRIBUTES, WDFOBJECT, WDFQUEUE, WDFREQUEST, call_unsafe_wdf_function_binding,
};

use super::buffer::{Input, Output};
use super::bus::Bus;
use super::child::{Child, Kept, NewChild};
use super::irp::{ControlLocation, IrpHead};
use super::{check, handle};

/// What a bus does with device controls of its child devices.
pub trait Controls: Bus {
    /// EvtIoInternalDeviceControl, at PASSIVE_LEVEL.
    fn control(child: Child<'_, Self>, code: u32, request: Request);

    /// The child's [`WaitingQueue`] is being deleted: it is given back before this returns, and nobody who uses it now goes on
    /// after that. At most DISPATCH_LEVEL.
    fn queue_goes(child: Child<'_, Self>);
}

/// A request that the driver has.
pub struct Request(WDFREQUEST);

// SAFETY: the handle may be used on any processor.
unsafe impl Send for Request {}

impl Request {
    /// The request's IRP and its stack location. By pointers: the IRP is others' too.
    fn parts(&self) -> (*const IrpHead, *const ControlLocation) {
        // SAFETY: WdfRequestWdmGetIrp on a request of a queue of a child device that the driver has; its IRP and stack location
        // stay until it is completed, and have this layout.
        unsafe {
            let irp = call_unsafe_wdf_function_binding!(WdfRequestWdmGetIrp, self.0).cast::<IrpHead>().cast_const();
            (irp, (*irp).location.cast())
        }
    }

    /// What was handed over as input. At most DISPATCH_LEVEL.
    pub fn input(&self) -> Input<'_> {
        let (_, location) = self.parts();
        // SAFETY: IOCTLs of METHOD_NEITHER: the sender's buffer has that length until the request is completed, for which it must
        // not be lent.
        unsafe { Input::new((*location).type3_buffer, (*location).input_length as usize) }
    }

    /// The memory of what was handed over as input, to be filled in. At most DISPATCH_LEVEL.
    pub fn input_to_fill(&mut self) -> Output<'_> {
        let (_, location) = self.parts();
        // SAFETY: as above; the control codes of this driver that fill the input in are documented to.
        unsafe { Output::new((*location).type3_buffer, (*location).input_length as usize) }
    }

    /// Where output goes. At most DISPATCH_LEVEL.
    pub fn output(&mut self) -> Output<'_> {
        let (irp, location) = self.parts();
        // SAFETY: as in `input`, for the sender's UserBuffer.
        unsafe { Output::new((*irp).user_buffer, (*location).output_length as usize) }
    }

    /// Completes the request. At most DISPATCH_LEVEL.
    pub fn complete(self, status: NTSTATUS, count: usize) {
        let request = core::mem::ManuallyDrop::new(self);
        // SAFETY: WdfRequestCompleteWithInformation on a request that the driver has, and no longer after this.
        unsafe {
            call_unsafe_wdf_function_binding!(WdfRequestCompleteWithInformation, request.0, status, count as u64);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        Request(self.0).complete(STATUS_UNSUCCESSFUL, 0);
    }
}

/// The manual queue of a child device, in which requests wait, kept by a reference until [`Controls::queue_goes`]. KMDF cancels
/// what waits there when the device goes or its sender no longer wants it. At most DISPATCH_LEVEL.
pub struct WaitingQueue(WDFQUEUE);

// SAFETY: the handle may be used on any processor.
unsafe impl Send for WaitingQueue {}

impl WaitingQueue {
    /// # Safety
    ///
    /// `queue` is a manual queue that is not destroyed before this returns.
    unsafe fn new(queue: WDFQUEUE) -> WaitingQueue {
        // SAFETY: the caller's.
        unsafe { handle::reference(queue.cast()) };
        WaitingQueue(queue)
    }

    /// Lets a request wait. Gives it back where it cannot.
    pub fn put(&self, request: Request) -> Result<(), (Request, NTSTATUS)> {
        // SAFETY: WdfRequestForwardToIoQueue of a request that the driver has. Until the queue has it KMDF waits for the driver
        // before it deletes the device, which is the queue's; that of another device it refuses.
        match check(unsafe { call_unsafe_wdf_function_binding!(WdfRequestForwardToIoQueue, request.0, self.0) }) {
            Ok(()) => {
                // The queue has it.
                core::mem::forget(request);
                Ok(())
            }
            Err(status) => Err((request, status)),
        }
    }

    /// A request that waits; `None` without one.
    pub fn take(&self) -> Option<Request> {
        let mut request = core::ptr::null_mut();
        // SAFETY: WdfIoQueueRetrieveNextRequest on a manual queue whose EvtCleanupCallback has not returned: that takes back what
        // the bus has of it.
        let status = unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueRetrieveNextRequest, self.0, &mut request) };
        wdk::nt_success(status).then(|| Request(request))
    }
}

impl Clone for WaitingQueue {
    fn clone(&self) -> WaitingQueue {
        // SAFETY: this reference keeps the queue.
        unsafe { WaitingQueue::new(self.0) }
    }
}

impl Drop for WaitingQueue {
    fn drop(&mut self) {
        let queue: *mut c_void = self.0.cast();
        // SAFETY: this is the reference that `new` took.
        unsafe { handle::dereference(queue) }
    }
}

impl<B: Controls> NewChild<'_, B> {
    /// Makes the queues of a new child device: the default one, for controls, and one in which they can wait, which is
    /// returned. PASSIVE_LEVEL.
    pub fn make_queues(&self) -> Result<WaitingQueue, NTSTATUS> {
        // Not power-managed: what is controlled is the host's, and drivers do so while they power the device.
        let mut controls = WDF_IO_QUEUE_CONFIG {
            Size: size_of::<WDF_IO_QUEUE_CONFIG>() as ULONG,
            DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
            PowerManaged: _WDF_TRI_STATE::WdfFalse,
            DefaultQueue: 1,
            EvtIoInternalDeviceControl: Some(evt_control::<B>),
            ..WDF_IO_QUEUE_CONFIG::default()
        };
        controls.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
        let mut waiting = WDF_IO_QUEUE_CONFIG {
            Size: size_of::<WDF_IO_QUEUE_CONFIG>() as ULONG,
            DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchManual,
            PowerManaged: _WDF_TRI_STATE::WdfFalse,
            ..WDF_IO_QUEUE_CONFIG::default()
        };
        // Controls wait for the host.
        let mut passive = WDF_OBJECT_ATTRIBUTES {
            ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive,
            ..handle::attributes()
        };
        let mut gives_back =
            WDF_OBJECT_ATTRIBUTES { EvtCleanupCallback: Some(evt_queue_cleanup::<B>), ..handle::attributes() };
        let (mut default_queue, mut queue) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: WdfIoQueueCreate at PASSIVE_LEVEL on a live device, with initialised structures, which KMDF copies. The queues
        // go with the device.
        unsafe {
            let (device, controls, waiting) = (self.device(), &mut controls, &mut waiting);
            check(call_unsafe_wdf_function_binding!(
                WdfIoQueueCreate,
                device,
                controls,
                &mut passive,
                &mut default_queue
            ))?;
            check(call_unsafe_wdf_function_binding!(WdfIoQueueCreate, device, waiting, &mut gives_back, &mut queue))?;
            Ok(WaitingQueue::new(queue))
        }
    }
}

/// EvtIoInternalDeviceControl. The lengths are also in the request.
unsafe extern "C" fn evt_control<B: Controls>(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    code: ULONG,
) {
    // SAFETY: KMDF hands over a request, which is the driver's from here on, of a queue of a child device, which stays until the
    // request is completed, and is kept for longer than that.
    let (request, _kept, child) = unsafe {
        let device = call_unsafe_wdf_function_binding!(WdfIoQueueGetDevice, queue);
        (Request(request), Kept::new(device), Child::<B>::of(device))
    };
    if let Some(child) = child {
        B::control(child, code, request);
    }
}

/// EvtCleanupCallback of the queue in which requests wait: the device that it belongs to is cleaned up after it.
unsafe extern "C" fn evt_queue_cleanup<B: Controls>(queue: WDFOBJECT) {
    // SAFETY: WdfIoQueueGetDevice in the queue's EvtCleanupCallback, before which no child object of its device goes. The device
    // is a child device, since `make_queues` made the queue.
    let child = unsafe { Child::<B>::of(call_unsafe_wdf_function_binding!(WdfIoQueueGetDevice, queue.cast())) };
    if let Some(child) = child {
        B::queue_goes(child);
    }
}
