//! What is known of a function's capability lists.
//!
//! Learned from the guest's own reads: it walks the lists anyway. Only when the guest writes behind the header while the
//! list is not known does the core walk it (bounded), because a write may be one that resets the function.

use arrayvec::ArrayVec;

use super::access::{Access, high_word, low_word};
use super::command::Status;
use super::header::{CAPABILITIES, COMMAND};
use super::page::Page;

/// The most capabilities that fit between 0x40 and 0xFF.
const MOST: usize = 48;
/// The most extended capabilities that are looked at; a list that is longer ends here.
const MOST_EXTENDED: usize = 32;
/// Where the extended capabilities start.
const EXTENDED: u16 = 0x100;

/// How far a list has been followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Progress {
    /// Where it starts is not known.
    #[default]
    Unknown,
    /// The next header is at this offset.
    At(u16),
    /// To its end, or to where it makes no sense any more.
    Complete,
}

/// Both lists of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Capabilities {
    /// (id, offset), in list order.
    known: ArrayVec<(u8, u8), MOST>,
    progress: Progress,
    /// Status bit 4, once read.
    present: Option<bool>,
    /// The pointer at 0x34, once read.
    pointer: Option<u8>,
    /// The bytes of the next header seen so far: a guest may read id and next one by one.
    id: Option<u8>,
    next: Option<u8>,
    /// (id, offset), in list order.
    extended: ArrayVec<(u16, u16), MOST_EXTENDED>,
    extended_progress: ExtendedProgress,
}

/// How far the extended list has been followed. Its start is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ExtendedProgress {
    At(u16),
    Complete,
}

impl Default for ExtendedProgress {
    fn default() -> Self {
        ExtendedProgress::At(EXTENDED)
    }
}

impl Capabilities {
    /// Forgets everything (I7).
    pub fn clear(&mut self) {
        self.known.clear();
        self.progress = Progress::Unknown;
        self.present = None;
        self.pointer = None;
        self.id = None;
        self.next = None;
        self.extended.clear();
        self.extended_progress = ExtendedProgress::default();
    }

    /// Calls `f` with id and offset of each capability known.
    pub fn each(&self, mut f: impl FnMut(u8, u16)) {
        for (id, at) in &self.known {
            f(*id, u16::from(*at));
        }
    }

    /// The offset of a capability.
    pub fn find(&self, id: u8) -> Option<u16> {
        self.known.iter().find(|(known, _)| *known == id).map(|(_, at)| u16::from(*at))
    }

    /// The offset of an extended capability.
    pub fn find_extended(&self, id: u16) -> Option<u16> {
        self.extended.iter().find(|(known, _)| *known == id).map(|(_, at)| *at)
    }

    /// Where the next header of the list is, if it has not been read wholly.
    pub const fn frontier(&self) -> Option<u16> {
        match self.progress {
            Progress::At(at) => Some(at),
            Progress::Unknown | Progress::Complete => None,
        }
    }

    /// Whether an extended capability header is at `dword`.
    pub fn is_extended_header(&self, dword: u16) -> bool {
        dword == EXTENDED
            || self.extended_progress == ExtendedProgress::At(dword)
            || self.extended.iter().any(|(_, at)| *at == dword)
    }

    /// The host answered a read: `value`, not all ones.
    pub fn observe(&mut self, access: Access, value: u32) {
        let (bits, lanes) = (access.place(value), access.lanes());
        let dword = access.dword();
        match dword {
            COMMAND if lanes & 0x00FF_0000 != 0 => {
                let status = Status::from_bits_retain(high_word(bits));
                self.present = Some(status.contains(Status::CAPABILITIES_LIST));
                self.start();
            }
            CAPABILITIES if lanes & 0xFF != 0 => {
                let [pointer, ..] = bits.to_le_bytes();
                self.pointer = Some(pointer);
                self.start();
            }
            0x40..=0xFF => self.observe_header(dword, bits, lanes),
            EXTENDED.. if lanes == u32::MAX => self.observe_extended(dword, bits),
            _ => {}
        }
    }

    fn start(&mut self) {
        if self.progress != Progress::Unknown {
            return;
        }
        match (self.present, self.pointer) {
            (Some(false), _) => self.progress = Progress::Complete,
            (Some(true), Some(pointer)) => self.advance(pointer),
            _ => {}
        }
    }

    /// Goes on to the header at `next`; the two low bits are reserved (7.5.1.1.11).
    fn advance(&mut self, next: u8) {
        let next = next & !3;
        self.id = None;
        self.next = None;
        let seen = self.known.iter().any(|(_, at)| *at == next);
        // A pointer into the header ends the list; one that comes back would never end.
        self.progress = if next < 0x40 || seen { Progress::Complete } else { Progress::At(u16::from(next)) };
    }

