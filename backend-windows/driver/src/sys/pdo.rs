//! What KMDF calls for a child device.

use wdk_sys::{
    IRP_MJ_PNP, IRP_MN_READ_CONFIG, IRP_MN_WRITE_CONFIG, NTSTATUS, PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER,
    PWDFDEVICE_INIT, STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS, ULONG,
    WDF_OBJECT_ATTRIBUTES, WDF_PDO_EVENT_CALLBACKS, WDF_PNPPOWER_EVENT_CALLBACKS, WDF_POWER_DEVICE_STATE, WDFCHILDLIST,
    WDFCMRESLIST, WDFDEVICE, WDFIORESREQLIST, WDFOBJECT, call_unsafe_wdf_function_binding,
};

use super::bus::{BusDevice, BusRef};
use super::child::{Child, ChildInit, Description, Functions};
use super::handle::{self, Context};
use super::resources::{Assigned, Requirements};
use super::{check, interface, status};

/// EvtChildListCreateDevice.
pub unsafe extern "C" fn evt_create_device<B: Functions>(
    list: WDFCHILDLIST,
    id: PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER,
    init: PWDFDEVICE_INIT,
) -> NTSTATUS {
    // SAFETY: KMDF hands over the list of a live bus device, a description of the size that was configured, and the beginnings
    // of a device.
    let create = || unsafe {
        let parent = call_unsafe_wdf_function_binding!(WdfChildListGetDevice, list);
        let bus = BusDevice::<B>::of(parent).ok_or(STATUS_NO_SUCH_DEVICE)?;
        let id = (*id.cast::<Description>()).id;
        B::create_child(bus, id, ChildInit::new(init, bus))
    };
    status(create())
}

/// Creates a child device.
///
/// # Safety
///
/// `init` is that of EvtChildListCreateDevice, for a child of `bus`, and not used after this.
pub unsafe fn create<B: Functions>(
    mut init: PWDFDEVICE_INIT,
    bus: &BusDevice<B>,
    number: u64,
) -> Result<WDFDEVICE, NTSTATUS> {
    let mut pnp = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG,
        EvtDevicePrepareHardware: Some(evt_prepare_hardware::<B>),
        EvtDeviceReleaseHardware: Some(evt_release_hardware::<B>),
        EvtDeviceD0Entry: Some(evt_d0_entry::<B>),
        EvtDeviceD0Exit: Some(evt_d0_exit::<B>),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    };
    let mut events = WDF_PDO_EVENT_CALLBACKS {
        Size: size_of::<WDF_PDO_EVENT_CALLBACKS>() as ULONG,
        EvtDeviceResourceRequirementsQuery: Some(evt_requirements_query::<B>),
        EvtDeviceEject: Some(evt_eject::<B>),
        ..WDF_PDO_EVENT_CALLBACKS::default()
    };
    let mut attributes = WDF_OBJECT_ATTRIBUTES {
        EvtCleanupCallback: Some(evt_cleanup::<B>),
        EvtDestroyCallback: Some(evt_destroy::<B>),
        ..handle::attributes_with_context()
    };
    let mut minors = [IRP_MN_READ_CONFIG as u8, IRP_MN_WRITE_CONFIG as u8];
    // Room first: nothing fails between the device's creation and its context.
    bus.children.with(|all| all.try_reserve(1)).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    let mut device = core::ptr::null_mut();
    // SAFETY: the caller's; the structures and the minor codes are initialised and KMDF copies them. The new device has no
    // context yet, and gives back what is put there.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetPnpPowerEventCallbacks, init, &mut pnp);
        call_unsafe_wdf_function_binding!(WdfPdoInitSetEventCallbacks, init, &mut events);
        check(call_unsafe_wdf_function_binding!(
            WdfDeviceInitAssignWdmIrpPreprocessCallback,
            init,
            Some(interface::evt_config_irp::<B>),
            IRP_MJ_PNP as u8,
            minors.as_mut_ptr(),
            minors.len() as ULONG
        ))?;
        check(call_unsafe_wdf_function_binding!(WdfDeviceCreate, &mut init, &mut attributes, &mut device))?;
        // The bus stays while the child's memory does.
        let owner = bus.keep().into_raw();
        handle::set_context(device.cast(), Context { owner: owner.cast(), number });
    }
    // In the room from above, or, if another device took that, in some more: a device that is not listed cannot be looked up.
    bus.children.with(|all| {
        if all.try_reserve(1).is_ok() {
            all.push(device);
        }
    });
    Ok(device)
}

