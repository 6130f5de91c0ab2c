//! Config blocks for the driver of a child, as vpci.h documents them: GUID_VPCI_INTERFACE_STANDARD, whose routines are
//! called at up to APC_LEVEL and wait for the host, and three internal IOCTLs, which the driver may send at up to
//! DISPATCH_LEVEL: to read, to write, and to be told of changes.
//!
//! Changes that nobody asked to be told of are kept, and told to the next who asks.

use core::ffi::c_void;
use core::pin::pin;

use hvpci_core::Slot;
use hvpci_core::bus::{Reply, Request, RequestError, SubmitError};
use hvpci_core::driver::{self, RequestFailure};
use hvpci_windows::blocks::{self, BadBlock};
use wdk_sys::{
    _WDF_EXECUTION_LEVEL, _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_TRI_STATE, GUID, NTSTATUS, PINTERFACE_DEREFERENCE,
    PINTERFACE_REFERENCE, PVOID, STATUS_BUFFER_TOO_SMALL, STATUS_DEVICE_DATA_ERROR, STATUS_DEVICE_NOT_READY,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_IO_TIMEOUT,
    STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS, ULONG, USHORT, WDF_IO_QUEUE_CONFIG, WDF_OBJECT_ATTRIBUTES,
    WDF_QUERY_INTERFACE_CONFIG, WDFDEVICE, WDFQUEUE, WDFREQUEST, call_unsafe_wdf_function_binding,
};

use crate::bus::WindowsBus;
use crate::events;
use crate::interface::{dereference, reference};
use crate::pdo::{is_present, place};
use crate::sys::handle;
use crate::sys::irp::{ControlLocation, IrpHead};
use crate::sys::{check, nt};

/// GUID_VPCI_INTERFACE_STANDARD
static VPCI_INTERFACE: GUID =
    GUID { Data1: 0x12E6_5E71, Data2: 0xB651, Data3: 0x4067, Data4: [0x83, 0x1A, 0x13, 0x83, 0x20, 0x3C, 0xB0, 0xCB] };

/// `VPCI_WRITE_BLOCK` and `VPCI_READ_BLOCK`: context, block, buffer, length.
type Transfer = unsafe extern "C" fn(PVOID, ULONG, PVOID, ULONG) -> NTSTATUS;

/// `VPCI_INTERFACE_STANDARD`; wdk-sys does not bind vpci.h.
#[repr(C)]
struct VpciInterface {
    size: USHORT,
    version: USHORT,
    context: PVOID,
    reference: PINTERFACE_REFERENCE,
    dereference: PINTERFACE_DEREFERENCE,
    write: Transfer,
    read: Transfer,
    serial: u32,
}

const _: () = assert!(size_of::<VpciInterface>() == 0x38);

/// Offers the interface and the IOCTLs on a child device. Returns the queue in which those wait that want to be told of
/// changes. PASSIVE_LEVEL.
pub fn offer(device: WDFDEVICE, serial: u32) -> Result<WDFQUEUE, NTSTATUS> {
    let mut interface = VpciInterface {
        size: size_of::<VpciInterface>() as USHORT,
        version: 1,
        context: device.cast(),
        reference: Some(reference),
        dereference: Some(dereference),
        write: write_block,
        read: read_block,
        serial,
    };
    let mut config = WDF_QUERY_INTERFACE_CONFIG {
        Size: size_of::<WDF_QUERY_INTERFACE_CONFIG>() as ULONG,
        Interface: (&raw mut interface).cast(),
        InterfaceType: &VPCI_INTERFACE,
        ..WDF_QUERY_INTERFACE_CONFIG::default()
    };
    // SAFETY: WdfDeviceAddQueryInterface at PASSIVE_LEVEL; KMDF copies the interface.
    check(unsafe { call_unsafe_wdf_function_binding!(WdfDeviceAddQueryInterface, device, &mut config) })?;
    // Not power-managed: blocks are the host's, and its driver asks for them while it powers the device.
    let mut controls = WDF_IO_QUEUE_CONFIG {
        Size: size_of::<WDF_IO_QUEUE_CONFIG>() as ULONG,
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        PowerManaged: _WDF_TRI_STATE::WdfFalse,
        DefaultQueue: 1,
        EvtIoInternalDeviceControl: Some(evt_control),
        ..WDF_IO_QUEUE_CONFIG::default()
    };
    controls.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
    let mut waiting = WDF_IO_QUEUE_CONFIG {
        Size: size_of::<WDF_IO_QUEUE_CONFIG>() as ULONG,
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchManual,
        PowerManaged: _WDF_TRI_STATE::WdfFalse,
        ..WDF_IO_QUEUE_CONFIG::default()
    };
    // Reading and writing wait for the host.
    let mut passive = WDF_OBJECT_ATTRIBUTES {
        ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive,
        ..handle::attributes()
    };
    let (mut default_queue, mut queue) = (core::ptr::null_mut(), core::ptr::null_mut());
    // SAFETY: WdfIoQueueCreate at PASSIVE_LEVEL on a new device, with initialised structures, which KMDF copies.
    unsafe {
        check(call_unsafe_wdf_function_binding!(
            WdfIoQueueCreate,
            device,
            &mut controls,
            &mut passive,
            &mut default_queue
        ))?;
        let mut plain = handle::attributes();
        check(call_unsafe_wdf_function_binding!(WdfIoQueueCreate, device, &mut waiting, &mut plain, &mut queue))?;
    }
    Ok(queue)
}

