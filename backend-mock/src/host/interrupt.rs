//! Interrupts that exist, and whether a device's message would become one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hvpci_core::Slot;

use super::device::COMMAND_BUS_MASTER;
use super::packet::InterruptRequest;
use super::{BusId, Host};

/// Where message addresses start and how far they go (the recorded host's range).
const FIRST_ADDRESS: u64 = 0xFEE0_0000;
const MOST_MESSAGES: u32 = 0x4_0000;

/// An interrupt the host made for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// The message address the guest was given.
    pub address: u64,
    /// The message data the guest was given.
    pub data: u32,
    /// How many consecutive messages.
    pub count: u16,
    /// The guest's vector.
    pub vector: u32,
    /// 0 fixed, 1 lowest priority.
    pub delivery: u8,
    /// The target virtual processors.
    pub processors: Vec<u16>,
    /// Where the messages of a group go that were aimed by themselves, by their index from 1; the others follow the first.
    pub aimed: BTreeMap<u16, Delivery>,
}

impl Interrupt {
    /// The index of the message with this address and data.
    pub fn index_of(&self, address: u64, data: u32) -> Option<u16> {
        let index = u16::try_from(data.checked_sub(self.data)?).ok()?;
        (self.address == address && index < self.count).then_some(index)
    }
}

/// An interrupt that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The guest's vector.
    pub vector: u32,
    /// The target virtual processors.
    pub processors: Vec<u16>,
}

/// Why a device's message reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDelivered {
    /// There is no such function, or its channel is not open.
    NoFunction,
    /// The function is in D3hot: it sends nothing (PCI Power Management 5.4.1).
    Asleep,
    /// COMMAND.BusMaster is off: the device may not write its message.
    BusMasterOff,
    /// Neither MSI-X nor MSI is enabled.
    Disabled,
    /// The function has no such vector.
    NoSuchVector,
    /// The vector is masked in the MSI-X table.
    Masked,
    /// Address and data are those of no interrupt the host made.
    UnknownMessage {
        /// The message address.
        address: u64,
        /// The message data.
        data: u32,
    },
}

/// The message addresses of one VM. The recording shows the order in which freed ones come back: last freed, first used.
#[derive(Clone, Debug, Default)]
pub(super) struct MessagePool {
    next: u32,
    free: Vec<u32>,
}

impl MessagePool {
    /// Makes an interrupt; `None` when the VM has no message address left.
    pub(super) fn create(&mut self, request: &InterruptRequest) -> Option<Interrupt> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.next < MOST_MESSAGES => {
                let number = self.next;
                self.next = number.saturating_add(1);
                number
            }
            None => return None,
        };
        Some(Interrupt {
            address: FIRST_ADDRESS | u64::from(number) << 2,
            data: 0,
            count: request.count,
            vector: request.vector,
            delivery: request.delivery,
            processors: request.processors.clone(),
            aimed: BTreeMap::new(),
        })
    }

    /// Takes an interrupt's message address back.
    pub(super) fn free(&mut self, interrupt: &Interrupt) {
        if let Ok(number) = u32::try_from((interrupt.address & 0xF_FFFF) >> 2) {
            self.free.push(number);
        }
    }
}

impl Host {
    /// Lets a function send message `vector` (its index in the MSI-X table, or the MSI message number), and tells what
    /// arrives: a vector is delivered only if the device may write it, it is unmasked, and the guest programmed the address
    /// and data it was given.
    pub fn deliver(&self, bus: BusId, slot: Slot, vector: u16) -> Result<Delivery, NotDelivered> {
        let bus = self.bus(bus).filter(|bus| bus.is_open()).ok_or(NotDelivered::NoFunction)?;
        let function = bus.functions.get(&slot).ok_or(NotDelivered::NoFunction)?;
        let device = &function.device;
        if device.is_asleep() {
            return Err(NotDelivered::Asleep);
        }
        if device.command() & COMMAND_BUS_MASTER == 0 {
            return Err(NotDelivered::BusMasterOff);
        }
        let (address, data, message) = if device.msix_enabled() {
            let entry = device.msix().and_then(|table| table.entry(vector));
            let (address, data, unmasked) = entry.ok_or(NotDelivered::NoSuchVector)?;
            if !unmasked {
                return Err(NotDelivered::Masked);
            }
            (address, data, 0)
        } else {
            let (address, data, count) = device.msi().ok_or(NotDelivered::Disabled)?;
            if vector >= count {
                return Err(NotDelivered::NoSuchVector);
            }
            (address, data, vector)
        };
        let interrupt = function
            .interrupts
            .iter()
            .find(|interrupt| (interrupt.address, interrupt.data) == (address, data) && message < interrupt.count)
            .ok_or(NotDelivered::UnknownMessage { address, data })?;
        if let Some(delivery) = interrupt.aimed.get(&message) {
            return Ok(delivery.clone());
        }
        Ok(Delivery {
            vector: interrupt.vector.saturating_add(u32::from(message)),
            processors: interrupt.processors.clone(),
        })
    }
}
