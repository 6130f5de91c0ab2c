/*
 * The part of KMDF 1.33's interface that hvpci and the wdk crates use, written by the project from Microsoft's public
 * documentation: no header of the WDK is a Debian package or a crate. build-genuine.sh puts it where the genuine wdk-build
 * looks for <wdf.h>. On Windows the WDK's own header takes its place.
 *
 * A KMDF function or structure that the driver begins to use has to be added here as well as to standin/wdk-sys.
 */
#pragma once

typedef VOID (*WDFFUNC)(VOID);

/* Handles: each of a type of its own, WDFOBJECT for any of them. */
typedef HANDLE WDFOBJECT;
#define WDF_HANDLE(name)    \
    struct name##__ {       \
        int unused;         \
    };                      \
    typedef struct name##__ *name
WDF_HANDLE(WDFDRIVER);
WDF_HANDLE(WDFDEVICE);
WDF_HANDLE(WDFCMRESLIST);
WDF_HANDLE(WDFIORESLIST);
WDF_HANDLE(WDFIORESREQLIST);
WDF_HANDLE(WDFSPINLOCK);
WDF_HANDLE(WDFTIMER);
WDF_HANDLE(WDFWORKITEM);
WDF_HANDLE(WDFCHILDLIST);
WDF_HANDLE(WDFKEY);
WDF_HANDLE(WDFQUEUE);
WDF_HANDLE(WDFREQUEST);
typedef struct WDFDEVICE_INIT *PWDFDEVICE_INIT;

typedef struct _WDF_DRIVER_GLOBALS {
    WDFDRIVER Driver;
    ULONG DriverFlags;
    ULONG DriverTag;
    CHAR DriverName[32];
    BOOLEAN DisplaceDriverUnload;
} WDF_DRIVER_GLOBALS, *PWDF_DRIVER_GLOBALS;

typedef enum _WDF_TRI_STATE {
    WdfFalse = FALSE,
    WdfTrue = TRUE,
    WdfUseDefault = 2,
} WDF_TRI_STATE;

typedef enum _WDF_EXECUTION_LEVEL {
    WdfExecutionLevelInvalid = 0,
    WdfExecutionLevelInheritFromParent,
    WdfExecutionLevelPassive,
    WdfExecutionLevelDispatch,
} WDF_EXECUTION_LEVEL;

typedef enum _WDF_SYNCHRONIZATION_SCOPE {
    WdfSynchronizationScopeInvalid = 0,
    WdfSynchronizationScopeInheritFromParent,
    WdfSynchronizationScopeDevice,
    WdfSynchronizationScopeQueue,
    WdfSynchronizationScopeNone,
} WDF_SYNCHRONIZATION_SCOPE;

typedef enum _WDF_POWER_DEVICE_STATE {
    WdfPowerDeviceInvalid = 0,
    WdfPowerDeviceD0,
    WdfPowerDeviceD1,
    WdfPowerDeviceD2,
    WdfPowerDeviceD3,
    WdfPowerDeviceD3Final,
    WdfPowerDevicePrepareForHibernation,
    WdfPowerDeviceMaximum,
} WDF_POWER_DEVICE_STATE;

typedef enum _WDF_SPECIAL_FILE_TYPE {
    WdfSpecialFileUndefined = 0,
    WdfSpecialFilePaging,
    WdfSpecialFileHibernation,
    WdfSpecialFileDump,
    WdfSpecialFileBoot,
    WdfSpecialFilePostDisplay,
    WdfSpecialFileGuestAssigned,
    WdfSpecialFileMax,
} WDF_SPECIAL_FILE_TYPE;

/* Drivers. */
typedef NTSTATUS (*PFN_WDF_DRIVER_DEVICE_ADD)(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit);
typedef VOID (*PFN_WDF_DRIVER_UNLOAD)(WDFDRIVER Driver);

typedef struct _WDF_DRIVER_CONFIG {
    ULONG Size;
    PFN_WDF_DRIVER_DEVICE_ADD EvtDriverDeviceAdd;
    PFN_WDF_DRIVER_UNLOAD EvtDriverUnload;
    ULONG DriverInitFlags;
    ULONG DriverPoolTag;
} WDF_DRIVER_CONFIG, *PWDF_DRIVER_CONFIG;

/* Objects. */
typedef VOID (*PFN_WDF_OBJECT_CONTEXT_CLEANUP)(WDFOBJECT Object);
typedef VOID (*PFN_WDF_OBJECT_CONTEXT_DESTROY)(WDFOBJECT Object);

