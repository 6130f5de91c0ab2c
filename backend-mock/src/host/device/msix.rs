//! The MSI-X table in a BAR (PCI Express Base 7.7.2.2).

use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a table entry.
const ENTRY_BYTES: u64 = 16;
/// Vector control: masked.
const MASKED: u32 = 1;

/// A function's MSI-X table: four dwords an entry: address low, address high, data, vector control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsixTable {
    bar: u8,
    offset: u64,
    dwords: Vec<u32>,
}

impl MsixTable {
    pub(super) fn new(vectors: u16, bar: u8, offset: u32) -> MsixTable {
        let mut table =
            MsixTable { bar, offset: u64::from(offset & !7), dwords: vec![0; usize::from(vectors).saturating_mul(4)] };
        table.reset();
        table
    }

    /// All vectors masked, everything else 0.
    pub(super) fn reset(&mut self) {
        for (index, dword) in self.dwords.iter_mut().enumerate() {
            *dword = if index % 4 == 3 { MASKED } else { 0 };
        }
    }

    /// The BAR register the table is in.
    pub const fn bar(&self) -> u8 {
        self.bar
    }

    /// Address, data and whether unmasked, of one vector.
    pub fn entry(&self, vector: u16) -> Option<(u64, u32, bool)> {
        match *self.dwords.chunks_exact(4).nth(usize::from(vector))? {
            [low, high, data, control] => Some((u64::from(high) << 32 | u64::from(low), data, control & MASKED == 0)),
            _ => None,
        }
    }

    /// The dword at `offset` in the BAR; `None` outside the table.
    pub fn read(&self, offset: u64) -> Option<u32> {
        self.dwords.get(self.index(offset)?).copied()
    }

    /// Writes the dword at `offset` in the BAR. Returns whether that is in the table.
    pub fn write(&mut self, offset: u64, value: u32) -> bool {
        let Some(place) = self.index(offset).and_then(|index| self.dwords.get_mut(index)) else { return false };
        *place = value;
        true
    }

    fn index(&self, offset: u64) -> Option<usize> {
        let at = offset.checked_sub(self.offset)?;
        let bytes = u64::try_from(self.dwords.len()).ok()? / 4 * ENTRY_BYTES;
        (at < bytes && at % 4 == 0).then(|| usize::try_from(at / 4).ok())?
    }
}
