//! The two ports of a bus, on the mock host.

use hvpci_core::backend::{ConfigPort, PacketPort, SelectError, SendError, Width};
use hvpci_core::bus::Transmit;
use hvpci_core::{Slot, Time};

use super::hook::{Hook, PlatformStep};
use crate::host::packet::MessageType;
use crate::host::{BusId, Host, PacketKind, SendRefused};

/// The config window. Each access moves `now` on to when its trap returns.
pub struct WindowPort<'a> {
    /// The host.
    pub host: &'a mut Host,
    /// The bus.
    pub bus: BusId,
    /// When the next access begins.
    pub now: Time,
    /// Whether the guest has a window to access.
    pub reserved: bool,
    /// Whom to tell that the core is left.
    pub hook: Option<&'a dyn Hook>,
}

impl ConfigPort for WindowPort<'_> {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        if !self.reserved {
            return Err(SelectError);
        }
        self.now = outside(self.hook, || self.host.window_select(self.bus, self.now, slot.to_wire()));
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        if !self.reserved {
            return width.all_ones();
        }
        let (value, done) = outside(self.hook, || self.host.window_read(self.bus, self.now, offset, width));
        self.now = done;
        value
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        if self.reserved {
            self.now = outside(self.hook, || self.host.window_write(self.bus, self.now, offset, width, value));
        }
    }

    fn now(&mut self) -> Option<Time> {
        Some(self.now)
    }
}

/// The sending side of the channel.
pub struct ChannelPort<'a> {
    /// The host.
    pub host: &'a mut Host,
    /// The bus.
    pub bus: BusId,
    /// The time.
    pub now: Time,
    /// Whether anything was sent.
    pub sent: bool,
    /// Whom to ask about a packet, and to tell that the core is left.
    pub hook: Option<&'a dyn Hook>,
}

impl PacketPort for ChannelPort<'_> {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        let Transmit { transaction_id, wants_completion, .. } = *packet;
        let sent = outside(self.hook, || {
            let kind = MessageType(payload.first_chunk().map_or(0, |first| u32::from_le_bytes(*first)));
            if self.hook.is_some_and(|hook| hook.step(PlatformStep::Send(kind)).is_err()) {
                return Ok(());
            }
            self.host.guest_packet(self.bus, self.now, PacketKind::InBand, wants_completion, transaction_id, payload)
        });
        self.sent = true;
        sent.map_err(|refused| match refused {
            SendRefused::RingFull => SendError::Busy,
            SendRefused::Closed => SendError::Closed,
        })
    }
}

/// Runs code that is not the core's in the middle of some that is.
fn outside<R>(hook: Option<&dyn Hook>, f: impl FnOnce() -> R) -> R {
    if let Some(hook) = hook {
        hook.in_core(false);
    }
    let result = f();
    if let Some(hook) = hook {
        hook.in_core(true);
    }
    result
}
