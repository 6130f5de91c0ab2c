//! Runs `hvpci.sys` on Linux: maps the PE, binds its imports to strict fakes of ntoskrnl, KMDF and KMCL, and puts the mock
//! host behind the channel. What it proves is that the linked driver runs and keeps the rules these fakes state; what real
//! KMDF, KMCL, PnP and IRQLs do is not proven by it.
#![allow(non_snake_case)] // the fakes carry their documented names
#![allow(clippy::too_many_arguments)] // so do their signatures
#![allow(clippy::missing_safety_doc)]

pub mod fail;
pub mod fault;
pub mod guard;
pub mod irql;
pub mod kmcl;
pub mod mmio;
pub mod names;
pub mod nt;
pub mod pe;
pub mod pnp;
pub mod scenario;
pub mod stub;
pub mod threads;
pub mod wdf;
pub mod world;

/// The address of a fake, which may be put into a constant.
#[derive(Clone, Copy)]
pub struct Address(pub *const ());

// SAFETY: the address of a function.
unsafe impl Sync for Address {}

/// Lists the fakes of a module: `exports!("dll" => name, ...)`.
#[macro_export]
macro_rules! exports {
    ($dll:literal => $($name:ident),* $(,)?) => {
        /// What this module exports.
        pub const EXPORTS: &[(&str, $crate::Address)] =
            &[$((stringify!($name), $crate::Address($name as *const ()))),*];
    };
}

/// Lists the WDF functions of a module: `wdf_exports!(slot => name, ...)`.
#[macro_export]
macro_rules! wdf_exports {
    ($($slot:literal => $name:ident),* $(,)?) => {
        /// What this module puts into the WDF table.
        pub const FUNCTIONS: &[(u32, &str, $crate::Address)] =
            &[$(($slot, stringify!($name), $crate::Address($name as *const ()))),*];
    };
}

/// The fake of an imported function. Functions of HAL and ntoskrnl are one: Windows forwards them between the two.
pub fn resolve(dll: &str, name: &str) -> Option<*const ()> {
    let lower = dll.to_ascii_lowercase();
    let modules: &[&[(&str, Address)]] = match lower.as_str() {
        "ntoskrnl.exe" | "hal.dll" => &[
            nt::pool::EXPORTS,
            nt::memory::EXPORTS,
            nt::debug::EXPORTS,
            nt::sync::EXPORTS,
            nt::time::EXPORTS,
            nt::work::EXPORTS,
            nt::io::EXPORTS,
        ],
        "wdfldr.sys" => &[wdf::bind::LOADER],
        "vmbkmcl.sys" => &[kmcl::channel::EXPORTS, kmcl::packet::EXPORTS],
        _ => &[],
    };
    modules.iter().copied().flatten().find(|(known, _)| *known == name).map(|(_, address)| address.0)
}
