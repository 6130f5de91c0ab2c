//! The functions as devices: one PDO each.

use alloc::vec::Vec;
use core::pin::{Pin, pin};

use hvpci_core::driver::{self, RequestFailure};
use hvpci_core::{Slot, Time};
use hvpci_windows::ids::{Id, Ids};
use hvpci_windows::interrupts;
use hvpci_windows::resources::{self, Memory, MemoryNeed};
use wdk_sys::{
    _INTERFACE_TYPE, _WDF_POWER_DEVICE_STATE, _WDF_TRI_STATE, NTSTATUS, POWER_ACTION,
    PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER, PWDFDEVICE_INIT, STATUS_DEVICE_CONFIGURATION_ERROR,
    STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES, STATUS_IO_TIMEOUT, STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS,
    ULONG, WDF_DEVICE_PNP_CAPABILITIES, WDF_NO_OBJECT_ATTRIBUTES, WDF_OBJECT_ATTRIBUTES, WDF_PDO_EVENT_CALLBACKS,
    WDF_PNPPOWER_EVENT_CALLBACKS, WDF_POWER_DEVICE_STATE, WDFCHILDLIST, WDFCMRESLIST, WDFDEVICE, WDFIORESLIST,
    WDFIORESREQLIST, WDFOBJECT, call_unsafe_wdf_function_binding,
};

use crate::bus::WindowsBus;
use crate::children::{Caller, Child, ChildId};
use crate::events;
use crate::executor::BlockPoint;
use crate::fdo::status;
use crate::lists::{append_need, assigned, assigned_twice};
use crate::sys::handle::{self, Context};
use crate::sys::{check, nt, unicode};
use crate::{blocks, interface, messages};

/// English, as the texts are.
const LOCALE: u32 = 0x409;
/// The bus and the slot of a child device.
pub fn place<'a>(device: WDFDEVICE) -> Result<(&'a WindowsBus, Slot), NTSTATUS> {
    let context = handle::context(device.cast());
    // SAFETY: the context of a child device names its bus, which the child keeps alive by a reference on its device.
    let bus = unsafe { context.owner.cast::<WindowsBus>().as_ref() }.ok_or(STATUS_NO_SUCH_DEVICE)?;
    let slot = u32::try_from(context.number).ok().and_then(Slot::from_wire).ok_or(STATUS_NO_SUCH_DEVICE)?;
    Ok((bus, slot))
}

/// Runs `f` on the child that `device` stands for, unless the function has left or another one has taken its slot.
pub fn with_child<R>(device: WDFDEVICE, f: impl FnOnce(&mut Child) -> R) -> Result<R, NTSTATUS> {
    let (bus, slot) = place(device)?;
    let own = |child: &mut Child| (child.device == device).then(|| f(child));
    bus.children.with(slot, own).flatten().ok_or(STATUS_NO_SUCH_DEVICE)
}

/// Whether the function that `device` stands for is still on the bus. At most DISPATCH_LEVEL.
pub fn is_present(device: WDFDEVICE) -> bool {
    with_child(device, |child| child.state.reported).unwrap_or(false)
}

/// EvtChildListCreateDevice.
pub unsafe extern "C" fn evt_create_device(
    list: WDFCHILDLIST,
    id: PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER,
    init: PWDFDEVICE_INIT,
) -> NTSTATUS {
    // SAFETY: KMDF hands over a description of the size that was configured, which is that of a ChildId, and the list of a
    // live bus device.
    let (id, parent) = unsafe {
        let parent = call_unsafe_wdf_function_binding!(WdfChildListGetDevice, list);
        (id.cast::<ChildId>().read(), parent)
    };
    status(create(parent, id, init))
}

