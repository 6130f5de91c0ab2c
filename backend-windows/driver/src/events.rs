//! What the driver says: lines of text through ETW, provider {6F1D3C5E-2B0A-4D0C-9C3B-5A6E1F0B7D21} "hvpci", which
//! EtwWriteString carries without a manifest. Levels: 2 error, 3 warning, 4 information.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use wdk_sys::GUID;

use crate::sys::nt;

static PROVIDER: GUID =
    GUID { Data1: 0x6F1D_3C5E, Data2: 0x2B0A, Data3: 0x4D0C, Data4: [0x9C, 0x3B, 0x5A, 0x6E, 0x1F, 0x0B, 0x7D, 0x21] };
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
    if status >= 0 {
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
    let handle = REGISTRATION.load(Ordering::Acquire);
    if handle == 0 {
        return;
    }
    let mut line = Line { units: [0; Line::UNITS], length: 0 };
    let _ = line.write_fmt(text);
    // SAFETY: EtwWriteString with a live registration and a terminated string.
    let _ = unsafe { nt::EtwWriteString(handle, level, 0, core::ptr::null(), line.units.as_ptr()) };
}
