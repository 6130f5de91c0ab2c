//! What drivers call on a child device: BUS_INTERFACE_STANDARD, GUID_VPCI_INTERFACE_STANDARD, IRP_MN_READ_CONFIG and
//! IRP_MN_WRITE_CONFIG.

use core::ffi::c_void;

use wdk_sys::{
    _DMA_ADAPTER, BOOLEAN, BUS_INTERFACE_STANDARD, GUID, IRP_MN_READ_CONFIG, NTSTATUS, PCI_WHICHSPACE_CONFIG,
    PDEVICE_DESCRIPTION, PHYSICAL_ADDRESS, PINTERFACE_DEREFERENCE, PINTERFACE_REFERENCE, PIRP, PULONG, PVOID,
    STATUS_NO_SUCH_DEVICE, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, ULONG, USHORT, WDF_QUERY_INTERFACE_CONFIG, WDFDEVICE,
    call_unsafe_wdf_function_binding, ntddk,
};

use super::buffer::{Input, Output};
use super::bus::Bus;
use super::child::{Child, NewChild};
use super::irp::{ConfigLocation, IrpHead};
use super::{check, handle, status};

/// What a bus does when other drivers call its child devices.
pub trait Access: Bus {
    /// Whether the function is still on the bus. At most DISPATCH_LEVEL.
    fn is_present(child: Child<'_, Self>) -> bool;

    /// Reads config space from `offset` on. Returns the bytes read. At most DISPATCH_LEVEL.
    fn read_config(child: Child<'_, Self>, offset: u32, buffer: &mut Output<'_>) -> u32;

    /// Writes config space from `offset` on. Returns the bytes written. At most DISPATCH_LEVEL.
    fn write_config(child: Child<'_, Self>, offset: u32, buffer: &Input<'_>) -> u32;

    /// Reads a config block into as many bytes as it has. At most APC_LEVEL.
    fn read_block(child: Child<'_, Self>, block: u32, buffer: &mut Output<'_>) -> Result<(), NTSTATUS>;

    /// Writes a config block. At most APC_LEVEL.
    fn write_block(child: Child<'_, Self>, block: u32, buffer: &Input<'_>) -> Result<(), NTSTATUS>;
}

/// GUID_BUS_INTERFACE_STANDARD
static BUS_INTERFACE: GUID =
    GUID { Data1: 0x496B_8280, Data2: 0x6F25, Data3: 0x11D0, Data4: [0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F] };
/// GUID_VPCI_INTERFACE_STANDARD
static VPCI_INTERFACE: GUID =
    GUID { Data1: 0x12E6_5E71, Data2: 0xB651, Data3: 0x4067, Data4: [0x83, 0x1A, 0x13, 0x83, 0x20, 0x3C, 0xB0, 0xCB] };

/// `VPCI_WRITE_BLOCK` and `VPCI_READ_BLOCK`: context, block, buffer, length.
type Transfer = unsafe extern "C" fn(PVOID, ULONG, PVOID, ULONG) -> NTSTATUS;

/// `VPCI_INTERFACE_STANDARD`; wdk-sys does not bind vpci.h.
#[repr(C)]
struct VpciInterface {
    size: USHORT,
    version: USHORT,
    context: PVOID,
    reference: PINTERFACE_REFERENCE,
    dereference: PINTERFACE_DEREFERENCE,
    write: Transfer,
    read: Transfer,
    serial: u32,
}

const _: () = assert!(size_of::<VpciInterface>() == 0x38);

impl<B: Access> NewChild<'_, B> {
    /// Offers BUS_INTERFACE_STANDARD. PASSIVE_LEVEL.
    pub fn offer_bus_interface(&self) -> Result<(), NTSTATUS> {
        let mut interface = BUS_INTERFACE_STANDARD {
            Size: size_of::<BUS_INTERFACE_STANDARD>() as USHORT,
            Version: 1,
            Context: self.device().cast(),
            InterfaceReference: Some(reference),
            InterfaceDereference: Some(dereference),
            TranslateBusAddress: Some(translate),
            GetDmaAdapter: Some(dma_adapter::<B>),
            SetBusData: Some(set_bus_data::<B>),
            GetBusData: Some(get_bus_data::<B>),
        };
        // SAFETY: a structure that begins as INTERFACE does, with routines for its context, for a new child device.
        unsafe { offer(self.device(), (&raw mut interface).cast(), &BUS_INTERFACE) }
    }

    /// Offers GUID_VPCI_INTERFACE_STANDARD, which also says the function's serial number. PASSIVE_LEVEL.
    pub fn offer_block_interface(&self, serial: u32) -> Result<(), NTSTATUS> {
        let mut interface = VpciInterface {
            size: size_of::<VpciInterface>() as USHORT,
            version: 1,
            context: self.device().cast(),
            reference: Some(reference),
            dereference: Some(dereference),
            write: write_block::<B>,
            read: read_block::<B>,
            serial,
        };
        // SAFETY: a structure that begins as INTERFACE does, with routines for its context, for a new child device.
        unsafe { offer(self.device(), (&raw mut interface).cast(), &VPCI_INTERFACE) }
    }
}

/// # Safety
///
/// `interface` begins with an INTERFACE of that type, for a live child device.
unsafe fn offer(device: WDFDEVICE, interface: *mut c_void, kind: &'static GUID) -> Result<(), NTSTATUS> {
    let mut config = WDF_QUERY_INTERFACE_CONFIG {
        Size: size_of::<WDF_QUERY_INTERFACE_CONFIG>() as ULONG,
        Interface: interface.cast(),
        InterfaceType: kind,
        ..WDF_QUERY_INTERFACE_CONFIG::default()
    };
    // SAFETY: WdfDeviceAddQueryInterface at PASSIVE_LEVEL; KMDF copies the interface.
    check(unsafe { call_unsafe_wdf_function_binding!(WdfDeviceAddQueryInterface, device, &mut config) })
}

