//! MSI/MSI-X creation, deletion, retarget arguments, multi-MSI groups.
//!
//! An [`InterruptRequest`] says what a platform wants; [`InterruptRequest::to_create`] checks it against the machine's
//! [`Architecture`] and the bus's protocol version and gives the [`CreateInterrupt`](crate::wire::GuestMessage::CreateInterrupt) message to send. The host answers with a
//! [`MsiEntry`], which the guest writes into the function's MSI capability or MSI-X table itself (the host does not trap
//! those writes) and keeps, in an [`MsiGroup`], for the deletion. On x86 the interrupt is then aimed with the hypercall
//! that [`Retarget`] encodes; arm64 has no such hypercall, and takes its vectors from an [`SpiAllocator`].
//!
//! Nothing here allocates, sleeps or reaches the host: every call is for any context, interrupts off included.

mod group;
mod request;
mod retarget;
mod spi;
mod spread;

pub use crate::wire::MsiEntry;
pub use group::MsiGroup;
pub use request::{Architecture, InterruptError, InterruptRequest};
pub use retarget::{HVCALL_RETARGET_INTERRUPT, Retarget, RetargetArguments, RetargetError};
pub use spi::{SpiAllocator, SpiError, SpiRange};
pub use spread::VpSpread;

#[cfg(test)]
mod tests;
