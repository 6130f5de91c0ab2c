//! The functions of KMDF 1.33, called through the table that the framework loader fills in. The numbers are those of
//! `WDFFUNCENUM`.

use crate::types::*;
use crate::wdf::*;
use crate::wdm::*;

#[link(name = "WdfDriverEntry", kind = "static", modifiers = "-bundle")]
#[link(name = "WdfLdr")]
unsafe extern "C" {
    static WdfFunctions_01033: *const Option<unsafe extern "C" fn()>;
    static WdfDriverGlobals: PWDF_DRIVER_GLOBALS;
}

// As the genuine macro has it, no result may be dropped unseen.
macro_rules! wdf {
    ($($index:literal fn $name:ident($($a:ident: $t:ty),* $(,)?) $(-> $r:ty)?;)*) => {
        $(#[inline]
        $(#[doc = stringify!($r)] #[must_use])?
        pub unsafe fn $name($($a: $t),*) $(-> $r)? {
            unsafe {
                let entry = (*WdfFunctions_01033.add($index)).unwrap_unchecked();
                let call: unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, $($t),*) $(-> $r)? = core::mem::transmute(entry);
                call(WdfDriverGlobals, $($a),*)
            }
        })*
    };
}

type Attributes = PWDF_OBJECT_ATTRIBUTES;
type IdHeader = PWDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER;
type AddressHeader = PWDF_CHILD_ADDRESS_DESCRIPTION_HEADER;

