//! The bus device: what the PnP and power managers ask of it.

use alloc::boxed::Box;
use core::str::FromStr;

use hvpci_core::InstanceId;
use hvpci_windows::resources;
use hvpci_windows::settings::Settings;
use wdk_sys::{
    _INTERFACE_TYPE, _WDF_POWER_DEVICE_STATE, DEVPROPKEY, FILE_DEVICE_BUS_EXTENDER, GUID, KEY_READ, NTSTATUS,
    PNP_BUS_INFORMATION, PWDFDEVICE_INIT, STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS, STATUS_UNSUCCESSFUL, ULONG,
    WDF_CHILD_LIST_CONFIG, WDF_DEVICE_PROPERTY_DATA, WDF_FDO_EVENT_CALLBACKS, WDF_NO_OBJECT_ATTRIBUTES,
    WDF_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDF_POWER_DEVICE_STATE, WDFCMRESLIST, WDFDEVICE, WDFDRIVER,
    WDFOBJECT, call_unsafe_wdf_function_binding,
};

use crate::bus::WindowsBus;
use crate::children::ChildId;
use crate::lists::{assigned, evt_filter_add_requirements, evt_remove_added};
use crate::sys::handle::{self, Context};
use crate::sys::{check, unicode};
use crate::{channel, pdo};

/// GUID_BUS_TYPE_PCI
const BUS_TYPE_PCI: GUID =
    GUID { Data1: 0xC8EB_DFB0, Data2: 0xB510, Data3: 0x11D0, Data4: [0x80, 0xE5, 0x00, 0xA0, 0xC9, 0x25, 0x42, 0xE3] };
/// DEVPKEY_Device_InstanceId
static INSTANCE_ID: DEVPROPKEY = DEVPROPKEY {
    fmtid: GUID {
        Data1: 0x78C3_4FC8,
        Data2: 0x104A,
        Data3: 0x4ACA,
        Data4: [0x9E, 0xA4, 0x52, 0x4D, 0x52, 0x99, 0x6E, 0x57],
    },
    pid: 256,
};

/// Makes the result of a callback of its status.
pub fn status(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.err().unwrap_or(STATUS_SUCCESS)
}

/// The bus of a bus device.
pub fn bus<'a>(device: WDFDEVICE) -> Result<&'a WindowsBus, NTSTATUS> {
    // SAFETY: the context of a bus device is null or the bus that `evt_device_add` put there; it goes with the device, after
    // the last callback.
    unsafe { handle::context(device.cast()).owner.cast::<WindowsBus>().as_ref() }.ok_or(STATUS_NO_SUCH_DEVICE)
}

/// EvtDriverDeviceAdd.
pub unsafe extern "C" fn evt_device_add(driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    status(add(driver, init))
}

fn add(driver: WDFDRIVER, mut init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    let mut pnp = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG,
        EvtDevicePrepareHardware: Some(evt_prepare_hardware),
        EvtDeviceReleaseHardware: Some(evt_release_hardware),
        EvtDeviceD0Entry: Some(evt_d0_entry),
        EvtDeviceD0Exit: Some(evt_d0_exit),
        EvtDeviceSurpriseRemoval: Some(evt_surprise_removal),
        EvtDeviceQueryRemove: Some(evt_query_remove),
        EvtDeviceQueryStop: Some(evt_query_stop),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    };
    let mut fdo = WDF_FDO_EVENT_CALLBACKS {
        Size: size_of::<WDF_FDO_EVENT_CALLBACKS>() as ULONG,
        EvtDeviceFilterAddResourceRequirements: Some(evt_filter_add_requirements),
        EvtDeviceRemoveAddedResources: Some(evt_remove_added),
        ..WDF_FDO_EVENT_CALLBACKS::default()
    };
    let mut list = WDF_CHILD_LIST_CONFIG {
        Size: size_of::<WDF_CHILD_LIST_CONFIG>() as ULONG,
        IdentificationDescriptionSize: ChildId::SIZE,
        EvtChildListCreateDevice: Some(pdo::evt_create_device),
        ..WDF_CHILD_LIST_CONFIG::default()
    };
    let mut attributes =
        WDF_OBJECT_ATTRIBUTES { EvtDestroyCallback: Some(evt_destroy), ..handle::attributes_with_context() };
    let mut children =
        PNP_BUS_INFORMATION { BusTypeGuid: BUS_TYPE_PCI, LegacyBusType: _INTERFACE_TYPE::PCIBus, BusNumber: 0 };
    let mut device = core::ptr::null_mut();
    // SAFETY: EvtDriverDeviceAdd hands over `init`; the structures are initialised and KMDF copies them.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetDeviceType, init, FILE_DEVICE_BUS_EXTENDER);
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetPnpPowerEventCallbacks, init, &mut pnp);
        call_unsafe_wdf_function_binding!(WdfFdoInitSetEventCallbacks, init, &mut fdo);
        call_unsafe_wdf_function_binding!(
            WdfFdoInitSetDefaultChildListConfig,
            init,
            &mut list,
            WDF_NO_OBJECT_ATTRIBUTES
        );
        check(call_unsafe_wdf_function_binding!(WdfDeviceCreate, &mut init, &mut attributes, &mut device))?;
        call_unsafe_wdf_function_binding!(WdfDeviceSetBusInformationForChildren, device, &mut children);
    }
    let bus = WindowsBus::new(device, instance_of(device), settings_of(driver))?;
    handle::set_context(device.cast(), Context { owner: Box::into_raw(bus).cast(), ..Context::default() });
    Ok(())
}

