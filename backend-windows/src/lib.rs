//! The part of the Windows driver that needs no kernel: how a function is named to the PnP manager, how memory resources
//! are read and written, how the bus's MMIO space is shared out, what can be set, config blocks, and the seam for message interrupts.
//!
//! It is safe, allocation-free Rust, tested on any host. The driver itself is the crate `hvpci` in `driver/`, a workspace
//! of its own because the genuine `wdk` crates build on Windows only.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod blocks;
pub mod ids;
pub mod interrupts;
pub mod ranges;
pub mod resources;
pub mod settings;
pub mod state;
