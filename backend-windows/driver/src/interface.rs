//! Config space as function drivers reach it: BUS_INTERFACE_STANDARD at up to DISPATCH_LEVEL, IRP_MN_READ_CONFIG and
//! IRP_MN_WRITE_CONFIG at PASSIVE_LEVEL.

use hvpci_core::driver;
use wdk_sys::{
    _DMA_ADAPTER, BOOLEAN, BUS_INTERFACE_STANDARD, GUID, IRP_MJ_PNP, IRP_MN_READ_CONFIG, IRP_MN_WRITE_CONFIG, NTSTATUS,
    PCI_WHICHSPACE_CONFIG, PDEVICE_DESCRIPTION, PHYSICAL_ADDRESS, PIRP, PULONG, PVOID, PWDFDEVICE_INIT,
    STATUS_NOT_SUPPORTED, STATUS_SUCCESS, ULONG, USHORT, WDF_QUERY_INTERFACE_CONFIG, WDFDEVICE,
    call_unsafe_wdf_function_binding, ntddk,
};

use crate::pdo::{is_present, place};
use crate::sys::irp::{ConfigLocation, IrpHead};
use crate::sys::{check, handle};

/// GUID_BUS_INTERFACE_STANDARD
static BUS_INTERFACE: GUID =
    GUID { Data1: 0x496B_8280, Data2: 0x6F25, Data3: 0x11D0, Data4: [0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F] };
/// Bytes of a function's config space.
const CONFIG_BYTES: u32 = 0x1000;

/// Offers BUS_INTERFACE_STANDARD on a child device. PASSIVE_LEVEL.
pub fn offer(device: WDFDEVICE) -> Result<(), NTSTATUS> {
    let mut interface = BUS_INTERFACE_STANDARD {
        Size: size_of::<BUS_INTERFACE_STANDARD>() as USHORT,
        Version: 1,
        Context: device.cast(),
        InterfaceReference: Some(reference),
        InterfaceDereference: Some(dereference),
        TranslateBusAddress: Some(translate),
        GetDmaAdapter: Some(dma_adapter),
        SetBusData: Some(set_bus_data),
        GetBusData: Some(get_bus_data),
    };
    let mut config = WDF_QUERY_INTERFACE_CONFIG {
        Size: size_of::<WDF_QUERY_INTERFACE_CONFIG>() as ULONG,
        Interface: (&raw mut interface).cast(),
        InterfaceType: &BUS_INTERFACE,
        ..WDF_QUERY_INTERFACE_CONFIG::default()
    };
    // SAFETY: WdfDeviceAddQueryInterface at PASSIVE_LEVEL; KMDF copies the interface.
    check(unsafe { call_unsafe_wdf_function_binding!(WdfDeviceAddQueryInterface, device, &mut config) })
}

pub unsafe extern "C" fn reference(context: PVOID) {
    handle::reference(context.cast());
}

pub unsafe extern "C" fn dereference(context: PVOID) {
    handle::dereference(context.cast());
}

/// Bus addresses are the guest's physical addresses.
unsafe extern "C" fn translate(
    _context: PVOID,
    bus_address: PHYSICAL_ADDRESS,
    _length: ULONG,
    _address_space: PULONG,
    translated: *mut PHYSICAL_ADDRESS,
) -> BOOLEAN {
    if translated.is_null() {
        return 0;
    }
    // SAFETY: the caller of TranslateBusAddress hands over a place for the result.
    unsafe { *translated = bus_address };
    1
}

/// The adapter of the VMBus device, which is what the child's DMA goes through.
unsafe extern "C" fn dma_adapter(
    context: PVOID,
    description: PDEVICE_DESCRIPTION,
    map_registers: PULONG,
) -> *mut _DMA_ADAPTER {
    // With the function its bus device may have gone.
    let Some((bus, _)) = place(context.cast()).ok().filter(|_| is_present(context.cast())) else {
        return core::ptr::null_mut();
    };
    // SAFETY: IoGetDmaAdapter at PASSIVE_LEVEL with the arguments that the caller of GetDmaAdapter hands over, for the
    // physical device under the bus device.
    unsafe {
        let parent = call_unsafe_wdf_function_binding!(WdfDeviceWdmGetPhysicalDevice, bus.device);
        ntddk::IoGetDmaAdapter(parent, description, map_registers)
    }
}

unsafe extern "C" fn get_bus_data(context: PVOID, space: ULONG, buffer: PVOID, offset: ULONG, length: ULONG) -> ULONG {
    if space != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: the caller of GetBusData hands over a buffer of that length.
    unsafe { read_config(context.cast(), buffer.cast(), offset, length) }
}

