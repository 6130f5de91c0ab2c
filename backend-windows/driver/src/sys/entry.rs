//! Where Windows enters and leaves the driver.

use wdk_sys::{
    DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, ULONG, WDF_DRIVER_CONFIG, WDF_NO_HANDLE,
    WDF_NO_OBJECT_ATTRIBUTES, WDFDRIVER, call_unsafe_wdf_function_binding,
};

use super::{etw, fdo};
use crate::bus::Parts;
use crate::events;

/// The driver's entry point.
///
/// # Safety
///
/// Called by the I/O manager, once, at PASSIVE_LEVEL.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(driver: &mut DRIVER_OBJECT, registry_path: PCUNICODE_STRING) -> NTSTATUS {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size_of::<WDF_DRIVER_CONFIG>() as ULONG,
        EvtDriverDeviceAdd: Some(fdo::evt_device_add::<Parts>),
        EvtDriverUnload: Some(evt_unload),
        // "vpci" in a pool dump.
        DriverPoolTag: u32::from_le_bytes(*b"vpci"),
        ..WDF_DRIVER_CONFIG::default()
    };
    etw::register(&events::PROVIDER, &events::PROVIDER_TRAITS);
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
        etw::unregister();
    }
    status
}

/// EvtDriverUnload: every device is gone.
unsafe extern "C" fn evt_unload(_driver: WDFDRIVER) {
    etw::unregister();
}
