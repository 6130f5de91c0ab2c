//! The two ports, in front of a host that all threads share.

use hvpci_core::backend::{ConfigPort, PacketPort, SelectError, SendError, Width};
use hvpci_core::bus::Transmit;
use hvpci_core::{Slot, Time};
use hvpci_mock::host::{BusId, Host, PacketKind, SendRefused};
use hvpci_sync::{Place, Shortage};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicU64, Ordering};

use crate::board::{Shuttle, now};

/// Where a packet lies until the host has answered it.
pub struct SendSlot {
    pub place: Place<Shuttle>,
    transaction: AtomicU64,
}

impl SendSlot {
    pub fn new() -> SendSlot {
        SendSlot { place: Place::new(), transaction: AtomicU64::new(0) }
    }

    /// Whether the packet of this transaction lies here.
    pub fn holds(&self, transaction: u64) -> bool {
        self.place.is_taken() && self.transaction() == transaction
    }

    pub fn transaction(&self) -> u64 {
        self.transaction.load(Ordering::SeqCst)
    }
}

/// The sending side of the channel.
pub struct ChannelPort<'a> {
    pub host: &'a Mutex<Host>,
    pub bus: BusId,
    pub slots: &'a [SendSlot],
    pub shortage: &'a Shortage<Shuttle>,
    pub sent: bool,
}

impl PacketPort for ChannelPort<'_> {
    fn send(&mut self, packet: &Transmit, payload: &[u8]) -> Result<(), SendError> {
        let Transmit { transaction_id, wants_completion } = *packet;
        let slot = if wants_completion {
            let free = self.shortage.take(|| self.slots.iter().find(|slot| slot.place.take()));
            let free = free.ok_or(SendError::Busy)?;
            free.transaction.store(transaction_id, Ordering::SeqCst);
            Some(free)
        } else {
            None
        };
        let mut host = self.host.lock().unwrap();
        let taken = host.guest_packet(self.bus, now(), PacketKind::InBand, wants_completion, transaction_id, payload);
        drop(host);
        self.sent = true;
        taken.map_err(|refused| {
            slot.into_iter().for_each(|slot| slot.place.give_back());
            match refused {
                SendRefused::RingFull => SendError::Busy,
                SendRefused::Closed => SendError::Closed,
            }
        })
    }
}

/// The config window.
pub struct WindowPort<'a> {
    pub host: &'a Mutex<Host>,
    pub bus: BusId,
    pub reserved: bool,
    /// A defect: what is written, to be carried out when the lock is no longer held.
    pub late: Option<Vec<Access>>,
}

/// An access without an answer.
pub enum Access {
    Select(Slot),
    Write(u16, Width, u32),
}

impl WindowPort<'_> {
    fn carry_out(&self, access: &Access) {
        let mut host = self.host.lock().unwrap();
        match access {
            Access::Select(slot) => host.window_select(self.bus, now(), slot.to_wire()),
            Access::Write(offset, width, value) => host.window_write(self.bus, now(), *offset, *width, *value),
        };
    }

    fn post(&mut self, access: Access) {
        match &mut self.late {
            _ if !self.reserved => {}
            Some(late) => late.push(access),
            None => self.carry_out(&access),
        }
    }

    /// Carries out what was put off.
    pub fn finish(mut self) {
        for access in self.late.take().unwrap_or_default() {
            shuttle::thread::yield_now();
            self.carry_out(&access);
        }
    }
}

impl ConfigPort for WindowPort<'_> {
    fn select(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.post(Access::Select(slot));
        Ok(())
    }

    fn read(&mut self, offset: u16, width: Width) -> u32 {
        if !self.reserved {
            return width.all_ones();
        }
        // What was put off comes first: a thread sees its own writes.
        for access in self.late.as_mut().map(std::mem::take).unwrap_or_default() {
            self.carry_out(&access);
        }
        self.host.lock().unwrap().window_read(self.bus, now(), offset, width).0
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        self.post(Access::Write(offset, width, value));
    }

    fn now(&mut self) -> Option<Time> {
        Some(now())
    }
}
