//! Message interrupts of child devices: what is documented, what is assumed, and the seam between the two.
//!
//! Documented ("Using Interrupt Resource Descriptors"): what a device asks for ([`encode_need`]), and the raw and
//! translated descriptors that start it: one of each for all messages of MSI, one of each per message for MSI-X
//! ([`decode_message`]). Documented too is the host's side (`reference/protocol.md` section 5): CREATE_INTERRUPT gives the
//! address and data that raise a vector, and the guest writes them into the function.
//!
//! Not documented is how a bus other than Windows' own PCI driver takes part in arbitrating messages, and who then programs
//! the function. The bus therefore assumes, in one place ([`program`]):
//!
//! 1. whoever arbitrates interrupts hands the child's bus driver translated descriptors whose vector is the processor's, and
//!    whose affinity are processors the hypervisor numbers as Windows does, 64 to a group;
//! 2. nobody but the bus writes MSI and MSI-X registers, and it does so before the function's driver is started: entry n of
//!    an MSI-X table for message n;
//! 3. nothing has to be told to the hypervisor about the target besides CREATE_INTERRUPT.
//!
//! Where nobody arbitrates messages, the second alternative of a child's requirements is met, and it starts without.
//! If Windows turns out to do any of it otherwise, only the implementation of [`MessageTable`] and the decoding here
//! change.

use arrayvec::ArrayVec;
use hvpci_core::Slot;
use hvpci_core::interrupt::InterruptRequest;
use hvpci_core::wire::{MsiEntry, VpSet};

use crate::resources::{CM_BYTES, IO_BYTES};

/// The descriptors of messages that one function asks for and uses; further ones stay unused.
pub const MAX_MESSAGES: usize = 64;

const TYPE_INTERRUPT: u8 = 2;
const FLAG_LATCHED: u16 = 1;
const FLAG_MESSAGE: u16 = 2;
const SHARE_DEVICE_EXCLUSIVE: u8 = 1;
/// CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN
const TOKEN: u32 = u32::MAX - 1;
/// Processors in a group.
const GROUP: u16 = 64;

/// The `IO_RESOURCE_DESCRIPTOR` that asks for `count` messages which share an address (MSI), or for one (MSI-X), on
/// whatever processors Windows likes.
pub fn encode_need(count: u16) -> [u8; IO_BYTES] {
    let mut bytes = [0; IO_BYTES];
    let lowest = TOKEN.wrapping_sub(u32::from(count.max(1))).wrapping_add(1);
    let fields: [(usize, &[u8]); 4] = [
        (1, &[TYPE_INTERRUPT, SHARE_DEVICE_EXCLUSIVE]),
        (4, &(FLAG_LATCHED | FLAG_MESSAGE).to_le_bytes()),
        (8, &lowest.to_le_bytes()),
        (12, &TOKEN.to_le_bytes()),
    ];
    for (at, field) in fields {
        for (place, byte) in bytes.iter_mut().skip(at).zip(field) {
            *place = *byte;
        }
    }
    bytes
}

/// One or more messages as the PnP manager assigned them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first interrupt vector.
    pub vector: u32,
    /// How many messages share one address: 1 for MSI-X.
    pub count: u16,
    /// The processor group.
    pub group: u16,
    /// The processors of the group that may take it, bit n for processor n.
    pub affinity: u64,
}

impl Message {
    /// The processor to name to the host: the first. One is enough; `None` if there is none.
    fn processor(&self) -> Option<u16> {
        let first = u16::try_from(self.affinity.trailing_zeros()).ok().filter(|first| *first < GROUP)?;
        self.group.checked_mul(GROUP)?.checked_add(first)
    }
}

/// The message interrupt in a pair of `CM_PARTIAL_RESOURCE_DESCRIPTOR`s, raw and translated; `None` for any other resource.
/// Their layout: group at 4 and number of messages at 6 (raw), group at 6, vector at 8, affinity at 12 (translated).
pub fn decode_message(raw: &[u8; CM_BYTES], translated: &[u8; CM_BYTES]) -> Option<Message> {
    let message = |kind, f0, f1| kind == TYPE_INTERRUPT && u16::from_le_bytes([f0, f1]) & FLAG_MESSAGE != 0;
    let [kind, _, f0, f1, _, _, c0, c1, ..] = *raw;
    if !message(kind, f0, f1) {
        return None;
    }
    let [kind, _, f0, f1, _, _, g0, g1, v0, v1, v2, v3, affinity @ ..] = *translated;
    message(kind, f0, f1).then_some(Message {
        vector: u32::from_le_bytes([v0, v1, v2, v3]),
        count: u16::from_le_bytes([c0, c1]).max(1),
        group: u16::from_le_bytes([g0, g1]),
        affinity: u64::from_le_bytes(affinity),
    })
}

/// What the host created for a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The interrupt's number at the engine (`InterruptHandle::number`), over its whole life; `None` when the host could not
    /// create it again after a resume.
    pub handle: Option<u64>,
    /// What raises it; another after a resume.
    pub entry: MsiEntry,
    /// How many messages share the address.
    pub count: u16,
}

/// What the host created for a function, in the order of its messages.
pub type Connected = ArrayVec<Connection, MAX_MESSAGES>;

/// Why a message cannot be asked of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {index} may go to no processor")]
pub struct NoProcessor {
    /// Which.
    pub index: usize,
}

