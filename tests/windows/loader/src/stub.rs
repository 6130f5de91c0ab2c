//! Named stubs: what the driver finds in place of a function that has no fake.

use std::sync::Mutex;

use crate::fail::{Verdict, fail};

/// Bytes of one stub.
const STUB_BYTES: usize = 32;
const PAGE: usize = 4096;

/// The page being filled and the bytes used of it.
static OPEN: Mutex<(usize, usize)> = Mutex::new((0, PAGE));

extern "win64" fn report(name: *const String) -> ! {
    // SAFETY: `missing` put a leaked String there.
    let name = unsafe { &*name };
    fail(Verdict::Missing, &format!("the driver called {name}, which has no fake"))
}

/// A function that ends the run and names `name`.
pub fn missing(name: String) -> *const () {
    let mut open = OPEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if open.1 + STUB_BYTES > PAGE {
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        // SAFETY: a new private mapping.
        let page = unsafe {
            libc::mmap(std::ptr::null_mut(), PAGE, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        assert_ne!(page, libc::MAP_FAILED, "no memory for stubs");
        *open = (page as usize, 0);
    }
    let at = (open.0 + open.1) as *mut u8;
    open.1 += STUB_BYTES;
    // mov rcx, name; mov rax, report; jmp rax
    let mut code = vec![0x48, 0xB9];
    code.extend((Box::leak(Box::new(name)) as *const String as u64).to_le_bytes());
    code.extend([0x48, 0xB8]);
    code.extend((report as *const () as u64).to_le_bytes());
    code.extend([0xFF, 0xE0]);
    // SAFETY: STUB_BYTES of the page belong to this stub; the code is 22 bytes.
    unsafe { at.copy_from_nonoverlapping(code.as_ptr(), code.len()) };
    at.cast_const().cast()
}
