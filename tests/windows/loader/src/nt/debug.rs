//! DbgPrint, bugchecks, and ETW that takes everything apart and keeps it.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fail::{Verdict, fail};
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::etw;
use crate::nt::status;
use crate::{rule, trace};

/// Variadic arguments of the Windows x64 convention lie where fixed ones do, so six slots serve.
unsafe extern "win64" fn DbgPrint(format: *const c_char, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> u32 {
    // SAFETY: the driver's string ends with 0.
    let format = unsafe { CStr::from_ptr(format) }.to_string_lossy().into_owned();
    trace!("DbgPrint: {}", render(&format, &[a, b, c, d, e, f]).trim_end());
    0
}

unsafe extern "win64" fn DbgPrintEx(
    _component: u32,
    _level: u32,
    format: *const c_char,
    a: u64,
    b: u64,
    c: u64,
    d: u64,
) -> u32 {
    // SAFETY: the driver's string ends with 0.
    let format = unsafe { CStr::from_ptr(format) }.to_string_lossy().into_owned();
    trace!("DbgPrint: {}", render(&format, &[a, b, c, d]).trim_end());
    0
}

/// Enough of printf for a driver's own messages.
fn render(format: &str, arguments: &[u64]) -> String {
    let (mut out, mut left) = (String::new(), arguments.iter().copied());
    let mut rest = format.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut precision = None;
        let mut wide = false;
        loop {
            match rest.next() {
                Some('%') => break out.push('%'),
                Some('.') if rest.peek() == Some(&'*') => {
                    rest.next();
                    precision = left.next();
                }
                Some('0'..='9' | '-' | '.' | '#') => {}
                Some('l' | 'I' | 'z') => wide = true,
                Some(kind) => {
                    let value = left.next().unwrap_or(0);
                    let number = if wide { value } else { value & 0xFFFF_FFFF };
                    match kind {
                        'x' | 'X' => out.push_str(&format!("{number:x}")),
                        'p' => out.push_str(&format!("{value:#x}")),
                        'd' | 'i' if !wide => out.push_str(&format!("{}", (value & 0xFFFF_FFFF) as u32 as i32)),
                        's' => out.push_str(&text(value, precision)),
                        _ => out.push_str(&number.to_string()),
                    }
                    break;
                }
                None => break,
            }
        }
    }
    out
}

