//! Message interrupts, up to the point where documentation ends. **Not verified on Windows.**
//!
//! What is documented: a function's message interrupts reach its driver as `CmResourceTypeInterrupt` descriptors with
//! `CM_RESOURCE_INTERRUPT_MESSAGE`, whose translated form carries vector and affinity. What is not: how a bus other than
//! Windows' own PCI driver takes part in arbitrating them, and who then writes the MSI-X table of a function that such a
//! bus enumerated. The bus therefore assumes, in one place ([`connect`]):
//!
//! 1. the PnP manager puts translated message descriptors into the resources that start the child;
//! 2. the host hands out, for each vector, the address and data that raise it (CREATE_INTERRUPT), before the function's
//!    driver connects;
//! 3. the bus writes them into the function's MSI-X table, entry n for message n, through a [`MessageTable`].
//!
//! If Windows turns out to do any of it otherwise, only the implementation of [`MessageTable`] and the decoding here
//! change.

use arrayvec::ArrayVec;
use hvpci_core::Slot;
use hvpci_core::interrupt::InterruptRequest;
use hvpci_core::wire::{MsiEntry, VpSet};

use crate::resources::CM_BYTES;

/// The messages of one function that are connected; further ones stay unused.
pub const MAX_MESSAGES: usize = 64;

const TYPE_INTERRUPT: u8 = 2;
const FLAG_MESSAGE: u16 = 2;

/// One message as the PnP manager translated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The interrupt vector.
    pub vector: u32,
    /// The processors of the descriptor's group that may take it, bit n for processor n.
    pub affinity: u64,
}

/// The message interrupt in a translated `CM_PARTIAL_RESOURCE_DESCRIPTOR`; `None` for any other resource, and for a message
/// that no processor may take. Its layout: group at 4, level at 4 + 4, vector at 8, affinity at 12.
pub fn decode_message(descriptor: &[u8; CM_BYTES]) -> Option<Message> {
    let [kind, _, f0, f1, _, _, _, _, v0, v1, v2, v3, affinity @ ..] = *descriptor;
    if kind != TYPE_INTERRUPT || u16::from_le_bytes([f0, f1]) & FLAG_MESSAGE == 0 {
        return None;
    }
    let affinity = u64::from_le_bytes(affinity);
    (affinity != 0).then_some(Message { vector: u32::from_le_bytes([v0, v1, v2, v3]), affinity })
}

/// Where the address and data of a message are written.
pub trait MessageTable {
    /// Makes message `index` of the function raise `entry`.
    fn write(&mut self, index: u16, entry: MsiEntry) -> Result<(), NoTable>;
}

/// The function's message table cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function's message table cannot be reached")]
pub struct NoTable;

/// The table of a function while nobody has found out who programs it on Windows: takes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unprogrammed;

impl MessageTable for Unprogrammed {
    fn write(&mut self, _index: u16, _entry: MsiEntry) -> Result<(), NoTable> {
        Err(NoTable)
    }
}

/// What the host created for a function, to be deleted when its driver stops.
pub type Connected = ArrayVec<MsiEntry, MAX_MESSAGES>;

/// Why a function's messages could not be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError<E> {
    /// The host or the engine refused.
    #[error("interrupt {index}: {error}")]
    Create {
        /// The message.
        index: u16,
        /// Why.
        error: E,
    },
    /// The function's message table cannot be reached.
    #[error(transparent)]
    Table(NoTable),
    /// The descriptor's affinity cannot be told to the host.
    #[error("interrupt {index} may go to no processor the host knows")]
    Affinity {
        /// The message.
        index: u16,
    },
}

