//! All of the driver that is `unsafe`: what calls Windows, and what Windows calls. The rest of the driver cannot be (`lib.rs`
//! denies it), and reaches Windows through the types here:
//!
//! * what KMDF and KMCL hand to a callback (devices, resource lists, requests, buffers) is lent for that callback: its type
//!   has the callback's lifetime and is made here only;
//! * what is kept for longer keeps a reference ([`bus::BusRef`], [`queue::WaitingQueue`]), or is a key that is looked up
//!   ([`child::ChildKey`]);
//! * a callback finds its bus in the context of a WDF object or behind the pointer of a channel, and goes on in a trait that
//!   the modules above implement ([`bus::Bus`], [`child::Functions`], [`interface::Access`], [`queue::Controls`],
//!   [`channel::Client`]).
//!
//! A reference keeps the memory of a WDF object, with its context, and not the object: after EvtCleanupCallback its methods may
//! not be called any more. They are not, whoever holds what:
//!
//! * what belongs to a bus device (work items, timers, child list, physical device) is asked for inside a [`gate`] that is open
//!   from EvtDevicePrepareHardware to EvtDeviceReleaseHardware, where it is shut and those inside are waited for;
//! * a child device is asked for something under the lock of a list that its EvtCleanupCallback takes it off, and set up by
//!   a [`child::NewChild`], which there is in the callback that makes it only;
//! * the queue in which requests wait is given back in its own EvtCleanupCallback ([`queue::Controls::queue_goes`]), under the
//!   lock under which it is used; who puts a request there has that request, for which KMDF waits first.
//!
//! A channel is cleaned up when KMCL is in none of its callbacks: see [`channel`].
//!
//! The IRQL is not in the types. A call at too high an IRQL stops the system, but breaks no memory; every function says its
//! limit, and the loader holds each call to it.

pub mod buffer;
pub mod bus;
pub mod channel;
pub mod child;
mod entry;
pub mod etw;
pub mod event;
mod fdo;
mod gate;
mod handle;
pub mod interface;
mod irp;
mod kmcl;
pub mod lock;
pub mod memory;
pub mod mmio;
pub mod nt;
mod pdo;
pub mod queue;
pub mod resources;
pub mod setup;
mod shared;
pub mod task;
mod work;

use wdk_sys::{NTSTATUS, STATUS_SUCCESS, UNICODE_STRING};

pub use shared::Shared;

/// `Err` for a status that is not a success.
pub fn check(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if wdk::nt_success(status) { Ok(()) } else { Err(status) }
}

/// Makes the result of a callback of its status.
fn status(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.err().unwrap_or(STATUS_SUCCESS)
}

/// A counted string over `units`, which outlive it by the caller's care: Windows copies what it keeps.
fn unicode(units: &[u16]) -> UNICODE_STRING {
    let bytes = u16::try_from(units.len().saturating_mul(2)).unwrap_or(0);
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() }
}
