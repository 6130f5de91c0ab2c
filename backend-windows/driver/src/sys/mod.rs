//! All of the driver that is `unsafe`: what calls Windows, and what Windows calls. The rest of the driver cannot be (`lib.rs`
//! denies it), and reaches Windows through the types here:
//!
//! * what KMDF and KMCL hand to a callback (devices, resource lists, requests, buffers) is lent for that callback: its type
//!   has the callback's lifetime and is made here only;
//! * what is kept for longer keeps a reference ([`bus::BusRef`], [`child::ChildRef`], [`queue::WaitingQueue`]), or is a key that is
//!   looked up ([`child::ChildKey`]);
//! * a callback finds its bus in the context of a WDF object or behind the pointer of a channel, and goes on in a trait that
//!   the modules above implement ([`bus::Bus`], [`child::Functions`], [`interface::Access`], [`queue::Controls`],
//!   [`channel::Client`]).
//!
//! Not in the types, and kept by when the modules above call:
//!
//! * a reference keeps the memory of a WDF object, not the object: after EvtCleanupCallback the methods of a device, a child or
//!   a queue may not be called any more. [`task::Task`] and [`task::Alarm`] are flushed and stopped, children reported, devices
//!   of children set up and queues drained in the callbacks before that. Two places come close: an eject that is asked for
//!   while its child is being deleted, and an interface of a child that tells a waiting request after its queue was deleted;
//! * a channel that the host has closed may be cleaned up once EvtChannelClosed has returned, and the last step of a bus
//!   that is going down at that moment does not wait for that return. Both are *not verified* (`docs/install-windows.md`).
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