struct _WDF_OBJECT_CONTEXT_TYPE_INFO;
typedef const struct _WDF_OBJECT_CONTEXT_TYPE_INFO *PCWDF_OBJECT_CONTEXT_TYPE_INFO;
typedef PCWDF_OBJECT_CONTEXT_TYPE_INFO (*PFN_GET_UNIQUE_CONTEXT_TYPE)(VOID);

typedef struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
    ULONG Size;
    LPCSTR ContextName;
    size_t ContextSize;
    PCWDF_OBJECT_CONTEXT_TYPE_INFO UniqueType;
    PFN_GET_UNIQUE_CONTEXT_TYPE EvtDriverGetUniqueContextType;
} WDF_OBJECT_CONTEXT_TYPE_INFO, *PWDF_OBJECT_CONTEXT_TYPE_INFO;

typedef struct _WDF_OBJECT_ATTRIBUTES {
    ULONG Size;
    PFN_WDF_OBJECT_CONTEXT_CLEANUP EvtCleanupCallback;
    PFN_WDF_OBJECT_CONTEXT_DESTROY EvtDestroyCallback;
    WDF_EXECUTION_LEVEL ExecutionLevel;
    WDF_SYNCHRONIZATION_SCOPE SynchronizationScope;
    WDFOBJECT ParentObject;
    size_t ContextSizeOverride;
    PCWDF_OBJECT_CONTEXT_TYPE_INFO ContextTypeInfo;
} WDF_OBJECT_ATTRIBUTES, *PWDF_OBJECT_ATTRIBUTES;

/* Devices: plug and play, and power. */
typedef NTSTATUS (*PFN_WDF_DEVICE_D0_ENTRY)(WDFDEVICE Device, WDF_POWER_DEVICE_STATE PreviousState);
typedef PFN_WDF_DEVICE_D0_ENTRY PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED;
typedef NTSTATUS (*PFN_WDF_DEVICE_D0_EXIT)(WDFDEVICE Device, WDF_POWER_DEVICE_STATE TargetState);
typedef PFN_WDF_DEVICE_D0_EXIT PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED;
typedef NTSTATUS (*PFN_WDF_DEVICE_PREPARE_HARDWARE)(WDFDEVICE Device, WDFCMRESLIST ResourcesRaw,
                                                    WDFCMRESLIST ResourcesTranslated);
typedef NTSTATUS (*PFN_WDF_DEVICE_RELEASE_HARDWARE)(WDFDEVICE Device, WDFCMRESLIST ResourcesTranslated);
typedef VOID (*PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP)(WDFDEVICE Device);
typedef VOID (*PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH)(WDFDEVICE Device);
typedef NTSTATUS (*PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT)(WDFDEVICE Device);
typedef NTSTATUS (*PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND)(WDFDEVICE Device);
typedef NTSTATUS (*PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART)(WDFDEVICE Device);
typedef VOID (*PFN_WDF_DEVICE_SURPRISE_REMOVAL)(WDFDEVICE Device);
typedef NTSTATUS (*PFN_WDF_DEVICE_QUERY_REMOVE)(WDFDEVICE Device);
typedef NTSTATUS (*PFN_WDF_DEVICE_QUERY_STOP)(WDFDEVICE Device);
typedef VOID (*PFN_WDF_DEVICE_USAGE_NOTIFICATION)(WDFDEVICE Device, WDF_SPECIAL_FILE_TYPE Type, BOOLEAN IsInNotificationPath);
typedef NTSTATUS (*PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX)(WDFDEVICE Device, WDF_SPECIAL_FILE_TYPE Type,
                                                         BOOLEAN IsInNotificationPath);
typedef VOID (*PFN_WDF_DEVICE_RELATIONS_QUERY)(WDFDEVICE Device, DEVICE_RELATION_TYPE RelationType);
typedef NTSTATUS (*PFN_WDFDEVICE_WDM_IRP_PREPROCESS)(WDFDEVICE Device, PIRP Irp);

