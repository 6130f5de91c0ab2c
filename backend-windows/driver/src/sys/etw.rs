//! ETW: one provider, registered from when the driver is loaded until it is unloaded.

use core::sync::atomic::{AtomicU64, Ordering};

use wdk_sys::GUID;

use super::nt::{self, EventData, EventDescriptor};

/// `EventProviderSetTraits`
const SET_TRAITS: u32 = 2;
/// The channel of TraceLogging events.
const CHANNEL: u8 = 11;
/// `EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA` and `..._PROVIDER_METADATA`
const EVENT_METADATA: u32 = 1;
const PROVIDER_METADATA: u32 = 2;
static REGISTRATION: AtomicU64 = AtomicU64::new(0);

/// The fields of an event, one after the other.
pub enum Fields<'a> {
    /// UTF-16, with the 0 at its end.
    Text(&'a [u16]),
    /// 64-bit numbers.
    Numbers(&'a [u64]),
}

/// Registers the provider. PASSIVE_LEVEL. Without it the driver runs silently.
pub(super) fn register(provider: &'static GUID, traits: &'static [u8]) {
    let mut handle = 0;
    // SAFETY: EtwRegister at PASSIVE_LEVEL with a static GUID and no callback.
    let status = unsafe { nt::EtwRegister(provider, core::ptr::null_mut(), core::ptr::null_mut(), &mut handle) };
    if wdk::nt_success(status) {
        // SAFETY: EtwSetInformation with a live registration and static traits of that length.
        let _ = unsafe { nt::EtwSetInformation(handle, SET_TRAITS, traits.as_ptr().cast(), traits.len() as u32) };
        REGISTRATION.store(handle, Ordering::Release);
    }
}

/// Takes the provider back. PASSIVE_LEVEL, when nothing else of the driver runs.
pub(super) fn unregister() {
    let handle = REGISTRATION.swap(0, Ordering::AcqRel);
    if handle != 0 {
        // SAFETY: EtwUnregister at PASSIVE_LEVEL with a handle of EtwRegister, once.
        let _ = unsafe { nt::EtwUnregister(handle) };
    }
}

/// Writes an event with its description, and that of its provider. At most DISPATCH_LEVEL.
pub fn write(level: u8, traits: &[u8], description: &[u8], fields: &Fields<'_>) {
    let handle = REGISTRATION.load(Ordering::Acquire);
    if handle == 0 {
        return;
    }
    let event = EventDescriptor { Id: 0, Version: 0, Channel: CHANNEL, Level: level, Opcode: 0, Task: 0, Keyword: 0 };
    let part = |data: *const u8, bytes: usize, kind| EventData {
        Ptr: data.addr() as u64,
        Size: u32::try_from(bytes).unwrap_or(0),
        Type: kind,
    };
    let (data, bytes) = match fields {
        Fields::Text(units) => (units.as_ptr().cast(), size_of_val(*units)),
        Fields::Numbers(numbers) => (numbers.as_ptr().cast(), size_of_val(*numbers)),
    };
    let parts = [
        part(traits.as_ptr(), traits.len(), PROVIDER_METADATA),
        part(description.as_ptr(), description.len(), EVENT_METADATA),
        part(data, bytes, 0),
    ];
    let count = parts.len() as u32;
    // SAFETY: EtwWriteTransfer with a registration, which lasts until the driver is unloaded; every part outlives the call.
    let _ =
        unsafe { nt::EtwWriteTransfer(handle, &event, core::ptr::null(), core::ptr::null(), count, parts.as_ptr()) };
}