fn create(parent: WDFDEVICE, id: ChildId, mut init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    let owner = handle::context(parent.cast()).owner;
    // SAFETY: the context of a bus device is its bus, alive while its child list is.
    let bus = unsafe { owner.cast::<WindowsBus>().as_ref() }.ok_or(STATUS_NO_SUCH_DEVICE)?;
    let slot = Slot::from_wire(id.slot).ok_or(STATUS_NO_SUCH_DEVICE)?;
    // Another function may have taken the slot since the description was reported.
    let same = |child: &mut Child| id.is_of(&child.function).then_some(child.function);
    let function = bus.children.with(slot, same).flatten().ok_or(STATUS_NO_SUCH_DEVICE)?;
    let ids = Ids(&function.description);
    name(init, &ids)?;
    add_ids(init, &ids)?;

    let mut pnp = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG,
        EvtDevicePrepareHardware: Some(evt_prepare_hardware),
        EvtDeviceReleaseHardware: Some(evt_release_hardware),
        EvtDeviceD0Entry: Some(evt_d0_entry),
        EvtDeviceD0Exit: Some(evt_d0_exit),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    };
    let mut events = WDF_PDO_EVENT_CALLBACKS {
        Size: size_of::<WDF_PDO_EVENT_CALLBACKS>() as ULONG,
        EvtDeviceResourceRequirementsQuery: Some(evt_requirements_query),
        EvtDeviceEject: Some(evt_eject),
        ..WDF_PDO_EVENT_CALLBACKS::default()
    };
    let mut attributes =
        WDF_OBJECT_ATTRIBUTES { EvtDestroyCallback: Some(evt_destroy), ..handle::attributes_with_context() };
    let mut capabilities = WDF_DEVICE_PNP_CAPABILITIES {
        Size: size_of::<WDF_DEVICE_PNP_CAPABILITIES>() as ULONG,
        LockSupported: _WDF_TRI_STATE::WdfUseDefault,
        EjectSupported: _WDF_TRI_STATE::WdfTrue,
        Removable: _WDF_TRI_STATE::WdfTrue,
        DockDevice: _WDF_TRI_STATE::WdfFalse,
        // Unique on this bus only.
        UniqueID: _WDF_TRI_STATE::WdfFalse,
        SilentInstall: _WDF_TRI_STATE::WdfUseDefault,
        SurpriseRemovalOK: _WDF_TRI_STATE::WdfTrue,
        HardwareDisabled: _WDF_TRI_STATE::WdfUseDefault,
        NoDisplayInUI: _WDF_TRI_STATE::WdfUseDefault,
        Address: ids.address(),
        UINumber: function.description.serial,
    };
    let mut device = core::ptr::null_mut();
    // SAFETY: EvtChildListCreateDevice hands over `init`; the structures are initialised and KMDF copies them.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetPnpPowerEventCallbacks, init, &mut pnp);
        call_unsafe_wdf_function_binding!(WdfPdoInitSetEventCallbacks, init, &mut events);
        interface::take_config_irps(init)?;
        check(call_unsafe_wdf_function_binding!(WdfDeviceCreate, &mut init, &mut attributes, &mut device))?;
        call_unsafe_wdf_function_binding!(WdfDeviceSetPnpCapabilities, device, &mut capabilities);
    }
    // The bus stays while the child's memory does; `evt_destroy` gives the reference back.
    handle::reference(parent.cast());
    let context = Context { owner, number: u64::from(id.slot), ..Context::default() };
    handle::set_context(device.cast(), context);
    interface::offer(device)?;
    let other = blocks::offer(device, function.description.serial)?.cast();
    handle::reference(other);
    handle::set_context(device.cast(), Context { other, ..context });
    let adopted = bus.children.with(slot, |child| {
        let same = id.is_of(&child.function);
        if same {
            child.device = device;
            child.state.created = true;
            child.state.ejected = false;
        }
        same
    });
    if adopted == Some(true) { Ok(()) } else { Err(STATUS_NO_SUCH_DEVICE) }
}

/// Gives the device its identifiers.
#[inline(never)]
fn name(init: PWDFDEVICE_INIT, ids: &Ids<'_>) -> Result<(), NTSTATUS> {
    let (device, instance, text, location) = (ids.device(), ids.instance(), ids.description(), ids.location(0));
    let string = |id: &Id| unicode(id.units());
    // SAFETY: EvtChildListCreateDevice hands over `init`; KMDF copies every string, each of which outlives its call.
    unsafe {
        check(call_unsafe_wdf_function_binding!(WdfPdoInitAssignDeviceID, init, &string(&device)))?;
        check(call_unsafe_wdf_function_binding!(WdfPdoInitAssignInstanceID, init, &string(&instance)))?;
        check(call_unsafe_wdf_function_binding!(
            WdfPdoInitAddDeviceText,
            init,
            &string(&text),
            &string(&location),
            LOCALE
        ))?;
        call_unsafe_wdf_function_binding!(WdfPdoInitSetDefaultLocale, init, LOCALE);
    }
    Ok(())
}