wdf! {
    1 fn WdfChildListGetDevice(list: WDFCHILDLIST) -> WDFDEVICE;
    9 fn WdfChildListAddOrUpdateChildDescriptionAsPresent(list: WDFCHILDLIST, id: IdHeader, address: AddressHeader) -> NTSTATUS;
    10 fn WdfChildListUpdateChildDescriptionAsMissing(list: WDFCHILDLIST, id: IdHeader) -> NTSTATUS;
    33 fn WdfDeviceWdmGetPhysicalDevice(device: WDFDEVICE) -> PDEVICE_OBJECT;
    55 fn WdfDeviceInitSetPnpPowerEventCallbacks(init: PWDFDEVICE_INIT, callbacks: PWDF_PNPPOWER_EVENT_CALLBACKS);
    66 fn WdfDeviceInitSetDeviceType(init: PWDFDEVICE_INIT, device_type: ULONG);
    73 fn WdfDeviceInitAssignWdmIrpPreprocessCallback(init: PWDFDEVICE_INIT, callback: PFN_WDFDEVICE_WDM_IRP_PREPROCESS, major: UCHAR, minors: PUCHAR, count: ULONG) -> NTSTATUS;
    75 fn WdfDeviceCreate(init: *mut PWDFDEVICE_INIT, attributes: Attributes, device: *mut WDFDEVICE) -> NTSTATUS;
    83 fn WdfDeviceSetPnpCapabilities(device: WDFDEVICE, capabilities: PWDF_DEVICE_PNP_CAPABILITIES);
    85 fn WdfDeviceSetBusInformationForChildren(device: WDFDEVICE, information: PPNP_BUS_INFORMATION);
    116 fn WdfDriverCreate(driver: PDRIVER_OBJECT, path: PCUNICODE_STRING, attributes: Attributes, config: PWDF_DRIVER_CONFIG, handle: *mut WDFDRIVER) -> NTSTATUS;
    119 fn WdfDriverOpenParametersRegistryKey(driver: WDFDRIVER, access: ACCESS_MASK, attributes: Attributes, key: *mut WDFKEY) -> NTSTATUS;
    128 fn WdfFdoInitSetEventCallbacks(init: PWDFDEVICE_INIT, callbacks: PWDF_FDO_EVENT_CALLBACKS);
    130 fn WdfFdoInitSetDefaultChildListConfig(init: PWDFDEVICE_INIT, config: PWDF_CHILD_LIST_CONFIG, attributes: Attributes);
    132 fn WdfFdoGetDefaultChildList(fdo: WDFDEVICE) -> WDFCHILDLIST;
    152 fn WdfIoQueueCreate(device: WDFDEVICE, config: PWDF_IO_QUEUE_CONFIG, attributes: Attributes, queue: *mut WDFQUEUE) -> NTSTATUS;
    157 fn WdfIoQueueGetDevice(queue: WDFQUEUE) -> WDFDEVICE;
    158 fn WdfIoQueueRetrieveNextRequest(queue: WDFQUEUE, request: *mut WDFREQUEST) -> NTSTATUS;
    202 fn WdfObjectGetTypedContextWorker(handle: WDFOBJECT, context_type: PCWDF_OBJECT_CONTEXT_TYPE_INFO) -> PVOID;
    205 fn WdfObjectReferenceActual(handle: WDFOBJECT, tag: PVOID, line: LONG, file: PCHAR);
    206 fn WdfObjectDereferenceActual(handle: WDFOBJECT, tag: PVOID, line: LONG, file: PCHAR);
    208 fn WdfObjectDelete(object: WDFOBJECT);
    211 fn WdfPdoInitSetEventCallbacks(init: PWDFDEVICE_INIT, callbacks: PWDF_PDO_EVENT_CALLBACKS);
    212 fn WdfPdoInitAssignDeviceID(init: PWDFDEVICE_INIT, id: PCUNICODE_STRING) -> NTSTATUS;
    213 fn WdfPdoInitAssignInstanceID(init: PWDFDEVICE_INIT, id: PCUNICODE_STRING) -> NTSTATUS;
    214 fn WdfPdoInitAddHardwareID(init: PWDFDEVICE_INIT, id: PCUNICODE_STRING) -> NTSTATUS;
    215 fn WdfPdoInitAddCompatibleID(init: PWDFDEVICE_INIT, id: PCUNICODE_STRING) -> NTSTATUS;
    216 fn WdfPdoInitAddDeviceText(init: PWDFDEVICE_INIT, description: PCUNICODE_STRING, location: PCUNICODE_STRING, locale: LCID) -> NTSTATUS;
    217 fn WdfPdoInitSetDefaultLocale(init: PWDFDEVICE_INIT, locale: LCID);
    220 fn WdfPdoRequestEject(device: WDFDEVICE);
    221 fn WdfPdoGetParent(device: WDFDEVICE) -> WDFDEVICE;
    228 fn WdfDeviceAddQueryInterface(device: WDFDEVICE, config: PWDF_QUERY_INTERFACE_CONFIG) -> NTSTATUS;
    231 fn WdfRegistryClose(key: WDFKEY);
    240 fn WdfRegistryQueryULong(key: WDFKEY, name: PCUNICODE_STRING, value: PULONG) -> NTSTATUS;
    265 fn WdfRequestCompleteWithInformation(request: WDFREQUEST, status: NTSTATUS, information: ULONG_PTR);
    281 fn WdfRequestForwardToIoQueue(request: WDFREQUEST, queue: WDFQUEUE) -> NTSTATUS;
    285 fn WdfRequestWdmGetIrp(request: WDFREQUEST) -> PIRP;
    286 fn WdfIoResourceRequirementsListSetSlotNumber(list: WDFIORESREQLIST, slot: ULONG);
    287 fn WdfIoResourceRequirementsListSetInterfaceType(list: WDFIORESREQLIST, interface: INTERFACE_TYPE);
    288 fn WdfIoResourceRequirementsListAppendIoResList(list: WDFIORESREQLIST, resources: WDFIORESLIST) -> NTSTATUS;
    290 fn WdfIoResourceRequirementsListGetCount(list: WDFIORESREQLIST) -> ULONG;
    291 fn WdfIoResourceRequirementsListGetIoResList(list: WDFIORESREQLIST, index: ULONG) -> WDFIORESLIST;
    294 fn WdfIoResourceListCreate(requirements: WDFIORESREQLIST, attributes: Attributes, list: *mut WDFIORESLIST) -> NTSTATUS;
    295 fn WdfIoResourceListAppendDescriptor(list: WDFIORESLIST, descriptor: PIO_RESOURCE_DESCRIPTOR) -> NTSTATUS;
    304 fn WdfCmResourceListGetCount(list: WDFCMRESLIST) -> ULONG;
    305 fn WdfCmResourceListGetDescriptor(list: WDFCMRESLIST, index: ULONG) -> PCM_PARTIAL_RESOURCE_DESCRIPTOR;
    306 fn WdfCmResourceListRemove(list: WDFCMRESLIST, index: ULONG);
    315 fn WdfSpinLockCreate(attributes: Attributes, lock: *mut WDFSPINLOCK) -> NTSTATUS;
    316 fn WdfSpinLockAcquire(lock: WDFSPINLOCK);
    317 fn WdfSpinLockRelease(lock: WDFSPINLOCK);
    318 fn WdfTimerCreate(config: PWDF_TIMER_CONFIG, attributes: Attributes, timer: *mut WDFTIMER) -> NTSTATUS;
    319 fn WdfTimerStart(timer: WDFTIMER, due: LONGLONG) -> BOOLEAN;
    320 fn WdfTimerStop(timer: WDFTIMER, wait: BOOLEAN) -> BOOLEAN;
    379 fn WdfWorkItemCreate(config: PWDF_WORKITEM_CONFIG, attributes: Attributes, item: *mut WDFWORKITEM) -> NTSTATUS;
    380 fn WdfWorkItemEnqueue(item: WDFWORKITEM);
    382 fn WdfWorkItemFlush(item: WDFWORKITEM);
    388 fn WdfDeviceGetSystemPowerAction(device: WDFDEVICE) -> POWER_ACTION::Type;
    433 fn WdfDeviceQueryPropertyEx(device: WDFDEVICE, data: PWDF_DEVICE_PROPERTY_DATA, length: ULONG, buffer: PVOID, required: PULONG, kind: *mut DEVPROPTYPE) -> NTSTATUS;
}
