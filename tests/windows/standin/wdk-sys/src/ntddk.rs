//! Functions of ntoskrnl.exe and HAL.dll.

use crate::types::*;
use crate::wdm::*;

#[link(name = "ntoskrnl")]
unsafe extern "C" {
    pub fn DbgPrint(Format: PCSTR, ...) -> ULONG;
    pub fn ExAllocatePool2(Flags: POOL_FLAGS, NumberOfBytes: SIZE_T, Tag: ULONG) -> PVOID;
    pub fn ExFreePool(P: PVOID);
    pub fn KeGetCurrentIrql() -> KIRQL;
    pub fn KeBugCheckEx(c: ULONG, a: ULONG_PTR, b: ULONG_PTR, c: ULONG_PTR, d: ULONG_PTR) -> !;
    pub fn KeInitializeEvent(Event: PKEVENT, Type: EVENT_TYPE, State: BOOLEAN);
    pub fn KeSetEvent(Event: PKEVENT, Increment: KPRIORITY, Wait: BOOLEAN) -> LONG;
    pub fn KeWaitForSingleObject(
        Object: PVOID,
        WaitReason: KWAIT_REASON,
        WaitMode: KPROCESSOR_MODE,
        Alertable: BOOLEAN,
        Timeout: PLARGE_INTEGER,
    ) -> NTSTATUS;
    pub fn MmUnmapIoSpace(BaseAddress: PVOID, NumberOfBytes: SIZE_T);
    pub fn IofCompleteRequest(Irp: PIRP, PriorityBoost: CHAR);
    pub fn IoGetDmaAdapter(
        PhysicalDeviceObject: PDEVICE_OBJECT,
        DeviceDescription: PDEVICE_DESCRIPTION,
        NumberOfMapRegisters: PULONG,
    ) -> *mut _DMA_ADAPTER;
}

#[link(name = "hal")]
unsafe extern "C" {
    pub fn KeQueryPerformanceCounter(PerformanceFrequency: PLARGE_INTEGER) -> LARGE_INTEGER;
}
