//! What KMDF calls for a bus device.

use alloc::boxed::Box;

use wdk_sys::{
    _INTERFACE_TYPE, _WDF_POWER_DEVICE_STATE, FILE_DEVICE_BUS_EXTENDER, GUID, NTSTATUS, PNP_BUS_INFORMATION,
    PWDFDEVICE_INIT, STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS, ULONG, WDF_CHILD_LIST_CONFIG, WDF_FDO_EVENT_CALLBACKS,
    WDF_NO_OBJECT_ATTRIBUTES, WDF_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDF_POWER_DEVICE_STATE,
    WDFCMRESLIST, WDFDEVICE, WDFDRIVER, WDFIORESREQLIST, WDFOBJECT, call_unsafe_wdf_function_binding,
};

use super::bus::{Bus, BusDevice};
use super::child::{Description, Functions};
use super::handle::{self, Context};
use super::resources::{AddedTo, Assigned, Requirements};
use super::{check, pdo, status};

/// GUID_BUS_TYPE_PCI
const BUS_TYPE_PCI: GUID =
    GUID { Data1: 0xC8EB_DFB0, Data2: 0xB510, Data3: 0x11D0, Data4: [0x80, 0xE5, 0x00, 0xA0, 0xC9, 0x25, 0x42, 0xE3] };

/// EvtDriverDeviceAdd.
pub unsafe extern "C" fn evt_device_add<B: Functions>(driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: KMDF hands over the driver and the beginnings of a device.
    status(unsafe { add::<B>(driver, init) })
}

/// # Safety
///
/// The arguments are those of EvtDriverDeviceAdd.
unsafe fn add<B: Functions>(driver: WDFDRIVER, mut init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    let mut pnp = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG,
        EvtDevicePrepareHardware: Some(evt_prepare_hardware::<B>),
        EvtDeviceReleaseHardware: Some(evt_release_hardware::<B>),
        EvtDeviceD0Entry: Some(evt_d0_entry::<B>),
        EvtDeviceD0Exit: Some(evt_d0_exit::<B>),
        EvtDeviceSurpriseRemoval: Some(evt_surprise_removal::<B>),
        EvtDeviceQueryRemove: Some(evt_query_remove::<B>),
        EvtDeviceQueryStop: Some(evt_query_stop::<B>),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    };
    let mut fdo = WDF_FDO_EVENT_CALLBACKS {
        Size: size_of::<WDF_FDO_EVENT_CALLBACKS>() as ULONG,
        EvtDeviceFilterAddResourceRequirements: Some(evt_filter_add_requirements::<B>),
        EvtDeviceRemoveAddedResources: Some(evt_remove_added::<B>),
        ..WDF_FDO_EVENT_CALLBACKS::default()
    };
    let mut list = WDF_CHILD_LIST_CONFIG {
        Size: size_of::<WDF_CHILD_LIST_CONFIG>() as ULONG,
        IdentificationDescriptionSize: Description::SIZE,
        EvtChildListCreateDevice: Some(pdo::evt_create_device::<B>),
        ..WDF_CHILD_LIST_CONFIG::default()
    };
    let mut attributes =
        WDF_OBJECT_ATTRIBUTES { EvtDestroyCallback: Some(evt_destroy::<B>), ..handle::attributes_with_context() };
    let mut children =
        PNP_BUS_INFORMATION { BusTypeGuid: BUS_TYPE_PCI, LegacyBusType: _INTERFACE_TYPE::PCIBus, BusNumber: 0 };
    let mut device = core::ptr::null_mut();
    // SAFETY: EvtDriverDeviceAdd hands over `init`; the structures are initialised and KMDF copies them. The new device has no
    // context yet, and destroys what is put there.
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
        let bus = BusDevice::<B>::make(driver, device)?;
        handle::set_context(device.cast(), Context { owner: bus.cast_const().cast(), ..Context::default() });
    }
    Ok(())
}