/// What to ask of the host for message `index`.
pub fn request_for(slot: Slot, index: usize, message: &Message) -> Result<InterruptRequest, NoProcessor> {
    let processor = message.processor().ok_or(NoProcessor { index })?;
    let targets = VpSet::single(processor);
    Ok(InterruptRequest { slot, vector: message.vector, count: message.count, targets })
}

/// The seam: where the address and data of a function's messages go, and what switches them on.
pub trait MessageTable {
    /// Makes message `index` of the function raise `entry`.
    fn write(&mut self, index: u16, entry: &MsiEntry) -> Result<(), NoTable>;

    /// Switches messages on: all are written. `first` is the first of them.
    fn enable(&mut self, first: &Connection) -> Result<(), NoTable>;
}

/// The function's messages cannot be programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function's messages cannot be programmed")]
pub struct NoTable;

/// Programs a function with everything that the host created for it, in the order of its messages.
pub fn program(connected: impl IntoIterator<Item = Connection>, table: &mut dyn MessageTable) -> Result<(), NoTable> {
    let mut first = None;
    for (connection, index) in connected.into_iter().zip(0u16..) {
        table.write(index, &connection.entry)?;
        first.get_or_insert(connection);
    }
    first.map_or(Ok(()), |first| table.enable(&first))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[derive(Default)]
    struct FakeTable {
        written: Vec<(u16, MsiEntry)>,
        enabled: Option<u16>,
        room: u16,
    }

    impl MessageTable for FakeTable {
        fn write(&mut self, index: u16, entry: &MsiEntry) -> Result<(), NoTable> {
            assert_eq!(self.enabled, None, "written while on");
            self.written.push((index, *entry));
            if index < self.room { Ok(()) } else { Err(NoTable) }
        }

        fn enable(&mut self, first: &Connection) -> Result<(), NoTable> {
            self.enabled = Some(first.count);
            Ok(())
        }
    }

    fn raw(kind: u8, flags: u16, count: u16) -> [u8; CM_BYTES] {
        let mut bytes = [0; CM_BYTES];
        bytes[0] = kind;
        bytes[2..4].copy_from_slice(&flags.to_le_bytes());
        bytes[6..8].copy_from_slice(&count.to_le_bytes());
        bytes
    }

    fn translated(flags: u16, group: u16, vector: u32, affinity: u64) -> [u8; CM_BYTES] {
        let mut bytes = raw(2, flags, group);
        bytes[8..12].copy_from_slice(&vector.to_le_bytes());
        bytes[12..20].copy_from_slice(&affinity.to_le_bytes());
        bytes
    }

    #[test]
    fn messages_are_told_from_lines() {
        let message = translated(3, 1, 0x51, 4);
        let wanted = Message { vector: 0x51, count: 4, group: 1, affinity: 4 };
        assert_eq!(decode_message(&raw(2, 3, 4), &message), Some(wanted));
        assert_eq!(decode_message(&raw(2, 3, 0), &message), Some(Message { count: 1, ..wanted }));
        assert_eq!(decode_message(&raw(2, 1, 4), &message), None, "a line");
        assert_eq!(decode_message(&raw(3, 3, 4), &message), None, "memory");
        assert_eq!(decode_message(&raw(2, 3, 4), &translated(1, 0, 0x51, 4)), None, "lists that do not agree");
    }

    #[test]
    fn a_need_is_the_token_as_often_as_asked() {
        let one = encode_need(1);
        assert_eq!(one[..8], [0, 2, 1, 0, 3, 0, 0, 0]);
        assert_eq!((&one[8..12], &one[12..16]), (&TOKEN.to_le_bytes()[..], &TOKEN.to_le_bytes()[..]));
        let four = encode_need(4);
        assert_eq!(four[8..12], (TOKEN - 3).to_le_bytes());
        assert_eq!(one[16..], [0; 16], "any processor");
    }

    #[test]
    fn the_first_processor_of_the_group_is_named() {
        let message = Message { vector: 0x51, count: 1, group: 0, affinity: 0b1100 };
        let targets = |message: Message| request_for(Slot::ZERO, 7, &message).map(|r| r.targets.as_slice().to_vec());
        assert_eq!(targets(message), Ok([2].into()));
        assert_eq!(targets(Message { group: 2, affinity: 1 << 63, ..message }), Ok([191].into()));
        assert_eq!(targets(Message { affinity: 0, ..message }), Err(NoProcessor { index: 7 }));
        assert_eq!(targets(Message { group: u16::MAX, ..message }), Err(NoProcessor { index: 7 }));
    }

    fn connection(data: u32) -> Connection {
        Connection { handle: Some(data.into()), entry: MsiEntry::new(0xFEE0_0000, data, 1), count: 1 }
    }

    #[test]
    fn everything_is_written_before_messages_are_switched_on() {
        let connected = [connection(1), connection(2)];
        let mut table = FakeTable { room: 2, ..FakeTable::default() };
        program(connected, &mut table).unwrap();
        assert_eq!(table.written.iter().map(|(n, e)| (*n, e.data)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        assert_eq!(table.enabled, Some(1));

        let mut small = FakeTable { room: 1, ..FakeTable::default() };
        assert_eq!(program(connected, &mut small), Err(NoTable));
        assert_eq!(small.enabled, None, "left off");

        let mut unused = FakeTable::default();
        program([], &mut unused).unwrap();
        assert!(unused.written.is_empty() && unused.enabled.is_none());
    }
}