    fn observe_header(&mut self, dword: u16, bits: u32, lanes: u32) {
        if self.progress != Progress::At(dword) {
            return;
        }
        let [id, next, ..] = bits.to_le_bytes();
        if lanes & 0x00FF != 0 {
            self.id = Some(id);
        }
        if lanes & 0xFF00 != 0 {
            self.next = Some(next);
        }
        if let (Some(id), Some(next), Ok(at)) = (self.id, self.next, u8::try_from(dword)) {
            if self.known.try_push((id, at)).is_err() || id == 0xFF {
                self.progress = Progress::Complete;
                return;
            }
            self.advance(next);
        }
    }

    fn observe_extended(&mut self, dword: u16, header: u32) {
        if self.extended_progress != ExtendedProgress::At(dword) {
            return;
        }
        let id = low_word(header);
        let next = high_word(header).wrapping_shr(4) & !3;
        // A header of 0 at 0x100 says that there is no list; elsewhere it makes no sense and ends it as well.
        let room = header != 0 && self.extended.try_push((id, dword)).is_ok();
        let seen = self.extended.iter().any(|(_, at)| *at == next);
        self.extended_progress =
            if !room || seen || next <= EXTENDED { ExtendedProgress::Complete } else { ExtendedProgress::At(next) };
    }

    /// Makes the list known that a write at `offset` (0x40 or above) may hit, by at most about 50 reads. Gives up where
    /// the host reads all ones.
    pub fn walk_for(&mut self, page: &mut Page<'_>, offset: u16) {
        if offset < EXTENDED {
            if self.present.is_none() {
                self.ask(page, COMMAND | 2, 2);
            }
            if self.present == Some(true) && self.pointer.is_none() {
                self.ask(page, CAPABILITIES, 1);
            }
            for _ in 0..MOST {
                let Some(at) = self.frontier() else { return };
                if !self.ask(page, at, 2) {
                    return;
                }
            }
        } else {
            for _ in 0..MOST_EXTENDED {
                let ExtendedProgress::At(at) = self.extended_progress else { return };
                if !self.ask(page, at, 4) {
                    return;
                }
            }
        }
    }

    /// One read of our own. Returns whether the host answered.
    fn ask(&mut self, page: &mut Page<'_>, offset: u16, bytes: usize) -> bool {
        let Some(access) = Access::new(offset, bytes) else { return false };
        let value = page.read(access);
        if access.is_all_ones(value) {
            return false;
        }
        self.observe(access, value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &mut Capabilities, offset: u16, bytes: usize, value: u32) {
        list.observe(Access::new(offset, bytes).unwrap(), value);
    }

    #[test]
    fn the_recorded_chain_in_words_and_in_bytes() {
        let mut list = Capabilities::default();
        read(&mut list, 0x06, 2, 0x0010);
        assert_eq!(list.frontier(), None);
        read(&mut list, 0x34, 1, 0x40);
        assert_eq!(list.frontier(), Some(0x40));
        read(&mut list, 0x42, 2, 0x003F);
        assert_eq!(list.frontier(), Some(0x40));
        read(&mut list, 0x40, 2, 0x4C11);
        read(&mut list, 0x4C, 1, 0x10);
        assert_eq!(list.frontier(), Some(0x4C));
        read(&mut list, 0x4D, 1, 0x00);
        assert_eq!(list.progress, Progress::Complete);
        assert_eq!((list.find(0x11), list.find(0x10), list.find(0x01)), (Some(0x40), Some(0x4C), None));
    }

    #[test]
    fn without_the_status_bit_there_is_no_list() {
        let mut list = Capabilities::default();
        read(&mut list, 0x04, 4, 0x0000_0000);
        read(&mut list, 0x34, 4, 0x40);
        assert_eq!((list.progress, list.frontier()), (Progress::Complete, None));
    }

    #[test]
    fn loops_and_pointers_into_the_header_end_the_list() {
        let mut list = Capabilities::default();
        read(&mut list, 0x06, 2, 0x0010);
        read(&mut list, 0x34, 1, 0x53);
        assert_eq!(list.frontier(), Some(0x50), "the two low bits are reserved");
        read(&mut list, 0x50, 2, 0x6001);
        read(&mut list, 0x60, 2, 0x5005);
        assert_eq!(list.progress, Progress::Complete);
        let mut list = Capabilities::default();
        read(&mut list, 0x06, 2, 0x0010);
        read(&mut list, 0x34, 1, 0x3C);
        assert_eq!(list.progress, Progress::Complete);
    }

    #[test]
    fn extended_lists_end_at_zero_and_at_loops() {
        let mut list = Capabilities::default();
        assert!(list.is_extended_header(0x100) && !list.is_extended_header(0x104));
        read(&mut list, 0x100, 4, 0x1501_0001);
        assert!(list.is_extended_header(0x150));
        read(&mut list, 0x150, 4, 0x1001_0015);
        assert_eq!(list.extended_progress, ExtendedProgress::Complete);
        assert_eq!(list.find_extended(0x15), Some(0x150));
        let mut list = Capabilities::default();
        read(&mut list, 0x100, 4, 0);
        assert_eq!(list.extended_progress, ExtendedProgress::Complete);
        assert_eq!(list.find_extended(0), None);
    }
}