/// The bus device is gone for good.
unsafe extern "C" fn evt_destroy(device: WDFOBJECT) {
    let bus = handle::context(device).owner.cast::<WindowsBus>().cast_mut();
    if cfg!(feature = "seed-leak") || bus.is_null() {
        return;
    }
    // SAFETY: `add` put it there; this is the last callback of the device, and of its children, which hold a reference.
    drop(unsafe { Box::from_raw(bus) });
}

/// The settings in the driver's Parameters key; what is not there has its default.
fn settings_of(driver: WDFDRIVER) -> Settings {
    let mut settings = Settings::default();
    let mut key = core::ptr::null_mut();
    // SAFETY: WdfDriverOpenParametersRegistryKey at PASSIVE_LEVEL on the driver's handle.
    let opened = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverOpenParametersRegistryKey,
            driver,
            KEY_READ,
            WDF_NO_OBJECT_ATTRIBUTES,
            &mut key
        )
    };
    if !wdk::nt_success(opened) {
        return settings;
    }
    for value in Settings::VALUES {
        let mut units = [0u16; 32];
        let used = units.iter_mut().zip(value.name.encode_utf16()).map(|(place, unit)| *place = unit).count();
        let name = unicode(units.get(..used).unwrap_or_default());
        let mut number = 0;
        // SAFETY: WdfRegistryQueryULong at PASSIVE_LEVEL on an open key; the name outlives the call.
        if unsafe { call_unsafe_wdf_function_binding!(WdfRegistryQueryULong, key, &name, &mut number) } >= 0 {
            (value.set)(&mut settings, number);
        }
    }
    // SAFETY: WdfRegistryClose on the open key.
    unsafe { call_unsafe_wdf_function_binding!(WdfRegistryClose, key) };
    settings
}

/// The GUID of the channel instance: the last part of the device's instance id. It names the bus in events only, so a device
/// that has none is called by zeroes.
fn instance_of(device: WDFDEVICE) -> InstanceId {
    let mut data = WDF_DEVICE_PROPERTY_DATA {
        Size: size_of::<WDF_DEVICE_PROPERTY_DATA>() as ULONG,
        PropertyKey: &INSTANCE_ID,
        ..WDF_DEVICE_PROPERTY_DATA::default()
    };
    let mut units = [0u16; 200];
    let (mut length, mut kind) = (0, 0);
    // SAFETY: WdfDeviceQueryPropertyEx at PASSIVE_LEVEL with a buffer of that length.
    let queried = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceQueryPropertyEx,
            device,
            &mut data,
            size_of_val(&units) as ULONG,
            units.as_mut_ptr().cast(),
            &mut length,
            &mut kind
        )
    };
    let mut text = [0u8; 38];
    if queried >= 0 {
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        let name = units.get(..end).unwrap_or_default().rsplit(|unit| *unit == u16::from(b'\\')).next();
        for (place, unit) in text.iter_mut().zip(name.unwrap_or_default()) {
            *place = u8::try_from(*unit).unwrap_or(0);
        }
    }
    let text = core::str::from_utf8(&text).unwrap_or_default();
    InstanceId::from_str(text).unwrap_or(InstanceId::from_bytes([0; 16]))
}

unsafe extern "C" fn evt_prepare_hardware(device: WDFDEVICE, _: WDFCMRESLIST, translated: WDFCMRESLIST) -> NTSTATUS {
    let prepare = || {
        let bus = bus(device)?;
        bus.ranges.with(|ranges| ranges.clear());
        for memory in assigned(translated).filter_map(|descriptor| resources::decode_cm(&descriptor)) {
            bus.ranges.with(|ranges| ranges.give(memory));
        }
        // SAFETY: WdfDeviceWdmGetPhysicalDevice on a live device.
        let parent = unsafe { call_unsafe_wdf_function_binding!(WdfDeviceWdmGetPhysicalDevice, device) };
        bus.install_channel(channel::allocate(bus, parent)?);
        Ok(())
    };
    status(prepare())
}

unsafe extern "C" fn evt_release_hardware(device: WDFDEVICE, _: WDFCMRESLIST) -> NTSTATUS {
    if let Ok(bus) = bus(device) {
        bus.bring_down();
        if let Some(channel) = bus.remove_channel() {
            channel::release(&channel);
        }
    }
    STATUS_SUCCESS
}

unsafe extern "C" fn evt_d0_entry(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    status(bus(device).and_then(WindowsBus::bring_up))
}

unsafe extern "C" fn evt_d0_exit(device: WDFDEVICE, target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    let Ok(bus) = bus(device) else { return STATUS_SUCCESS };
    if target == _WDF_POWER_DEVICE_STATE::WdfPowerDeviceD3Final {
        bus.bring_down();
    } else {
        bus.suspend();
    }
    STATUS_SUCCESS
}

/// The VMBus device is gone: the host rescinded the channel.
unsafe extern "C" fn evt_surprise_removal(device: WDFDEVICE) {
    if let Ok(bus) = bus(device) {
        hvpci_core::driver::channel_rescinded(bus);
    }
}

/// The PnP manager removes the children first: nothing stands against it then.
unsafe extern "C" fn evt_query_remove(_device: WDFDEVICE) -> NTSTATUS {
    STATUS_SUCCESS
}

/// A bus cannot be moved to other resources while its functions' BARs lie in these: rebalancing is refused.
unsafe extern "C" fn evt_query_stop(_device: WDFDEVICE) -> NTSTATUS {
    STATUS_UNSUCCESSFUL
}
