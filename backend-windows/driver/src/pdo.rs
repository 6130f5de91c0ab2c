//! The functions as devices: one PDO each.

use alloc::vec::Vec;
use core::pin::{Pin, pin};

use hvpci_core::driver::{self, RequestFailure};
use hvpci_core::{Slot, Time};
use hvpci_windows::ids::Ids;
use hvpci_windows::interrupts;
use hvpci_windows::resources::{self, Memory, MemoryNeed};
use wdk_sys::{
    NTSTATUS, STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_IO_TIMEOUT, STATUS_NO_SUCH_DEVICE,
};

use crate::bus::{Parts, WindowsBus};
use crate::children::{Caller, Child, id_of};
use crate::events;
use crate::lists::{append_need, assigned_twice};
use crate::messages;
use crate::sys::child::{self, ChildInit, Functions};
use crate::sys::nt;
use crate::sys::resources::{Assigned, Requirements};
use crate::sys::task::BlockPoint;

/// English, as the texts are.
const LOCALE: u32 = 0x409;

/// A child device in a callback. Its number is its function's slot.
pub type Device<'a> = child::Child<'a, Parts>;
type Init<'a> = ChildInit<'a, Parts>;

/// The slot of a child device.
pub fn slot_of(device: Device<'_>) -> Result<Slot, NTSTATUS> {
    u32::try_from(device.number()).ok().and_then(Slot::from_wire).ok_or(STATUS_NO_SUCH_DEVICE)
}

/// Runs `f` on the child that `device` stands for, unless the function has left or another one has taken its slot.
pub fn with_child<R>(device: Device<'_>, f: impl FnOnce(&mut Child) -> R) -> Result<R, NTSTATUS> {
    let own = |child: &mut Child| (child.device == Some(device.key())).then(|| f(child));
    device.bus().children.with(slot_of(device)?, own).flatten().ok_or(STATUS_NO_SUCH_DEVICE)
}

/// Whether the function that `device` stands for is still on the bus. At most DISPATCH_LEVEL.
pub fn is_present(device: Device<'_>) -> bool {
    with_child(device, |child| child.state.reported).unwrap_or(false)
}

impl Functions for Parts {
    fn create_child(bus: &WindowsBus, id: [u32; 3], mut init: Init<'_>) -> Result<(), NTSTATUS> {
        let [number, ..] = id;
        let slot = Slot::from_wire(number).ok_or(STATUS_NO_SUCH_DEVICE)?;
        // Another function may have taken the slot since the description was reported.
        let same = |child: &mut Child| (id_of(&child.function) == id).then_some(child.function);
        let function = bus.children.with(slot, same).flatten().ok_or(STATUS_NO_SUCH_DEVICE)?;
        let ids = Ids(&function.description);
        name(&mut init, &ids)?;
        add_ids(&mut init, &ids)?;
        let device = init.create(number.into(), ids.address(), function.description.serial)?;
        device.offer_bus_interface()?;
        device.offer_block_interface(function.description.serial)?;
        let mut waiting = Some(device.make_queues()?);
        // What is not taken over is dropped here, without the lock.
        let adopted = bus.children.with(slot, |child| {
            let same = id_of(&child.function) == id;
            if same {
                child.device = Some(device.key());
                core::mem::swap(&mut child.waiting, &mut waiting);
                child.state.created = true;
                child.state.ejected = false;
            }
            same
        });
        if adopted == Some(true) { Ok(()) } else { Err(STATUS_NO_SUCH_DEVICE) }
    }

    fn destroyed(device: Device<'_>) {
        let forget = |child: &mut Child| {
            child.device = None;
            (child.state.created, child.state.started) = (false, false);
        };
        let _ = with_child(device, forget);
        device.bus().wake_publisher();
    }

    /// The BARs, where the bus has placed them.
    fn requirements(device: Device<'_>, requirements: &Requirements<'_>) -> Result<(), NTSTATUS> {
        let (bus, slot) = (device.bus(), slot_of(device)?);
        let function = with_child(device, |child| child.function)?;
        requirements.set_pci_slot(slot.to_wire());
        // With messages, or, where nobody can give any, without.
        for with_messages in [true, false] {
            let list = requirements.new_list()?;
            if with_messages && !messages::append_needs(bus, slot, list.needs())? {
                // The list is deleted with the requirements.
                continue;
            }
            for bar in function.layout.iter() {
                let Some(Some(base)) = function.bars.get(usize::from(bar.index)) else { continue };
                append_need(list.needs(), &MemoryNeed::fixed(*base, bar.size, bar.prefetchable))?;
            }
            list.append_to_requirements()?;
        }
        Ok(())
    }

