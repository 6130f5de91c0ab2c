//! Devices, once they are created.

use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::status;
use crate::rule;
use crate::wdf::children::ChildList;
use crate::wdf::init::{self, Init};
use crate::wdf::object::{Attributes, Kind, attributes};
use crate::wdf::{check_size, field, field32};
use crate::world::with;

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// What it was made from.
    pub init: Init,
    /// The device object.
    pub object: usize,
    /// The default child list of an FDO; 0 for none.
    pub list: usize,
    /// The interfaces it answers for.
    pub interfaces: Vec<Interface>,
    /// PnP capabilities: nine tri-states, address, UI number.
    pub capabilities: Option<[u32; 11]>,
    /// The bus type told for the children: GUID and legacy type.
    pub bus_information: Option<([u8; 16], i32)>,
    /// What WdfDeviceGetSystemPowerAction says.
    pub power_action: i32,
    /// Whether the driver asked for the ejection of this PDO.
    pub eject_requested: bool,
    /// The instance path PnP knows it by.
    pub path: String,
}

/// An interface a device answers for.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its GUID.
    pub guid: [u8; 16],
    /// The bytes of the INTERFACE as registered.
    pub bytes: Vec<u8>,
    /// EvtDeviceProcessQueryInterfaceRequest; 0 for none.
    pub process: usize,
}

unsafe extern "win64" fn WdfDeviceCreate(_globals: usize, at: *mut usize, given: *const u32, out: *mut usize) -> i32 {
    irql::exactly(PASSIVE, "WdfDeviceCreate");
    // SAFETY: the driver's PWDFDEVICE_INIT, attributes and out parameter.
    let (init_at, given) = unsafe { (at.read(), attributes(given)) };
    rule!(given.parent == 0, "WdfDeviceCreate with a parent: a device's parent is given");
    let handle = with(|world| {
        let failed = world.allocation_fails("WdfDeviceCreate");
        if failed {
            return None;
        }
        let init = init::take(world, init_at);
        let driver = world.wdf.driver.map_or(0, |driver| driver.handle);
        let parent = if init.parent == 0 { driver } else { init.parent };
        let handle = world.wdf.objects.create(Kind::Device, given, parent);
        let mut list = 0;
        if let Some((callbacks, id, address, list_attributes)) = init.child_list.clone() {
            list = world.wdf.objects.create(Kind::ChildList, list_attributes, handle);
            world.wdf.lists.insert(list, ChildList::new(handle, callbacks, id, address));
        }
        let object = if init.parent == 0 { handle + 0x1_0000_0000 } else { init.physical };
        let device = Device {
            init,
            object,
            list,
            interfaces: Vec::new(),
            capabilities: None,
            bus_information: None,
            power_action: 0,
            eject_requested: false,
            path: String::new(),
        };
        world.wdf.devices.insert(handle, device);
        Some(handle)
    });
    let Some(handle) = handle else { return status::INSUFFICIENT_RESOURCES };
    // SAFETY: the driver's pointers; the init is the framework's from here on.
    unsafe {
        at.write(0);
        out.write(handle);
    }
    status::SUCCESS
}

fn device<R>(handle: usize, what: &str, f: impl FnOnce(&mut Device) -> R) -> R {
    with(|world| {
        world.wdf.objects.check(handle, Kind::Device, what);
        match world.wdf.devices.get_mut(&handle) {
            Some(device) => f(device),
            None => crate::fail::fail(crate::fail::Verdict::Rule, &format!("{what}: {handle:#x} has no device")),
        }
    })
}

unsafe extern "win64" fn WdfDeviceWdmGetPhysicalDevice(_globals: usize, handle: usize) -> usize {
    irql::at_most(DISPATCH, "WdfDeviceWdmGetPhysicalDevice");
    device(handle, "WdfDeviceWdmGetPhysicalDevice", |device| device.init.physical)
}

unsafe extern "win64" fn WdfDeviceWdmGetDeviceObject(_globals: usize, handle: usize) -> usize {
    irql::at_most(DISPATCH, "WdfDeviceWdmGetDeviceObject");
    device(handle, "WdfDeviceWdmGetDeviceObject", |device| device.object)
}

unsafe extern "win64" fn WdfDeviceSetPnpCapabilities(_globals: usize, handle: usize, capabilities: *const u32) {
    irql::at_most(DISPATCH, "WdfDeviceSetPnpCapabilities");
    check_size(capabilities, 48, "WDF_DEVICE_PNP_CAPABILITIES");
    // SAFETY: the size was checked.
    let values: [u32; 11] = std::array::from_fn(|at| unsafe { field32(capabilities, 4 + at * 4) });
    let tri = values[..9].iter().all(|value| *value <= 2);
    rule!(tri, "WDF_DEVICE_PNP_CAPABILITIES: not a WDF_TRI_STATE in {values:?}");
    device(handle, "WdfDeviceSetPnpCapabilities", |device| device.capabilities = Some(values));
}

unsafe extern "win64" fn WdfDeviceSetBusInformationForChildren(_globals: usize, handle: usize, information: *const u8) {
    irql::at_most(DISPATCH, "WdfDeviceSetBusInformationForChildren");
    // SAFETY: the driver's PNP_BUS_INFORMATION: GUID, INTERFACE_TYPE, number.
    let (guid, kind) = unsafe { (information.cast::<[u8; 16]>().read(), information.add(16).cast::<i32>().read()) };
    device(handle, "WdfDeviceSetBusInformationForChildren", |device| device.bus_information = Some((guid, kind)));
}

