//! A whole Hyper-V vPCI host in a process, models of the guests that boot on it, and the `hvpci` command.
//!
//! Without the `cli` feature the crate is `no_std` + `alloc` and holds the host and the guest models only, so that they
//! run inside kernels under test.
#![cfg_attr(not(any(feature = "cli", test)), no_std)]
extern crate alloc;

#[cfg(feature = "cli")]
pub mod cli;
pub mod guest;
pub mod host;
#[cfg(feature = "cli")]
pub mod recording;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod scenario;
#[cfg(feature = "cli")]
pub mod sim;
#[cfg(test)]
mod tests;
