//! Memory that ends at an unreadable page, as Driver Verifier's special pool does it.

use std::ptr;
use std::sync::{Mutex, PoisonError};

const PAGE: usize = 4096;
/// Unreadable bytes after a block: a write that misses it by much is noticed too.
const GUARD: usize = 16 * PAGE;
/// What the bytes between the start of the mapping and the block hold.
const FILL: u8 = 0xA5;
/// A page of it.
static FILLED: [u8; PAGE] = [FILL; PAGE];
/// Bytes of address space that are taken from the system at once, unreadable, of which nothing is used twice.
const SPACE: usize = 4 << 30;

/// The space not used so far: where it begins, and its bytes.
static LEFT: Mutex<(usize, usize)> = Mutex::new((0, 0));

/// One block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    base: usize,
    /// The bytes from `base` to the guard.
    bytes: usize,
    /// Where the block begins.
    pub at: usize,
    /// The bytes asked for.
    pub size: usize,
    /// The bytes from `at` to the guard.
    room: usize,
}

/// Address space that was never used, unreadable.
fn space(bytes: usize) -> usize {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    if left.1 < bytes {
        *left = (unreadable(ptr::null_mut(), SPACE.max(bytes), 0), SPACE.max(bytes));
    }
    let at = left.0;
    *left = (left.0 + bytes, left.1 - bytes);
    at
}

/// Makes memory unreadable, and gives back what it held.
fn unreadable(at: *mut libc::c_void, bytes: usize, flags: i32) -> usize {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, or one in the place of the caller's own.
    let at = unsafe { libc::mmap(at, bytes, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED, "the loader has no address space");
    at as usize
}

/// A block of `size` bytes, zeroed, aligned to 16 (to a page from a page on, as the pool does).
pub fn allocate(size: usize) -> Block {
    let room = size.max(1).next_multiple_of(if size >= PAGE { PAGE } else { 16 });
    let bytes = room.next_multiple_of(PAGE);
    let base = space(bytes + GUARD);
    // SAFETY: pages that are nobody else's; what lies behind them stays unreadable.
    let made = unsafe { libc::mprotect(base as *mut _, bytes, libc::PROT_READ | libc::PROT_WRITE) };
    assert_eq!(made, 0, "the loader has no memory");
    let at = base + bytes - room;
    // SAFETY: both fills lie in the mapping, before the guard page.
    unsafe {
        ptr::write_bytes(base as *mut u8, FILL, at - base);
        ptr::write_bytes((at + size) as *mut u8, FILL, room - size);
    }
    Block { base, bytes, at, size, room }
}

impl Block {
    /// Whether something was written before the block, or after its end where alignment leaves room.
    pub fn damaged(&self) -> bool {
        // SAFETY: both ranges lie in the block's mapping. Each is shorter than a page: the block begins on its first one.
        let whole = |from: usize, to: usize| unsafe {
            std::slice::from_raw_parts(from as *const u8, to - from) == &FILLED[..to - from]
        };
        !whole(self.base, self.at) || !whole(self.at + self.size, self.at + self.room)
    }

    /// Makes the block unreadable for good: a later use of it faults.
    pub fn retire(self) {
        unreadable(self.base as *mut _, self.bytes, libc::MAP_FIXED);
    }

    /// Whether the address lies in the block.
    pub fn contains(&self, address: usize) -> bool {
        (self.at..self.at + self.size.max(1)).contains(&address)
    }
}
