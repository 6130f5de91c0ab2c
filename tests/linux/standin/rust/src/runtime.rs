//! What a Rust object needs from the kernel: memory, and an end to a panic.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt::{self, Write};
use core::panic::PanicInfo;

unsafe extern "C" {
    fn standin_alloc(size: usize, align: usize) -> *mut u8;
    fn standin_free(memory: *mut u8);
    fn standin_panic(text: *const u8, length: usize);
}

struct Kernel;

// SAFETY: kmalloc gives memory of the size and alignment asked for, or null; the C side sees to the alignment.
unsafe impl GlobalAlloc for Kernel {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a plain call; size is not zero.
        unsafe { standin_alloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _layout: Layout) {
        // SAFETY: the memory came from `alloc`.
        unsafe { standin_free(memory) }
    }
}

#[global_allocator]
static KERNEL: Kernel = Kernel;

struct Line {
    bytes: [u8; 240],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (place, byte) in self.bytes.iter_mut().skip(self.length).zip(text.bytes()) {
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut line = Line { bytes: [0; 240], length: 0 };
    let _ = write!(line, "{info}");
    // SAFETY: the line lives during the call. The C function reports and returns: a `-> !` function would have to be in
    // objtool's list, and ud2 is a dead end that every version of objtool knows.
    unsafe {
        standin_panic(line.bytes.as_ptr(), line.length);
        core::arch::asm!("ud2", options(noreturn));
    }
}
