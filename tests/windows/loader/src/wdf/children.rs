//! Dynamic enumeration: the child list of an FDO.

use crate::irql::{self, DISPATCH};
use crate::nt::status;
use crate::wdf::object::Kind;
use crate::world::{World, with};
use crate::{rule, trace};

/// A child list.
#[derive(Clone, Debug)]
pub struct ChildList {
    /// The FDO.
    pub device: usize,
    callbacks: Vec<usize>,
    id_bytes: u32,
    address_bytes: u32,
    /// The children, in the order they were reported.
    pub entries: Vec<Entry>,
}

/// A child of a list.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its identification description.
    pub id: Vec<u8>,
    /// Whether the driver last reported it as present.
    pub present: bool,
    /// Its PDO; 0 before it is created.
    pub device: usize,
    /// Whether its creation was tried and failed.
    pub refused: bool,
}

/// Where EvtChildListCreateDevice is in WDF_CHILD_LIST_CONFIG, in words.
const CREATE_DEVICE: usize = 2;
const SCAN: usize = 3;
const COMPARE: usize = 7;
const STATUS_OBJECT_NAME_EXISTS: i32 = 0x4000_0000;

impl ChildList {
    /// An empty list.
    pub fn new(device: usize, callbacks: Vec<usize>, id_bytes: u32, address_bytes: u32) -> ChildList {
        let plain = callbacks[4..=6].iter().all(|callback| *callback == 0);
        rule!(plain, "a child list with its own copy callbacks: the loader has none");
        ChildList { device, callbacks, id_bytes, address_bytes, entries: Vec::new() }
    }

    /// EvtChildListCreateDevice.
    pub fn create_device(&self) -> usize {
        self.callbacks[CREATE_DEVICE]
    }

    /// EvtChildListScanForChildren; 0 for none.
    pub fn scan(&self) -> usize {
        self.callbacks[SCAN]
    }

    fn find(&mut self, id: &[u8]) -> Option<&mut Entry> {
        rule!(self.callbacks[COMPARE] == 0, "a child list with its own compare callback: the loader has none");
        self.entries.iter_mut().find(|entry| entry.present && entry.id == id)
    }
}

/// Copies an identification description.
fn read(world: &World, list: usize, id: *const u32, what: &str) -> Vec<u8> {
    world.wdf.objects.check(list, Kind::ChildList, what);
    let expected = world.wdf.lists.get(&list).map_or(0, |list| list.id_bytes);
    rule!(!id.is_null(), "{what}: no identification description");
    // SAFETY: the driver's structure begins with its size, which is checked before the rest is read.
    unsafe {
        let given = id.read();
        rule!(given == expected, "{what}: IdentificationDescriptionSize is {given}, the list's is {expected}");
        std::slice::from_raw_parts(id.cast::<u8>(), expected as usize).to_vec()
    }
}

unsafe extern "win64" fn WdfChildListAddOrUpdateChildDescriptionAsPresent(
    _globals: usize,
    list: usize,
    id: *const u32,
    address: *const u32,
) -> i32 {
    const WHAT: &str = "WdfChildListAddOrUpdateChildDescriptionAsPresent";
    irql::at_most(DISPATCH, WHAT);
    with(|world| {
        let id = read(world, list, id, WHAT);
        if world.allocation_fails(WHAT) {
            return status::INSUFFICIENT_RESOURCES;
        }
        let Some(list) = world.wdf.lists.get_mut(&list) else { return status::INVALID_PARAMETER };
        rule!(address.is_null() == (list.address_bytes == 0), "{WHAT}: address description does not fit the list");
        if list.find(&id).is_some() {
            return STATUS_OBJECT_NAME_EXISTS;
        }
        // A child that was missing and comes back is a new device to PnP.
        trace!("child present: {id:02x?}");
        list.entries.push(Entry { id, present: true, device: 0, refused: false });
        world.changed();
        status::SUCCESS
    })
}

unsafe extern "win64" fn WdfChildListUpdateChildDescriptionAsMissing(
    _globals: usize,
    list: usize,
    id: *const u32,
) -> i32 {
    const WHAT: &str = "WdfChildListUpdateChildDescriptionAsMissing";
    irql::at_most(DISPATCH, WHAT);
    with(|world| {
        let id = read(world, list, id, WHAT);
        if world.allocation_fails(WHAT) || world.wdf.keeps_children {
            return status::INSUFFICIENT_RESOURCES;
        }
        let Some(list) = world.wdf.lists.get_mut(&list) else { return status::INVALID_PARAMETER };
        let Some(entry) = list.entries.iter_mut().find(|entry| entry.id == id && entry.present) else {
            return status::NO_SUCH_DEVICE;
        };
        entry.present = false;
        trace!("child missing: {id:02x?}");
        world.changed();
        status::SUCCESS
    })
}

unsafe extern "win64" fn WdfChildListGetDevice(_globals: usize, list: usize) -> usize {
    irql::at_most(DISPATCH, "WdfChildListGetDevice");
    with(|world| {
        world.wdf.objects.check(list, Kind::ChildList, "WdfChildListGetDevice");
        world.wdf.lists.get(&list).map_or(0, |list| list.device)
    })
}

unsafe extern "win64" fn WdfFdoGetDefaultChildList(_globals: usize, device: usize) -> usize {
    irql::at_most(DISPATCH, "WdfFdoGetDefaultChildList");
    with(|world| {
        world.wdf.objects.check(device, Kind::Device, "WdfFdoGetDefaultChildList");
        let list = world.wdf.devices.get(&device).map_or(0, |device| device.list);
        rule!(list != 0, "WdfFdoGetDefaultChildList: {device:#x} has none");
        list
    })
}

crate::wdf_exports!(1 => WdfChildListGetDevice, 9 => WdfChildListAddOrUpdateChildDescriptionAsPresent,
    10 => WdfChildListUpdateChildDescriptionAsMissing, 132 => WdfFdoGetDefaultChildList);
