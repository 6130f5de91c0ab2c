//! Structures of wdm.h.

use crate::types::*;

pub type DRIVER_UNLOAD = unsafe extern "C" fn(DriverObject: *mut _DRIVER_OBJECT);
pub type PDRIVER_UNLOAD = Option<DRIVER_UNLOAD>;
type DriverInitialize = Option<unsafe extern "C" fn(*mut _DRIVER_OBJECT, PUNICODE_STRING) -> NTSTATUS>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _DRIVER_OBJECT {
    pub Type: CSHORT,
    pub Size: CSHORT,
    pub DeviceObject: PDEVICE_OBJECT,
    pub Flags: ULONG,
    pub DriverStart: PVOID,
    pub DriverSize: ULONG,
    pub DriverSection: PVOID,
    pub DriverExtension: PDRIVER_EXTENSION,
    pub DriverName: UNICODE_STRING,
    pub HardwareDatabase: PUNICODE_STRING,
    pub FastIoDispatch: PFAST_IO_DISPATCH,
    pub DriverInit: DriverInitialize,
    pub DriverStartIo: Option<unsafe extern "C" fn(PDEVICE_OBJECT, PIRP)>,
    pub DriverUnload: PDRIVER_UNLOAD,
    pub MajorFunction: [Option<unsafe extern "C" fn(PDEVICE_OBJECT, PIRP) -> NTSTATUS>; 28],
}
pub type DRIVER_OBJECT = _DRIVER_OBJECT;
pub type PDRIVER_OBJECT = *mut _DRIVER_OBJECT;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _DISPATCHER_HEADER {
    pub Lock: LONG,
    pub SignalState: LONG,
    pub WaitListHead: [PVOID; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KEVENT {
    pub Header: _DISPATCHER_HEADER,
}
pub type KEVENT = _KEVENT;
pub type PKEVENT = *mut KEVENT;

pub type PINTERFACE_REFERENCE = Option<unsafe extern "C" fn(Context: PVOID)>;
pub type PINTERFACE_DEREFERENCE = Option<unsafe extern "C" fn(Context: PVOID)>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _INTERFACE {
    pub Size: USHORT,
    pub Version: USHORT,
    pub Context: PVOID,
    pub InterfaceReference: PINTERFACE_REFERENCE,
    pub InterfaceDereference: PINTERFACE_DEREFERENCE,
}
pub type INTERFACE = _INTERFACE;
pub type PINTERFACE = *mut INTERFACE;

pub type PTRANSLATE_BUS_ADDRESS =
    Option<unsafe extern "C" fn(PVOID, PHYSICAL_ADDRESS, ULONG, PULONG, *mut PHYSICAL_ADDRESS) -> BOOLEAN>;
pub type PGET_DMA_ADAPTER = Option<unsafe extern "C" fn(PVOID, PDEVICE_DESCRIPTION, PULONG) -> *mut _DMA_ADAPTER>;
pub type PGET_SET_DEVICE_DATA = Option<unsafe extern "C" fn(PVOID, ULONG, PVOID, ULONG, ULONG) -> ULONG>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _BUS_INTERFACE_STANDARD {
    pub Size: USHORT,
    pub Version: USHORT,
    pub Context: PVOID,
    pub InterfaceReference: PINTERFACE_REFERENCE,
    pub InterfaceDereference: PINTERFACE_DEREFERENCE,
    pub TranslateBusAddress: PTRANSLATE_BUS_ADDRESS,
    pub GetDmaAdapter: PGET_DMA_ADAPTER,
    pub SetBusData: PGET_SET_DEVICE_DATA,
    pub GetBusData: PGET_SET_DEVICE_DATA,
}
pub type BUS_INTERFACE_STANDARD = _BUS_INTERFACE_STANDARD;
pub type PBUS_INTERFACE_STANDARD = *mut BUS_INTERFACE_STANDARD;

/// 20 bytes, read through `hvpci_windows::resources` only.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct _CM_PARTIAL_RESOURCE_DESCRIPTOR {
    pub Type: UCHAR,
    pub ShareDisposition: UCHAR,
    pub Flags: USHORT,
    pub u: [u32; 4],
}
pub type CM_PARTIAL_RESOURCE_DESCRIPTOR = _CM_PARTIAL_RESOURCE_DESCRIPTOR;
pub type PCM_PARTIAL_RESOURCE_DESCRIPTOR = *mut CM_PARTIAL_RESOURCE_DESCRIPTOR;

/// 32 bytes, written through `hvpci_windows::resources` only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_RESOURCE_DESCRIPTOR {
    pub Option: UCHAR,
    pub Type: UCHAR,
    pub ShareDisposition: UCHAR,
    pub Spare1: UCHAR,
    pub Flags: USHORT,
    pub Spare2: USHORT,
    pub u: [u64; 3],
}
pub type IO_RESOURCE_DESCRIPTOR = _IO_RESOURCE_DESCRIPTOR;
pub type PIO_RESOURCE_DESCRIPTOR = *mut IO_RESOURCE_DESCRIPTOR;

c_enum!(_INTERFACE_TYPE INTERFACE_TYPE { InterfaceTypeUndefined = -1, Internal = 0, Isa = 1, PCIBus = 5 });
pub mod POWER_ACTION {
    pub type Type = core::ffi::c_int;
    pub const PowerActionNone: Type = 0;
    pub const PowerActionReserved: Type = 1;
    pub const PowerActionSleep: Type = 2;
    pub const PowerActionHibernate: Type = 3;
    pub const PowerActionShutdown: Type = 4;
    pub const PowerActionShutdownReset: Type = 5;
    pub const PowerActionShutdownOff: Type = 6;
    pub const PowerActionWarmEject: Type = 7;
    pub const PowerActionDisplayOff: Type = 8;
}
c_enum!(_KWAIT_REASON KWAIT_REASON { Executive = 0 });
c_enum!(_EVENT_TYPE EVENT_TYPE { NotificationEvent = 0, SynchronizationEvent = 1 });
c_enum!(_MODE MODE { KernelMode = 0, UserMode = 1 });

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _PNP_BUS_INFORMATION {
    pub BusTypeGuid: GUID,
    pub LegacyBusType: INTERFACE_TYPE,
    pub BusNumber: ULONG,
}
pub type PNP_BUS_INFORMATION = _PNP_BUS_INFORMATION;
pub type PPNP_BUS_INFORMATION = *mut PNP_BUS_INFORMATION;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _DEVPROPKEY {
    pub fmtid: GUID,
    pub pid: ULONG,
}
pub type DEVPROPKEY = _DEVPROPKEY;

zeroed_default!(
    _DRIVER_OBJECT,
    _KEVENT,
    _INTERFACE,
    _BUS_INTERFACE_STANDARD,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR,
    _IO_RESOURCE_DESCRIPTOR,
    _PNP_BUS_INFORMATION,
    _DEVPROPKEY
);
