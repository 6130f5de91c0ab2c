//! What happens on a panic: a message and an oops. The core is written so that there is none.

use core::fmt::Write;

use crate::ffi;
use crate::text::Line;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut line = Line::<256>::new();
    let _ = write!(line, "{info}");
    let text = line.as_bytes();
    // SAFETY: the text is valid for its length.
    unsafe { ffi::hvpci_shim_panic(text.as_ptr(), text.len()) };
    // SAFETY: ends this thread of the kernel with an oops and a backtrace. A call of a C function that never returns would
    // be taken for one that does by objtool, in one kernel version or the other.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
