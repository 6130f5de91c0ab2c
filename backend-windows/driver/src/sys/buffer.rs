//! Memory of callers: other drivers of this machine, and the host. It is copied from and to, never borrowed: others may
//! write to it at any time.

use core::marker::PhantomData;

/// Memory that can be read, lent for as long as `'a`.
pub struct Input<'a> {
    at: *const u8,
    length: usize,
    lent: PhantomData<&'a [u8]>,
}

/// Memory that can be written, lent for as long as `'a`.
pub struct Output<'a> {
    at: *mut u8,
    length: usize,
    lent: PhantomData<&'a mut [u8]>,
}

/// The `length` bytes at `at` of as many as there are; `None` where they do not fit in.
fn part(there: usize, at: usize, length: usize) -> Option<()> {
    (at.checked_add(length)? <= there).then_some(())
}

impl<'a> Input<'a> {
    /// # Safety
    ///
    /// `at` is null, or readable for `length` bytes for as long as `'a`.
    pub(super) unsafe fn new(at: *const u8, length: usize) -> Input<'a> {
        Input { at, length: if at.is_null() { 0 } else { length }, lent: PhantomData }
    }

    /// Bytes; 0 without a buffer.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Copies what lies at an offset. False, and nothing is copied, if there are not as many bytes.
    #[must_use]
    pub fn copy(&self, at: usize, to: &mut [u8]) -> bool {
        let there = part(self.length, at, to.len()).is_some();
        if there && !to.is_empty() {
            // SAFETY: as many bytes lie there, as whoever made this said.
            unsafe { core::ptr::copy_nonoverlapping(self.at.wrapping_add(at), to.as_mut_ptr(), to.len()) };
        }
        there
    }
}

impl<'a> Output<'a> {
    /// # Safety
    ///
    /// `at` is null, or writable for `length` bytes for as long as `'a`.
    pub(super) unsafe fn new(at: *mut u8, length: usize) -> Output<'a> {
        Output { at, length: if at.is_null() { 0 } else { length }, lent: PhantomData }
    }

    /// Bytes; 0 without a buffer.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Writes to an offset. False, and nothing is written, if there are not as many bytes.
    #[must_use]
    pub fn put(&mut self, at: usize, from: &[u8]) -> bool {
        let there = part(self.length, at, from.len()).is_some();
        if there && !from.is_empty() {
            // SAFETY: as many bytes lie there, as whoever made this said.
            unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), self.at.wrapping_add(at), from.len()) };
        }
        there
    }
}
