//! What reads and writes tell of each bit of a function.

use super::super::device::function::SPACE;

/// What a recording shows of the bits of one function. Each vector has one byte per byte of config space.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Bits that were read at least once.
    pub(super) seen: Vec<u8>,
    /// What they held when they were first read.
    pub(super) first: Vec<u8>,
    /// Bits that were read before anything could have changed them.
    untouched: Vec<u8>,
    touched: Vec<u8>,
    last: Vec<u8>,
    last_known: Vec<u8>,
    pending: Vec<u8>,
    written: Vec<u8>,
    /// A write that changed the bit was read back.
    sticks: Vec<u8>,
    /// A one was written and read back, and nothing is known of the bit before.
    may_stick: Vec<u8>,
    /// Something was written and something else was read back.
    refuses: Vec<u8>,
    /// A one was written to a set bit, which was clear afterwards.
    clears: Vec<u8>,
}

impl Evidence {
    pub(super) fn new() -> Evidence {
        let none = || vec![0; SPACE];
        Evidence {
            seen: none(),
            first: none(),
            untouched: none(),
            touched: none(),
            last: none(),
            last_known: none(),
            pending: none(),
            written: none(),
            sticks: none(),
            may_stick: none(),
            refuses: none(),
            clears: none(),
        }
    }

    /// The byte at `at` was read.
    pub(super) fn read(&mut self, at: usize, value: u8) {
        let (pending, written) = (self.pending[at], self.written[at]);
        let (known, last) = (self.last_known[at], self.last[at]);
        let changed = pending & known & (last ^ written);
        self.sticks[at] |= changed & !(written ^ value);
        self.may_stick[at] |= pending & !known & written & value;
        self.refuses[at] |= pending & (written ^ value);
        self.clears[at] |= pending & known & written & last & !value;
        let new = !self.seen[at];
        self.first[at] |= new & value;
        self.untouched[at] |= new & !self.touched[at];
        self.seen[at] = 0xFF;
        self.last[at] = value;
        self.last_known[at] = 0xFF;
        self.pending[at] = 0;
    }

    /// The byte at `at` was written.
    pub(super) fn write(&mut self, at: usize, value: u8) {
        self.pending[at] = 0xFF;
        self.written[at] = value;
        self.touched[at] = 0xFF;
    }

    /// The bits of `mask` at `at` may hold anything from here.
    pub(super) fn forget(&mut self, at: usize, mask: u8) {
        self.last_known[at] &= !mask;
        self.pending[at] &= !mask;
        self.touched[at] |= mask;
    }

    /// The byte at `at` as it stands after the last write or read, where all goes as written.
    pub(super) fn supposed(&self, at: usize) -> u8 {
        (self.last[at] & !self.pending[at]) | (self.written[at] & self.pending[at])
    }

    /// Bits that take what is written to them.
    pub(super) fn writable(&self, at: usize) -> u8 {
        self.sticks[at] | (self.may_stick[at] & !self.refuses[at])
    }

    /// Bits that a written one clears.
    pub(super) fn clearable(&self, at: usize) -> u8 {
        self.clears[at] & !self.writable(at)
    }

    /// What the byte held at first: as read, if it was read before it was touched or cannot be changed by writes; zero
    /// where a write came first.
    pub(super) fn first_value(&self, at: usize) -> u8 {
        self.first[at] & (self.untouched[at] | !self.writable(at))
    }
}