/// Creates every message at the host and writes it into the function's table. What was created before a failure is in
/// `connected`: the caller deletes it.
pub fn connect<E>(
    slot: Slot,
    messages: &[Message],
    mut create: impl FnMut(InterruptRequest) -> Result<MsiEntry, E>,
    table: &mut dyn MessageTable,
    connected: &mut Connected,
) -> Result<(), ConnectError<E>> {
    for (message, index) in messages.iter().zip(0u16..).take(MAX_MESSAGES) {
        // One processor is enough: the first. Where the interrupt goes later is the hypervisor's business.
        let first = u16::try_from(message.affinity.trailing_zeros()).ok().filter(|vp| *vp < 64);
        let first = first.ok_or(ConnectError::Affinity { index })?;
        let request = InterruptRequest::single(slot, message.vector, VpSet::single(first));
        let entry = create(request).map_err(|error| ConnectError::Create { index, error })?;
        if connected.try_push(entry).is_err() {
            return Ok(());
        }
        table.write(index, entry).map_err(ConnectError::Table)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Assumes what the module says: Windows leaves the table to the bus, entry n for message n, before the driver
    /// connects.
    #[derive(Default)]
    struct FakeTable(Vec<(u16, MsiEntry)>);

    impl MessageTable for FakeTable {
        fn write(&mut self, index: u16, entry: MsiEntry) -> Result<(), NoTable> {
            self.0.push((index, entry));
            Ok(())
        }
    }

    fn descriptor(kind: u8, flags: u16, vector: u32, affinity: u64) -> [u8; CM_BYTES] {
        let mut bytes = [0; CM_BYTES];
        bytes[0] = kind;
        bytes[2..4].copy_from_slice(&flags.to_le_bytes());
        bytes[8..12].copy_from_slice(&vector.to_le_bytes());
        bytes[12..20].copy_from_slice(&affinity.to_le_bytes());
        bytes
    }

    fn entry(n: u32) -> MsiEntry {
        MsiEntry { address: 0xFEE0_0000, data: n, message_count: 1, reserved: 0 }
    }

    #[test]
    fn messages_are_told_from_lines() {
        assert_eq!(decode_message(&descriptor(2, 3, 0x51, 4)), Some(Message { vector: 0x51, affinity: 4 }));
        assert_eq!(decode_message(&descriptor(2, 1, 0x51, 4)), None, "a line");
        assert_eq!(decode_message(&descriptor(3, 2, 0x51, 4)), None, "memory");
        assert_eq!(decode_message(&descriptor(2, 2, 0x51, 0)), None, "for nobody");
    }

    #[test]
    fn each_message_gets_its_entry_in_order() {
        let messages = [Message { vector: 0x51, affinity: 0b1100 }, Message { vector: 0x61, affinity: 1 << 63 }];
        let (mut table, mut connected, mut asked) = (FakeTable::default(), Connected::new(), Vec::new());
        let create = |request: InterruptRequest| {
            asked.push((request.vector, request.count, request.targets.as_slice().to_vec()));
            Ok::<_, ()>(entry(request.vector))
        };
        connect(Slot::ZERO, &messages, create, &mut table, &mut connected).unwrap();
        assert_eq!(asked, [(0x51, 1, Vec::from([2])), (0x61, 1, Vec::from([63]))]);
        assert_eq!(table.0, [(0, entry(0x51)), (1, entry(0x61))]);
        assert_eq!(connected.len(), 2);
    }

    #[test]
    fn what_was_created_before_a_failure_is_known() {
        let messages = [Message { vector: 1, affinity: 1 }; 3];
        let (mut connected, mut n) = (Connected::new(), 0);
        let create = |_| {
            n += 1;
            if n == 2 { Err("no") } else { Ok(entry(n)) }
        };
        let failed = connect(Slot::ZERO, &messages, create, &mut FakeTable::default(), &mut connected);
        assert_eq!(failed, Err(ConnectError::Create { index: 1, error: "no" }));
        assert_eq!(connected.as_slice(), [entry(1)]);

        let mut connected = Connected::new();
        let failed = connect(Slot::ZERO, &messages, |_| Ok::<_, ()>(entry(9)), &mut Unprogrammed, &mut connected);
        assert_eq!(failed, Err(ConnectError::Table(NoTable)));
        assert_eq!(connected.len(), 1, "must be deleted again");
    }
}
