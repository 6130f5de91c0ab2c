//! A whole Hyper-V vPCI host in a process.
#![cfg_attr(not(feature = "cli"), no_std)]
extern crate alloc;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod scenario;
