//! Compiles only if the genuine wdk-sys lays out what hvpci.sys uses as the stand-in and the driver do.
#![no_std]
// Generated for the most part.
#![allow(clippy::all, non_snake_case)]

use core::mem::offset_of;

include!("../../layout/compare.rs");