typedef struct _WDF_PNPPOWER_EVENT_CALLBACKS {
    ULONG Size;
    PFN_WDF_DEVICE_D0_ENTRY EvtDeviceD0Entry;
    PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED EvtDeviceD0EntryPostInterruptsEnabled;
    PFN_WDF_DEVICE_D0_EXIT EvtDeviceD0Exit;
    PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED EvtDeviceD0ExitPreInterruptsDisabled;
    PFN_WDF_DEVICE_PREPARE_HARDWARE EvtDevicePrepareHardware;
    PFN_WDF_DEVICE_RELEASE_HARDWARE EvtDeviceReleaseHardware;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP EvtDeviceSelfManagedIoCleanup;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH EvtDeviceSelfManagedIoFlush;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT EvtDeviceSelfManagedIoInit;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND EvtDeviceSelfManagedIoSuspend;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART EvtDeviceSelfManagedIoRestart;
    PFN_WDF_DEVICE_SURPRISE_REMOVAL EvtDeviceSurpriseRemoval;
    PFN_WDF_DEVICE_QUERY_REMOVE EvtDeviceQueryRemove;
    PFN_WDF_DEVICE_QUERY_STOP EvtDeviceQueryStop;
    PFN_WDF_DEVICE_USAGE_NOTIFICATION EvtDeviceUsageNotification;
    PFN_WDF_DEVICE_RELATIONS_QUERY EvtDeviceRelationsQuery;
    PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX EvtDeviceUsageNotificationEx;
} WDF_PNPPOWER_EVENT_CALLBACKS, *PWDF_PNPPOWER_EVENT_CALLBACKS;

typedef struct _WDF_DEVICE_PNP_CAPABILITIES {
    ULONG Size;
    WDF_TRI_STATE LockSupported;
    WDF_TRI_STATE EjectSupported;
    WDF_TRI_STATE Removable;
    WDF_TRI_STATE DockDevice;
    WDF_TRI_STATE UniqueID;
    WDF_TRI_STATE SilentInstall;
    WDF_TRI_STATE SurpriseRemovalOK;
    WDF_TRI_STATE HardwareDisabled;
    WDF_TRI_STATE NoDisplayInUI;
    ULONG Address;
    ULONG UINumber;
} WDF_DEVICE_PNP_CAPABILITIES, *PWDF_DEVICE_PNP_CAPABILITIES;

typedef struct _WDF_DEVICE_PROPERTY_DATA {
    ULONG Size;
    const DEVPROPKEY *PropertyKey;
    LCID Lcid;
    ULONG Flags;
} WDF_DEVICE_PROPERTY_DATA, *PWDF_DEVICE_PROPERTY_DATA;

typedef NTSTATUS (*PFN_WDF_DEVICE_PROCESS_QUERY_INTERFACE_REQUEST)(WDFDEVICE Device, LPGUID InterfaceType,
                                                                   PINTERFACE ExposedInterface,
                                                                   PVOID ExposedInterfaceSpecificData);

typedef struct _WDF_QUERY_INTERFACE_CONFIG {
    ULONG Size;
    PINTERFACE Interface;
    const GUID *InterfaceType;
    BOOLEAN SendQueryToParentStack;
    PFN_WDF_DEVICE_PROCESS_QUERY_INTERFACE_REQUEST EvtDeviceProcessQueryInterfaceRequest;
    BOOLEAN ImportInterface;
} WDF_QUERY_INTERFACE_CONFIG, *PWDF_QUERY_INTERFACE_CONFIG;

/* Functional and physical devices. */
typedef NTSTATUS (*PFN_WDF_DEVICE_FILTER_RESOURCE_REQUIREMENTS)(WDFDEVICE Device, WDFIORESREQLIST IoResourceRequirementsList);
typedef NTSTATUS (*PFN_WDF_DEVICE_REMOVE_ADDED_RESOURCES)(WDFDEVICE Device, WDFCMRESLIST ResourcesRaw,
                                                          WDFCMRESLIST ResourcesTranslated);

typedef struct _WDF_FDO_EVENT_CALLBACKS {
    ULONG Size;
    PFN_WDF_DEVICE_FILTER_RESOURCE_REQUIREMENTS EvtDeviceFilterAddResourceRequirements;
    PFN_WDF_DEVICE_FILTER_RESOURCE_REQUIREMENTS EvtDeviceFilterRemoveResourceRequirements;
    PFN_WDF_DEVICE_REMOVE_ADDED_RESOURCES EvtDeviceRemoveAddedResources;
} WDF_FDO_EVENT_CALLBACKS, *PWDF_FDO_EVENT_CALLBACKS;

