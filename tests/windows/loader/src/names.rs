//! The names of the WDF table's slots (WDFFUNCENUM), for messages about functions that have no fake. Those of USB, WMI
//! and DMA transactions are left out: a bus driver has no use for them.

/// Runs of names: the slot of the first, and the names without their "Wdf".
const RUNS: &[(u32, &str)] = &[
    (
        0,
        "ChildListCreate ChildListGetDevice ChildListRetrievePdo ChildListRetrieveAddressDescription ChildListBeginScan \
         ChildListEndScan ChildListBeginIteration ChildListRetrieveNextDevice ChildListEndIteration \
         ChildListAddOrUpdateChildDescriptionAsPresent ChildListUpdateChildDescriptionAsMissing \
         ChildListUpdateAllChildDescriptionsAsPresent ChildListRequestChildEject CollectionCreate CollectionGetCount \
         CollectionAdd CollectionRemove CollectionRemoveItem CollectionGetItem CollectionGetFirstItem \
         CollectionGetLastItem CommonBufferCreate",
    ),
    (
        30,
        "WdmDeviceGetWdfDeviceHandle DeviceWdmGetDeviceObject DeviceWdmGetAttachedDevice DeviceWdmGetPhysicalDevice \
          DeviceWdmDispatchPreprocessedIrp",
    ),
    (
        42,
        "DeviceGetIoTarget DeviceGetDevicePnpState DeviceGetDevicePowerState DeviceGetDevicePowerPolicyState \
          DeviceAssignS0IdleSettings DeviceAssignSxWakeSettings DeviceOpenRegistryKey DeviceSetSpecialFileSupport \
          DeviceSetCharacteristics DeviceGetCharacteristics DeviceGetAlignmentRequirement \
          DeviceSetAlignmentRequirement DeviceInitFree DeviceInitSetPnpPowerEventCallbacks \
          DeviceInitSetPowerPolicyEventCallbacks DeviceInitSetPowerPolicyOwnership \
          DeviceInitRegisterPnpStateChangeCallback DeviceInitRegisterPowerStateChangeCallback \
          DeviceInitRegisterPowerPolicyStateChangeCallback DeviceInitSetIoType DeviceInitSetExclusive \
          DeviceInitSetPowerNotPageable DeviceInitSetPowerPageable DeviceInitSetPowerInrush DeviceInitSetDeviceType \
          DeviceInitAssignName DeviceInitAssignSDDLString DeviceInitSetDeviceClass DeviceInitSetCharacteristics \
          DeviceInitSetFileObjectConfig DeviceInitSetRequestAttributes DeviceInitAssignWdmIrpPreprocessCallback \
          DeviceInitSetIoInCallerContextCallback DeviceCreate DeviceSetStaticStopRemove DeviceCreateDeviceInterface \
          DeviceSetDeviceInterfaceState DeviceRetrieveDeviceInterfaceString DeviceCreateSymbolicLink \
          DeviceQueryProperty DeviceAllocAndQueryProperty DeviceSetPnpCapabilities DeviceSetPowerCapabilities \
          DeviceSetBusInformationForChildren DeviceIndicateWakeStatus DeviceSetFailed DeviceStopIdleNoTrack \
          DeviceResumeIdleNoTrack DeviceGetFileObject DeviceEnqueueRequest DeviceGetDefaultQueue \
          DeviceConfigureRequestDispatching",
    ),
    (
        111,
        "DpcCreate DpcEnqueue DpcCancel DpcGetParentObject DpcWdmGetDpc DriverCreate DriverGetRegistryPath \
           DriverWdmGetDriverObject DriverOpenParametersRegistryKey WdmDriverGetWdfDriverHandle \
           DriverRegisterTraceInfo DriverRetrieveVersionString DriverIsVersionAvailable \
           FdoInitWdmGetPhysicalDevice FdoInitOpenRegistryKey FdoInitQueryProperty FdoInitAllocAndQueryProperty \
           FdoInitSetEventCallbacks FdoInitSetFilter FdoInitSetDefaultChildListConfig FdoQueryForInterface \
           FdoGetDefaultChildList FdoAddStaticChild FdoLockStaticChildListForIteration FdoRetrieveNextStaticChild \
           FdoUnlockStaticChildListFromIteration",
    ),
    (
        192,
        "MemoryCreate MemoryCreatePreallocated MemoryGetBuffer MemoryAssignBuffer MemoryCopyToBuffer \
           MemoryCopyFromBuffer LookasideListCreate MemoryCreateFromLookaside DeviceMiniportCreate \
           DriverMiniportUnload ObjectGetTypedContextWorker ObjectAllocateContext ObjectContextGetObject \
           ObjectReferenceActual ObjectDereferenceActual ObjectCreate ObjectDelete ObjectQuery PdoInitAllocate \
           PdoInitSetEventCallbacks PdoInitAssignDeviceID PdoInitAssignInstanceID PdoInitAddHardwareID \
           PdoInitAddCompatibleID PdoInitAddDeviceText PdoInitSetDefaultLocale PdoInitAssignRawDevice \
           PdoMarkMissing PdoRequestEject PdoGetParent PdoRetrieveIdentificationDescription \
           PdoRetrieveAddressDescription PdoUpdateAddressDescription PdoAddEjectionRelationsPhysicalDevice \
           PdoRemoveEjectionRelationsPhysicalDevice PdoClearEjectionRelationsDevices DeviceAddQueryInterface \
           RegistryOpenKey RegistryCreateKey RegistryClose RegistryWdmGetHandle RegistryRemoveKey \
           RegistryRemoveValue RegistryQueryValue RegistryQueryMemory RegistryQueryMultiString \
           RegistryQueryUnicodeString RegistryQueryString RegistryQueryULong",
    ),
    (
        286,
        "IoResourceRequirementsListSetSlotNumber IoResourceRequirementsListSetInterfaceType \
           IoResourceRequirementsListAppendIoResList IoResourceRequirementsListInsertIoResList \
           IoResourceRequirementsListGetCount IoResourceRequirementsListGetIoResList \
           IoResourceRequirementsListRemove IoResourceRequirementsListRemoveByIoResList IoResourceListCreate \
           IoResourceListAppendDescriptor IoResourceListInsertDescriptor IoResourceListUpdateDescriptor \
           IoResourceListGetCount IoResourceListGetDescriptor IoResourceListRemove \
           IoResourceListRemoveByDescriptor CmResourceListAppendDescriptor CmResourceListInsertDescriptor \
           CmResourceListGetCount CmResourceListGetDescriptor CmResourceListRemove \
           CmResourceListRemoveByDescriptor StringCreate StringGetUnicodeString ObjectAcquireLock \
           ObjectReleaseLock WaitLockCreate WaitLockAcquire WaitLockRelease SpinLockCreate SpinLockAcquire \
           SpinLockRelease TimerCreate TimerStart TimerStop TimerGetParentObject",
    ),
    (379, "WorkItemCreate WorkItemEnqueue WorkItemGetParentObject WorkItemFlush"),
    (385, "DmaEnablerWdmGetDmaAdapter"),
    (388, "DeviceGetSystemPowerAction"),
    (433, "DeviceQueryPropertyEx"),
];

