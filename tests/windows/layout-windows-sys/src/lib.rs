//! Compiles only if windows-sys lays out what hvpci.sys uses as the stand-in wdk-sys and the driver do.
#![no_std]
// Generated for the most part.
#![allow(clippy::all, non_snake_case)]

#[allow(unused_imports)]
use core::mem::offset_of;

include!("../../layout/compare.rs");
