//! Place of the hvpci linux backend. Nothing stands here yet: no driver is built from this crate.
#![no_std]
#![forbid(unsafe_code)]