/// The name of a slot, where it is known.
pub fn wdf(slot: u32) -> Option<&'static str> {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    static NAMES: OnceLock<HashMap<u32, &'static str>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let run = |(first, names): &(u32, &'static str)| {
            let named = names.split_whitespace().map(|name| &*Box::leak(format!("Wdf{name}").into_boxed_str()));
            (*first..).zip(named).collect::<Vec<(u32, &'static str)>>()
        };
        RUNS.iter().flat_map(run).collect()
    });
    names.get(&slot).copied()
}

#[cfg(test)]
mod tests {
    use super::wdf;

    /// Slots that `reference/windows-kernel.md` section 1 names: a name left out of a run would shift them.
    #[test]
    fn the_runs_agree_with_known_slots() {
        let known = [
            (33, "WdfDeviceWdmGetPhysicalDevice"),
            (55, "WdfDeviceInitSetPnpPowerEventCallbacks"),
            (75, "WdfDeviceCreate"),
            (93, "WdfDeviceConfigureRequestDispatching"),
            (116, "WdfDriverCreate"),
            (131, "WdfFdoQueryForInterface"),
            (202, "WdfObjectGetTypedContextWorker"),
            (228, "WdfDeviceAddQueryInterface"),
            (240, "WdfRegistryQueryULong"),
            (317, "WdfSpinLockRelease"),
            (321, "WdfTimerGetParentObject"),
            (382, "WdfWorkItemFlush"),
        ];
        for (slot, name) in known {
            assert_eq!(wdf(slot), Some(name));
        }
        assert_eq!(wdf(457), None);
    }
}
