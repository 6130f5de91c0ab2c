//! hvpci.sys: a KMDF bus driver for the vPCI channels of Hyper-V.
//!
//! The protocol and the decode policy are in `hvpci-core`, what needs no kernel in `hvpci-windows`. Here is what a bus and its
//! children do when Windows calls ([`fdo`], [`pdo`], [`interface`], [`blocks`]), what the core calls ([`platform`], [`bus`],
//! [`channel`], [`children`]), and the layer between them and Windows (`sys`), which alone is `unsafe`.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
extern crate wdk_panic;

mod blocks;
mod bus;
mod channel;
mod children;
mod events;
mod fdo;
mod interface;
mod lists;
mod messages;
mod pdo;
mod platform;
#[allow(unsafe_code)]
mod sys;

#[global_allocator]
static ALLOCATOR: sys::memory::Allocator = sys::memory::Allocator;