unsafe extern "C" fn set_bus_data(context: PVOID, space: ULONG, buffer: PVOID, offset: ULONG, length: ULONG) -> ULONG {
    if space != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: the caller of SetBusData hands over a buffer of that length.
    unsafe { write_config(context.cast(), buffer.cast(), offset, length) }
}

/// The naturally aligned pieces of a range of config space: offset, bytes, and where in the buffer.
fn pieces(offset: u32, length: u32) -> impl Iterator<Item = (u16, usize, usize)> {
    let end = offset.saturating_add(length).min(CONFIG_BYTES);
    let mut at = offset;
    core::iter::from_fn(move || {
        let left = end.checked_sub(at).filter(|left| *left != 0)?;
        let bytes = match (at % 4, left) {
            (0, 4..) => 4,
            (0 | 2, 2..) => 2,
            _ => 1,
        };
        let piece = (u16::try_from(at).ok()?, bytes as usize, (at - offset) as usize);
        at += bytes;
        Some(piece)
    })
}

/// Reads a child's config space: all ones if the function is gone. At most DISPATCH_LEVEL. Returns the bytes read.
///
/// # Safety
///
/// `buffer` is writable for `length` bytes.
unsafe fn read_config(device: WDFDEVICE, buffer: *mut u8, offset: u32, length: u32) -> u32 {
    let function = place(device).ok().filter(|_| is_present(device));
    let mut done = 0;
    for (offset, bytes, at) in pieces(offset, length) {
        let value =
            function.map_or(u32::MAX, |(bus, slot)| driver::config_read(bus, slot, offset, bytes)).to_le_bytes();
        // SAFETY: `at + bytes` is at most `length`; a value has four bytes.
        unsafe { core::ptr::copy_nonoverlapping(value.as_ptr(), buffer.wrapping_add(at), bytes) };
        done += bytes as u32;
    }
    done
}

/// Writes config space. At most DISPATCH_LEVEL. Returns the bytes written.
///
/// # Safety
///
/// `buffer` is readable for `length` bytes.
unsafe fn write_config(device: WDFDEVICE, buffer: *const u8, offset: u32, length: u32) -> u32 {
    let function = place(device).ok().filter(|_| is_present(device));
    let mut done = 0;
    for (offset, bytes, at) in pieces(offset, length) {
        let mut value = [0; 4];
        // SAFETY: `at + bytes` is at most `length`; a value has four bytes.
        unsafe { core::ptr::copy_nonoverlapping(buffer.wrapping_add(at), value.as_mut_ptr(), bytes) };
        if let Some((bus, slot)) = function {
            driver::config_write(bus, slot, offset, bytes, u32::from_le_bytes(value));
        }
        done += bytes as u32;
    }
    done
}

/// Has KMDF hand IRP_MN_READ_CONFIG and IRP_MN_WRITE_CONFIG of a child device over.
///
/// # Safety
///
/// `init` is that of EvtChildListCreateDevice.
pub unsafe fn take_config_irps(init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    let mut minors = [IRP_MN_READ_CONFIG as u8, IRP_MN_WRITE_CONFIG as u8];
    // SAFETY: the caller's; KMDF copies the minor codes.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitAssignWdmIrpPreprocessCallback,
            init,
            Some(evt_config_irp),
            IRP_MJ_PNP as u8,
            minors.as_mut_ptr(),
            minors.len() as ULONG
        )
    })
}

/// EvtDeviceWdmIrpPreprocess. The child is the bottom of its stack: the IRP ends here.
unsafe extern "C" fn evt_config_irp(device: WDFDEVICE, irp: PIRP) -> NTSTATUS {
    // SAFETY: KMDF hands over an IRP of the minor codes that were asked for, with this layout, at PASSIVE_LEVEL; its buffer
    // has that length. It is completed once and not touched afterwards.
    unsafe {
        let head = irp.cast::<IrpHead>();
        let location = &*(*head).location.cast::<ConfigLocation>();
        let (status, bytes) = if location.which_space == PCI_WHICHSPACE_CONFIG {
            let buffer = location.buffer.cast::<u8>();
            let done = if u32::from(location.minor) == IRP_MN_READ_CONFIG {
                read_config(device, buffer, location.offset, location.length)
            } else {
                write_config(device, buffer, location.offset, location.length)
            };
            (STATUS_SUCCESS, done as usize)
        } else {
            (STATUS_NOT_SUPPORTED, 0)
        };
        (*head).status = status;
        (*head).information = bytes;
        ntddk::IofCompleteRequest(irp, 0);
        status
    }
}
