//! The read cache: host bytes that cannot change by themselves.

use arrayvec::ArrayVec;

use super::header::Served;

/// Dwords a function can have cached. A header and the capabilities of a large device need about 30; what does not fit
/// is read from the host each time.
const CELLS: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cell {
    dword: u16,
    lanes: u32,
    value: u32,
}

/// Bytes read from the host, by dword. What may go in is decided by [`super::registers`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReadCache {
    cells: ArrayVec<Cell, CELLS>,
    on: bool,
}

impl ReadCache {
    pub const fn new(on: bool) -> ReadCache {
        ReadCache { cells: ArrayVec::new_const(), on }
    }

    /// The one switch. Turning the cache off empties it.
    pub fn set_on(&mut self, on: bool) {
        self.on = on;
        self.cells.clear();
    }

    pub const fn is_on(&self) -> bool {
        self.on
    }

    pub fn get(&self, dword: u16) -> Served {
        match self.cells.iter().find(|cell| cell.dword == dword) {
            Some(cell) => Served::new(cell.value, cell.lanes),
            None => Served::default(),
        }
    }

    /// Keeps the bits of `value` that are in `lanes`.
    pub fn put(&mut self, dword: u16, value: u32, lanes: u32) {
        if !self.on || lanes == 0 {
            return;
        }
        match self.cells.iter_mut().find(|cell| cell.dword == dword) {
            Some(cell) => {
                cell.value = (cell.value & !lanes) | (value & lanes);
                cell.lanes |= lanes;
            }
            // Full: this dword is read from the host each time.
            None => drop(self.cells.try_push(Cell { dword, lanes, value: value & lanes })),
        }
    }

    /// The guest wrote to these bits: read-only or not, the next read asks the host.
    pub fn drop_lanes(&mut self, dword: u16, lanes: u32) {
        if let Some(cell) = self.cells.iter_mut().find(|cell| cell.dword == dword) {
            cell.lanes &= !lanes;
            cell.value &= cell.lanes;
        }
    }

    /// Drops everything (I7).
    pub fn clear(&mut self) {
        self.cells.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_and_go_one_by_one() {
        let mut cache = ReadCache::new(true);
        cache.put(0x0C, 0x1122_3344, 0x00FF_0000);
        cache.put(0x0C, 0x5566_7788, 0x0000_FF00);
        assert_eq!(cache.get(0x0C), Served::new(0x0022_7700, 0x00FF_FF00));
        cache.drop_lanes(0x0C, 0x00FF_0000);
        assert_eq!(cache.get(0x0C), Served::new(0x0000_7700, 0x0000_FF00));
        cache.clear();
        assert_eq!(cache.get(0x0C), Served::default());
    }

    #[test]
    fn off_means_off_and_full_means_uncached() {
        let mut cache = ReadCache::new(false);
        cache.put(0, 1, u32::MAX);
        assert_eq!(cache.get(0), Served::default());
        cache.set_on(true);
        for n in 0..=40u16 {
            cache.put(n * 4, u32::from(n), u32::MAX);
        }
        assert_eq!(cache.get(39 * 4), Served::all(39));
        assert_eq!(cache.get(40 * 4), Served::default());
        cache.set_on(false);
        assert_eq!(cache.get(0), Served::default());
    }
}