/// The child device is being deleted: nobody looks it up any more.
unsafe extern "C" fn evt_cleanup<B: Functions>(device: WDFOBJECT) {
    // SAFETY: EvtCleanupCallback of a device that `create` made, which is there, with its context, until this returns.
    if let Some(child) = unsafe { Child::<B>::of(device.cast()) } {
        child.bus().children.with(|all| all.retain(|listed| *listed != child.device()));
    }
}

/// The child device is gone for good, or could not be made.
unsafe extern "C" fn evt_destroy<B: Functions>(device: WDFOBJECT) {
    // SAFETY: EvtDestroyCallback of a device that `create` made, whose context is there until this returns; the reference to the
    // bus is that of `create`, and nobody finds it after this.
    unsafe {
        let Some(child) = Child::<B>::of(device.cast()) else { return };
        let bus = BusRef::from_raw(child.bus());
        B::destroyed(child);
        drop(bus);
    }
}

/// The child device of a callback.
///
/// # Safety
///
/// `device` is what KMDF hands to a callback that `create` registered, and `'a` ends with that callback: KMDF calls those for
/// the devices that `create` made, and deletes none of them while it does.
unsafe fn child<'a, B>(device: WDFDEVICE) -> Result<Child<'a, B>, NTSTATUS> {
    // SAFETY: a child device that is not destroyed for as long as `'a`, by the caller's word.
    unsafe { Child::of(device) }.ok_or(STATUS_NO_SUCH_DEVICE)
}

unsafe extern "C" fn evt_requirements_query<B: Functions>(device: WDFDEVICE, list: WDFIORESREQLIST) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceResourceRequirementsQuery, and the list that it is called to fill.
    let (child, list) = unsafe { (child::<B>(device), Requirements::new(list)) };
    status(child.and_then(|child| B::requirements(child, &list)))
}

unsafe extern "C" fn evt_prepare_hardware<B: Functions>(
    device: WDFDEVICE,
    raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: the device of EvtDevicePrepareHardware, and lists that live until it returns.
    let (child, raw, translated) = unsafe { (child::<B>(device), Assigned::new(raw), Assigned::new(translated)) };
    status(child.and_then(|child| B::prepare(child, raw, translated)))
}

unsafe extern "C" fn evt_release_hardware<B: Functions>(device: WDFDEVICE, _translated: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceReleaseHardware.
    let _ = unsafe { child(device) }.map(B::release);
    STATUS_SUCCESS
}

unsafe extern "C" fn evt_d0_entry<B: Functions>(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceD0Entry.
    status(unsafe { child(device) }.and_then(B::enters_d0))
}

unsafe extern "C" fn evt_d0_exit<B: Functions>(device: WDFDEVICE, target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceD0Exit.
    if let Ok(child) = unsafe { child::<B>(device) } {
        B::leaves_d0(child, child.idles(target));
    }
    STATUS_SUCCESS
}

/// The PnP manager has removed the device's driver, as was asked.
unsafe extern "C" fn evt_eject<B: Functions>(device: WDFDEVICE) -> NTSTATUS {
    // SAFETY: the device of EvtDeviceEject.
    let _ = unsafe { child(device) }.map(B::ejected);
    STATUS_SUCCESS
}