/// The bus device is gone for good.
unsafe extern "C" fn evt_destroy<B: Bus>(device: WDFOBJECT) {
    // SAFETY: this is the last callback of the device, and of its children, which hold a reference; what `add` put there is
    // nobody else's any more.
    unsafe {
        let bus = handle::context(device).owner.cast::<BusDevice<B>>().cast_mut();
        if !cfg!(feature = "seed-leak") && !bus.is_null() {
            drop(Box::from_raw(bus));
        }
    }
}

/// The bus of a bus device in its callback.
///
/// # Safety
///
/// `device` is what KMDF hands to a callback that `add` registered, and `'a` ends with that callback: KMDF calls those for
/// the devices that `add` made, and deletes none of them while it does.
unsafe fn bus<'a, B>(device: WDFDEVICE) -> Result<&'a BusDevice<B>, NTSTATUS> {
    // SAFETY: a bus device that is not destroyed for as long as `'a`, by the caller's word.
    unsafe { BusDevice::of(device) }.ok_or(STATUS_NO_SUCH_DEVICE)
}

unsafe extern "C" fn evt_filter_add_requirements<B: Bus>(device: WDFDEVICE, list: WDFIORESREQLIST) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceFilterAddResourceRequirements, and the list that it is called to change.
    let (bus, list) = unsafe { (bus::<B>(device), Requirements::new(list)) };
    status(bus.and_then(|bus| B::filter_requirements(bus, &list)))
}

unsafe extern "C" fn evt_remove_added<B: Bus>(
    device: WDFDEVICE,
    raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceRemoveAddedResources, and the two lists that it is called to change.
    let (bus, lists) = unsafe { (bus::<B>(device), [AddedTo::new(raw), AddedTo::new(translated)]) };
    status(bus.and_then(|bus| lists.into_iter().try_for_each(|mut list| B::remove_added(bus, &mut list))))
}

unsafe extern "C" fn evt_prepare_hardware<B: Bus>(
    device: WDFDEVICE,
    _raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: the device of EvtDevicePrepareHardware, and a list that lives until it returns.
    let (bus, translated) = unsafe { (bus::<B>(device), Assigned::new(translated)) };
    let prepare = |bus: &BusDevice<B>| {
        // First, since EvtDeviceReleaseHardware comes even if this fails.
        bus.open();
        bus.granted.set(translated)?;
        B::prepare_hardware(bus, translated)
    };
    status(bus.and_then(prepare))
}

unsafe extern "C" fn evt_release_hardware<B: Bus>(device: WDFDEVICE, _translated: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceReleaseHardware.
    if let Ok(bus) = unsafe { bus::<B>(device) } {
        B::release_hardware(bus);
        bus.close();
        bus.granted.clear();
    }
    STATUS_SUCCESS
}

unsafe extern "C" fn evt_d0_entry<B: Bus>(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceD0Entry.
    status(unsafe { bus(device) }.and_then(B::d0_entry))
}

unsafe extern "C" fn evt_d0_exit<B: Bus>(device: WDFDEVICE, target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceD0Exit.
    if let Ok(bus) = unsafe { bus(device) } {
        B::d0_exit(bus, target == _WDF_POWER_DEVICE_STATE::WdfPowerDeviceD3Final);
    }
    STATUS_SUCCESS
}

unsafe extern "C" fn evt_surprise_removal<B: Bus>(device: WDFDEVICE) {
    // SAFETY: the device of EvtDeviceSurpriseRemoval.
    let _ = unsafe { bus(device) }.map(B::surprise_removal);
}

unsafe extern "C" fn evt_query_remove<B: Bus>(device: WDFDEVICE) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceQueryRemove.
    status(unsafe { bus(device) }.and_then(B::query_remove))
}

unsafe extern "C" fn evt_query_stop<B: Bus>(device: WDFDEVICE) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceQueryStop.
    status(unsafe { bus(device) }.and_then(B::query_stop))
}
