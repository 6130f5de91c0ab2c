//! WDFDEVICE_INIT: what a device will be.

use crate::irql::{self, PASSIVE};
use crate::nt::status;
use crate::rule;
use crate::wdf::object::{Attributes, attributes};
use crate::wdf::{check_size, field, field32, unicode};
use crate::world::{World, with};

/// A device being set up.
#[derive(Clone, Debug, Default)]
pub struct Init {
    /// The FDO this is a child of; 0 for an FDO.
    pub parent: usize,
    /// The child list that made it.
    pub list: usize,
    /// The physical device object.
    pub physical: usize,
    /// WDF_PNPPOWER_EVENT_CALLBACKS, as 18 words; the size is the first.
    pub pnp: Vec<usize>,
    /// WDF_FDO_EVENT_CALLBACKS, as 4 words.
    pub fdo: Vec<usize>,
    /// WDF_PDO_EVENT_CALLBACKS, as 8 words.
    pub pdo: Vec<usize>,
    /// The default child list of an FDO.
    pub child_list: Option<(Vec<usize>, u32, u32, ListAttributes)>,
    /// IRP preprocessing: routine, major code, minor codes.
    pub preprocess: Vec<(usize, u8, Vec<u8>)>,
    /// FILE_DEVICE_xxx.
    pub device_type: u32,
    /// Ids and texts of a PDO.
    pub ids: Ids,
    /// Created: of no use any more.
    pub used: bool,
}

/// Attributes of the default child list; absent ones are all 0.
pub type ListAttributes = Attributes;

/// What a PDO is called.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    /// Device id.
    pub device: String,
    /// Instance id.
    pub instance: String,
    /// Hardware ids, best first.
    pub hardware: Vec<String>,
    /// Compatible ids, best first.
    pub compatible: Vec<String>,
    /// Description, location and locale.
    pub texts: Vec<(String, String, u32)>,
    /// The default locale.
    pub locale: u32,
}

/// The init a call names, checked.
fn init<'w>(world: &'w mut World, at: usize, what: &str, pdo: Option<bool>) -> &'w mut Init {
    let init = world.wdf.inits.get_mut(&at);
    rule!(init.as_ref().is_some_and(|init| !init.used), "{what}: {at:#x} is no WDFDEVICE_INIT, or used up");
    match init {
        Some(init) => {
            rule!(pdo.is_none_or(|pdo| pdo == (init.parent != 0)), "{what}: the wrong kind of WDFDEVICE_INIT");
            init
        }
        None => unreachable!("ruled out above"),
    }
}

unsafe fn words(at: *const u32, count: usize) -> Vec<usize> {
    // SAFETY: the caller checked the size of the structure.
    (0..count).map(|index| unsafe { field(at, index * 8) }).collect()
}

unsafe extern "win64" fn WdfDeviceInitSetPnpPowerEventCallbacks(_globals: usize, at: usize, callbacks: *const u32) {
    irql::exactly(PASSIVE, "WdfDeviceInitSetPnpPowerEventCallbacks");
    check_size(callbacks, 144, "WDF_PNPPOWER_EVENT_CALLBACKS");
    // SAFETY: the size was checked.
    let callbacks = unsafe { words(callbacks, 18) };
    with(|world| init(world, at, "WdfDeviceInitSetPnpPowerEventCallbacks", None).pnp = callbacks);
}

unsafe extern "win64" fn WdfDeviceInitSetDeviceType(_globals: usize, at: usize, kind: u32) {
    irql::exactly(PASSIVE, "WdfDeviceInitSetDeviceType");
    with(|world| init(world, at, "WdfDeviceInitSetDeviceType", None).device_type = kind);
}

unsafe extern "win64" fn WdfDeviceInitAssignWdmIrpPreprocessCallback(
    _globals: usize,
    at: usize,
    routine: usize,
    major: u8,
    minors: *const u8,
    count: u32,
) -> i32 {
    irql::exactly(PASSIVE, "WdfDeviceInitAssignWdmIrpPreprocessCallback");
    // SAFETY: the driver's array.
    let minors = unsafe { std::slice::from_raw_parts(minors, if minors.is_null() { 0 } else { count as usize }) };
    let minors = minors.to_vec();
    with(|world| {
        let failed = world.allocation_fails("WdfDeviceInitAssignWdmIrpPreprocessCallback");
        let init = init(world, at, "WdfDeviceInitAssignWdmIrpPreprocessCallback", None);
        if failed {
            return status::INSUFFICIENT_RESOURCES;
        }
        init.preprocess.push((routine, major, minors));
        status::SUCCESS
    })
}

unsafe extern "win64" fn WdfFdoInitSetEventCallbacks(_globals: usize, at: usize, callbacks: *const u32) {
    irql::exactly(PASSIVE, "WdfFdoInitSetEventCallbacks");
    check_size(callbacks, 32, "WDF_FDO_EVENT_CALLBACKS");
    // SAFETY: the size was checked.
    let callbacks = unsafe { words(callbacks, 4) };
    with(|world| init(world, at, "WdfFdoInitSetEventCallbacks", Some(false)).fdo = callbacks);
}

unsafe extern "win64" fn WdfFdoInitSetDefaultChildListConfig(
    _globals: usize,
    at: usize,
    config: *const u32,
    given: *const u32,
) {
    irql::exactly(PASSIVE, "WdfFdoInitSetDefaultChildListConfig");
    check_size(config, 96, "WDF_CHILD_LIST_CONFIG");
    // SAFETY: the size was checked.
    let (callbacks, id, address, given) =
        unsafe { (words(config, 12), field32(config, 4), field32(config, 8), attributes(given)) };
    rule!(id >= 4, "WDF_CHILD_LIST_CONFIG.IdentificationDescriptionSize is {id}");
    rule!(callbacks[2] != 0, "WDF_CHILD_LIST_CONFIG without EvtChildListCreateDevice");
    with(|world| {
        let init = init(world, at, "WdfFdoInitSetDefaultChildListConfig", Some(false));
        init.child_list = Some((callbacks, id, address, given));
    });
}

