//! Config blocks for the driver of a child, as vpci.h documents them: GUID_VPCI_INTERFACE_STANDARD, whose routines are
//! called at up to APC_LEVEL and wait for the host, and three internal IOCTLs, which the driver may send at up to
//! DISPATCH_LEVEL: to read, to write, and to be told of changes.
//!
//! Changes that nobody asked to be told of are kept, and told to the next who asks.

use core::pin::pin;

use hvpci_core::Slot;
use hvpci_core::bus::{MAX_BLOCK, Reply, Request, RequestError, SubmitError};
use hvpci_core::driver::{self, RequestFailure};
use hvpci_windows::blocks::{self, BadBlock};
use wdk_sys::{
    NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_DEVICE_DATA_ERROR, STATUS_DEVICE_NOT_READY,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_IO_TIMEOUT,
    STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS,
};

use crate::bus::{Parts, WindowsBus};
use crate::events;
use crate::pdo::{Device, is_present, slot_of, with_child};
use crate::sys::buffer::{Input, Output};
use crate::sys::nt;
use crate::sys::queue::{self, Controls};

/// Reads a block of as many bytes as there is room for. At most APC_LEVEL.
pub fn read_whole(device: Device<'_>, block: u32, buffer: &mut Output<'_>) -> Result<(), NTSTATUS> {
    let length = buffer.len();
    // Nothing tells the caller of this how much there was.
    let count = read(device, block, buffer, length)?;
    if count < length { Err(STATUS_DEVICE_DATA_ERROR) } else { Ok(()) }
}

/// Reads a block of up to `length` bytes into `buffer`. Returns the bytes there were, at least one. At most APC_LEVEL.
fn read(device: Device<'_>, block: u32, buffer: &mut Output<'_>, length: usize) -> Result<usize, NTSTATUS> {
    let (bus, slot) = present(device)?;
    let request = blocks::read(slot, block, length).map_err(bad)?;
    let Reply::Block(data) = transact(bus, slot, request)? else { return Err(STATUS_DEVICE_NOT_READY) };
    let data = data.get(..data.len().min(length)).unwrap_or_default();
    if data.is_empty() || !buffer.put(0, data) {
        return Err(STATUS_DEVICE_DATA_ERROR);
    }
    Ok(data.len())
}

/// Writes a block of the `length` bytes at an offset of `buffer`. At most APC_LEVEL.
pub fn write(device: Device<'_>, block: u32, buffer: &Input<'_>, at: usize, length: usize) -> Result<(), NTSTATUS> {
    let (bus, slot) = present(device)?;
    let mut copy = [0; MAX_BLOCK];
    let data = copy.get_mut(..length).ok_or(STATUS_INVALID_PARAMETER)?;
    if !buffer.copy(at, data) {
        return Err(STATUS_INVALID_PARAMETER);
    }
    transact(bus, slot, blocks::write(slot, block, data).map_err(bad)?).map(|_| ())
}

/// The bus and the slot of a device whose function is still on the bus.
fn present(device: Device<'_>) -> Result<(&WindowsBus, Slot), NTSTATUS> {
    if is_present(device) { Ok((device.bus(), slot_of(device)?)) } else { Err(STATUS_NO_SUCH_DEVICE) }
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

impl Controls for Parts {
    fn control(device: Device<'_>, code: u32, mut request: queue::Request) {
        let result = match (code, request.input().len()) {
            // The structure that is filled in is handed over as input.
            (blocks::INVALIDATE, blocks::MASK..) => match pend(device, request) {
                Ok(()) => return,
                Err((back, status)) => {
                    request = back;
                    Err(status)
                }
            },
            (blocks::READ | blocks::WRITE, blocks::HEAD..) => transfer(device, code, &mut request),
            (blocks::INVALIDATE | blocks::READ | blocks::WRITE, _) => Err(STATUS_BUFFER_TOO_SMALL),
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        match result {
            Ok(count) => request.complete(STATUS_SUCCESS, count),
            Err(status) => request.complete(status, 0),
        }
    }

    fn queue_goes(device: Device<'_>) {
        // Dropped here, without the lock.
        drop(with_child(device, |child| child.waiting.take()));
    }
}

/// Reads or writes a block for a request with a whole head. Returns the bytes of its output.
fn transfer(device: Device<'_>, code: u32, request: &mut queue::Request) -> Result<usize, NTSTATUS> {
    let mut head = [0; blocks::HEAD];
    if !request.input().copy(0, &mut head) {
        return Err(STATUS_BUFFER_TOO_SMALL);
    }
    let (block, length) = blocks::head(head);
    let too_small = Err(bad(BadBlock::Buffer));
    if code == blocks::READ {
        let mut output = request.output();
        if output.len() < length { too_small } else { read(device, block, &mut output, length) }
    } else {
        // The data follow the head.
        let input = request.input();
        if input.len() - blocks::HEAD < length {
            return too_small;
        }
        write(device, block, &input, blocks::HEAD, length).map(|()| 0)
    }
}

/// Lets a request wait until blocks change. Gives it back where it cannot.
fn pend(device: Device<'_>, request: queue::Request) -> Result<(), (queue::Request, NTSTATUS)> {
    let found = present(device).and_then(|found| Ok((found, with_child(device, |child| child.waiting.clone())?)));
    let ((bus, slot), waiting) = match found {
        Ok((found, Some(waiting))) => (found, waiting),
        Ok((_, None)) => return Err((request, STATUS_NO_SUCH_DEVICE)),
        Err(status) => return Err((request, status)),
    };
    // Without the lock: it may be cancelled at once, and its sender come back.
    waiting.put(request)?;
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
        if child.changed_blocks == 0 {
            return None;
        }
        let request = child.waiting.as_ref()?.take()?;
        Some((request, core::mem::take(&mut child.changed_blocks)))
    });
    if let Some((mut request, mask)) = found.flatten() {
        // `control` has checked that there is room for the mask.
        let told = request.input_to_fill().put(0, &mask.to_le_bytes());
        // The mask went where the input lies: no byte of the output buffer was written.
        request.complete(if told { STATUS_SUCCESS } else { STATUS_BUFFER_TOO_SMALL }, 0);
    }
}