unsafe extern "win64" fn WdfPdoGetParent(_globals: usize, handle: usize) -> usize {
    irql::at_most(DISPATCH, "WdfPdoGetParent");
    device(handle, "WdfPdoGetParent", |device| {
        rule!(device.init.parent != 0, "WdfPdoGetParent: {handle:#x} is no PDO");
        device.init.parent
    })
}

unsafe extern "win64" fn WdfPdoRequestEject(_globals: usize, handle: usize) {
    irql::at_most(DISPATCH, "WdfPdoRequestEject");
    device(handle, "WdfPdoRequestEject", |device| {
        rule!(device.init.parent != 0, "WdfPdoRequestEject: {handle:#x} is no PDO");
        let ejectable = device.capabilities.is_some_and(|c| c[1] == 1);
        rule!(ejectable, "WdfPdoRequestEject: the device did not say EjectSupported");
        device.eject_requested = true;
    });
    with(crate::world::World::changed);
}

unsafe extern "win64" fn WdfDeviceAddQueryInterface(_globals: usize, handle: usize, config: *const u32) -> i32 {
    irql::exactly(PASSIVE, "WdfDeviceAddQueryInterface");
    check_size(config, 48, "WDF_QUERY_INTERFACE_CONFIG");
    // SAFETY: the size was checked; the INTERFACE begins with its own size.
    let interface = unsafe {
        let (at, guid, process) = (field(config, 8), field(config, 16), field(config, 32));
        rule!(guid != 0, "WDF_QUERY_INTERFACE_CONFIG without a GUID");
        let bytes = if at == 0 { 0 } else { (at as *const u16).read() };
        rule!(at == 0 || bytes >= 32, "an INTERFACE of {bytes} bytes");
        rule!(at != 0 || process != 0, "WDF_QUERY_INTERFACE_CONFIG with neither interface nor callback");
        if at != 0 {
            let (reference, dereference) = (field(at as *const u32, 16), field(at as *const u32, 24));
            rule!(reference != 0 && dereference != 0, "an INTERFACE without reference routines");
        }
        let bytes = std::slice::from_raw_parts(if at == 0 { config.cast() } else { at as *const u8 }, bytes.into());
        Interface { guid: (guid as *const [u8; 16]).read(), bytes: bytes.to_vec(), process }
    };
    if with(|world| world.allocation_fails("WdfDeviceAddQueryInterface")) {
        return status::INSUFFICIENT_RESOURCES;
    }
    device(handle, "WdfDeviceAddQueryInterface", |device| device.interfaces.push(interface));
    status::SUCCESS
}

unsafe extern "win64" fn WdfDeviceGetSystemPowerAction(_globals: usize, handle: usize) -> i32 {
    irql::at_most(DISPATCH, "WdfDeviceGetSystemPowerAction");
    device(handle, "WdfDeviceGetSystemPowerAction", |device| device.power_action)
}

/// DEVPKEY_Device_InstanceId: {78C34FC8-104A-4ACA-9EA4-524D52996E57}, 256.
const INSTANCE_ID: ([u8; 16], u32) =
    ([0xC8, 0x4F, 0xC3, 0x78, 0x4A, 0x10, 0xCA, 0x4A, 0x9E, 0xA4, 0x52, 0x4D, 0x52, 0x99, 0x6E, 0x57], 256);
const DEVPROP_TYPE_STRING: u32 = 0x12;
const STATUS_BUFFER_TOO_SMALL: i32 = 0xC000_0023_u32.cast_signed();

unsafe extern "win64" fn WdfDeviceQueryPropertyEx(
    _globals: usize,
    handle: usize,
    data: *const u32,
    length: u32,
    buffer: *mut u8,
    required: *mut u32,
    kind: *mut u32,
) -> i32 {
    irql::exactly(PASSIVE, "WdfDeviceQueryPropertyEx");
    check_size(data, 24, "WDF_DEVICE_PROPERTY_DATA");
    // SAFETY: the size was checked; the key is 20 bytes.
    let key = unsafe {
        let key = field(data, 8) as *const u8;
        (key.cast::<[u8; 16]>().read(), key.add(16).cast::<u32>().read())
    };
    let path = device(handle, "WdfDeviceQueryPropertyEx", |device| device.path.clone());
    if key != INSTANCE_ID || path.is_empty() {
        return status::OBJECT_NAME_NOT_FOUND;
    }
    let bytes: Vec<u8> = path.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // SAFETY: the driver's out parameters and its buffer of `length` bytes.
    unsafe {
        required.write(count);
        kind.write(DEVPROP_TYPE_STRING);
        if length < count {
            return STATUS_BUFFER_TOO_SMALL;
        }
        buffer.copy_from(bytes.as_ptr(), bytes.len());
    }
    status::SUCCESS
}

/// An object of the framework's own making, without context.
pub fn bare(kind: Kind, parent: usize) -> usize {
    with(|world| world.wdf.objects.create(kind, Attributes::default(), parent))
}

crate::wdf_exports!(31 => WdfDeviceWdmGetDeviceObject, 33 => WdfDeviceWdmGetPhysicalDevice, 75 => WdfDeviceCreate,
    83 => WdfDeviceSetPnpCapabilities, 85 => WdfDeviceSetBusInformationForChildren, 220 => WdfPdoRequestEject,
    221 => WdfPdoGetParent, 228 => WdfDeviceAddQueryInterface, 388 => WdfDeviceGetSystemPowerAction,
    433 => WdfDeviceQueryPropertyEx);
