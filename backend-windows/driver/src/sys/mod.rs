//! The one layer that calls Windows: everything unsafe is here or in the callbacks that Windows calls.

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
