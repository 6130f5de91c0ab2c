//! The child devices, as the rest of the driver sees them.

use core::marker::PhantomData;
use core::ops::Deref;

use wdk_sys::{
    _WDF_POWER_DEVICE_STATE, _WDF_TRI_STATE, LCID, NTSTATUS, POWER_ACTION, PWDFDEVICE_INIT, ULONG,
    WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER, WDF_DEVICE_PNP_CAPABILITIES, WDFDEVICE,
    call_unsafe_wdf_function_binding,
};

use super::bus::BusDevice;
use super::handle;
use super::interface::Access;
use super::queue::Controls;
use super::resources::{Assigned, Requirements};
use super::{check, pdo, unicode};

/// What a bus does when KMDF calls its child devices. At PASSIVE_LEVEL, unless it says otherwise.
pub trait Functions: Access + Controls {
    /// EvtChildListCreateDevice, for what [`BusDevice::report_present`] reported.
    fn create_child(bus: &BusDevice<Self>, id: [u32; 3], init: ChildInit<'_, Self>) -> Result<(), NTSTATUS>;

    /// The child device is gone for good, or could not be made. At most DISPATCH_LEVEL.
    fn destroyed(child: Child<'_, Self>);

    /// EvtDeviceResourceRequirementsQuery.
    fn requirements(child: Child<'_, Self>, requirements: &Requirements<'_>) -> Result<(), NTSTATUS>;

    /// EvtDevicePrepareHardware.
    fn prepare(child: Child<'_, Self>, raw: Assigned<'_>, translated: Assigned<'_>) -> Result<(), NTSTATUS>;

    /// EvtDeviceReleaseHardware.
    fn release(child: Child<'_, Self>);

    /// EvtDeviceD0Entry.
    fn enters_d0(child: Child<'_, Self>) -> Result<(), NTSTATUS>;

    /// EvtDeviceD0Exit; `idles`: the device leaves D0 by itself, while the system works.
    fn leaves_d0(child: Child<'_, Self>, idles: bool);

    /// EvtDeviceEject.
    fn ejected(child: Child<'_, Self>);
}

/// What tells one child from another: KMDF compares it byte by byte.
#[repr(C)]
pub(super) struct Description {
    header: WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER,
    pub(super) id: [u32; 3],
}

impl Description {
    /// Bytes.
    pub(super) const SIZE: u32 = size_of::<Description>() as u32;

    /// A description of what `id` names.
    pub(super) fn new(id: [u32; 3]) -> Description {
        let header = WDF_CHILD_IDENTIFICATION_DESCRIPTION_HEADER { IdentificationDescriptionSize: Description::SIZE };
        Description { header, id }
    }
}

/// What names a child device for as long as it is there, and nothing or another one afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildKey(usize);

impl ChildKey {
    pub(super) fn is_of(self, device: WDFDEVICE) -> bool {
        self.0 == device.addr()
    }
}

/// A child device, lent for a callback.
pub struct Child<'a, B> {
    device: WDFDEVICE,
    bus: &'a BusDevice<B>,
    number: u64,
}

impl<B> Clone for Child<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Child<'_, B> {}

impl<'a, B> Child<'a, B> {
    /// The child device with this handle; `None` for one that was not made in full.
    ///
    /// # Safety
    ///
    /// `device` is a child device of this driver that is not destroyed for as long as `'a`.
    pub(super) unsafe fn of(device: WDFDEVICE) -> Option<Child<'a, B>> {
        // SAFETY: the caller's. The context of a child device is null or names its bus, which it keeps.
        unsafe {
            let context = handle::context(device.cast());
            let bus = context.owner.cast::<BusDevice<B>>().as_ref()?;
            Some(Child { device, bus, number: context.number })
        }
    }

    /// The bus.
    pub fn bus(&self) -> &'a BusDevice<B> {
        self.bus
    }

    /// What [`ChildInit::create`] was given.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What names the device.
    pub fn key(&self) -> ChildKey {
        ChildKey(self.device.addr())
    }

    pub(super) fn device(&self) -> WDFDEVICE {
        self.device
    }

    /// Whether a device that goes to `target` idles there.
    pub(super) fn idles(&self, target: _WDF_POWER_DEVICE_STATE::Type) -> bool {
        // SAFETY: WdfDeviceGetSystemPowerAction on a live device, in a power callback.
        let action = unsafe { call_unsafe_wdf_function_binding!(WdfDeviceGetSystemPowerAction, self.device) };
        target == _WDF_POWER_DEVICE_STATE::WdfPowerDeviceD3 && action == POWER_ACTION::PowerActionNone
    }
}

/// Keeps the memory of a child device, and with it its address, which is its key.
pub(super) struct Kept(WDFDEVICE);

impl Kept {
    /// # Safety
    ///
    /// `device` is a child device that is not destroyed before this returns.
    pub(super) unsafe fn new(device: WDFDEVICE) -> Kept {
        // SAFETY: the caller's.
        unsafe { handle::reference(device.cast()) };
        Kept(device)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: this is the reference that `new` took.
        unsafe { handle::dereference(self.0.cast()) }
    }
}

/// A child device in the callback that makes it: the PnP manager has not seen it yet.
pub struct NewChild<'a, B>(Child<'a, B>);

impl<'a, B> Deref for NewChild<'a, B> {
    type Target = Child<'a, B>;

    fn deref(&self) -> &Child<'a, B> {
        &self.0
    }
}

/// What a child device is to be, in EvtChildListCreateDevice. Strings are UTF-16; KMDF copies them. PASSIVE_LEVEL.
pub struct ChildInit<'a, B> {
    init: PWDFDEVICE_INIT,
    bus: &'a BusDevice<B>,
    lent: PhantomData<&'a mut ()>,
}

impl<'a, B> ChildInit<'a, B> {
    /// # Safety
    ///
    /// `init` is that of EvtChildListCreateDevice, for a child of `bus`.
    pub(super) unsafe fn new(init: PWDFDEVICE_INIT, bus: &'a BusDevice<B>) -> ChildInit<'a, B> {
        ChildInit { init, bus, lent: PhantomData }
    }

    /// Sets the device id.
    pub fn device_id(&mut self, id: &[u16]) -> Result<(), NTSTATUS> {
        // SAFETY: WdfPdoInitAssignDeviceID with a string that outlives the call.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfPdoInitAssignDeviceID, self.init, &unicode(id)) })
    }

    /// Sets the instance id.
    pub fn instance_id(&mut self, id: &[u16]) -> Result<(), NTSTATUS> {
        // SAFETY: WdfPdoInitAssignInstanceID with a string that outlives the call.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfPdoInitAssignInstanceID, self.init, &unicode(id)) })
    }

    /// Sets description and location in one language, which is the default.
    pub fn text(&mut self, description: &[u16], location: &[u16], locale: LCID) -> Result<(), NTSTATUS> {
        let (description, location) = (unicode(description), unicode(location));
        // SAFETY: WdfPdoInitAddDeviceText with strings that outlive the call; WdfPdoInitSetDefaultLocale.
        unsafe {
            check(call_unsafe_wdf_function_binding!(
                WdfPdoInitAddDeviceText,
                self.init,
                &description,
                &location,
                locale
            ))?;
            call_unsafe_wdf_function_binding!(WdfPdoInitSetDefaultLocale, self.init, locale);
        }
        Ok(())
    }

    /// Appends a hardware id.
    pub fn hardware_id(&mut self, id: &[u16]) -> Result<(), NTSTATUS> {
        // SAFETY: WdfPdoInitAddHardwareID with a string that outlives the call.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfPdoInitAddHardwareID, self.init, &unicode(id)) })
    }

    /// Appends a compatible id.
    pub fn compatible_id(&mut self, id: &[u16]) -> Result<(), NTSTATUS> {
        // SAFETY: WdfPdoInitAddCompatibleID with a string that outlives the call.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfPdoInitAddCompatibleID, self.init, &unicode(id)) })
    }
}

impl<'a, B: Functions> ChildInit<'a, B> {
    /// Creates the device, with what it answers as its address and its UI number. It can be ejected, and removed by surprise.
    /// Its `number` is for the bus.
    pub fn create(self, number: u64, address: u32, ui_number: u32) -> Result<NewChild<'a, B>, NTSTATUS> {
        let mut capabilities = WDF_DEVICE_PNP_CAPABILITIES {
            Size: size_of::<WDF_DEVICE_PNP_CAPABILITIES>() as ULONG,
            LockSupported: _WDF_TRI_STATE::WdfUseDefault,
            EjectSupported: _WDF_TRI_STATE::WdfTrue,
            Removable: _WDF_TRI_STATE::WdfTrue,
            DockDevice: _WDF_TRI_STATE::WdfFalse,
            // Unique on this bus only.
            UniqueID: _WDF_TRI_STATE::WdfFalse,
            SilentInstall: _WDF_TRI_STATE::WdfUseDefault,
            SurpriseRemovalOK: _WDF_TRI_STATE::WdfTrue,
            HardwareDisabled: _WDF_TRI_STATE::WdfUseDefault,
            NoDisplayInUI: _WDF_TRI_STATE::WdfUseDefault,
            Address: address,
            UINumber: ui_number,
        };
        // SAFETY: `init` is that of EvtChildListCreateDevice, for a child of the bus, and used for the last time.
        let device = unsafe { pdo::create(self.init, self.bus, number) }?;
        // SAFETY: WdfDeviceSetPnpCapabilities on a new device; KMDF copies the structure.
        unsafe { call_unsafe_wdf_function_binding!(WdfDeviceSetPnpCapabilities, device, &mut capabilities) };
        Ok(NewChild(Child { device, bus: self.bus, number }))
    }
}