    fn prepare(device: Device<'_>, raw: Assigned<'_>, translated: Assigned<'_>) -> Result<(), NTSTATUS> {
        let (bus, slot) = (device.bus(), slot_of(device)?);
        let function = with_child(device, |child| child.function)?;
        // The host is told the addresses that the bus placed: others than those must not be handed to the driver.
        let known = |memory: &Memory| {
            function.layout.iter().any(|bar| {
                let base = function.bars.get(usize::from(bar.index)).copied().flatten();
                base == Some(memory.base) && bar.size == memory.size
            })
        };
        let mut memory = translated.iter().filter_map(|descriptor| resources::decode_cm(&descriptor));
        if !memory.all(|memory| known(&memory)) {
            events::write(events::ERROR, format_args!("{slot}: the PnP manager moved a BAR"));
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        let mut messages = Vec::new();
        let pairs = assigned_twice(raw, translated);
        for message in pairs.filter_map(|(raw, translated)| interrupts::decode_message(&raw, &translated)) {
            messages.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
            messages.push(message);
        }
        // What was there before is dropped outside of the lock.
        with_child(device, |child| {
            child.state.started = true;
            core::mem::swap(&mut child.messages, &mut messages);
        })?;
        driver::function_bound(bus, slot, true);
        Ok(())
    }

    fn release(device: Device<'_>) {
        let (bus, Ok(slot)) = (device.bus(), slot_of(device)) else { return };
        // A function that was idle has not left D0 in the host's eyes: EvtDeviceD0Exit came when it idled.
        if with_child(device, |child| core::mem::take(&mut child.state.kept_mapped)) == Ok(true) {
            power_down(device, bus, slot, power_deadline(bus));
            bus.report_ledger(slot);
        } else {
            messages::disconnect(device);
        }
        if with_child(device, |child| child.state.started = false).is_ok() {
            driver::function_bound(bus, slot, false);
        }
        bus.wake_publisher();
    }

    /// The function's driver starts, or comes back from D3: the host maps its BARs now, once.
    fn enters_d0(device: Device<'_>) -> Result<(), NTSTATUS> {
        let (bus, slot) = (device.bus(), slot_of(device)?);
        if with_child(device, |child| core::mem::take(&mut child.state.kept_mapped))? {
            return Ok(());
        }
        let limit = power_deadline(bus);
        let powered = power_up(bus, slot, limit)
            .and_then(|()| messages::connect(device, limit).inspect_err(|_| power_down(device, bus, slot, limit)));
        bus.report_ledger(slot);
        powered
    }

    /// The function's driver stops, or idles.
    fn leaves_d0(device: Device<'_>, idles: bool) {
        let (bus, Ok(slot)) = (device.bus(), slot_of(device)) else { return };
        if idles && bus.settings.keep_mapped_in_d3 && with_child(device, |child| child.state.kept_mapped = true).is_ok()
        {
            return;
        }
        // A child that has left is powered down by the host.
        if with_child(device, |_| ()).is_ok() {
            power_down(device, bus, slot, power_deadline(bus));
            bus.report_ledger(slot);
        }
    }

    /// The PnP manager has removed the device's driver, as the host asked: `Unpublish` goes on.
    fn ejected(device: Device<'_>) {
        let _ = with_child(device, |child| child.state.ejected = true);
        device.bus().wake_publisher();
    }
}

/// Gives the device its identifiers.
#[inline(never)]
fn name(init: &mut Init<'_>, ids: &Ids<'_>) -> Result<(), NTSTATUS> {
    init.device_id(ids.device().units())?;
    init.instance_id(ids.instance().units())?;
    init.text(ids.description().units(), ids.location(0).units(), LOCALE)
}

/// Gives the device the lists by which a driver is found for it.
#[inline(never)]
fn add_ids(init: &mut Init<'_>, ids: &Ids<'_>) -> Result<(), NTSTATUS> {
    ids.hardware().iter().try_for_each(|id| init.hardware_id(id.units()))?;
    ids.compatible().iter().try_for_each(|id| init.compatible_id(id.units()))
}

/// Until when a power callback that begins now may wait, all in all.
fn power_deadline(bus: &WindowsBus) -> Time {
    nt::now().after(bus.settings.power_limit())
}

/// Has the host map a function. On its own, as what waits takes room on the stack.
#[inline(never)]
fn power_up(bus: &WindowsBus, slot: Slot, limit: Time) -> Result<(), NTSTATUS> {
    let point = caller(bus)?;
    let wait = |deadline| point.point.wait(deadline);
    wait_for(&point, slot, limit, pin!(driver::power_on_at(bus, slot, wait)))
}

/// Takes a function's interrupts and its map back. A host that does not answer is not asked twice; after `limit` it is
/// asked, and not waited for.
#[inline(never)]
fn power_down(device: Device<'_>, bus: &WindowsBus, slot: Slot, limit: Time) {
    messages::disconnect(device);
    let Ok(point) = caller(bus) else { return };
    let wait = |deadline| point.point.wait(deadline);
    let _ = wait_for(&point, slot, limit, pin!(driver::power_off_at(bus, slot, wait)));
}

/// A place for a power callback to wait at, for as long as it has the place.
pub fn caller(bus: &WindowsBus) -> Result<Caller<'_>, NTSTATUS> {
    bus.children.power_caller().ok_or_else(|| {
        bus.report_line(events::ERROR, format_args!("too many power callbacks wait at once"));
        STATUS_INSUFFICIENT_RESOURCES
    })
}

/// Runs a request about a function, which waits at `point`, to its end: the host's answer, the engine's deadline, `limit`,
/// or the end of the function or the channel, whichever is first. A failure is this function's alone.
#[inline(never)]
pub fn wait_for<T>(
    point: &BlockPoint,
    slot: Slot,
    limit: Time,
    request: Pin<&mut impl Future<Output = Result<T, RequestFailure>>>,
) -> Result<T, NTSTATUS> {
    match point.block_on(request, limit) {
        Some(Ok(value)) => Ok(value),
        Some(Err(failure)) => {
            events::write(events::ERROR, format_args!("{slot}: {failure}"));
            Err(STATUS_DEVICE_NOT_READY)
        }
        None => {
            events::write(events::ERROR, format_args!("{slot}: the power callback has waited long enough"));
            Err(STATUS_IO_TIMEOUT)
        }
    }
}