unsafe extern "C" fn read_block(context: PVOID, block: ULONG, buffer: PVOID, length: ULONG) -> NTSTATUS {
    let length = length as usize;
    // SAFETY: the caller of ReadVfConfigBlock hands over a buffer of that length.
    match unsafe { read(context.cast(), block, buffer.cast(), length) } {
        // Nothing tells the caller of this routine how much there was.
        Ok(count) if count < length => STATUS_DEVICE_DATA_ERROR,
        Ok(_) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

unsafe extern "C" fn write_block(context: PVOID, block: ULONG, buffer: PVOID, length: ULONG) -> NTSTATUS {
    // SAFETY: the caller of WriteVfConfigBlock hands over a buffer of that length.
    match unsafe { write(context.cast(), block, buffer.cast(), length as usize) } {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

/// Reads a block into `buffer`. Returns the bytes there were, at least one. At most APC_LEVEL.
///
/// # Safety
///
/// `buffer` is writable for `length` bytes.
unsafe fn read(device: WDFDEVICE, block: u32, buffer: *mut u8, length: usize) -> Result<usize, NTSTATUS> {
    let (bus, slot) = present(device)?;
    let request = blocks::read(slot, block, length).map_err(bad)?;
    let Reply::Block(data) = transact(bus, slot, request)? else { return Err(STATUS_DEVICE_NOT_READY) };
    let count = data.len().min(length);
    if count == 0 || buffer.is_null() {
        return Err(STATUS_DEVICE_DATA_ERROR);
    }
    // SAFETY: the caller's; no more than `length` bytes, of which the reply has as many.
    unsafe { core::ptr::copy_nonoverlapping(data.as_ptr(), buffer, count) };
    Ok(count)
}

/// Writes a block. At most APC_LEVEL.
///
/// # Safety
///
/// `buffer` is readable for `length` bytes.
unsafe fn write(device: WDFDEVICE, block: u32, buffer: *const u8, length: usize) -> Result<(), NTSTATUS> {
    let (bus, slot) = present(device)?;
    if buffer.is_null() || length > hvpci_core::bus::MAX_BLOCK {
        return Err(STATUS_INVALID_PARAMETER);
    }
    // SAFETY: the caller's.
    let data = unsafe { core::slice::from_raw_parts(buffer, length) };
    transact(bus, slot, blocks::write(slot, block, data).map_err(bad)?).map(|_| ())
}

fn present<'a>(device: WDFDEVICE) -> Result<(&'a WindowsBus, Slot), NTSTATUS> {
    if is_present(device) { place(device) } else { Err(STATUS_NO_SUCH_DEVICE) }
}

fn bad(error: BadBlock) -> NTSTATUS {
    match error {
        BadBlock::Length(_) => STATUS_INVALID_PARAMETER,
        BadBlock::Buffer => STATUS_BUFFER_TOO_SMALL,
    }
}

/// Asks the host and waits: until it answers, for the request's deadline at the longest, and no longer than the function
/// or the channel is there. At most APC_LEVEL.
fn transact(bus: &WindowsBus, slot: Slot, request: Request) -> Result<Reply, NTSTATUS> {
    let point = bus.children.caller().ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
    let asked = driver::submit(bus, request).map_err(RequestFailure::from);
    let answered = asked.and_then(|ticket| {
        let limit = nt::now().after(bus.settings.request_timeout.saturating_mul(2));
        let answer = driver::answer(bus, ticket, |deadline| point.point.wait(deadline));
        // What is not answered by then is given up.
        point.block_on(pin!(answer), limit).unwrap_or(Err(RequestError::Timeout)).map_err(RequestFailure::from)
    });
    answered.map_err(|failure| {
        events::write(events::WARNING, format_args!("{slot}: config block: {failure}"));
        match failure {
            RequestFailure::Request(RequestError::Timeout) => STATUS_IO_TIMEOUT,
            RequestFailure::Request(RequestError::Rescinded | RequestError::FunctionGone | RequestError::Closed)
            | RequestFailure::Submit(SubmitError::Rescinded | SubmitError::NoFunction(_)) => STATUS_NO_SUCH_DEVICE,
            RequestFailure::Request(RequestError::Refused(status)) => refused(status.0),
            _ => STATUS_DEVICE_NOT_READY,
        }
    })
}

/// The host's status is an NTSTATUS that says no.
fn refused(status: u32) -> NTSTATUS {
    let status = status.cast_signed();
    if status < 0 { status } else { STATUS_DEVICE_NOT_READY }
}

/// EvtIoInternalDeviceControl, at PASSIVE_LEVEL: only drivers of this machine send internal requests, so the addresses in
/// them are as good as the caller.
unsafe extern "C" fn evt_control(queue: WDFQUEUE, request: WDFREQUEST, output: usize, input: usize, code: ULONG) {
    // SAFETY: KMDF hands over a request of a queue of a child device; its IRP and stack location stay until it is completed,
    // and have this layout.
    let (device, type3, user) = unsafe {
        let device = call_unsafe_wdf_function_binding!(WdfIoQueueGetDevice, queue);
        let irp = &*call_unsafe_wdf_function_binding!(WdfRequestWdmGetIrp, request).cast::<IrpHead>();
        (device, (*irp.location.cast::<ControlLocation>()).type3_buffer, irp.user_buffer)
    };
    let result = match code {
        // The structure that is filled in is handed over as input.
        blocks::INVALIDATE if !type3.is_null() && input >= blocks::MASK => match pend(device, request) {
            Ok(()) => return,
            Err(status) => Err(status),
        },
        blocks::READ | blocks::WRITE if !type3.is_null() && input >= blocks::HEAD => {
            // SAFETY: the caller's structure has `input` bytes; it need not be aligned.
            let (block, length) = blocks::head(unsafe { type3.cast::<[u8; blocks::HEAD]>().read_unaligned() });
            match code {
                blocks::READ if output < length => Err(bad(BadBlock::Buffer)),
                // SAFETY: the caller's buffer has `output` bytes, which is not less.
                blocks::READ => unsafe { read(device, block, user, length) },
                _ if input - blocks::HEAD < length => Err(bad(BadBlock::Buffer)),
                // SAFETY: the data follow the head, and there are as many.
                _ => unsafe { write(device, block, type3.wrapping_add(blocks::HEAD), length) }.map(|()| 0),
            }
        }
        blocks::INVALIDATE | blocks::READ | blocks::WRITE => Err(STATUS_BUFFER_TOO_SMALL),
        _ => Err(STATUS_INVALID_DEVICE_REQUEST),
    };
    let (status, count) = match result {
        Ok(count) => (STATUS_SUCCESS, count),
        Err(status) => (status, 0),
    };
    complete(request, status, count);
}

fn complete(request: WDFREQUEST, status: NTSTATUS, count: usize) {
    // SAFETY: WdfRequestCompleteWithInformation on a request that the driver owns, once.
    unsafe { call_unsafe_wdf_function_binding!(WdfRequestCompleteWithInformation, request, status, count as u64) }
}

/// Lets a request wait until blocks change. KMDF cancels it when the device goes or its sender no longer wants it.
fn pend(device: WDFDEVICE, request: WDFREQUEST) -> Result<(), NTSTATUS> {
    let (_, slot) = present(device)?;
    let queue = handle::context(device.cast()).other.cast();
    // SAFETY: WdfRequestForwardToIoQueue to a queue of the same device, from the callback that received the request.
    check(unsafe { call_unsafe_wdf_function_binding!(WdfRequestForwardToIoQueue, request, queue) })?;
    let (bus, _) = place(device)?;
    tell(bus, slot);
    Ok(())
}

/// The host says that blocks of a function have changed. At most DISPATCH_LEVEL.
pub fn invalidated(bus: &WindowsBus, slot: Slot, mask: u64) {
    bus.children.with(slot, |child| child.changed_blocks |= mask);
    tell(bus, slot);
}

/// Completes a waiting request with what has changed, if there are both.
fn tell(bus: &WindowsBus, slot: Slot) {
    // Both are looked for under the lock: of two that come here at once, one finds both.
    let found = bus.children.with(slot, |child| {
        if child.changed_blocks == 0 || child.device.is_null() {
            return None;
        }
        let queue = handle::context(child.device.cast()).other.cast();
        let mut request = core::ptr::null_mut();
        // SAFETY: WdfIoQueueRetrieveNextRequest at DISPATCH_LEVEL on a manual queue, which its device's context keeps a
        // reference to; the device is there, because its destruction takes it out of the table first.
        let status = unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueRetrieveNextRequest, queue, &mut request) };
        (status >= 0).then(|| (request, core::mem::take(&mut child.changed_blocks)))
    });
    if let Some((request, mask)) = found.flatten() {
        // SAFETY: the request was retrieved and is the driver's; `evt_control` has checked that it has room for the mask.
        unsafe {
            let irp = &*call_unsafe_wdf_function_binding!(WdfRequestWdmGetIrp, request).cast::<IrpHead>();
            let place = (*irp.location.cast::<ControlLocation>()).type3_buffer;
            place.cast::<u64>().write_unaligned(mask);
        }
        // The mask went where the input lies: no byte of the output buffer was written.
        complete(request, STATUS_SUCCESS, 0);
    }
}

/// Takes back the reference that a child's context keeps to its queue.
pub fn release(device: WDFDEVICE) {
    let queue: *mut c_void = handle::context(device.cast()).other;
    if !queue.is_null() {
        handle::dereference(queue);
    }
}
