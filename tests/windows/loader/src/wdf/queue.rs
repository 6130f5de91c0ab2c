//! I/O queues and requests: internal device controls that a function's driver sends to its child device.

use std::collections::{HashMap, VecDeque};

use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::io::Irp;
use crate::nt::status;
use crate::rule;
use crate::wdf::object::{self, Kind, attributes};
use crate::wdf::{check_size, field, field32};
use crate::world::{Step, wait, with};

/// Queues and requests.
#[derive(Debug, Default)]
pub struct State {
    queues: HashMap<usize, Queue>,
    requests: HashMap<usize, Request>,
    /// How requests ended, until their sender has looked.
    done: HashMap<usize, (i32, u64)>,
}

#[derive(Debug)]
struct Queue {
    device: usize,
    manual: bool,
    default: bool,
    /// EvtIoInternalDeviceControl.
    control: usize,
    waiting: VecDeque<usize>,
    /// Its device goes: it takes nothing any more.
    purged: bool,
}

#[derive(Debug)]
struct Request {
    irp: Box<Irp>,
    /// The manual queue it waits in; 0 while the driver has it.
    queue: usize,
}

/// Bytes of WDF_IO_QUEUE_CONFIG.
const CONFIG: u32 = 96;

unsafe extern "win64" fn WdfIoQueueCreate(
    _globals: usize,
    device: usize,
    config: *const u32,
    given: *const u32,
    out: *mut usize,
) -> i32 {
    const WHAT: &str = "WdfIoQueueCreate";
    irql::at_most(DISPATCH, WHAT);
    check_size(config, CONFIG, "WDF_IO_QUEUE_CONFIG");
    // SAFETY: the size was checked.
    let (given, kind, managed, flags, control, presented) = unsafe {
        let control = field(config, 48);
        (attributes(given), field32(config, 4), field32(config, 8), field32(config, 12), control, field32(config, 80))
    };
    let (manual, default) = (kind == 3, flags & 0xFF00 != 0);
    rule!(matches!(kind, 2 | 3), "{WHAT}: dispatch type {kind}: the loader has parallel and manual queues");
    rule!(managed == 0, "{WHAT}: power-managed queues are not what this driver needs");
    rule!(manual || presented == u32::MAX, "{WHAT}: {presented} requests presented at once: none would be, or few");
    rule!(manual || control != 0, "{WHAT}: a queue without EvtIoInternalDeviceControl");
    rule!(manual || given.level == 2, "{WHAT}: EvtIoInternalDeviceControl would be called at DISPATCH_LEVEL");
    let handle = with(|world| {
        world.wdf.objects.check(device, Kind::Device, WHAT);
        if world.allocation_fails(WHAT) {
            return None;
        }
        let twice = world.wdf.queues.queues.values().any(|queue| queue.device == device && queue.default && default);
        rule!(!twice, "{WHAT}: a second default queue");
        let handle = world.wdf.objects.create(Kind::Queue, given, device);
        let queue = Queue { device, manual, default, control, waiting: VecDeque::new(), purged: false };
        world.wdf.queues.queues.insert(handle, queue);
        Some(handle)
    });
    let Some(handle) = handle else { return status::INSUFFICIENT_RESOURCES };
    // SAFETY: the driver's out parameter.
    unsafe { out.write(handle) };
    status::SUCCESS
}

unsafe extern "win64" fn WdfIoQueueGetDevice(_globals: usize, queue: usize) -> usize {
    irql::at_most(DISPATCH, "WdfIoQueueGetDevice");
    with(|world| {
        world.wdf.objects.check(queue, Kind::Queue, "WdfIoQueueGetDevice");
        world.wdf.queues.queues.get(&queue).map_or(0, |queue| queue.device)
    })
}

unsafe extern "win64" fn WdfIoQueueRetrieveNextRequest(_globals: usize, queue: usize, out: *mut usize) -> i32 {
    const WHAT: &str = "WdfIoQueueRetrieveNextRequest";
    irql::at_most(DISPATCH, WHAT);
    let found = with(|world| {
        world.wdf.objects.check(queue, Kind::Queue, WHAT);
        let state = &mut world.wdf.queues;
        let entry = state.queues.get_mut(&queue)?;
        rule!(entry.manual, "{WHAT}: not a manual queue");
        let request = entry.waiting.pop_front()?;
        state.requests.get_mut(&request)?.queue = 0;
        Some(request)
    });
    let Some(request) = found else { return status::NO_MORE_ENTRIES };
    // SAFETY: the driver's out parameter.
    unsafe { out.write(request) };
    status::SUCCESS
}

fn owned<R>(request: usize, what: &str, f: impl FnOnce(&mut State) -> R) -> R {
    with(|world| {
        world.wdf.objects.check(request, Kind::Request, what);
        let held = world.wdf.queues.requests.get(&request).is_some_and(|entry| entry.queue == 0);
        rule!(held, "{what}({request:#x}): the driver does not own the request");
        let result = f(&mut world.wdf.queues);
        world.changed();
        result
    })
}

