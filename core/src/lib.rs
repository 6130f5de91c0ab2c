//! The platform-neutral heart of **hvpci**, the vPCI driver for Hyper-V and Azure guests.
//!
//! A bus has two halves that exchange small records and never wait for each other:
//!
//! * the **engine half** ([`bus::Bus`]): a sans-I/O state machine that speaks the vPCI protocol over one VMBus channel
//!   and owns all ordering, from offer to rescind;
//! * the **config half** ([`config::ConfigSpace`]): the functions' config space as the guest sees it, in front of the
//!   two-page config window, with the deferred-decode policy ([`decode`]) inside.
//!
//! The core knows no OS, no clock, no lock and no thread. A platform implements the traits of [`backend`] and runs the
//! futures of [`driver`]; everything else is here, and runs unchanged in a Linux kernel, a Windows kernel and a unit test.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;

pub mod backend;
pub mod bus;
pub mod config;
pub mod decode;
pub mod driver;
pub mod instance;
pub mod interrupt;
pub mod placement;
pub mod slot;
#[cfg(test)]
mod tests;
pub mod time;
pub mod wire;

pub use instance::InstanceId;
pub use slot::Slot;
pub use time::Time;

/// The one allocation error of the core: a fallible reservation failed.
///
/// Whoever gets it must give up what it was about to build; nothing has been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("out of memory")]
pub struct OutOfMemory;
