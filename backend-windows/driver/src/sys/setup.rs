//! What a new bus device learns of its surroundings.

use core::marker::PhantomData;

use wdk_sys::{
    DEVPROPKEY, KEY_READ, ULONG, WDF_DEVICE_PROPERTY_DATA, WDF_NO_OBJECT_ATTRIBUTES, WDFDEVICE, WDFDRIVER, WDFKEY,
    call_unsafe_wdf_function_binding,
};

use super::unicode;

/// A new bus device and its driver: where a bus learns what it is to be. PASSIVE_LEVEL.
pub struct Setup<'a> {
    driver: WDFDRIVER,
    device: WDFDEVICE,
    lent: PhantomData<&'a ()>,
}

impl Setup<'_> {
    /// # Safety
    ///
    /// `driver` is this driver, and `device` a new device of it; both live as long as `'a`.
    pub(super) unsafe fn new<'a>(driver: WDFDRIVER, device: WDFDEVICE) -> Setup<'a> {
        Setup { driver, device, lent: PhantomData }
    }
}

/// DEVPKEY_Device_InstanceId
static INSTANCE_ID: DEVPROPKEY = DEVPROPKEY {
    fmtid: wdk_sys::GUID {
        Data1: 0x78C3_4FC8,
        Data2: 0x104A,
        Data3: 0x4ACA,
        Data4: [0x9E, 0xA4, 0x52, 0x4D, 0x52, 0x99, 0x6E, 0x57],
    },
    pid: 256,
};

impl Setup<'_> {
    /// Writes the device's instance id, in UTF-16, with a 0 at its end. False if there is none that fits in.
    pub fn instance_id(&self, units: &mut [u16]) -> bool {
        let mut data = WDF_DEVICE_PROPERTY_DATA {
            Size: size_of::<WDF_DEVICE_PROPERTY_DATA>() as ULONG,
            PropertyKey: &INSTANCE_ID,
            ..WDF_DEVICE_PROPERTY_DATA::default()
        };
        let (mut length, mut kind) = (0, 0);
        let room = ULONG::try_from(size_of_val(units)).unwrap_or(0);
        // SAFETY: WdfDeviceQueryPropertyEx at PASSIVE_LEVEL on a live device with a buffer of that length.
        let queried = unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceQueryPropertyEx,
                self.device,
                &mut data,
                room,
                units.as_mut_ptr().cast(),
                &mut length,
                &mut kind
            )
        };
        wdk::nt_success(queried)
    }

    /// The driver's Parameters key, if it has one.
    pub fn parameters(&self) -> Option<Parameters> {
        let mut key = core::ptr::null_mut();
        // SAFETY: WdfDriverOpenParametersRegistryKey at PASSIVE_LEVEL on the driver's handle.
        let opened = unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDriverOpenParametersRegistryKey,
                self.driver,
                KEY_READ,
                WDF_NO_OBJECT_ATTRIBUTES,
                &mut key
            )
        };
        wdk::nt_success(opened).then(|| Parameters(key))
    }
}

/// An open registry key, closed when dropped. PASSIVE_LEVEL.
pub struct Parameters(WDFKEY);

impl Parameters {
    /// A REG_DWORD by its name in UTF-16.
    pub fn number(&self, name: &[u16]) -> Option<u32> {
        let mut number = 0;
        // SAFETY: WdfRegistryQueryULong at PASSIVE_LEVEL on an open key; the name outlives the call.
        let queried =
            unsafe { call_unsafe_wdf_function_binding!(WdfRegistryQueryULong, self.0, &unicode(name), &mut number) };
        wdk::nt_success(queried).then_some(number)
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        // SAFETY: WdfRegistryClose on the open key, once.
        unsafe { call_unsafe_wdf_function_binding!(WdfRegistryClose, self.0) }
    }
}
