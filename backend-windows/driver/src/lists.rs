//! Resource lists: what a bus asks the PnP manager for, and what devices were given.

use core::sync::atomic::Ordering;

use hvpci_windows::ranges::CONFIG_WINDOW;
use hvpci_windows::resources::{self, MemoryNeed};
use hvpci_windows::settings::Settings;
use wdk_sys::{
    IO_RESOURCE_DESCRIPTOR, NTSTATUS, WDF_NO_OBJECT_ATTRIBUTES, WDFCMRESLIST, WDFDEVICE, WDFIORESLIST, WDFIORESREQLIST,
    call_unsafe_wdf_function_binding,
};

use crate::fdo::{bus, status};
use crate::sys::check;

/// EvtDeviceFilterAddResourceRequirements: asks the PnP manager for MMIO space, which is how a function driver comes by
/// memory that its parent's bus driver does not list. Which windows are needed is known only once the host has said what
/// BARs there are, so what is asked for is a setting: low and high space, each with ever smaller alternatives.
pub unsafe extern "C" fn evt_filter_add_requirements(device: WDFDEVICE, requirements: WDFIORESREQLIST) -> NTSTATUS {
    let add = || {
        let bus = bus(device)?;
        bus.added_resources.store(0, Ordering::Relaxed);
        let added = add_requirements(&bus.settings, requirements)?;
        bus.added_resources.store(added, Ordering::Relaxed);
        Ok(())
    };
    status(add())
}

/// EvtDeviceRemoveAddedResources: what `evt_filter_add_requirements` added is the function driver's alone. It comes out of
/// both lists again before VMBus sees them; EvtDevicePrepareHardware gets the whole ones.
///
/// A requirement and its alternatives become one assigned resource, and assigned resources stand in the order of the
/// requirements, so that the last ones are those that were appended.
pub unsafe extern "C" fn evt_remove_added(device: WDFDEVICE, raw: WDFCMRESLIST, translated: WDFCMRESLIST) -> NTSTATUS {
    let remove = || {
        let added = bus(device)?.added_resources.load(Ordering::Relaxed);
        for list in [raw, translated] {
            let count = count(list);
            // From the highest index down: those below keep theirs.
            for index in (count.saturating_sub(added)..count).rev() {
                // SAFETY: a list that KMDF hands to the callback, and an index below its count.
                unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListRemove, list, index) };
            }
        }
        Ok(())
    };
    status(remove())
}

const PAGE: u64 = 0x1000;
const FOUR_GIB: u64 = 1 << 32;
const LAST_ADDRESS: u64 = (1 << 52) - 1;
/// The least low space that is of use: the config window.
const LEAST_LOW: u64 = CONFIG_WINDOW;
/// The least high space worth asking for.
const LEAST_HIGH: u64 = 1 << 30;
/// No more alignment than the largest BAR is likely to need.
const LARGEST_ALIGNMENT: u64 = 128 << 30;

/// Appends what a bus needs to every list. Returns how many resources that will be.
fn add_requirements(settings: &Settings, requirements: WDFIORESREQLIST) -> Result<u32, NTSTATUS> {
    let mut added = 0;
    // SAFETY: the requirements list that KMDF hands to the callback.
    let count = unsafe { call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListGetCount, requirements) };
    if count == 0 {
        let mut list = core::ptr::null_mut();
        // SAFETY: as above; the new list is filled before it is appended.
        unsafe {
            check(call_unsafe_wdf_function_binding!(
                WdfIoResourceListCreate,
                requirements,
                WDF_NO_OBJECT_ATTRIBUTES,
                &mut list
            ))?;
            added = append_needs(settings, list)?;
            check(call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListAppendIoResList, requirements, list))?;
        }
    }
    for index in 0..count {
        // SAFETY: an index below the count.
        let list = unsafe {
            call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListGetIoResList, requirements, index)
        };
        added = append_needs(settings, list)?;
    }
    Ok(added)
}

/// Appends what a bus needs, with its alternatives. Returns how many resources that will be.
fn append_needs(settings: &Settings, list: WDFIORESLIST) -> Result<u32, NTSTATUS> {
    let mut added = 0;
    let low = (settings.low_mmio.max(CONFIG_WINDOW), 0, FOUR_GIB - 1, LEAST_LOW);
    let high = (settings.high_mmio, FOUR_GIB, LAST_ADDRESS, LEAST_HIGH);
    for (most, lowest, highest, least) in [low, high] {
        let (mut size, mut alternative) = (most, false);
        while size >= least {
            let align = (1 << (63 - size.leading_zeros())).clamp(PAGE, LARGEST_ALIGNMENT);
            // An alternative to a descriptor that was left out would be one to whatever stands before it.
            if append_need(list, &MemoryNeed { size, align, lowest, highest, prefetchable: false, alternative })? {
                added += u32::from(!alternative);
                alternative = true;
            }
            size = (size / 2) & !(PAGE - 1);
        }
    }
    Ok(added)
}

/// Appends a wish to a list of resources. A wish that cannot be written down is left out: `false`.
pub fn append_need(list: WDFIORESLIST, need: &MemoryNeed) -> Result<bool, NTSTATUS> {
    resources::encode_io(need).map_or(Ok(false), |bytes| append_descriptor(list, &bytes).map(|()| true))
}

/// Appends a descriptor to a list of resources.
pub fn append_descriptor(list: WDFIORESLIST, bytes: &[u8; resources::IO_BYTES]) -> Result<(), NTSTATUS> {
    let mut descriptor = IO_RESOURCE_DESCRIPTOR::default();
    const { assert!(size_of::<IO_RESOURCE_DESCRIPTOR>() == resources::IO_BYTES) };
    // SAFETY: the descriptor is plain data of exactly that many bytes, in the layout of wdm.h; KMDF copies it.
    unsafe {
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut descriptor).cast(), bytes.len());
        check(call_unsafe_wdf_function_binding!(WdfIoResourceListAppendDescriptor, list, &mut descriptor))
    }
}

/// The descriptor at a place of a list of assigned resources, as bytes.
fn descriptor(list: WDFCMRESLIST, index: u32) -> Option<[u8; resources::CM_BYTES]> {
    // SAFETY: the list that KMDF hands to PrepareHardware, for the duration of that callback; what comes back is null or a
    // descriptor of 20 bytes.
    unsafe {
        let descriptor = call_unsafe_wdf_function_binding!(WdfCmResourceListGetDescriptor, list, index);
        (!descriptor.is_null()).then(|| descriptor.cast::<[u8; resources::CM_BYTES]>().read())
    }
}

fn count(list: WDFCMRESLIST) -> u32 {
    // SAFETY: as above.
    unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListGetCount, list) }
}

/// The descriptors of a list of assigned resources, as bytes.
pub fn assigned(list: WDFCMRESLIST) -> impl Iterator<Item = [u8; resources::CM_BYTES]> {
    (0..count(list)).filter_map(move |index| descriptor(list, index))
}

/// The descriptors of the same resources, raw and translated, as bytes.
pub fn assigned_twice(
    raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> impl Iterator<Item = ([u8; resources::CM_BYTES], [u8; resources::CM_BYTES])> {
    let both = count(raw).min(count(translated));
    (0..both).filter_map(move |index| Some((descriptor(raw, index)?, descriptor(translated, index)?)))
}
