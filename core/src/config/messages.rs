//! Message interrupts in config space: what the function can do, and switching it on.
//!
//! For guests whose operating system leaves this to the bus (message style). Config-space guests write these registers
//! themselves; the host does not trap what is written into an MSI-X table (`reference/protocol.md` section 5).

use super::space::ConfigSpace;
use crate::Slot;
use crate::backend::ConfigPort;
use crate::wire::MsiEntry;

/// The ids of MSI (PCI Express Base 7.7.1) and MSI-X (7.7.2).
const MSI: u8 = 0x05;
const MSI_X: u8 = 0x11;
/// Where the first capability can be.
const FIRST_CAPABILITY: u16 = 0x40;
/// Message Control of both is at +2.
const CONTROL: u16 = 2;
/// MSI-X Message Control: enable, function mask, table size minus one.
const MSI_X_ENABLE: u16 = 1 << 15;
const MSI_X_FUNCTION_MASK: u16 = 1 << 14;
const MSI_X_TABLE_SIZE: u16 = 0x7FF;
/// MSI Message Control: enable, 64-bit address, and where the numbers of messages are.
const MSI_ENABLE: u16 = 1 << 0;
const MSI_64BIT: u16 = 1 << 7;
const MSI_CAPABLE_SHIFT: u32 = 1;
const MSI_ENABLED_SHIFT: u32 = 4;
const MSI_LOG2: u16 = 0x7;

/// Bytes of an entry of an MSI-X table.
pub const MSI_X_ENTRY: u32 = 16;

/// How a function signals interrupts by message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageCapability {
    /// MSI-X: each message has an address and data of its own, in a table behind a BAR.
    MsiX {
        /// Where the capability is.
        at: u16,
        /// Entries of the table.
        messages: u16,
        /// The (lower) register of the BAR that the table is in.
        bar: u8,
        /// Where in the BAR; the whole table lies inside of it.
        offset: u32,
    },
    /// MSI: one address and data, of which the function sets the low bits.
    Msi {
        /// Where the capability is.
        at: u16,
        /// Messages it can ask for, 1 to 32.
        messages: u16,
        /// Whether the address has 64 bits.
        is_64bit: bool,
    },
}

impl MessageCapability {
    /// How many messages the function can use.
    pub const fn messages(&self) -> u16 {
        match self {
            MessageCapability::MsiX { messages, .. } | MessageCapability::Msi { messages, .. } => *messages,
        }
    }
}

impl MsiEntry {
    /// The four words of an entry of an MSI-X table, unmasked, in the order in which they are written (7.7.2.6).
    pub const fn table_entry(&self) -> [u32; 4] {
        let [a, b, c, d, e, f, g, h] = self.address.to_le_bytes();
        [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]), self.data, 0]
    }
}

/// Why messages could not be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MessagesRefused {
    /// The function does not answer.
    #[error("function {0} does not answer")]
    Silent(Slot),
    /// An MSI capability holds 16 bits of data, and some hold 32 bits of address.
    #[error("the message that the host gave does not fit into the MSI capability of function {0}")]
    DoesNotFit(Slot),
}

impl ConfigSpace {
    /// How a function signals interrupts by message; MSI-X where it can do both. `None` also where its capability makes no
    /// sense: a table that does not lie in a BAR. Any context.
    pub fn message_capability(&mut self, port: &mut dyn ConfigPort, slot: Slot) -> Option<MessageCapability> {
        let at = self.find_present(slot)?;
        let (found, _) = self.with_page(port, at, |function, page, _| {
            function.capabilities.walk_for(page, FIRST_CAPABILITY);
            (function.capabilities.find(MSI_X), function.capabilities.find(MSI))
        })?;
        match found {
            (Some(at), _) => self.msi_x(port, slot, at),
            (None, Some(at)) => {
                let control = self.control(port, slot, at)?;
                let log2 = u32::from((control >> MSI_CAPABLE_SHIFT) & MSI_LOG2).min(5);
                Some(MessageCapability::Msi { at, messages: 1 << log2, is_64bit: control & MSI_64BIT != 0 })
            }
            (None, None) => None,
        }
    }

