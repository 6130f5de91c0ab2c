//! hvpci.sys: a KMDF bus driver for the vPCI channels of Hyper-V.
//!
//! The protocol and the decode policy are in `hvpci-core`, what needs no kernel in `hvpci-windows`. Here is what Windows
//! calls ([`fdo`], [`pdo`], [`interface`]), what the core calls ([`platform`], [`bus`], [`channel`], [`children`]), and the layer that
//! calls Windows (`sys`).
#![no_std]

extern crate alloc;
extern crate wdk_panic;

mod blocks;
mod bus;
mod channel;
mod children;
mod events;
mod executor;
mod fdo;
mod interface;
mod lists;
mod memory;
mod messages;
mod pdo;
mod platform;
mod sys;

use wdk_sys::{
    DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, ULONG, WDF_DRIVER_CONFIG, WDF_NO_HANDLE,
    WDF_NO_OBJECT_ATTRIBUTES, WDFDRIVER, call_unsafe_wdf_function_binding,
};

#[global_allocator]
static ALLOCATOR: memory::Allocator = memory::Allocator;

/// The driver's entry point.
///
/// # Safety
///
/// Called by the I/O manager, once, at PASSIVE_LEVEL.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(driver: &mut DRIVER_OBJECT, registry_path: PCUNICODE_STRING) -> NTSTATUS {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size_of::<WDF_DRIVER_CONFIG>() as ULONG,
        EvtDriverDeviceAdd: Some(fdo::evt_device_add),
        EvtDriverUnload: Some(evt_unload),
        // "vpci" in a pool dump.
        DriverPoolTag: u32::from_le_bytes(*b"vpci"),
        ..WDF_DRIVER_CONFIG::default()
    };
    events::register();
    // SAFETY: the arguments are those of DriverEntry; the configuration is initialised and outlives the call.
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverCreate,
            core::ptr::from_mut(driver) as PDRIVER_OBJECT,
            registry_path,
            WDF_NO_OBJECT_ATTRIBUTES,
            &mut config,
            WDF_NO_HANDLE.cast::<WDFDRIVER>()
        )
    };
    if !wdk::nt_success(status) {
        events::unregister();
    }
    status
}

unsafe extern "C" fn evt_unload(_driver: WDFDRIVER) {
    events::unregister();
}
