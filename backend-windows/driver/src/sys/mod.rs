//! Safe wrappers of what all of the driver uses of Windows: locks, events, work items, time, contexts, mapped memory.
//!
//! Not everything unsafe is here. What only one module needs it calls itself, with a SAFETY comment each: device set-up and
//! resource lists (`fdo`, `pdo`, `lists`), the child list (`children`), packets and channels (`channel`), queues and requests
//! (`blocks`), interfaces and IRPs (`interface`), ETW (`events`), and the blocks of futures (`memory`).

pub mod event;
pub mod handle;
pub mod irp;
pub mod kmcl;
pub mod lock;
pub mod mmio;
pub mod nt;
pub mod work;

use wdk_sys::{NTSTATUS, UNICODE_STRING};

/// `Err` for a status that is not a success.
pub fn check(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if wdk::nt_success(status) { Ok(()) } else { Err(status) }
}

/// A counted string over `units`, which outlives it by the caller's care: Windows copies what it keeps.
pub fn unicode(units: &[u16]) -> UNICODE_STRING {
    let bytes = u16::try_from(units.len().saturating_mul(2)).unwrap_or(0);
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() }
}
