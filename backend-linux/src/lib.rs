//! The Linux backend of hvpci: the Rust half of the kernel module `hvpci.ko`.
//!
//! The C shim (`shim/`) owns what the kernel's headers force into C: macros, inline functions, struct layouts and tables of
//! callbacks. It sees a bus as one opaque pointer and calls the functions of `entry`; this side sees the kernel as the
//! functions of `ffi`. Protocol and policy are in hvpci-core.
//!
//! Only a bare target (`target_os = "none"`) gets the parts that need a kernel. On any other target the crate is what can
//! be tested there: the settings and the texts.
#![no_std]
#![cfg_attr(not(target_os = "none"), forbid(unsafe_code))]
#![cfg_attr(test, allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

extern crate alloc;

pub mod settings;
pub mod text;

#[cfg(target_os = "none")]
mod bus;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod ffi;
#[cfg(target_os = "none")]
mod inspect;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod platform;
#[cfg(target_os = "none")]
mod ports;
#[cfg(target_os = "none")]
mod requests;
#[cfg(target_os = "none")]
mod task;