unsafe extern "C" fn reference(context: PVOID) {
    // SAFETY: who has an interface has a reference to the device that is its context, or gets its first one from KMDF, which
    // keeps the device meanwhile.
    unsafe { handle::reference(context.cast()) }
}

unsafe extern "C" fn dereference(context: PVOID) {
    // SAFETY: who has an interface gives back its own reference.
    unsafe { handle::dereference(context.cast()) }
}

/// The child device of a call.
///
/// # Safety
///
/// `context` is that of an interface that the caller has a reference to, for as long as `'a`.
unsafe fn child<'a, B>(context: PVOID) -> Option<Child<'a, B>> {
    // SAFETY: the caller's.
    unsafe { Child::of(context.cast()) }
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
unsafe extern "C" fn dma_adapter<B: Access>(
    context: PVOID,
    description: PDEVICE_DESCRIPTION,
    map_registers: PULONG,
) -> *mut _DMA_ADAPTER {
    // SAFETY: the caller has the interface.
    let child = unsafe { child::<B>(context) };
    let Some(child) = child.filter(|child| B::is_present(*child)) else { return core::ptr::null_mut() };
    let adapter = child.bus().with_physical_device(|device| {
        // SAFETY: IoGetDmaAdapter at PASSIVE_LEVEL with the arguments that the caller of GetDmaAdapter hands over, for a
        // physical device that stays meanwhile.
        unsafe { ntddk::IoGetDmaAdapter(device, description, map_registers) }
    });
    // With the function its bus device may have gone.
    adapter.unwrap_or(core::ptr::null_mut())
}

unsafe extern "C" fn get_bus_data<B: Access>(
    context: PVOID,
    space: ULONG,
    buffer: PVOID,
    offset: ULONG,
    length: ULONG,
) -> ULONG {
    // SAFETY: the caller of GetBusData has the interface and hands over a buffer of that length.
    match unsafe { (child::<B>(context), Output::new(buffer.cast(), length as usize)) } {
        (Some(child), mut buffer) if space == PCI_WHICHSPACE_CONFIG => B::read_config(child, offset, &mut buffer),
        _ => 0,
    }
}

unsafe extern "C" fn set_bus_data<B: Access>(
    context: PVOID,
    space: ULONG,
    buffer: PVOID,
    offset: ULONG,
    length: ULONG,
) -> ULONG {
    // SAFETY: the caller of SetBusData has the interface and hands over a buffer of that length.
    match unsafe { (child::<B>(context), Input::new(buffer.cast(), length as usize)) } {
        (Some(child), buffer) if space == PCI_WHICHSPACE_CONFIG => B::write_config(child, offset, &buffer),
        _ => 0,
    }
}

unsafe extern "C" fn read_block<B: Access>(context: PVOID, block: ULONG, buffer: PVOID, length: ULONG) -> NTSTATUS {
    // SAFETY: the caller of ReadVfConfigBlock has the interface and hands over a buffer of that length.
    let (child, mut buffer) = unsafe { (child::<B>(context), Output::new(buffer.cast(), length as usize)) };
    status(child.ok_or(STATUS_NO_SUCH_DEVICE).and_then(|child| B::read_block(child, block, &mut buffer)))
}

unsafe extern "C" fn write_block<B: Access>(context: PVOID, block: ULONG, buffer: PVOID, length: ULONG) -> NTSTATUS {
    // SAFETY: the caller of WriteVfConfigBlock has the interface and hands over a buffer of that length.
    let (child, buffer) = unsafe { (child::<B>(context), Input::new(buffer.cast(), length as usize)) };
    status(child.ok_or(STATUS_NO_SUCH_DEVICE).and_then(|child| B::write_block(child, block, &buffer)))
}

/// EvtDeviceWdmIrpPreprocess, for IRP_MN_READ_CONFIG and IRP_MN_WRITE_CONFIG. The child is the bottom of its stack: the IRP
/// ends here.
pub(super) unsafe extern "C" fn evt_config_irp<B: Access>(device: WDFDEVICE, irp: PIRP) -> NTSTATUS {
    // SAFETY: KMDF hands over an IRP of the minor codes that were asked for, with this layout, at PASSIVE_LEVEL; its buffer
    // has that length. It is completed once and not touched afterwards.
    unsafe {
        let head = irp.cast::<IrpHead>();
        let location = &*(*head).location.cast::<ConfigLocation>();
        let (offset, buffer, length) = (location.offset, location.buffer.cast::<u8>(), location.length as usize);
        let (status, bytes) = match Child::<B>::of(device) {
            None => (STATUS_NO_SUCH_DEVICE, 0),
            Some(_) if location.which_space != PCI_WHICHSPACE_CONFIG => (STATUS_NOT_SUPPORTED, 0),
            Some(child) if u32::from(location.minor) == IRP_MN_READ_CONFIG => {
                (STATUS_SUCCESS, B::read_config(child, offset, &mut Output::new(buffer, length)))
            }
            Some(child) => (STATUS_SUCCESS, B::write_config(child, offset, &Input::new(buffer, length))),
        };
        (*head).status = status;
        (*head).information = bytes as usize;
        ntddk::IofCompleteRequest(irp, 0);
        status
    }
}
