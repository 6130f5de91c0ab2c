//! Memory that ends at an unreadable page, as Driver Verifier's special pool does it.

use std::ptr;

const PAGE: usize = 4096;
/// Unreadable bytes after a block: a write that misses it by much is noticed too.
const GUARD: usize = 16 * PAGE;
/// What the bytes between the start of the mapping and the block hold.
const FILL: u8 = 0xA5;

/// One block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    base: usize,
    bytes: usize,
    /// Where the block begins.
    pub at: usize,
    /// The bytes asked for.
    pub size: usize,
    /// The bytes from `at` to the guard page.
    room: usize,
}

/// A block of `size` bytes, zeroed, aligned to 16 (to a page from a page on, as the pool does).
pub fn allocate(size: usize) -> Block {
    let room = size.max(1).next_multiple_of(if size >= PAGE { PAGE } else { 16 });
    let bytes = room.next_multiple_of(PAGE) + GUARD;
    // SAFETY: a new private mapping; the end of it is made unreadable.
    let base = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let base = libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        assert_ne!(base, libc::MAP_FAILED, "the loader has no memory");
        libc::mprotect(base.cast::<u8>().add(bytes - GUARD).cast(), GUARD, libc::PROT_NONE);
        base as usize
    };
    let at = base + bytes - GUARD - room;
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
        let whole = |from: usize, to: usize| (from..to).all(|at| unsafe { *(at as *const u8) == FILL });
        !whole(self.base, self.at) || !whole(self.at + self.size, self.at + self.room)
    }

    /// Makes the block unreadable for good: a later use of it faults.
    pub fn retire(self) {
        // SAFETY: the mapping is this block's own.
        unsafe {
            libc::madvise(self.base as *mut _, self.bytes, libc::MADV_DONTNEED);
            libc::mprotect(self.base as *mut _, self.bytes, libc::PROT_NONE);
        }
    }

    /// Whether the address lies in the block.
    pub fn contains(&self, address: usize) -> bool {
        (self.at..self.at + self.size.max(1)).contains(&address)
    }
}
