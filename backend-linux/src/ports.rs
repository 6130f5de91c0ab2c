//! The two synchronous ports: the channel's sending side and the config window.

use core::sync::atomic::{AtomicBool, Ordering};

use hvpci_core::backend::{ConfigPort, PacketPort, SelectError, SendError, Width};
use hvpci_core::bus::Transmit;
use hvpci_core::{Slot, Time};

use crate::ffi::{self, Shim, errno};

/// The channel.
pub struct Channel<'a> {
    pub shim: Shim,
    /// Set when the ring was full: the pump tries again soon.
    pub full: &'a AtomicBool,
}

impl PacketPort for Channel<'_> {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        let (id, completion) = (packet.transaction_id, packet.wants_completion);
        // SAFETY: the bus exists as long as this side of it; the payload is valid for its length and copied.
        match unsafe { ffi::hvpci_shim_send(self.shim, id, completion, payload.as_ptr(), payload.len()) } {
            0 => Ok(()),
            error if error == -errno::EAGAIN => {
                self.full.store(true, Ordering::Release);
                Err(SendError::Busy)
            }
            _ => Err(SendError::Closed),
        }
    }
}

/// The config window.
pub struct Window {
    pub shim: Shim,
}

impl ConfigPort for Window {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        // SAFETY: the bus exists, and the config lock is held.
        if unsafe { ffi::hvpci_shim_select(self.shim, slot.to_wire()) } { Ok(()) } else { Err(SelectError) }
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        // SAFETY: the bus exists, and the config lock is held.
        unsafe { ffi::hvpci_shim_window_read(self.shim, u32::from(offset), u32::from(width.bytes())) }
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        // SAFETY: the bus exists, and the config lock is held.
        unsafe { ffi::hvpci_shim_window_write(self.shim, u32::from(offset), u32::from(width.bytes()), value) }
    }

    fn now(&mut self) -> Option<Time> {
        Some(Time::from_nanos(ffi::hvpci_shim_now()))
    }
}
