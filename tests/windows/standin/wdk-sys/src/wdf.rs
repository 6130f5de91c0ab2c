//! Structures and enumerations of KMDF 1.33.

use crate::types::*;
use crate::wdm::*;

c_enum!(_WDF_EXECUTION_LEVEL WDF_EXECUTION_LEVEL {
    WdfExecutionLevelInvalid = 0,
    WdfExecutionLevelInheritFromParent = 1,
    WdfExecutionLevelPassive = 2,
    WdfExecutionLevelDispatch = 3,
});
c_enum!(_WDF_SYNCHRONIZATION_SCOPE WDF_SYNCHRONIZATION_SCOPE {
    WdfSynchronizationScopeInvalid = 0,
    WdfSynchronizationScopeInheritFromParent = 1,
    WdfSynchronizationScopeDevice = 2,
    WdfSynchronizationScopeQueue = 3,
    WdfSynchronizationScopeNone = 4,
});
c_enum!(_WDF_POWER_DEVICE_STATE WDF_POWER_DEVICE_STATE {
    WdfPowerDeviceInvalid = 0,
    WdfPowerDeviceD0 = 1,
    WdfPowerDeviceD1 = 2,
    WdfPowerDeviceD2 = 3,
    WdfPowerDeviceD3 = 4,
    WdfPowerDeviceD3Final = 5,
    WdfPowerDevicePrepareForHibernation = 6,
    WdfPowerDeviceMaximum = 7,
});
c_enum!(_WDF_TRI_STATE WDF_TRI_STATE { WdfFalse = 0, WdfTrue = 1, WdfUseDefault = 2 });

type DeviceStatus = Option<unsafe extern "C" fn(Device: WDFDEVICE) -> NTSTATUS>;
type DeviceVoid = Option<unsafe extern "C" fn(Device: WDFDEVICE)>;
type DevicePower = Option<unsafe extern "C" fn(Device: WDFDEVICE, State: WDF_POWER_DEVICE_STATE) -> NTSTATUS>;

pub type PFN_WDF_DRIVER_DEVICE_ADD =
    Option<unsafe extern "C" fn(Driver: WDFDRIVER, DeviceInit: PWDFDEVICE_INIT) -> NTSTATUS>;
pub type PFN_WDF_DRIVER_UNLOAD = Option<unsafe extern "C" fn(Driver: WDFDRIVER)>;
pub type PFN_WDF_OBJECT_CONTEXT_CLEANUP = Option<unsafe extern "C" fn(Object: WDFOBJECT)>;
pub type PFN_WDFDEVICE_WDM_IRP_PREPROCESS = Option<unsafe extern "C" fn(Device: WDFDEVICE, Irp: PIRP) -> NTSTATUS>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DRIVER_CONFIG {
    pub Size: ULONG,
    pub EvtDriverDeviceAdd: PFN_WDF_DRIVER_DEVICE_ADD,
    pub EvtDriverUnload: PFN_WDF_DRIVER_UNLOAD,
    pub DriverInitFlags: ULONG,
    pub DriverPoolTag: ULONG,
}
pub type WDF_DRIVER_CONFIG = _WDF_DRIVER_CONFIG;
pub type PWDF_DRIVER_CONFIG = *mut WDF_DRIVER_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_PNPPOWER_EVENT_CALLBACKS {
    pub Size: ULONG,
    pub EvtDeviceD0Entry: DevicePower,
    pub EvtDeviceD0EntryPostInterruptsEnabled: DevicePower,
    pub EvtDeviceD0Exit: DevicePower,
    pub EvtDeviceD0ExitPreInterruptsDisabled: DevicePower,
    pub EvtDevicePrepareHardware:
        Option<unsafe extern "C" fn(Device: WDFDEVICE, Raw: WDFCMRESLIST, Translated: WDFCMRESLIST) -> NTSTATUS>,
    pub EvtDeviceReleaseHardware: Option<unsafe extern "C" fn(Device: WDFDEVICE, Translated: WDFCMRESLIST) -> NTSTATUS>,
    pub EvtDeviceSelfManagedIoCleanup: DeviceVoid,
    pub EvtDeviceSelfManagedIoFlush: DeviceVoid,
    pub EvtDeviceSelfManagedIoInit: DeviceStatus,
    pub EvtDeviceSelfManagedIoSuspend: DeviceStatus,
    pub EvtDeviceSelfManagedIoRestart: DeviceStatus,
    pub EvtDeviceSurpriseRemoval: DeviceVoid,
    pub EvtDeviceQueryRemove: DeviceStatus,
    pub EvtDeviceQueryStop: DeviceStatus,
    pub EvtDeviceUsageNotification: Option<unsafe extern "C" fn(WDFDEVICE, i32, BOOLEAN)>,
    pub EvtDeviceRelationsQuery: Option<unsafe extern "C" fn(WDFDEVICE, i32)>,
    pub EvtDeviceUsageNotificationEx: Option<unsafe extern "C" fn(WDFDEVICE, i32, BOOLEAN) -> NTSTATUS>,
}
pub type WDF_PNPPOWER_EVENT_CALLBACKS = _WDF_PNPPOWER_EVENT_CALLBACKS;
pub type PWDF_PNPPOWER_EVENT_CALLBACKS = *mut WDF_PNPPOWER_EVENT_CALLBACKS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_FDO_EVENT_CALLBACKS {
    pub Size: ULONG,
    pub EvtDeviceFilterAddResourceRequirements: PFN_WDF_DEVICE_FILTER_RESOURCE_REQUIREMENTS,
    pub EvtDeviceFilterRemoveResourceRequirements: PFN_WDF_DEVICE_FILTER_RESOURCE_REQUIREMENTS,
    pub EvtDeviceRemoveAddedResources: Option<unsafe extern "C" fn(WDFDEVICE, WDFCMRESLIST, WDFCMRESLIST) -> NTSTATUS>,
}
pub type PFN_WDF_DEVICE_FILTER_RESOURCE_REQUIREMENTS =
    Option<unsafe extern "C" fn(Device: WDFDEVICE, Requirements: WDFIORESREQLIST) -> NTSTATUS>;
