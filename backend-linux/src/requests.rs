//! Config blocks: what function drivers ask of the host, waiting for the answer.

use core::ffi::c_void;
use core::task::Poll;

use hvpci_core::bus::{BlockData, Reply, Request, RequestError, SubmitError};
use hvpci_core::driver;

use crate::bus::{LinuxBus, slot};
use crate::entry::bus;
use crate::ffi::{self, errno};

/// How often a wait looks for a rescinded channel, in milliseconds.
const TICK: u32 = 100;

/// Waits for the answer; the engine's deadline ends it. Sleepable.
fn ask(platform: &LinuxBus, request: Request) -> Result<Reply, i32> {
    let ticket = driver::submit(platform, request).map_err(|error| match error {
        SubmitError::Full => errno::EAGAIN,
        SubmitError::BlockSize(_) => errno::EINVAL,
        _ => errno::ENODEV,
    })?;
    loop {
        // SAFETY: the bus exists. The count is taken before the look, so no wake is missed.
        let seen = unsafe { ffi::hvpci_shim_wakes(platform.shim) };
        match driver::poll(platform, ticket) {
            Poll::Ready(Ok(reply)) => return Ok(reply),
            Poll::Ready(Err(RequestError::Timeout)) => return Err(errno::ETIMEDOUT),
            Poll::Ready(Err(RequestError::Refused(_))) => return Err(errno::EIO),
            Poll::Ready(Err(_)) => return Err(errno::ENODEV),
            Poll::Pending => {}
        }
        if platform.rescinded() {
            driver::withdraw(platform, ticket);
            return Err(errno::ENODEV);
        }
        // SAFETY: the bus exists; the caller may sleep.
        unsafe { ffi::hvpci_shim_wait(platform.shim, seen, TICK) };
    }
}

/// # Safety
///
/// See [`bus`]. `buffer` is valid for `length` bytes, and may be null where that is 0; `returned` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_block_read(
    rust: *mut c_void,
    devfn: u32,
    block: u32,
    buffer: *mut u8,
    length: u32,
    returned: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    let (Some(slot), Ok(bytes)) = (slot(devfn), u16::try_from(length)) else { return -errno::EINVAL };
    match ask(platform, Request::ReadBlock { slot, block, bytes }) {
        Ok(Reply::Block(data)) => {
            let count = data.len().min(usize::from(bytes));
            // Where there is nothing to read, there may be no buffer.
            if count > 0 {
                // SAFETY: the caller's promise; count is at most length.
                unsafe { core::ptr::copy_nonoverlapping(data.as_ptr(), buffer, count) };
            }
            // SAFETY: the caller's promise.
            unsafe { returned.write(u32::try_from(count).unwrap_or(0)) };
            0
        }
        Ok(_) => -errno::EIO,
        Err(error) => -error,
    }
}

/// # Safety
///
/// See [`bus`]. `buffer` is valid for `length` bytes, and may be null where that is 0.
#[unsafe(no_mangle)]
unsafe extern "C" fn hvpci_rs_block_write(
    rust: *mut c_void,
    devfn: u32,
    block: u32,
    buffer: *const u8,
    length: u32,
) -> i32 {
    // SAFETY: the caller's promise.
    let platform = unsafe { bus(rust) };
    let Some(slot) = slot(devfn) else { return -errno::EINVAL };
    // Nothing to write may come without a buffer, which a slice can't be made of.
    let bytes = match length {
        0 => &[],
        // SAFETY: the caller's promise.
        _ => unsafe { core::slice::from_raw_parts(buffer, length as usize) },
    };
    let mut data = BlockData::new();
    if data.try_extend_from_slice(bytes).is_err() {
        return -errno::EINVAL;
    }
    match ask(platform, Request::WriteBlock { slot, block, data }) {
        Ok(_) => 0,
        Err(error) => -error,
    }
}
