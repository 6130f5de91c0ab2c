//! The framework loader's side: the table of functions, and the driver object.

use std::sync::OnceLock;

use crate::irql::{self, PASSIVE};
use crate::nt::status;
use crate::stub;
use crate::wdf::object::{Kind, attributes};
use crate::wdf::{check_size, field, object};
use crate::world::with;
use crate::{rule, trace};

/// What the driver registered.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// WDFDRIVER.
    pub handle: usize,
    /// EvtDriverDeviceAdd.
    pub device_add: usize,
    /// EvtDriverUnload; 0 for none.
    pub unload: usize,
}

/// Functions of KMDF 1.33.
const FUNCTIONS: u32 = 458;

#[repr(C)]
struct BindInfo {
    size: u32,
    component: *const u16,
    version: [u32; 3],
    count: u32,
    table: *mut *const usize,
    module: usize,
}

static mut GLOBALS: [u8; 128] = [0; 128];

fn table() -> &'static [usize] {
    static TABLE: OnceLock<Vec<usize>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let name = |slot: u32| crate::names::wdf(slot).map_or_else(|| format!("WDF function #{slot}"), str::to_owned);
        let mut table: Vec<usize> = (0..FUNCTIONS).map(|slot| stub::missing(name(slot)) as usize).collect();
        let fakes = [
            super::object::FUNCTIONS,
            FUNCTIONS_HERE,
            super::init::FUNCTIONS,
            super::device::FUNCTIONS,
            super::children::FUNCTIONS,
            super::queue::FUNCTIONS,
            super::resources::FUNCTIONS,
            super::sync::FUNCTIONS,
            super::registry::FUNCTIONS,
        ];
        for (slot, name, address) in fakes.into_iter().flatten() {
            let known = crate::names::wdf(*slot);
            assert!(known.is_none_or(|known| known == *name), "slot {slot} is {known:?}, not {name}");
            table[*slot as usize] = address.0 as usize;
        }
        table
    })
}

unsafe extern "win64" fn WdfVersionBind(
    driver: usize,
    path: *const u32,
    info: *mut BindInfo,
    globals: *mut usize,
) -> i32 {
    irql::exactly(PASSIVE, "WdfVersionBind");
    // SAFETY: the WDF_BIND_INFO of the driver's entry library.
    let info = unsafe { &mut *info };
    // SAFETY: the component's name ends with 0.
    let units = (0..).map(|at| unsafe { *info.component.add(at) }).take_while(|unit| *unit != 0);
    let component = String::from_utf16_lossy(&units.collect::<Vec<u16>>());
    rule!(component == "KmdfLibrary", "WdfVersionBind: component {component:?}");
    rule!(driver != 0 && !path.is_null(), "WdfVersionBind without a driver object or registry path");
    rule!(info.version[0] == 1 && info.version[1] <= 33, "WdfVersionBind: version {:?}", info.version);
    rule!(info.count <= FUNCTIONS, "WdfVersionBind: {} functions; 1.33 has {FUNCTIONS}", info.count);
    if with(|world| world.allocation_fails("WdfVersionBind")) {
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: out parameters of the entry library; the table lives for ever.
    unsafe {
        *info.table = table().as_ptr();
        *globals = (&raw mut GLOBALS) as usize;
    }
    trace!("KMDF {}.{} bound", info.version[0], info.version[1]);
    status::SUCCESS
}

unsafe extern "win64" fn WdfVersionUnbind(_path: usize, _info: usize, _globals: usize) {
    irql::exactly(PASSIVE, "WdfVersionUnbind");
    // The framework deletes the driver object when the driver's own unload routine is through.
    if let Some(driver) = with(|world| world.wdf.driver) {
        object::delete(driver.handle);
        with(|world| world.wdf.driver = None);
    }
}

unsafe extern "win64" fn WdfDriverCreate(
    _globals: usize,
    driver: usize,
    path: *const u32,
    given: *const u32,
    config: *const u32,
    out: *mut usize,
) -> i32 {
    irql::exactly(PASSIVE, "WdfDriverCreate");
    rule!(driver != 0 && !path.is_null(), "WdfDriverCreate without a driver object or registry path");
    check_size(config, 32, "WDF_DRIVER_CONFIG");
    // SAFETY: the sizes were checked.
    let (given, device_add, unload) = unsafe { (attributes(given), field(config, 8), field(config, 16)) };
    let handle = with(|world| {
        rule!(world.wdf.driver.is_none(), "WdfDriverCreate twice");
        rule!(given.parent == 0, "WdfDriverCreate with a parent");
        if world.allocation_fails("WdfDriverCreate") {
            return None;
        }
        let handle = world.wdf.objects.create(Kind::Driver, given, 0);
        world.wdf.driver = Some(Driver { handle, device_add, unload });
        Some(handle)
    });
    let Some(handle) = handle else { return status::INSUFFICIENT_RESOURCES };
    if !out.is_null() {
        // SAFETY: the driver's out parameter.
        unsafe { out.write(handle) };
    }
    status::SUCCESS
}

/// What `WdfLdr` exports.
pub const LOADER: &[(&str, crate::Address)] = &[
    ("WdfVersionBind", crate::Address(WdfVersionBind as *const ())),
    ("WdfVersionUnbind", crate::Address(WdfVersionUnbind as *const ())),
];

const FUNCTIONS_HERE: &[(u32, &str, crate::Address)] =
    &[(116, "WdfDriverCreate", crate::Address(WdfDriverCreate as *const ()))];
