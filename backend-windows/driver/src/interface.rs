//! Config space and config blocks as other drivers reach them on a child device.

use hvpci_core::{Slot, driver};
use wdk_sys::NTSTATUS;

use crate::blocks;
use crate::bus::{Parts, WindowsBus};
use crate::pdo::{Device, is_present, slot_of};
use crate::sys::buffer::{Input, Output};
use crate::sys::interface::Access;

/// Bytes of a function's config space.
const CONFIG_BYTES: u32 = 0x1000;

impl Access for Parts {
    fn is_present(device: Device<'_>) -> bool {
        is_present(device)
    }

    /// All ones if the function is gone.
    fn read_config(device: Device<'_>, offset: u32, buffer: &mut Output<'_>) -> u32 {
        let function = present(device);
        let mut done = 0;
        for (offset, bytes, at) in pieces(offset, buffer.len()) {
            let value =
                function.map_or(u32::MAX, |(bus, slot)| driver::config_read(bus, slot, offset, bytes)).to_le_bytes();
            let Some(read) = value.get(..bytes).filter(|read| buffer.put(at, read)) else { break };
            done += read.len() as u32;
        }
        done
    }

    fn write_config(device: Device<'_>, offset: u32, buffer: &Input<'_>) -> u32 {
        let function = present(device);
        let mut done = 0;
        for (offset, bytes, at) in pieces(offset, buffer.len()) {
            let mut value = [0; 4];
            if !value.get_mut(..bytes).is_some_and(|written| buffer.copy(at, written)) {
                break;
            }
            if let Some((bus, slot)) = function {
                driver::config_write(bus, slot, offset, bytes, u32::from_le_bytes(value));
            }
            done += bytes as u32;
        }
        done
    }

    fn read_block(device: Device<'_>, block: u32, buffer: &mut Output<'_>) -> Result<(), NTSTATUS> {
        blocks::read_whole(device, block, buffer)
    }

    fn write_block(device: Device<'_>, block: u32, buffer: &Input<'_>) -> Result<(), NTSTATUS> {
        blocks::write(device, block, buffer, 0, buffer.len())
    }
}

/// The bus and the slot of a device whose function is still on the bus.
fn present(device: Device<'_>) -> Option<(&WindowsBus, Slot)> {
    Some((device.bus(), slot_of(device).ok()?)).filter(|_| is_present(device))
}

/// The naturally aligned pieces of a range of config space: offset, bytes, and where in the buffer.
fn pieces(offset: u32, length: usize) -> impl Iterator<Item = (u16, usize, usize)> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let end = offset.saturating_add(length).min(CONFIG_BYTES);
    let mut at = offset;
    core::iter::from_fn(move || {
        let left = end.checked_sub(at).filter(|left| *left != 0)?;
        let bytes = match (at % 4, left) {
            (0, 4..) => 4,
            (0 | 2, 2..) => 2,
            _ => 1,
        };
        let piece = (u16::try_from(at).ok()?, bytes as usize, (at - offset) as usize);
        at += bytes;
        Some(piece)
    })
}
