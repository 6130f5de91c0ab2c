//! Stand-in for the part of wdk-sys 0.5.2 (KMDF 1.33, x64) that the driver and the wdk crates use, for machines without
//! a Windows Driver Kit. Names, types and layouts are those that the genuine crate generates; the layout checks of
//! `tests/windows/` hold the two against each other.
#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, missing_docs, clippy::missing_safety_doc)]

/// `Default` is all zeroes, as bindgen writes it.
macro_rules! zeroed_default {
    ($($t:ty),* $(,)?) => {
        $(impl Default for $t {
            fn default() -> Self {
                // SAFETY: made of integers, raw pointers and `Option`s of function pointers: all zeroes is a value.
                unsafe { core::mem::zeroed() }
            }
        })*
    };
}

/// An enumeration as bindgen's `ModuleConsts` writes it.
macro_rules! c_enum {
    ($module:ident $alias:ident { $($value:ident = $number:expr),* $(,)? }) => {
        pub mod $module {
            pub type Type = core::ffi::c_int;
            $(pub const $value: Type = $number;)*
        }
        pub use self::$module::Type as $alias;
    };
}

#[doc(hidden)]
#[path = "table.rs"]
pub mod __wdf;
mod constants;
pub mod ntddk;
mod types;
mod wdf;
mod wdm;

pub use constants::*;
pub use types::*;
pub use wdf::*;
pub use wdm::*;

#[must_use]
pub const fn NT_SUCCESS(nt_status: NTSTATUS) -> bool {
    nt_status >= 0
}

#[macro_export]
macro_rules! PAGED_CODE {
    () => {
        debug_assert!(unsafe { $crate::ntddk::KeGetCurrentIrql() <= $crate::APC_LEVEL as u8 });
    };
}

#[macro_export]
macro_rules! call_unsafe_wdf_function_binding {
    ($name:ident $(, $argument:expr)* $(,)?) => { $crate::__wdf::$name($($argument),*) };
}

#[unsafe(no_mangle)]
pub static _fltused: () = ();

#[cfg(panic = "abort")]
#[unsafe(no_mangle)]
pub const extern "system" fn __CxxFrameHandler3() -> i32 {
    0
}