typedef NTSTATUS (*PFN_WDF_DEVICE_RESOURCES_QUERY)(WDFDEVICE Device, WDFCMRESLIST Resources);
typedef NTSTATUS (*PFN_WDF_DEVICE_RESOURCE_REQUIREMENTS_QUERY)(WDFDEVICE Device, WDFIORESREQLIST IoResourceRequirementsList);
typedef NTSTATUS (*PFN_WDF_DEVICE_EJECT)(WDFDEVICE Device);
typedef NTSTATUS (*PFN_WDF_DEVICE_SET_LOCK)(WDFDEVICE Device, BOOLEAN IsLocked);
typedef NTSTATUS (*PFN_WDF_DEVICE_ENABLE_WAKE_AT_BUS)(WDFDEVICE Device, SYSTEM_POWER_STATE PowerState);
typedef VOID (*PFN_WDF_DEVICE_DISABLE_WAKE_AT_BUS)(WDFDEVICE Device);
typedef VOID (*PFN_WDF_DEVICE_REPORTED_MISSING)(WDFDEVICE Device);

typedef struct _WDF_PDO_EVENT_CALLBACKS {
    ULONG Size;
    PFN_WDF_DEVICE_RESOURCES_QUERY EvtDeviceResourcesQuery;
    PFN_WDF_DEVICE_RESOURCE_REQUIREMENTS_QUERY EvtDeviceResourceRequirementsQuery;
    PFN_WDF_DEVICE_EJECT EvtDeviceEject;
    PFN_WDF_DEVICE_SET_LOCK EvtDeviceSetLock;
    PFN_WDF_DEVICE_ENABLE_WAKE_AT_BUS EvtDeviceEnableWakeAtBus;
    PFN_WDF_DEVICE_DISABLE_WAKE_AT_BUS EvtDeviceDisableWakeAtBus;
    PFN_WDF_DEVICE_REPORTED_MISSING EvtDeviceReportedMissing;
} WDF_PDO_EVENT_CALLBACKS, *PWDF_PDO_EVENT_CALLBACKS;

/* Child lists. */
typedef struct _WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER {
    ULONG IdentificationDescriptionSize;
} WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER, *PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER;

typedef struct _WDF_CHILD_ADDRESS_DESCRIPTION_HEADER {
    ULONG AddressDescriptionSize;
} WDF_CHILD_ADDRESS_DESCRIPTION_HEADER, *PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER;

typedef NTSTATUS (*PFN_WDF_CHILD_LIST_CREATE_DEVICE)(WDFCHILDLIST ChildList,
                                                     PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER IdentificationDescription,
                                                     PWDFDEVICE_INIT ChildInit);
typedef VOID (*PFN_WDF_CHILD_LIST_SCAN_FOR_CHILDREN)(WDFCHILDLIST ChildList);
typedef VOID (*PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_COPY)(WDFCHILDLIST ChildList,
                                                                   PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER Source,
                                                                   PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER Destination);
typedef NTSTATUS (*PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_DUPLICATE)(
    WDFCHILDLIST ChildList, PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER Source,
    PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER Destination);
typedef VOID (*PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_CLEANUP)(
    WDFCHILDLIST ChildList, PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER IdentificationDescription);
typedef BOOLEAN (*PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_COMPARE)(WDFCHILDLIST ChildList,
                                                                         PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER First,
                                                                         PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER Second);
typedef VOID (*PFN_WDF_CHILD_LIST_ADDRESS_DESCRIPTION_COPY)(WDFCHILDLIST ChildList,
                                                            PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER Source,
                                                            PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER Destination);
typedef NTSTATUS (*PFN_WDF_CHILD_LIST_ADDRESS_DESCRIPTION_DUPLICATE)(WDFCHILDLIST ChildList,
                                                                     PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER Source,
                                                                     PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER Destination);
typedef VOID (*PFN_WDF_CHILD_LIST_ADDRESS_DESCRIPTION_CLEANUP)(WDFCHILDLIST ChildList,
                                                               PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER AddressDescription);
typedef BOOLEAN (*PFN_WDF_CHILD_LIST_DEVICE_REENUMERATED)(WDFCHILDLIST ChildList, WDFDEVICE OldDevice,
                                                          PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER OldAddressDescription,
                                                          PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER *NewAddressDescription);

