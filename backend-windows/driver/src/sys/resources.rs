//! Resource lists, as KMDF hands them to a callback: what a device asks for, and what it was given.

use core::marker::PhantomData;

use hvpci_windows::resources::{CM_BYTES, IO_BYTES};
use wdk_sys::{
    _INTERFACE_TYPE, IO_RESOURCE_DESCRIPTOR, NTSTATUS, WDF_NO_OBJECT_ATTRIBUTES, WDFCMRESLIST, WDFIORESLIST,
    WDFIORESREQLIST, call_unsafe_wdf_function_binding,
};

use super::check;

/// A list of assigned resources, lent for a callback.
#[derive(Clone, Copy)]
pub struct Assigned<'a>(WDFCMRESLIST, PhantomData<&'a ()>);

impl<'a> Assigned<'a> {
    /// # Safety
    ///
    /// `list` lives as long as `'a`.
    pub(super) unsafe fn new(list: WDFCMRESLIST) -> Assigned<'a> {
        Assigned(list, PhantomData)
    }

    /// The resources in the list.
    pub fn count(&self) -> u32 {
        // SAFETY: WdfCmResourceListGetCount on a live list.
        unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListGetCount, self.0) }
    }

    /// The descriptor at a place, as bytes; `None` behind the last one.
    pub fn get(&self, index: u32) -> Option<[u8; CM_BYTES]> {
        // SAFETY: WdfCmResourceListGetDescriptor on a live list; what comes back is null or a descriptor of 20 bytes, of any
        // alignment.
        unsafe {
            let descriptor = call_unsafe_wdf_function_binding!(WdfCmResourceListGetDescriptor, self.0, index);
            (!descriptor.is_null()).then(|| descriptor.cast::<[u8; CM_BYTES]>().read())
        }
    }

    /// The descriptors, as bytes.
    pub fn iter(self) -> impl Iterator<Item = [u8; CM_BYTES]> + use<'a> {
        (0..self.count()).filter_map(move |index| self.get(index))
    }
}

/// A list of assigned resources in EvtDeviceRemoveAddedResources, where resources can be taken out of it.
pub struct AddedTo<'a>(Assigned<'a>);

impl<'a> AddedTo<'a> {
    /// # Safety
    ///
    /// `list` is one of EvtDeviceRemoveAddedResources and lives as long as `'a`.
    pub(super) unsafe fn new(list: WDFCMRESLIST) -> AddedTo<'a> {
        // SAFETY: the caller's.
        AddedTo(unsafe { Assigned::new(list) })
    }

    /// Takes the last `many` resources out.
    pub fn remove_last(&mut self, many: u32) {
        let count = self.0.count();
        // From the highest index down: those below keep theirs.
        for index in (count.saturating_sub(many)..count).rev() {
            // SAFETY: WdfCmResourceListRemove in the callback that is for it, with an index below the count.
            unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListRemove, self.0.0, index) };
        }
    }
}

/// A list of requirements, each a list of resources, lent for a callback. PASSIVE_LEVEL.
pub struct Requirements<'a>(WDFIORESREQLIST, PhantomData<&'a ()>);

impl<'a> Requirements<'a> {
    /// # Safety
    ///
    /// `list` is one of a callback in which it may be changed, and lives as long as `'a`.
    pub(super) unsafe fn new(list: WDFIORESREQLIST) -> Requirements<'a> {
        Requirements(list, PhantomData)
    }

    /// Says that the resources are those of a PCI function, and which slot it has.
    pub fn set_pci_slot(&self, slot: u32) {
        // SAFETY: both on a live list.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfIoResourceRequirementsListSetInterfaceType,
                self.0,
                _INTERFACE_TYPE::PCIBus
            );
            call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListSetSlotNumber, self.0, slot);
        }
    }

    /// The lists there are.
    pub fn count(&self) -> u32 {
        // SAFETY: WdfIoResourceRequirementsListGetCount on a live list.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListGetCount, self.0) }
    }

    /// The list at a place; `None` behind the last one.
    pub fn get(&self, index: u32) -> Option<Needs<'_>> {
        // SAFETY: WdfIoResourceRequirementsListGetIoResList on a live list; what comes back is null or lives as long as it.
        let list =
            unsafe { call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListGetIoResList, self.0, index) };
        (!list.is_null()).then_some(Needs(list, PhantomData))
    }

    /// A new, empty list, which is deleted with this one whether it is appended or not.
    pub fn new_list(&self) -> Result<NewNeeds<'_>, NTSTATUS> {
        let mut list = core::ptr::null_mut();
        // SAFETY: WdfIoResourceListCreate at PASSIVE_LEVEL on a live list.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfIoResourceListCreate, self.0, WDF_NO_OBJECT_ATTRIBUTES, &mut list)
        })?;
        Ok(NewNeeds { needs: Needs(list, PhantomData), of: self.0 })
    }
}

/// A list of resources that is not among its requirements yet.
pub struct NewNeeds<'a> {
    needs: Needs<'a>,
    of: WDFIORESREQLIST,
}

impl<'a> NewNeeds<'a> {
    /// What is asked for.
    pub fn needs(&self) -> &Needs<'a> {
        &self.needs
    }

    /// Appends the list to the requirements that it was made for.
    pub fn append_to_requirements(self) -> Result<(), NTSTATUS> {
        // SAFETY: WdfIoResourceRequirementsListAppendIoResList with a list that was made for it, once; both live.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfIoResourceRequirementsListAppendIoResList, self.of, self.needs.0)
        })
    }
}

/// A list of resources that are asked for together.
pub struct Needs<'a>(WDFIORESLIST, PhantomData<&'a ()>);

impl Needs<'_> {
    /// Appends an `IO_RESOURCE_DESCRIPTOR`.
    pub fn append(&self, bytes: &[u8; IO_BYTES]) -> Result<(), NTSTATUS> {
        let mut descriptor = IO_RESOURCE_DESCRIPTOR::default();
        const { assert!(size_of::<IO_RESOURCE_DESCRIPTOR>() == IO_BYTES) };
        // SAFETY: the descriptor is plain data of exactly that many bytes, in the layout of wdm.h; KMDF copies it.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut descriptor).cast(), bytes.len());
            check(call_unsafe_wdf_function_binding!(WdfIoResourceListAppendDescriptor, self.0, &mut descriptor))
        }
    }
}
