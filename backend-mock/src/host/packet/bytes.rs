//! Little-endian fields, one after the other.

use alloc::vec::Vec;

/// Takes fields from the front of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been taken yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes; `None` if there are not as many.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// Puts fields at the end of a packet.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty packet.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// A packet that begins with `first`: a message type or a status.
    pub fn starting(first: u32) -> Writer {
        Writer::new().u32(first)
    }

    /// Appends one byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Writer {
        self.bytes.push(value);
        self
    }

    /// Appends two bytes.
    #[must_use]
    pub fn u16(self, value: u16) -> Writer {
        self.raw(&value.to_le_bytes())
    }

    /// Appends four bytes.
    #[must_use]
    pub fn u32(self, value: u32) -> Writer {
        self.raw(&value.to_le_bytes())
    }

    /// Appends eight bytes.
    #[must_use]
    pub fn u64(self, value: u64) -> Writer {
        self.raw(&value.to_le_bytes())
    }

    /// Appends bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Writer {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends `count` zero bytes.
    #[must_use]
    pub fn zeros(mut self, count: usize) -> Writer {
        self.bytes.resize(self.bytes.len().saturating_add(count), 0);
        self
    }

    /// The packet.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