typedef struct _WDF_CHILD_LIST_CONFIG {
    ULONG Size;
    ULONG IdentificationDescriptionSize;
    ULONG AddressDescriptionSize;
    PFN_WDF_CHILD_LIST_CREATE_DEVICE EvtChildListCreateDevice;
    PFN_WDF_CHILD_LIST_SCAN_FOR_CHILDREN EvtChildListScanForChildren;
    PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_COPY EvtChildListIdentificationDescriptionCopy;
    PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_DUPLICATE EvtChildListIdentificationDescriptionDuplicate;
    PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_CLEANUP EvtChildListIdentificationDescriptionCleanup;
    PFN_WDF_CHILD_LIST_IDENTIFICATION_DESCRIPTION_COMPARE EvtChildListIdentificationDescriptionCompare;
    PFN_WDF_CHILD_LIST_ADDRESS_DESCRIPTION_COPY EvtChildListAddressDescriptionCopy;
    PFN_WDF_CHILD_LIST_ADDRESS_DESCRIPTION_DUPLICATE EvtChildListAddressDescriptionDuplicate;
    PFN_WDF_CHILD_LIST_ADDRESS_DESCRIPTION_CLEANUP EvtChildListAddressDescriptionCleanup;
    PFN_WDF_CHILD_LIST_DEVICE_REENUMERATED EvtChildListDeviceReenumerated;
} WDF_CHILD_LIST_CONFIG, *PWDF_CHILD_LIST_CONFIG;

/* Timers and work items. */
typedef VOID (*PFN_WDF_TIMER)(WDFTIMER Timer);

typedef struct _WDF_TIMER_CONFIG {
    ULONG Size;
    PFN_WDF_TIMER EvtTimerFunc;
    ULONG Period;
    BOOLEAN AutomaticSerialization;
    ULONG TolerableDelay;
    /* 8-byte alignment is part of the documented layout. */
    DECLSPEC_ALIGN(8) BOOLEAN UseHighResolutionTimer;
} WDF_TIMER_CONFIG, *PWDF_TIMER_CONFIG;

typedef VOID (*PFN_WDF_WORKITEM)(WDFWORKITEM WorkItem);

typedef struct _WDF_WORKITEM_CONFIG {
    ULONG Size;
    PFN_WDF_WORKITEM EvtWorkItemFunc;
    BOOLEAN AutomaticSerialization;
} WDF_WORKITEM_CONFIG, *PWDF_WORKITEM_CONFIG;

/* Queues. */
typedef enum _WDF_IO_QUEUE_DISPATCH_TYPE {
    WdfIoQueueDispatchInvalid = 0,
    WdfIoQueueDispatchSequential,
    WdfIoQueueDispatchParallel,
    WdfIoQueueDispatchManual,
    WdfIoQueueDispatchMax,
} WDF_IO_QUEUE_DISPATCH_TYPE;

typedef VOID (*PFN_WDF_IO_QUEUE_IO_DEFAULT)(WDFQUEUE Queue, WDFREQUEST Request);
typedef VOID (*PFN_WDF_IO_QUEUE_IO_READ)(WDFQUEUE Queue, WDFREQUEST Request, size_t Length);
typedef VOID (*PFN_WDF_IO_QUEUE_IO_WRITE)(WDFQUEUE Queue, WDFREQUEST Request, size_t Length);
typedef VOID (*PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL)(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
                                                   size_t InputBufferLength, ULONG IoControlCode);
typedef PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL;
typedef VOID (*PFN_WDF_IO_QUEUE_IO_STOP)(WDFQUEUE Queue, WDFREQUEST Request, ULONG ActionFlags);
typedef VOID (*PFN_WDF_IO_QUEUE_IO_RESUME)(WDFQUEUE Queue, WDFREQUEST Request);
typedef VOID (*PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE)(WDFQUEUE Queue, WDFREQUEST Request);

typedef struct _WDF_IO_QUEUE_CONFIG {
    ULONG Size;
    WDF_IO_QUEUE_DISPATCH_TYPE DispatchType;
    WDF_TRI_STATE PowerManaged;
    BOOLEAN AllowZeroLengthRequests;
    BOOLEAN DefaultQueue;
    PFN_WDF_IO_QUEUE_IO_DEFAULT EvtIoDefault;
    PFN_WDF_IO_QUEUE_IO_READ EvtIoRead;
    PFN_WDF_IO_QUEUE_IO_WRITE EvtIoWrite;
    PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL EvtIoDeviceControl;
    PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL EvtIoInternalDeviceControl;
    PFN_WDF_IO_QUEUE_IO_STOP EvtIoStop;
    PFN_WDF_IO_QUEUE_IO_RESUME EvtIoResume;
    PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE EvtIoCanceledOnQueue;
    union {
        struct {
            ULONG NumberOfPresentedRequests;
        } Parallel;
    } Settings;
    WDFDRIVER Driver;
} WDF_IO_QUEUE_CONFIG, *PWDF_IO_QUEUE_CONFIG;

#include "wdffunctions.h"
