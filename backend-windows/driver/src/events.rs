//! What the driver says, through TraceLogging: ETW events that describe themselves. Provider "hvpci",
//! {6F1D3C5E-2B0A-4D0C-9C3B-5A6E1F0B7D21}; event "Message" is a line of text, event "Ledger" what a function has cost so far.
//!
//! The layout of the descriptions is that of TraceLoggingProvider.h: a 16-bit size, then names that end with 0, each field's
//! followed by its type.

use core::fmt::{self, Write};

use hvpci_core::decode::Ledger;
use wdk_sys::GUID;

use crate::sys::etw::{self, Fields};

/// The provider's id.
pub static PROVIDER: GUID =
    GUID { Data1: 0x6F1D_3C5E, Data2: 0x2B0A, Data3: 0x4D0C, Data4: [0x9C, 0x3B, 0x5A, 0x6E, 0x1F, 0x0B, 0x7D, 0x21] };
/// The provider's description: size, name.
pub static PROVIDER_TRAITS: [u8; 8] = *b"\x08\x00hvpci\0";
/// Size, tags, name; one field, a UTF-16 string that ends with 0.
static MESSAGE: [u8; 17] = *b"\x11\x00\0Message\0Text\0\x01";
/// Size, tags, name; nine 64-bit numbers.
static LEDGER: [u8; 100] = *b"\x64\x00\0Ledger\0Bus\0\x0ASlot\0\x0AMaps\0\x0AUnmaps\0\x0AHostUnmaps\0\x0A\
    Traps\0\x0AMessages\0\x0ARefusedEnables\0\x0AHostMapNanoseconds\0\x0A";

/// Something went wrong.
pub const ERROR: u8 = 2;
/// Something odd was met and got over.
pub const WARNING: u8 = 3;
/// What happened, and what it cost.
pub const INFORMATION: u8 = 4;

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
    let text = Fields::Text(line.units.get(..=line.length).unwrap_or_default());
    etw::write(level, &PROVIDER_TRAITS, &MESSAGE, &text);
}

/// Writes what a function has cost so far. At most DISPATCH_LEVEL.
pub fn ledger(bus: u64, slot: u64, ledger: &Ledger) {
    let nanos = u64::try_from(ledger.host_map_time.as_nanos()).unwrap_or(u64::MAX);
    let Ledger { maps, unmaps, host_unmaps, traps, messages, refused_enables, .. } = *ledger;
    let numbers: [u64; 9] = [bus, slot, maps, unmaps, host_unmaps, traps, messages, refused_enables, nanos];
    etw::write(INFORMATION, &PROVIDER_TRAITS, &LEDGER, &Fields::Numbers(&numbers));
}
