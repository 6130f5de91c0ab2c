//! What the driver says, through TraceLogging: ETW events that describe themselves. Provider "hvpci",
//! {6F1D3C5E-2B0A-4D0C-9C3B-5A6E1F0B7D21}; event "Message" is a line of text, event "Ledger" what a function has cost so far.
//!
//! The layout of the descriptions is that of TraceLoggingProvider.h: a 16-bit size, then names that end with 0, each field's
//! followed by its type.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use hvpci_core::decode::Ledger;
use wdk_sys::GUID;

use crate::sys::nt::{self, EventData, EventDescriptor};

static PROVIDER: GUID =
    GUID { Data1: 0x6F1D_3C5E, Data2: 0x2B0A, Data3: 0x4D0C, Data4: [0x9C, 0x3B, 0x5A, 0x6E, 0x1F, 0x0B, 0x7D, 0x21] };
/// Size, name.
static PROVIDER_TRAITS: [u8; 8] = *b"\x08\x00hvpci\0";
/// Size, tags, name; one field, a UTF-16 string that ends with 0.
static MESSAGE: [u8; 17] = *b"\x11\x00\0Message\0Text\0\x01";
/// Size, tags, name; nine 64-bit numbers.
static LEDGER: [u8; 100] = *b"\x64\x00\0Ledger\0Bus\0\x0ASlot\0\x0AMaps\0\x0AUnmaps\0\x0AHostUnmaps\0\x0A\
    Traps\0\x0AMessages\0\x0ARefusedEnables\0\x0AHostMapNanoseconds\0\x0A";
/// `EventProviderSetTraits`
const SET_TRAITS: u32 = 2;
/// The channel of TraceLogging events.
const CHANNEL: u8 = 11;
/// `EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA` and `..._PROVIDER_METADATA`
const EVENT_METADATA: u32 = 1;
const PROVIDER_METADATA: u32 = 2;
static REGISTRATION: AtomicU64 = AtomicU64::new(0);

/// Something went wrong.
pub const ERROR: u8 = 2;
/// Something odd was met and got over.
pub const WARNING: u8 = 3;
/// What happened, and what it cost.
pub const INFORMATION: u8 = 4;

/// Registers the provider. PASSIVE_LEVEL. Without it the driver runs silently.
pub fn register() {
    let mut handle = 0;
    // SAFETY: EtwRegister at PASSIVE_LEVEL with a static GUID and no callback.
    let status = unsafe { nt::EtwRegister(&PROVIDER, core::ptr::null_mut(), core::ptr::null_mut(), &mut handle) };
    if wdk::nt_success(status) {
        // SAFETY: EtwSetInformation with a live registration and static traits.
        let _ = unsafe {
            let length = PROVIDER_TRAITS.len() as u32;
            nt::EtwSetInformation(handle, SET_TRAITS, PROVIDER_TRAITS.as_ptr().cast(), length)
        };
        REGISTRATION.store(handle, Ordering::Release);
    }
}

/// Takes the provider back. PASSIVE_LEVEL, when nothing else of the driver runs.
pub fn unregister() {
    let handle = REGISTRATION.swap(0, Ordering::AcqRel);
    if handle != 0 {
        // SAFETY: EtwUnregister at PASSIVE_LEVEL with a handle of EtwRegister, once.
        let _ = unsafe { nt::EtwUnregister(handle) };
    }
}

/// A line of UTF-16 on the stack; what is too long is cut.
struct Line {
    units: [u16; Line::UNITS],
    length: usize,
}

impl Line {
    const UNITS: usize = 200;
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for unit in text.encode_utf16() {
            // The last unit stays zero.
            match self.units.get_mut(..Line::UNITS - 1).and_then(|units| units.get_mut(self.length)) {
                Some(place) => *place = unit,
                None => return Err(fmt::Error),
            }
            self.length = self.length.saturating_add(1);
        }
        Ok(())
    }
}

/// Writes one line. At most DISPATCH_LEVEL.
pub fn write(level: u8, text: fmt::Arguments<'_>) {
    let mut line = Line { units: [0; Line::UNITS], length: 0 };
    let _ = line.write_fmt(text);
    emit(level, &MESSAGE, line.units.get(..=line.length).unwrap_or_default());
}

/// Writes what a function has cost so far. At most DISPATCH_LEVEL.
pub fn ledger(bus: u64, slot: u64, ledger: &Ledger) {
    let nanos = u64::try_from(ledger.host_map_time.as_nanos()).unwrap_or(u64::MAX);
    let Ledger { maps, unmaps, host_unmaps, traps, messages, refused_enables, .. } = *ledger;
    let numbers: [u64; 9] = [bus, slot, maps, unmaps, host_unmaps, traps, messages, refused_enables, nanos];
    emit(INFORMATION, &LEDGER, &numbers);
}

/// Writes an event with its description. The fields lie one after the other in `fields`.
fn emit<T: Copy>(level: u8, description: &[u8], fields: &[T]) {
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
    let parts = [
        part(PROVIDER_TRAITS.as_ptr(), PROVIDER_TRAITS.len(), PROVIDER_METADATA),
        part(description.as_ptr(), description.len(), EVENT_METADATA),
        part(fields.as_ptr().cast(), size_of_val(fields), 0),
    ];
    let count = parts.len() as u32;
    // SAFETY: EtwWriteTransfer with a live registration; every part outlives the call.
    let _ =
        unsafe { nt::EtwWriteTransfer(handle, &event, core::ptr::null(), core::ptr::null(), count, parts.as_ptr()) };
}