unsafe extern "win64" fn WdfPdoInitSetEventCallbacks(_globals: usize, at: usize, callbacks: *const u32) {
    irql::exactly(PASSIVE, "WdfPdoInitSetEventCallbacks");
    check_size(callbacks, 64, "WDF_PDO_EVENT_CALLBACKS");
    // SAFETY: the size was checked.
    let callbacks = unsafe { words(callbacks, 8) };
    with(|world| init(world, at, "WdfPdoInitSetEventCallbacks", Some(true)).pdo = callbacks);
}

/// An id the PnP manager takes: not too long, no blank, comma or control character, a backslash only between the
/// enumerator and the rest.
fn check_id(id: &str, what: &str, enumerator: bool) {
    rule!(!id.is_empty() && id.len() <= 200, "{what}({id:?}): empty or longer than 200 characters");
    let good = id.chars().all(|c| c > ' ' && c < '\x7F' && c != ',');
    rule!(good, "{what}({id:?}): a character that PnP refuses");
    let slashes = id.matches('\\').count();
    rule!(slashes == usize::from(enumerator), "{what}({id:?}): {slashes} backslashes");
}

fn id(at: usize, string: *const u32, what: &str, enumerator: bool, put: impl FnOnce(&mut Ids, String)) -> i32 {
    irql::exactly(PASSIVE, what);
    // SAFETY: the driver's string.
    let text = unsafe { unicode(string) };
    check_id(&text, what, enumerator);
    with(|world| {
        let failed = world.allocation_fails(what);
        let init = init(world, at, what, Some(true));
        if failed {
            return status::INSUFFICIENT_RESOURCES;
        }
        put(&mut init.ids, text);
        status::SUCCESS
    })
}

unsafe extern "win64" fn WdfPdoInitAssignDeviceID(_globals: usize, at: usize, string: *const u32) -> i32 {
    id(at, string, "WdfPdoInitAssignDeviceID", true, |ids, text| ids.device = text)
}

unsafe extern "win64" fn WdfPdoInitAssignInstanceID(_globals: usize, at: usize, string: *const u32) -> i32 {
    id(at, string, "WdfPdoInitAssignInstanceID", false, |ids, text| ids.instance = text)
}

unsafe extern "win64" fn WdfPdoInitAddHardwareID(_globals: usize, at: usize, string: *const u32) -> i32 {
    id(at, string, "WdfPdoInitAddHardwareID", true, |ids, text| ids.hardware.push(text))
}

unsafe extern "win64" fn WdfPdoInitAddCompatibleID(_globals: usize, at: usize, string: *const u32) -> i32 {
    id(at, string, "WdfPdoInitAddCompatibleID", true, |ids, text| ids.compatible.push(text))
}

unsafe extern "win64" fn WdfPdoInitAddDeviceText(
    _globals: usize,
    at: usize,
    description: *const u32,
    location: *const u32,
    locale: u32,
) -> i32 {
    irql::exactly(PASSIVE, "WdfPdoInitAddDeviceText");
    // SAFETY: the driver's strings.
    let (description, location) = unsafe { (unicode(description), unicode(location)) };
    with(|world| {
        let failed = world.allocation_fails("WdfPdoInitAddDeviceText");
        let init = init(world, at, "WdfPdoInitAddDeviceText", Some(true));
        if failed {
            return status::INSUFFICIENT_RESOURCES;
        }
        init.ids.texts.push((description, location, locale));
        status::SUCCESS
    })
}

unsafe extern "win64" fn WdfPdoInitSetDefaultLocale(_globals: usize, at: usize, locale: u32) {
    irql::exactly(PASSIVE, "WdfPdoInitSetDefaultLocale");
    with(|world| init(world, at, "WdfPdoInitSetDefaultLocale", Some(true)).ids.locale = locale);
}

/// Takes an init out for WdfDeviceCreate.
pub fn take(world: &mut World, at: usize) -> Init {
    let init = init(world, at, "WdfDeviceCreate", None);
    if init.parent != 0 {
        let ids = &init.ids;
        rule!(!ids.device.is_empty(), "WdfDeviceCreate: a PDO without a device id");
        rule!(!ids.instance.is_empty(), "WdfDeviceCreate: a PDO without an instance id");
        rule!(!ids.hardware.is_empty(), "WdfDeviceCreate: a PDO without a hardware id");
        let spoken = ids.texts.iter().any(|(_, _, locale)| *locale == ids.locale);
        rule!(
            ids.texts.is_empty() || spoken,
            "WdfDeviceCreate: no device text in the default locale {:#x}",
            ids.locale
        );
    }
    init.used = true;
    init.clone()
}

crate::wdf_exports!(55 => WdfDeviceInitSetPnpPowerEventCallbacks, 66 => WdfDeviceInitSetDeviceType,
    73 => WdfDeviceInitAssignWdmIrpPreprocessCallback, 128 => WdfFdoInitSetEventCallbacks,
    130 => WdfFdoInitSetDefaultChildListConfig, 211 => WdfPdoInitSetEventCallbacks, 212 => WdfPdoInitAssignDeviceID,
    213 => WdfPdoInitAssignInstanceID, 214 => WdfPdoInitAddHardwareID, 215 => WdfPdoInitAddCompatibleID,
    216 => WdfPdoInitAddDeviceText, 217 => WdfPdoInitSetDefaultLocale);
