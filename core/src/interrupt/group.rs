//! What the host gave, and who has to give it back.

use crate::wire::MsiEntry;

impl MsiEntry {
    /// Whether the entry stands for something at the host. An alias does not, and must not be sent in DELETE_INTERRUPT
    /// (`reference/protocol.md` section 5).
    pub const fn is_alias(&self) -> bool {
        self.message_count == 0
    }
}

/// The vectors that one CREATE_INTERRUPT made: one, or a multi-MSI group.
///
/// The function has one address and one data register; for vector `n` it sets the low bits of the data to `n`. So the
/// platform's interrupt `n` of the group is an alias of the first, with `n` added to the data. Only the first is ever
/// deleted, and that deletes all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsiGroup {
    first: MsiEntry,
    count: u16,
}

impl MsiGroup {
    /// The group from the host's answer to a request for `count` vectors.
    pub const fn new(answer: MsiEntry, count: u16) -> MsiGroup {
        MsiGroup { first: answer, count }
    }

    /// How many vectors were asked for.
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// The entry of vector `index`: what to write into the function and to aim with a retarget; `None` outside the
    /// group. The first carries the host's message count, all others are aliases with 0.
    pub fn entry(&self, index: u16) -> Option<MsiEntry> {
        if index == 0 && self.count != 0 {
            return Some(self.first);
        }
        // The host's data may be anything: what the function would send wraps as well.
        let data = self.first.data.wrapping_add(u32::from(index));
        (index < self.count).then_some(MsiEntry { data, message_count: 0, ..self.first })
    }

    /// All entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = MsiEntry> {
        (0..self.count).filter_map(|index| self.entry(index))
    }

    /// What DELETE_INTERRUPT must carry, exactly as the host gave it; `None` when the host itself called the entry an
    /// alias, so that there is nothing to delete.
    pub fn to_delete(&self) -> Option<MsiEntry> {
        (!self.first.is_alias()).then_some(self.first)
    }
}
