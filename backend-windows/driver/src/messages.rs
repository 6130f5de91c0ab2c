//! Message interrupts of a child: created at the host when its driver starts, deleted when it stops. What is assumed about
//! Windows is in [`hvpci_windows::interrupts`].

use core::pin::pin;

use hvpci_core::bus::{Reply, Request};
use hvpci_core::config::{MSI_X_ENTRY, MessageCapability};
use hvpci_core::interrupt::InterruptRequest;
use hvpci_core::wire::MsiEntry;
use hvpci_core::{Slot, Time, driver};
use hvpci_windows::interrupts::{self, Connection, MAX_MESSAGES, MessageTable, NoTable};
use wdk_sys::{NTSTATUS, STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES};

use crate::bus::WindowsBus;
use crate::children::Child;
use crate::events;
use crate::pdo::{Device, caller, slot_of, wait_for, with_child};
use crate::sys::mmio::MappedTable;
use crate::sys::resources::Needs;

/// Appends what a function needs to signal interrupts by message. Returns whether that is anything. PASSIVE_LEVEL.
pub fn append_needs(bus: &WindowsBus, slot: Slot, list: &Needs<'_>) -> Result<bool, NTSTATUS> {
    match driver::message_capability(bus, slot) {
        Some(MessageCapability::MsiX { messages, .. }) => {
            for _ in 0..usize::from(messages).min(MAX_MESSAGES) {
                list.append(&interrupts::encode_need(1))?;
            }
            Ok(true)
        }
        Some(MessageCapability::Msi { messages, .. }) => {
            list.append(&interrupts::encode_need(messages))?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Creates what the PnP manager assigned at the host, unless the host has it, and programs the function with it. The
/// function decodes. Waits for the host until `limit`, all in all. Nothing happens for a function to which none was
/// assigned. PASSIVE_LEVEL.
#[inline(never)]
pub fn connect(device: Device<'_>, limit: Time) -> Result<(), NTSTATUS> {
    let (bus, slot) = (device.bus(), slot_of(device)?);
    let count = with_child(device, |child| child.messages.len())?;
    if count == 0 {
        return Ok(());
    }
    // Twice, because a creation that was given up keeps its room until the host has answered.
    let room = u16::try_from(bus.children.messages().saturating_mul(2)).unwrap_or(u16::MAX);
    driver::reserve_interrupts(bus, room).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    for index in 0..count.min(MAX_MESSAGES) {
        let state = |child: &mut Child| {
            let there = child.connected.get(index).is_some_and(|connection| connection.handle.is_some());
            (there, child.messages.get(index).copied())
        };
        // What the host has it was asked for before a suspend.
        let (false, Some(message)) = with_child(device, state)? else { continue };
        let request = interrupts::request_for(slot, index, &message).map_err(|error| {
            events::write(events::ERROR, format_args!("{slot}: {error}"));
            STATUS_DEVICE_CONFIGURATION_ERROR
        })?;
        let connection = create(bus, slot, request, message.count, limit)?;
        let kept = with_child(device, |child| match child.connected.get_mut(index) {
            Some(lost) => {
                *lost = connection;
                true
            }
            None => child.connected.try_push(connection).is_ok(),
        });
        if kept != Ok(true) {
            // The function left while it was created.
            delete(bus, slot, connection.entry);
            return Err(STATUS_DEVICE_NOT_READY);
        }
    }
    program(device, bus, slot)
}

/// One message at the host. On its own, as what waits takes room on the stack.
#[inline(never)]
fn create(
    bus: &WindowsBus,
    slot: Slot,
    request: InterruptRequest,
    count: u16,
    limit: Time,
) -> Result<Connection, NTSTATUS> {
    let point = caller(bus)?;
    let asked = driver::request_at(bus, Request::CreateInterrupt(request), |deadline| point.point.wait(deadline));
    match wait_for(&point, slot, limit, pin!(asked))? {
        Reply::Interrupt { handle, entry } => Ok(Connection { handle: Some(handle.number()), entry, count }),
        _ => Err(STATUS_DEVICE_NOT_READY),
    }
}

/// Writes what the host created into the function.
#[inline(never)]
fn program(device: Device<'_>, bus: &WindowsBus, slot: Slot) -> Result<(), NTSTATUS> {
    let count = with_child(device, |child| child.connected.len())?;
    // One by one: all of them are too much for the stack.
    let connected =
        (0..count).map_while(|at| with_child(device, |child| child.connected.get(at).cloned()).ok().flatten());
    let result = match FunctionTable::open(device, bus, slot) {
        Some(mut table) => interrupts::program(connected, &mut table),
        None => Err(NoTable),
    };
    result.map_err(|error| {
        events::write(events::ERROR, format_args!("{slot}: {error}"));
        STATUS_DEVICE_CONFIGURATION_ERROR
    })
}

/// Switches a function's messages off and deletes them at the host, which is not waited for. At most DISPATCH_LEVEL.
#[inline(never)]
pub fn disconnect(device: Device<'_>) {
    let (bus, Ok(slot)) = (device.bus(), slot_of(device)) else { return };
    if !with_child(device, |child| child.connected.is_empty()).unwrap_or(true)
        && let Some(capability) = driver::message_capability(bus, slot)
    {
        driver::disable_messages(bus, slot, capability);
    }
    while let Ok(Some(connection)) = with_child(device, |child| child.connected.pop()) {
        delete(bus, slot, connection.entry);
    }
}

/// Deletes an interrupt. One whose function or channel is gone went with it.
fn delete(bus: &WindowsBus, slot: Slot, entry: MsiEntry) {
    let _ = driver::submit(bus, Request::DeleteInterrupt { slot, entry });
}

/// The registers of one function that its messages are written to.
struct FunctionTable<'a> {
    bus: &'a WindowsBus,
    slot: Slot,
    capability: MessageCapability,
    /// The table of MSI-X, mapped.
    mapped: Option<MappedTable>,
}

impl<'a> FunctionTable<'a> {
    fn open(device: Device<'_>, bus: &'a WindowsBus, slot: Slot) -> Option<FunctionTable<'a>> {
        let capability = driver::message_capability(bus, slot)?;
        let mapped = match capability {
            MessageCapability::MsiX { messages, bar, offset, .. } => {
                let bars = with_child(device, |child| child.function.bars).ok()?;
                let base = bars.get(usize::from(bar)).copied().flatten()?.checked_add(offset.into())?;
                // Never more than is written: the table of a hostile host may be long.
                let entries = u32::from(messages).min(MAX_MESSAGES as u32);
                Some(bus.map_table(base, entries * MSI_X_ENTRY)?)
            }
            MessageCapability::Msi { .. } => None,
        };
        Some(FunctionTable { bus, slot, capability, mapped })
    }
}

impl MessageTable for FunctionTable<'_> {
    fn write(&mut self, index: u16, entry: &MsiEntry) -> Result<(), NoTable> {
        match &self.mapped {
            Some(table) => {
                let at = u32::from(index) * MSI_X_ENTRY;
                let words = entry.table_entry().into_iter().zip((at..).step_by(4));
                words.into_iter().try_for_each(|(word, at)| table.store(at, word).then_some(())).ok_or(NoTable)
            }
            // All messages of MSI share what `enable` writes.
            None if index == 0 => Ok(()),
            None => Err(NoTable),
        }
    }

    fn enable(&mut self, first: &Connection) -> Result<(), NoTable> {
        driver::enable_messages(self.bus, self.slot, self.capability, &first.entry, first.count).map_err(|error| {
            events::write(events::ERROR, format_args!("{error}"));
            NoTable
        })
    }
}