pub type WDF_FDO_EVENT_CALLBACKS = _WDF_FDO_EVENT_CALLBACKS;
pub type PWDF_FDO_EVENT_CALLBACKS = *mut WDF_FDO_EVENT_CALLBACKS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_PDO_EVENT_CALLBACKS {
    pub Size: ULONG,
    pub EvtDeviceResourcesQuery: Option<unsafe extern "C" fn(Device: WDFDEVICE, Resources: WDFCMRESLIST) -> NTSTATUS>,
    pub EvtDeviceResourceRequirementsQuery: PFN_WDF_DEVICE_FILTER_RESOURCE_REQUIREMENTS,
    pub EvtDeviceEject: DeviceStatus,
    pub EvtDeviceSetLock: Option<unsafe extern "C" fn(Device: WDFDEVICE, IsLocked: BOOLEAN) -> NTSTATUS>,
    pub EvtDeviceEnableWakeAtBus: Option<unsafe extern "C" fn(Device: WDFDEVICE, PowerState: i32) -> NTSTATUS>,
    pub EvtDeviceDisableWakeAtBus: DeviceVoid,
    pub EvtDeviceReportedMissing: DeviceVoid,
}
pub type WDF_PDO_EVENT_CALLBACKS = _WDF_PDO_EVENT_CALLBACKS;
pub type PWDF_PDO_EVENT_CALLBACKS = *mut WDF_PDO_EVENT_CALLBACKS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
    pub Size: ULONG,
    pub ContextName: LPCSTR,
    pub ContextSize: usize,
    pub UniqueType: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
    pub EvtDriverGetUniqueContextType: Option<unsafe extern "C" fn() -> PCWDF_OBJECT_CONTEXT_TYPE_INFO>,
}
pub type WDF_OBJECT_CONTEXT_TYPE_INFO = _WDF_OBJECT_CONTEXT_TYPE_INFO;
pub type PCWDF_OBJECT_CONTEXT_TYPE_INFO = *const WDF_OBJECT_CONTEXT_TYPE_INFO;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_OBJECT_ATTRIBUTES {
    pub Size: ULONG,
    pub EvtCleanupCallback: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    pub EvtDestroyCallback: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    pub ExecutionLevel: WDF_EXECUTION_LEVEL,
    pub SynchronizationScope: WDF_SYNCHRONIZATION_SCOPE,
    pub ParentObject: WDFOBJECT,
    pub ContextSizeOverride: usize,
    pub ContextTypeInfo: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
}
pub type WDF_OBJECT_ATTRIBUTES = _WDF_OBJECT_ATTRIBUTES;
pub type PWDF_OBJECT_ATTRIBUTES = *mut WDF_OBJECT_ATTRIBUTES;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct _WDF_TIMER_CONFIG {
    pub Size: ULONG,
    pub EvtTimerFunc: Option<unsafe extern "C" fn(Timer: WDFTIMER)>,
    pub Period: ULONG,
    pub AutomaticSerialization: BOOLEAN,
    pub TolerableDelay: ULONG,
    pub __bindgen_padding_0: [u8; 4],
    pub UseHighResolutionTimer: BOOLEAN,
}
pub type WDF_TIMER_CONFIG = _WDF_TIMER_CONFIG;
pub type PWDF_TIMER_CONFIG = *mut WDF_TIMER_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_WORKITEM_CONFIG {
    pub Size: ULONG,
    pub EvtWorkItemFunc: Option<unsafe extern "C" fn(WorkItem: WDFWORKITEM)>,
    pub AutomaticSerialization: BOOLEAN,
}
pub type WDF_WORKITEM_CONFIG = _WDF_WORKITEM_CONFIG;
pub type PWDF_WORKITEM_CONFIG = *mut WDF_WORKITEM_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER {
    pub IdentificationDescriptionSize: ULONG,
}
pub type WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER = _WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER;
pub type PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER = *mut WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER;
type IdHeader = PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_CHILD_ADDRESS_DESCRIPTION_HEADER {
    pub AddressDescriptionSize: ULONG,
}
pub type WDF_CHILD_ADDRESS_DESCRIPTION_HEADER = _WDF_CHILD_ADDRESS_DESCRIPTION_HEADER;
pub type PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER = *mut WDF_CHILD_ADDRESS_DESCRIPTION_HEADER;
type AddressHeader = PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_CHILD_LIST_CONFIG {
    pub Size: ULONG,
    pub IdentificationDescriptionSize: ULONG,
    pub AddressDescriptionSize: ULONG,
    pub EvtChildListCreateDevice:
        Option<unsafe extern "C" fn(ChildList: WDFCHILDLIST, Id: IdHeader, ChildInit: PWDFDEVICE_INIT) -> NTSTATUS>,
    pub EvtChildListScanForChildren: Option<unsafe extern "C" fn(ChildList: WDFCHILDLIST)>,
    pub EvtChildListIdentificationDescriptionCopy: Option<unsafe extern "C" fn(WDFCHILDLIST, IdHeader, IdHeader)>,
    pub EvtChildListIdentificationDescriptionDuplicate:
        Option<unsafe extern "C" fn(WDFCHILDLIST, IdHeader, IdHeader) -> NTSTATUS>,
    pub EvtChildListIdentificationDescriptionCleanup: Option<unsafe extern "C" fn(WDFCHILDLIST, IdHeader)>,
    pub EvtChildListIdentificationDescriptionCompare:
        Option<unsafe extern "C" fn(WDFCHILDLIST, IdHeader, IdHeader) -> BOOLEAN>,
    pub EvtChildListAddressDescriptionCopy: Option<unsafe extern "C" fn(WDFCHILDLIST, AddressHeader, AddressHeader)>,
    pub EvtChildListAddressDescriptionDuplicate:
        Option<unsafe extern "C" fn(WDFCHILDLIST, AddressHeader, AddressHeader) -> NTSTATUS>,
    pub EvtChildListAddressDescriptionCleanup: Option<unsafe extern "C" fn(WDFCHILDLIST, AddressHeader)>,
    pub EvtChildListDeviceReenumerated:
        Option<unsafe extern "C" fn(WDFCHILDLIST, WDFDEVICE, AddressHeader, *mut AddressHeader) -> BOOLEAN>,
}
pub type WDF_CHILD_LIST_CONFIG = _WDF_CHILD_LIST_CONFIG;
pub type PWDF_CHILD_LIST_CONFIG = *mut WDF_CHILD_LIST_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_QUERY_INTERFACE_CONFIG {
    pub Size: ULONG,
    pub Interface: PINTERFACE,
    pub InterfaceType: *const GUID,
    pub SendQueryToParentStack: BOOLEAN,
    pub EvtDeviceProcessQueryInterfaceRequest:
        Option<unsafe extern "C" fn(WDFDEVICE, LPGUID, PINTERFACE, PVOID) -> NTSTATUS>,
    pub ImportInterface: BOOLEAN,
}
pub type WDF_QUERY_INTERFACE_CONFIG = _WDF_QUERY_INTERFACE_CONFIG;
pub type PWDF_QUERY_INTERFACE_CONFIG = *mut WDF_QUERY_INTERFACE_CONFIG;