    fn msi_x(&mut self, port: &mut dyn ConfigPort, slot: Slot, at: u16) -> Option<MessageCapability> {
        let control = self.control(port, slot, at)?;
        let table = self.read(port, slot, at.checked_add(4)?, 4);
        let messages = (control & MSI_X_TABLE_SIZE).saturating_add(1);
        let (bar, offset) = (u8::try_from(table & 7).ok()?, table & !7);
        let bytes = u64::from(messages).saturating_mul(MSI_X_ENTRY.into());
        let inside = self.layout(slot)?.get(bar).is_some_and(|bar| bytes.saturating_add(offset.into()) <= bar.size);
        inside.then_some(MessageCapability::MsiX { at, messages, bar, offset })
    }

    /// Message Control, unless nobody is there.
    fn control(&mut self, port: &mut dyn ConfigPort, slot: Slot, at: u16) -> Option<u16> {
        let value = self.read(port, slot, at.checked_add(CONTROL)?, 2);
        u16::try_from(value).ok().filter(|value| *value != u16::MAX)
    }

    /// Switches messages on. MSI-X: its table has been written. MSI: `entry` is what the host gave for `count` messages, a
    /// power of two. Any context.
    ///
    /// # Errors
    ///
    /// See [`MessagesRefused`]; messages are off then.
    pub fn enable_messages(
        &mut self,
        port: &mut dyn ConfigPort,
        slot: Slot,
        capability: MessageCapability,
        entry: &MsiEntry,
        count: u16,
    ) -> Result<(), MessagesRefused> {
        let silent = MessagesRefused::Silent(slot);
        match capability {
            MessageCapability::MsiX { at, .. } => {
                let control = self.control(port, slot, at).ok_or(silent)?;
                let on = (control | MSI_X_ENABLE) & !MSI_X_FUNCTION_MASK;
                self.write(port, slot, at.saturating_add(CONTROL), 2, u32::from(on));
            }
            MessageCapability::Msi { at, is_64bit, .. } => {
                let [low, high, data, _] = entry.table_entry();
                if data > u32::from(u16::MAX) || (high != 0 && !is_64bit) {
                    return Err(MessagesRefused::DoesNotFit(slot));
                }
                let control = self.control(port, slot, at).ok_or(silent)? & !(MSI_LOG2 << MSI_ENABLED_SHIFT);
                let log2 = u16::try_from(count.max(1).ilog2().min(5)).unwrap_or(0);
                let write = |space: &mut ConfigSpace, port: &mut dyn ConfigPort, offset: u16, bytes, value| {
                    space.write(port, slot, at.saturating_add(offset), bytes, value);
                };
                write(self, port, 4, 4, low);
                if is_64bit {
                    write(self, port, 8, 4, high);
                }
                write(self, port, if is_64bit { 12 } else { 8 }, 2, data);
                let on = control | MSI_ENABLE | (log2 << MSI_ENABLED_SHIFT);
                write(self, port, CONTROL, 2, u32::from(on));
            }
        }
        Ok(())
    }

    /// Switches messages off, where the function still answers. Any context.
    pub fn disable_messages(&mut self, port: &mut dyn ConfigPort, slot: Slot, capability: MessageCapability) {
        let (at, enable) = match capability {
            MessageCapability::MsiX { at, .. } => (at, MSI_X_ENABLE),
            MessageCapability::Msi { at, .. } => (at, MSI_ENABLE),
        };
        if let Some(control) = self.control(port, slot, at).filter(|control| control & enable != 0) {
            self.write(port, slot, at.saturating_add(CONTROL), 2, u32::from(control & !enable));
        }
    }
}
