//! The driver's Parameters key.

use crate::irql::{self, PASSIVE};
use crate::nt::status;
use crate::rule;
use crate::wdf::object::{self, Kind, attributes};
use crate::wdf::unicode;
use crate::world::with;

unsafe extern "win64" fn WdfDriverOpenParametersRegistryKey(
    _globals: usize,
    driver: usize,
    access: u32,
    given: *const u32,
    out: *mut usize,
) -> i32 {
    irql::exactly(PASSIVE, "WdfDriverOpenParametersRegistryKey");
    rule!(access & 0x000D_0000 & !0x0002_0000 == 0, "WdfDriverOpenParametersRegistryKey: access {access:#x}");
    // SAFETY: the driver's attributes and out parameter.
    let given = unsafe { attributes(given) };
    let key = with(|world| {
        world.wdf.objects.check(driver, Kind::Driver, "WdfDriverOpenParametersRegistryKey");
        if world.allocation_fails("WdfDriverOpenParametersRegistryKey") {
            return None;
        }
        Some(world.wdf.objects.create(Kind::Key, given, driver))
    });
    let Some(key) = key else { return status::INSUFFICIENT_RESOURCES };
    // SAFETY: the driver's out parameter.
    unsafe { out.write(key) };
    status::SUCCESS
}

unsafe extern "win64" fn WdfRegistryQueryULong(_globals: usize, key: usize, name: *const u32, out: *mut u32) -> i32 {
    irql::exactly(PASSIVE, "WdfRegistryQueryULong");
    // SAFETY: the driver's string.
    let name = unsafe { unicode(name) };
    let value = with(|world| {
        world.wdf.objects.check(key, Kind::Key, "WdfRegistryQueryULong");
        world.wdf.parameters.get(&name).copied()
    });
    match value {
        Some(value) => {
            // SAFETY: the driver's out parameter.
            unsafe { out.write(value) };
            status::SUCCESS
        }
        None => status::OBJECT_NAME_NOT_FOUND,
    }
}

unsafe extern "win64" fn WdfRegistryClose(_globals: usize, key: usize) {
    irql::exactly(PASSIVE, "WdfRegistryClose");
    with(|world| world.wdf.objects.check(key, Kind::Key, "WdfRegistryClose"));
    object::delete(key);
}

crate::wdf_exports!(119 => WdfDriverOpenParametersRegistryKey, 231 => WdfRegistryClose, 240 => WdfRegistryQueryULong);