fn text(at: u64, precision: Option<u64>) -> String {
    let most = precision.map_or(512, |p| usize::try_from(p & 0xFFFF).unwrap_or(0));
    // SAFETY: the driver's string ends with 0 or at the precision.
    let bytes: Vec<u8> = (0..most).map(|i| unsafe { *(at as *const u8).add(i) }).take_while(|b| *b != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

unsafe extern "win64" fn KeBugCheckEx(code: u32, a: u64, b: u64, c: u64, d: u64) -> ! {
    if code == u32::from_be_bytes(*b"RPNC") || code == u32::from_le_bytes(*b"RPNC") {
        let place = text(a, Some(b));
        fail(Verdict::Bugcheck, &format!("Rust panic at {place}:{c}:{d}"));
    }
    fail(Verdict::Bugcheck, &format!("{code:#x} ({a:#x}, {b:#x}, {c:#x}, {d:#x})"))
}

unsafe extern "win64" fn RtlAssert(assertion: *const c_char, file: *const c_char, line: u32, _message: *const c_char) {
    // SAFETY: the driver's strings end with 0.
    let (what, file) = unsafe { (CStr::from_ptr(assertion), CStr::from_ptr(file)) };
    fail(Verdict::Bugcheck, &format!("assertion {what:?} at {file:?}:{line}"))
}

static PROVIDERS: AtomicU64 = AtomicU64::new(0);
const PROVIDER: u64 = 0x0E70_0000;

/// Trace providers registered and not taken back.
pub fn providers() -> u64 {
    PROVIDERS.load(Ordering::Relaxed)
}

unsafe extern "win64" fn EtwRegister(_id: *const u8, callback: usize, context: usize, handle: *mut u64) -> i32 {
    irql::exactly(PASSIVE, "EtwRegister");
    if crate::world::with(|world| world.allocation_fails("EtwRegister")) {
        return status::INSUFFICIENT_RESOURCES;
    }
    let number = PROVIDERS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the driver's out parameter.
    unsafe { handle.write(PROVIDER + number) };
    if callback != 0 {
        // A session listens to everything: level 255, all keywords.
        type Enable = unsafe extern "win64" fn(*const u8, u32, u8, u64, u64, usize, usize);
        // SAFETY: PENABLECALLBACK, as EtwRegister demands; a null source id stands for no session in particular.
        let enable: Enable = unsafe { std::mem::transmute(callback) };
        unsafe { enable([0_u8; 16].as_ptr(), 1, 255, u64::MAX, 0, 0, context) };
    }
    status::SUCCESS
}

unsafe extern "win64" fn EtwUnregister(handle: u64) -> i32 {
    irql::exactly(PASSIVE, "EtwUnregister");
    rule!(handle >= PROVIDER && providers() > 0, "EtwUnregister of {handle:#x}, which is not registered");
    PROVIDERS.fetch_sub(1, Ordering::Relaxed);
    status::SUCCESS
}

unsafe extern "win64" fn EtwSetInformation(_handle: u64, _class: u32, _data: *const u8, _bytes: u32) -> i32 {
    irql::at_most(DISPATCH, "EtwSetInformation");
    status::SUCCESS
}

#[repr(C)]
struct EventData {
    address: u64,
    bytes: u32,
    kind: u32,
}

fn written(handle: u64, count: u32, data: *const EventData) {
    rule!(handle >= PROVIDER, "an event written to provider {handle:#x}, which is not registered");
    rule!(count <= 128, "an event of {count} data items: ETW takes 128");
    let item = |at: usize| {
        // SAFETY: the driver's array of `count` descriptors; copying every byte proves that they are there.
        let item = unsafe { &*data.add(at) };
        let bytes = unsafe { std::slice::from_raw_parts(item.address as *const u8, item.bytes as usize) };
        ((item.kind & 0xFF) as u8, bytes.to_vec())
    };
    let event = etw::parse(&(0..count as usize).map(item).collect::<Vec<_>>());
    trace!("ETW {event:?}");
    lock().push(event);
}

static EVENTS: Mutex<Vec<etw::Event>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<etw::Event>> {
    EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Trace events written so far.
pub fn events() -> Vec<etw::Event> {
    lock().clone()
}

/// What the driver says when it gives up: it is to happen where a scenario wants it, and nowhere else.
const GAVE_UP: [&str; 5] = [
    "did not come down",
    "has waited long enough",
    "did not fall asleep",
    "waits for two things at once",
    "power callbacks wait at once",
];

static WANTED: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// The scenario makes the driver give up in these words: it has to.
pub fn gives_up(words: &'static str) {
    assert!(GAVE_UP.contains(&words), "{words:?} is none of the driver's ways to give up");
    WANTED.lock().unwrap_or_else(PoisonError::into_inner).push(words);
}

/// Where the driver gave up and was not to, or was to and did not.
pub fn wrongly_given_up() -> Vec<String> {
    let (events, wanted) = (lock(), WANTED.lock().unwrap_or_else(PoisonError::into_inner));
    let said = |words: &str| events.iter().filter_map(|event| event.text()).find(|text| text.contains(words));
    let wrong = GAVE_UP.iter().filter_map(|words| match (said(words), wanted.contains(words)) {
        (Some(text), false) => Some(format!("the driver gave up: {text}")),
        (None, true) => Some(format!("the driver never said that it {words}")),
        _ => None,
    });
    wrong.collect()
}

unsafe extern "win64" fn EtwWriteTransfer(
    handle: u64,
    _descriptor: *const u8,
    _activity: *const u8,
    _related: *const u8,
    count: u32,
    data: *const EventData,
) -> i32 {
    written(handle, count, data);
    status::SUCCESS
}

unsafe extern "win64" fn EtwWrite(
    handle: u64,
    _descriptor: *const u8,
    _activity: *const u8,
    count: u32,
    data: *const EventData,
) -> i32 {
    written(handle, count, data);
    status::SUCCESS
}

unsafe extern "win64" fn EtwProviderEnabled(_handle: u64, _level: u8, _keyword: u64) -> u8 {
    1
}

crate::exports!("ntoskrnl.exe" => DbgPrint, DbgPrintEx, KeBugCheckEx, RtlAssert, EtwRegister, EtwUnregister,
    EtwSetInformation, EtwWriteTransfer, EtwWrite, EtwProviderEnabled);