unsafe extern "win64" fn WdfRequestForwardToIoQueue(_globals: usize, request: usize, queue: usize) -> i32 {
    const WHAT: &str = "WdfRequestForwardToIoQueue";
    irql::at_most(DISPATCH, WHAT);
    with(|world| world.wdf.objects.check(queue, Kind::Queue, WHAT));
    if with(|world| world.wdf.queues.queues.get(&queue).is_none_or(|queue| queue.purged)) {
        return status::DELETE_PENDING;
    }
    owned(request, WHAT, |state| {
        state.requests.entry(request).and_modify(|entry| entry.queue = queue);
        state.queues.entry(queue).and_modify(|entry| entry.waiting.push_back(request));
    });
    status::SUCCESS
}

unsafe extern "win64" fn WdfRequestCompleteWithInformation(_globals: usize, request: usize, status: i32, bytes: u64) {
    irql::at_most(DISPATCH, "WdfRequestCompleteWithInformation");
    rule!(status != status::PENDING, "WdfRequestCompleteWithInformation with STATUS_PENDING");
    owned(request, "WdfRequestCompleteWithInformation", |state| finish(state, request, status, bytes));
    object::delete(request);
}

fn finish(state: &mut State, request: usize, status: i32, bytes: u64) {
    state.requests.remove(&request);
    state.done.insert(request, (status, bytes));
}

unsafe extern "win64" fn WdfRequestWdmGetIrp(_globals: usize, request: usize) -> usize {
    irql::at_most(DISPATCH, "WdfRequestWdmGetIrp");
    owned(request, "WdfRequestWdmGetIrp", |state| {
        state.requests.get(&request).map_or(0, |entry| &raw const *entry.irp as usize)
    })
}

/// A device goes: what waits in its manual queues is cancelled, and what the driver has it must complete.
pub fn purge(device: usize) {
    let cancelled = with(|world| {
        let state = &mut world.wdf.queues;
        let mut waiting = Vec::new();
        for queue in state.queues.values_mut().filter(|queue| queue.device == device) {
            queue.purged = true;
            waiting.extend(queue.waiting.drain(..));
        }
        waiting.iter().for_each(|request| finish(state, *request, status::CANCELLED, 0));
        world.changed();
        waiting
    });
    cancelled.into_iter().for_each(object::delete);
    wait("the driver's requests of a device that goes", |world| {
        let state = &world.wdf.queues;
        let held = state.requests.values().any(|request| request.irp.device == device);
        if held { Step::Sleep } else { Step::Done(()) }
    });
}

/// Forgets a queue that is gone.
pub fn forget(state: &mut State, handle: usize) {
    state.queues.remove(&handle);
}

/// Sends IRP_MJ_INTERNAL_DEVICE_CONTROL to a child device, as IoCallDriver does. Returns the request, or the status when
/// nobody takes it.
pub fn send(device: usize, code: u32, input: &[u8], output: &mut [u8]) -> Result<usize, i32> {
    const INTERNAL: u8 = 0x0F;
    let parameters = [output.len() as u64, input.len() as u64, code.into(), input.as_ptr() as u64];
    let mut irp = Irp::new(INTERNAL, 0, &parameters);
    irp.set_user_buffer(output.as_mut_ptr() as usize);
    irp.device = device;
    irp.finish();
    let found = with(|world| {
        if world.wdf.objects.is_deleted(device) {
            return None;
        }
        let queue = world
            .wdf
            .queues
            .queues
            .iter()
            .find(|(_, queue)| queue.device == device && queue.default && !queue.purged)?;
        let (queue, routine) = (*queue.0, queue.1.control);
        // Requests have no context of the driver, and no parent that it deletes.
        let request = world.wdf.objects.create(Kind::Request, Default::default(), 0);
        world.wdf.queues.requests.insert(request, Request { irp, queue: 0 });
        Some((queue, routine, request))
    });
    let Some((queue, routine, request)) = found else { return Err(status::NO_SUCH_DEVICE) };
    type Control = unsafe extern "win64" fn(usize, usize, usize, usize, u32);
    // SAFETY: EVT_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL, as the driver registered it.
    let routine: Control = unsafe { std::mem::transmute(routine) };
    irql::at(PASSIVE, "EvtIoInternalDeviceControl", || unsafe {
        routine(queue, request, output.len(), input.len(), code);
    });
    Ok(request)
}

/// How a request ended, if it has.
pub fn outcome(request: usize) -> Option<(i32, u64)> {
    with(|world| world.wdf.queues.done.get(&request).copied())
}

/// The sender no longer wants a request that waits.
pub fn cancel(request: usize) {
    let waited = with(|world| {
        let state = &mut world.wdf.queues;
        let queue = state.requests.get(&request).map_or(0, |entry| entry.queue);
        let waits = state.queues.get_mut(&queue).is_some_and(|queue| {
            queue.waiting.retain(|waiting| *waiting != request);
            true
        });
        if waits {
            finish(state, request, status::CANCELLED, 0);
        }
        waits
    });
    rule!(waited, "a request that was to wait does not");
    object::delete(request);
}

crate::wdf_exports!(152 => WdfIoQueueCreate, 157 => WdfIoQueueGetDevice, 158 => WdfIoQueueRetrieveNextRequest,
    265 => WdfRequestCompleteWithInformation, 281 => WdfRequestForwardToIoQueue, 285 => WdfRequestWdmGetIrp);
