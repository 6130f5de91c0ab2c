//! The COMMAND register, and what is known of the host's copy of it.

bitflags::bitflags! {
    /// COMMAND (PCI Express Base 7.5.1.1.3).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Command: u16 {
        /// I/O Space Enable. vPCI has no I/O BARs.
        const IO_SPACE = 1 << 0;
        /// Memory Space Enable: decode.
        const MEMORY_SPACE = 1 << 1;
        /// Bus Master Enable.
        const BUS_MASTER = 1 << 2;
        /// Parity Error Response.
        const PARITY_ERROR = 1 << 6;
        /// SERR# Enable.
        const SERR = 1 << 8;
        /// Interrupt Disable.
        const INTERRUPT_DISABLE = 1 << 10;
    }
}

bitflags::bitflags! {
    /// The bits of the Status register that the core looks at (PCI Express Base 7.5.1.1.4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Status: u16 {
        /// Capabilities List: the pointer at 0x34 is valid.
        const CAPABILITIES_LIST = 1 << 4;
    }
}

/// The host's COMMAND, bit by bit: known, or not since a write whose effect has not been read back.
///
/// Whether a bit can be written is learned: a bit that a write changed is not known until a read shows what stuck. From
/// then on it is known after a write too (I4). Bits of COMMAND are read-write or read-only, never anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CommandShadow {
    /// The value last known of each bit.
    value: u16,
    /// The bits whose value is known now.
    known: u16,
    /// The bits of `value` that were known once since the last reset: what a read compares with.
    based: u16,
    /// The bits as last written, or read, or reset.
    intent: u16,
    writable: u16,
    read_only: u16,
}

impl CommandShadow {
    /// The host was sent `value`.
    pub fn written(&mut self, value: u16) {
        let changed = self.value ^ value;
        self.known &= !changed | self.writable | self.read_only;
        // What was not known stays so even where it is writable: right after a reset a write may be lost.
        let taken = self.known & self.writable;
        self.value = (self.value & !taken) | (value & taken);
        self.intent = value;
    }

    /// The host was read: `value`, in the bits of `lanes`. All-ones reads must not come here.
    pub fn read(&mut self, value: u16, lanes: u16) {
        let doubtful = !self.known & self.based & lanes & (self.value ^ self.intent);
        let stuck = value ^ self.value;
        self.writable |= doubtful & stuck;
        self.read_only |= doubtful & !stuck;
        self.value = (self.value & !lanes) | (value & lanes);
        self.intent = (self.intent & !lanes) | (value & lanes);
        self.known |= lanes;
        self.based |= lanes;
    }

    /// The bits that are known, and their values elsewhere 0.
    pub const fn known(&self) -> (u16, u16) {
        (self.value & self.known, self.known)
    }

    /// The best guess of every bit: known, else as last written.
    pub const fn current(&self) -> u16 {
        (self.value & self.known) | (self.intent & !self.known)
    }

    /// Whether a write of `value` to the bits in `lanes` is known to change nothing.
    pub const fn holds(&self, value: u16, lanes: u16) -> bool {
        lanes & !self.known == 0 && (self.value ^ value) & lanes & !self.read_only == 0
    }

    /// The host does not answer at present: what it holds must be read again, and is likely what it was.
    pub const fn doubt(&mut self) {
        self.intent = self.current();
        self.known = 0;
    }

    /// The host was reset (I7): what it holds must be read; until then the reset value 0 is the best guess. What was
    /// learned of writability is a property of the hardware and stays.
    pub const fn lost(&mut self) {
        self.value = 0;
        self.known = 0;
        self.based = 0;
        self.intent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writability_is_learned_from_what_sticks() {
        let mut shadow = CommandShadow::default();
        shadow.read(0, 0xFFFF);
        shadow.written(0x0401);
        // Two bits are in doubt, the rest is known.
        assert_eq!(shadow.known(), (0, !0x0401));
        assert!(!shadow.holds(0x0401, 0xFFFF));
        shadow.read(0x0400, 0xFFFF);
        assert_eq!(shadow.known(), (0x0400, 0xFFFF));
        // Bit 10 is writable now, bit 0 read-only: both stay known through writes.
        shadow.written(0x0001);
        assert_eq!(shadow.known(), (0, 0xFFFF));
        assert!(shadow.holds(0x0001, 0xFFFF));
        assert!(!shadow.holds(0x0400, 0xFFFF));
    }

    #[test]
    fn a_bit_written_there_and_back_teaches_nothing() {
        let mut shadow = CommandShadow::default();
        shadow.read(0, 0xFFFF);
        shadow.written(0x0004);
        shadow.written(0x0000);
        assert_eq!(shadow.known().1 & 4, 0);
        shadow.read(0, 0xFFFF);
        shadow.written(0x0004);
        assert_eq!(shadow.known().1 & 4, 0, "still not learned");
    }

    #[test]
    fn a_write_into_a_reset_is_not_taken_for_done() {
        let mut shadow = CommandShadow::default();
        shadow.read(0, 0xFFFF);
        shadow.written(4);
        shadow.read(4, 0xFFFF);
        shadow.written(0);
        assert_eq!(shadow.known(), (0, 0xFFFF));
        shadow.lost();
        shadow.written(4);
        assert_eq!(shadow.known(), (0, 0));
        assert!(!shadow.holds(4, 4));
        assert_eq!(shadow.current(), 4);
    }

    #[test]
    fn after_a_loss_nothing_is_known_and_nothing_wrong_is_learned() {
        let mut shadow = CommandShadow::default();
        shadow.read(0x0400, 0xFFFF);
        shadow.lost();
        assert_eq!((shadow.known(), shadow.current()), ((0, 0), 0));
        shadow.written(0x0004);
        shadow.read(0x0004, 0xFFFF);
        shadow.written(0x0000);
        // Bit 2 may have been 1 before the write: its writability is not known.
        assert_eq!(shadow.known().1 & 4, 0);
    }
}
