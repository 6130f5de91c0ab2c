//! Room for functions and windows, and how it grows.

use alloc::vec::Vec;

use super::function::{Function, Occupancy};
use super::report::ConfigError;
use super::space::{ConfigSpace, NOBODY};
use crate::placement::Window;

/// Tables for a [`ConfigSpace`] to grow into.
#[derive(Debug)]
pub struct Room {
    functions: Vec<Function>,
    windows: Vec<Window>,
    capacity: usize,
}

impl Room {
    /// Room for so many functions, 1 to 256. Allocates: sleepable context only.
    pub fn new(capacity: u16) -> Result<Room, ConfigError> {
        if !(1..=256).contains(&capacity) {
            return Err(ConfigError::Capacity);
        }
        let capacity = usize::from(capacity);
        let mut room = Room { functions: Vec::new(), windows: Vec::new(), capacity };
        room.functions.try_reserve_exact(capacity).map_err(|_| ConfigError::OutOfMemory)?;
        let windows = ConfigSpace::most_windows(capacity);
        room.windows.try_reserve_exact(windows).map_err(|_| ConfigError::OutOfMemory)?;
        Ok(room)
    }
}

impl ConfigSpace {
    /// How many functions there should be room for next: twice as many, up to 256. `None` while another function and
    /// another window would find room. Any context.
    pub fn wants_room(&self) -> Option<u16> {
        let vacant = self.functions.iter().any(|function| function.occupancy == Occupancy::Vacant);
        let functions = self.functions.len() < self.capacity || vacant;
        let windows = self.windows.len() < ConfigSpace::most_windows(self.capacity);
        if (functions && windows) || self.capacity >= 256 {
            return None;
        }
        u16::try_from(self.capacity.saturating_mul(2).clamp(1, 256)).ok()
    }

    /// Moves into larger tables, which the caller has made without keeping anybody out, and leaves the smaller ones to be
    /// dropped in the same way. Changes nothing if there is as much room already. Any context.
    pub fn grow(&mut self, room: &mut Room) {
        if room.capacity <= self.capacity {
            return;
        }
        // Neither allocates: the tables are larger than what they take up.
        room.functions.append(&mut self.functions);
        room.windows.append(&mut self.windows);
        core::mem::swap(&mut self.functions, &mut room.functions);
        core::mem::swap(&mut self.windows, &mut room.windows);
        core::mem::swap(&mut self.capacity, &mut room.capacity);
    }

    /// A cell that was never in use; `None` when all are made.
    #[inline(never)] // A vacant function passes the stack: not in the caller's frame.
    pub(super) fn fresh_cell(&mut self) -> Option<usize> {
        let at = self.functions.len();
        if at >= self.capacity {
            return None;
        }
        // Reserved for in `reserve`.
        self.functions.push(Function::vacant(NOBODY));
        Some(at)
    }

    /// The windows there is room for.
    pub(super) const fn window_capacity(&self) -> usize {
        ConfigSpace::most_windows(self.capacity)
    }

    /// The windows that a bus with room for so many functions can have: a low and a high one for those of the start, and
    /// in the worst case of hot add two more for each.
    const fn most_windows(functions: usize) -> usize {
        functions.saturating_mul(2).saturating_add(2)
    }
}