c_enum!(_WDF_IO_QUEUE_DISPATCH_TYPE WDF_IO_QUEUE_DISPATCH_TYPE {
    WdfIoQueueDispatchInvalid = 0,
    WdfIoQueueDispatchSequential = 1,
    WdfIoQueueDispatchParallel = 2,
    WdfIoQueueDispatchManual = 3,
    WdfIoQueueDispatchMax = 4,
});

type QueueControl = Option<
    unsafe extern "C" fn(
        Queue: WDFQUEUE,
        Request: WDFREQUEST,
        OutputBufferLength: usize,
        InputBufferLength: usize,
        IoControlCode: ULONG,
    ),
>;
type QueueLength = Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST, Length: usize)>;
type QueueRequest = Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST)>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_IO_QUEUE_CONFIG {
    pub Size: ULONG,
    pub DispatchType: WDF_IO_QUEUE_DISPATCH_TYPE,
    pub PowerManaged: WDF_TRI_STATE,
    pub AllowZeroLengthRequests: BOOLEAN,
    pub DefaultQueue: BOOLEAN,
    pub EvtIoDefault: QueueRequest,
    pub EvtIoRead: QueueLength,
    pub EvtIoWrite: QueueLength,
    pub EvtIoDeviceControl: QueueControl,
    pub EvtIoInternalDeviceControl: QueueControl,
    pub EvtIoStop: Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST, ActionFlags: ULONG)>,
    pub EvtIoResume: QueueRequest,
    pub EvtIoCanceledOnQueue: QueueRequest,
    pub Settings: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1,
    pub Driver: WDFDRIVER,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub union _WDF_IO_QUEUE_CONFIG__bindgen_ty_1 {
    pub Parallel: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1 {
    pub NumberOfPresentedRequests: ULONG,
}
pub type WDF_IO_QUEUE_CONFIG = _WDF_IO_QUEUE_CONFIG;
pub type PWDF_IO_QUEUE_CONFIG = *mut WDF_IO_QUEUE_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DEVICE_PNP_CAPABILITIES {
    pub Size: ULONG,
    pub LockSupported: WDF_TRI_STATE,
    pub EjectSupported: WDF_TRI_STATE,
    pub Removable: WDF_TRI_STATE,
    pub DockDevice: WDF_TRI_STATE,
    pub UniqueID: WDF_TRI_STATE,
    pub SilentInstall: WDF_TRI_STATE,
    pub SurpriseRemovalOK: WDF_TRI_STATE,
    pub HardwareDisabled: WDF_TRI_STATE,
    pub NoDisplayInUI: WDF_TRI_STATE,
    pub Address: ULONG,
    pub UINumber: ULONG,
}
pub type WDF_DEVICE_PNP_CAPABILITIES = _WDF_DEVICE_PNP_CAPABILITIES;
pub type PWDF_DEVICE_PNP_CAPABILITIES = *mut WDF_DEVICE_PNP_CAPABILITIES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DEVICE_PROPERTY_DATA {
    pub Size: ULONG,
    pub PropertyKey: *const DEVPROPKEY,
    pub Lcid: LCID,
    pub Flags: ULONG,
}
pub type WDF_DEVICE_PROPERTY_DATA = _WDF_DEVICE_PROPERTY_DATA;
pub type PWDF_DEVICE_PROPERTY_DATA = *mut WDF_DEVICE_PROPERTY_DATA;

zeroed_default!(
    _WDF_DRIVER_CONFIG,
    _WDF_PNPPOWER_EVENT_CALLBACKS,
    _WDF_FDO_EVENT_CALLBACKS,
    _WDF_PDO_EVENT_CALLBACKS,
    _WDF_OBJECT_CONTEXT_TYPE_INFO,
    _WDF_OBJECT_ATTRIBUTES,
    _WDF_TIMER_CONFIG,
    _WDF_WORKITEM_CONFIG,
    _WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER,
    _WDF_CHILD_ADDRESS_DESCRIPTION_HEADER,
    _WDF_CHILD_LIST_CONFIG,
    _WDF_QUERY_INTERFACE_CONFIG,
    _WDF_IO_QUEUE_CONFIG,
    _WDF_DEVICE_PNP_CAPABILITIES,
    _WDF_DEVICE_PROPERTY_DATA,
);