/// Gives the device the lists by which a driver is found for it.
#[inline(never)]
fn add_ids(init: PWDFDEVICE_INIT, ids: &Ids<'_>) -> Result<(), NTSTATUS> {
    for id in &ids.hardware() {
        // SAFETY: EvtChildListCreateDevice hands over `init`; KMDF copies the string, which outlives the call.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfPdoInitAddHardwareID, init, &unicode(id.units())) })?;
    }
    for id in &ids.compatible() {
        // SAFETY: as above.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfPdoInitAddCompatibleID, init, &unicode(id.units())) })?;
    }
    Ok(())
}

/// The device is gone for good, or could not be made.
unsafe extern "C" fn evt_destroy(device: WDFOBJECT) {
    let Ok((bus, _)) = place(device.cast()) else { return };
    let _ = with_child(device.cast(), |child| {
        child.device = core::ptr::null_mut();
        (child.state.created, child.state.started) = (false, false);
    });
    blocks::release(device.cast());
    bus.wake_publisher();
    handle::dereference(bus.device.cast());
}

/// EvtDeviceResourceRequirementsQuery: the BARs, where the bus has placed them.
unsafe extern "C" fn evt_requirements_query(device: WDFDEVICE, requirements: WDFIORESREQLIST) -> NTSTATUS {
    status(requirements_of(device, requirements))
}

fn requirements_of(device: WDFDEVICE, requirements: WDFIORESREQLIST) -> Result<(), NTSTATUS> {
    let (bus, slot) = place(device)?;
    let function = with_child(device, |child| child.function)?;
    // SAFETY: the requirements list that KMDF hands to the callback.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfIoResourceRequirementsListSetInterfaceType,
            requirements,
            _INTERFACE_TYPE::PCIBus
        );
        call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListSetSlotNumber, requirements, slot.to_wire());
    }
    // With messages, or, where nobody can give any, without.
    for with_messages in [true, false] {
        let list = new_list(requirements)?;
        if with_messages && !messages::append_needs(bus, slot, list)? {
            // The list is deleted with the requirements.
            continue;
        }
        for bar in function.layout.iter() {
            let Some(Some(base)) = function.bars.get(usize::from(bar.index)) else { continue };
            append_need(list, &MemoryNeed::fixed(*base, bar.size, bar.prefetchable))?;
        }
        // SAFETY: as above; the list is complete.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListAppendIoResList, requirements, list)
        })?;
    }
    Ok(())
}

fn new_list(requirements: WDFIORESREQLIST) -> Result<WDFIORESLIST, NTSTATUS> {
    let mut list = core::ptr::null_mut();
    // SAFETY: WdfIoResourceListCreate at PASSIVE_LEVEL on the list that KMDF handed to the callback.
    check(unsafe {
        call_unsafe_wdf_function_binding!(WdfIoResourceListCreate, requirements, WDF_NO_OBJECT_ATTRIBUTES, &mut list)
    })?;
    Ok(list)
}

