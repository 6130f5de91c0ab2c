//! A whole Hyper-V vPCI host in a process.
#![cfg_attr(not(feature = "cli"), no_std)]
extern crate alloc;

#[cfg(feature = "cli")]
pub mod recording;
