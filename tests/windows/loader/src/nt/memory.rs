//! What the compiler and the driver call to move bytes.

use std::arch::naked_asm;

unsafe extern "win64" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    let (a, b) = (to as usize, from as usize);
    crate::rule!(bytes == 0 || a + bytes <= b || b + bytes <= a || a == b, "memcpy of overlapping ranges");
    // SAFETY: the driver's ranges; a wrong one faults and is reported.
    unsafe { to.copy_from(from, bytes) };
    to
}

unsafe extern "win64" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: as above.
    unsafe { to.copy_from(from, bytes) };
    to
}

unsafe extern "win64" fn memset(to: *mut u8, value: i32, bytes: usize) -> *mut u8 {
    // SAFETY: as above.
    unsafe { to.write_bytes(value.to_le_bytes()[0], bytes) };
    to
}

unsafe extern "win64" fn memcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
    // SAFETY: as above.
    unsafe { libc::memcmp(a.cast(), b.cast(), bytes) }
}

unsafe extern "win64" fn RtlCompareMemory(a: *const u8, b: *const u8, bytes: usize) -> usize {
    // SAFETY: as above.
    (0..bytes).take_while(|at| unsafe { *a.add(*at) == *b.add(*at) }).count()
}

unsafe extern "win64" fn strlen(text: *const u8) -> usize {
    // SAFETY: as above.
    (0..).take_while(|at| unsafe { *text.add(*at) != 0 }).count()
}

/// Probes the stack a page at a time. Linux grows the stack by itself. Every register has to stay as it is.
#[unsafe(naked)]
unsafe extern "win64" fn __chkstk() {
    naked_asm!("ret")
}

/// Structured exception handling: nothing raises here, so nothing is ever handled.
unsafe extern "win64" fn __C_specific_handler() -> i32 {
    1
}

#[repr(C)]
struct UnicodeString {
    length: u16,
    maximum: u16,
    buffer: *const u16,
}

unsafe extern "win64" fn RtlInitUnicodeString(out: *mut UnicodeString, text: *const u16) {
    // SAFETY: the driver's string ends with 0, as the function demands.
    unsafe {
        let units = if text.is_null() { 0 } else { (0..).take_while(|at| *text.add(*at) != 0).count() };
        let bytes = u16::try_from(units * 2).unwrap_or(0xFFFE);
        let maximum = if text.is_null() { 0 } else { bytes.saturating_add(2) };
        out.write(UnicodeString { length: bytes, maximum, buffer: text });
    }
}

crate::exports!("ntoskrnl.exe" =>
    memcpy, memmove, memset, memcmp, RtlCompareMemory, strlen, __chkstk, __C_specific_handler, RtlInitUnicodeString);