unsafe extern "C" fn evt_prepare_hardware(device: WDFDEVICE, raw: WDFCMRESLIST, translated: WDFCMRESLIST) -> NTSTATUS {
    let prepare = || {
        let (bus, slot) = place(device)?;
        let function = with_child(device, |child| child.function)?;
        // The host is told the addresses that the bus placed: others than those must not be handed to the driver.
        let known = |memory: &Memory| {
            function.layout.iter().any(|bar| {
                let base = function.bars.get(usize::from(bar.index)).copied().flatten();
                base == Some(memory.base) && bar.size == memory.size
            })
        };
        if !assigned(translated).filter_map(|descriptor| resources::decode_cm(&descriptor)).all(|memory| known(&memory))
        {
            events::write(events::ERROR, format_args!("{slot}: the PnP manager moved a BAR"));
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        let mut messages = Vec::new();
        let pairs = assigned_twice(raw, translated);
        for message in pairs.filter_map(|(raw, translated)| interrupts::decode_message(&raw, &translated)) {
            messages.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
            messages.push(message);
        }
        // What was there before is dropped outside of the lock.
        with_child(device, |child| {
            child.state.started = true;
            core::mem::swap(&mut child.messages, &mut messages);
        })?;
        driver::function_bound(bus, slot, true);
        Ok(())
    };
    status(prepare())
}

unsafe extern "C" fn evt_release_hardware(device: WDFDEVICE, _: WDFCMRESLIST) -> NTSTATUS {
    if let Ok((bus, slot)) = place(device) {
        // A function that was idle has not left D0 in the host's eyes: EvtDeviceD0Exit came when it idled.
        if with_child(device, |child| core::mem::take(&mut child.state.kept_mapped)) == Ok(true) {
            power_down(device, bus, slot, power_deadline(bus));
            bus.report_ledger(slot);
        } else {
            messages::disconnect(device);
        }
        if with_child(device, |child| child.state.started = false).is_ok() {
            driver::function_bound(bus, slot, false);
        }
        bus.wake_publisher();
    }
    STATUS_SUCCESS
}

/// The function's driver starts, or comes back from D3: the host maps its BARs now, once.
unsafe extern "C" fn evt_d0_entry(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    let enter = || {
        let (bus, slot) = place(device)?;
        if with_child(device, |child| core::mem::take(&mut child.state.kept_mapped))? {
            return Ok(());
        }
        let limit = power_deadline(bus);
        let powered = power_up(bus, slot, limit)
            .and_then(|()| messages::connect(device, limit).inspect_err(|_| power_down(device, bus, slot, limit)));
        bus.report_ledger(slot);
        powered
    };
    status(enter())
}

/// The function's driver stops, or idles.
unsafe extern "C" fn evt_d0_exit(device: WDFDEVICE, target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    let Ok((bus, slot)) = place(device) else { return STATUS_SUCCESS };
    // SAFETY: WdfDeviceGetSystemPowerAction on a live device, in a power callback.
    let action = unsafe { call_unsafe_wdf_function_binding!(WdfDeviceGetSystemPowerAction, device) };
    let idles = target == _WDF_POWER_DEVICE_STATE::WdfPowerDeviceD3 && action == POWER_ACTION::PowerActionNone;
    if idles && bus.settings.keep_mapped_in_d3 && with_child(device, |child| child.state.kept_mapped = true).is_ok() {
        return STATUS_SUCCESS;
    }
    // A child that has left is powered down by the host.
    if with_child(device, |_| ()).is_ok() {
        power_down(device, bus, slot, power_deadline(bus));
        bus.report_ledger(slot);
    }
    STATUS_SUCCESS
}

/// Until when a power callback that begins now may wait, all in all.
fn power_deadline(bus: &WindowsBus) -> Time {
    nt::now().after(bus.settings.power_limit())
}

/// Has the host map a function. On its own, as what waits takes room on the stack.
#[inline(never)]
fn power_up(bus: &WindowsBus, slot: Slot, limit: Time) -> Result<(), NTSTATUS> {
    let point = caller(bus)?;
    let wait = |deadline| point.point.wait(deadline);
    wait_for(&point, slot, limit, pin!(driver::power_on_at(bus, slot, wait)))
}

/// Takes a function's interrupts and its map back. A host that does not answer is not asked twice; after `limit` it is
/// asked, and not waited for.
#[inline(never)]
fn power_down(device: WDFDEVICE, bus: &WindowsBus, slot: Slot, limit: Time) {
    messages::disconnect(device);
    let Ok(point) = caller(bus) else { return };
    let wait = |deadline| point.point.wait(deadline);
    let _ = wait_for(&point, slot, limit, pin!(driver::power_off_at(bus, slot, wait)));
}

/// A place for a power callback to wait at, for as long as it has the place.
pub fn caller(bus: &WindowsBus) -> Result<Caller<'_>, NTSTATUS> {
    bus.children.power_caller().ok_or_else(|| {
        bus.report_line(events::ERROR, format_args!("too many power callbacks wait at once"));
        STATUS_INSUFFICIENT_RESOURCES
    })
}

/// Runs a request about a function, which waits at `point`, to its end: the host's answer, the engine's deadline, `limit`,
/// or the end of the function or the channel, whichever is first. A failure is this function's alone.
#[inline(never)]
pub fn wait_for<T>(
    point: &BlockPoint,
    slot: Slot,
    limit: Time,
    request: Pin<&mut impl Future<Output = Result<T, RequestFailure>>>,
) -> Result<T, NTSTATUS> {
    match point.block_on(request, limit) {
        Some(Ok(value)) => Ok(value),
        Some(Err(failure)) => {
            events::write(events::ERROR, format_args!("{slot}: {failure}"));
            Err(STATUS_DEVICE_NOT_READY)
        }
        None => {
            events::write(events::ERROR, format_args!("{slot}: the power callback has waited long enough"));
            Err(STATUS_IO_TIMEOUT)
        }
    }
}

/// The PnP manager has removed the device's driver, as the host asked: `Unpublish` goes on.
unsafe extern "C" fn evt_eject(device: WDFDEVICE) -> NTSTATUS {
    let _ = with_child(device, |child| child.state.ejected = true);
    if let Ok((bus, _)) = place(device) {
        bus.wake_publisher();
    }
    STATUS_SUCCESS
}
