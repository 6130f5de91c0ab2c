//! Memory resources: what devices ask for, and who gets what.

use hvpci_mock::host::BusId;

use crate::irql::{self, PASSIVE};
use crate::nt::status;
use crate::wdf::device::bare;
use crate::wdf::object::{self, Kind};
use crate::wdf::resources::{INTERRUPT, MEMORY, MEMORY_LARGE, Messages, Wanted, address, descriptor};
use crate::world::with;
use crate::{guard, rule, trace};

/// The MMIO space of the machine, and what of it is given out.
#[derive(Debug)]
pub struct Arbiter {
    /// Space below and above 4 GiB: first address and bytes.
    pub space: [(u64, u64); 2],
    given: Vec<(u64, u64, BusId)>,
}

impl Default for Arbiter {
    fn default() -> Arbiter {
        Arbiter { space: [(0xF000_0000, 0x0800_0000), (0x10_0000_0000, 0xFF0_0000_0000)], given: Vec::new() }
    }
}

impl Arbiter {
    /// The lowest place for a wish.
    fn place(&self, wanted: &Wanted) -> Option<u64> {
        let mut starts: Vec<u64> = self.space.iter().map(|(base, _)| *base).collect();
        starts.extend(self.given.iter().map(|(base, size, _)| base + size));
        starts.push(wanted.minimum);
        starts.sort_unstable();
        starts.into_iter().find_map(|start| {
            let base = start.max(wanted.minimum).checked_next_multiple_of(wanted.alignment)?;
            let end = base.checked_add(wanted.length)?;
            let inside = self.space.iter().any(|(first, size)| base >= *first && end <= first + size);
            let free = self.given.iter().all(|(given, size, _)| end <= *given || base >= given + size);
            (inside && free && end - 1 <= wanted.maximum).then_some(base)
        })
    }
}

/// Calls a requirements callback of `device` on what is listed already, per alternative, and returns what is wanted then.
fn ask(device: usize, routine: usize, name: &str, listed: &[Vec<Wanted>]) -> Result<Vec<Vec<Wanted>>, i32> {
    let requirements = bare(Kind::Requirements, device);
    for wanted in listed {
        let list = bare(Kind::IoResources, requirements);
        with(|world| {
            world.wdf.resources.entry(list).or_default().wanted.clone_from(wanted);
            world.wdf.resources.entry(requirements).or_default().alternatives.push(list);
        });
    }
    let mut result = status::SUCCESS;
    if routine != 0 {
        // SAFETY: a callback of the form (WDFDEVICE, WDFIORESREQLIST), as the driver registered it.
        let routine: unsafe extern "win64" fn(usize, usize) -> i32 = unsafe { std::mem::transmute(routine) };
        result = irql::at(PASSIVE, name, || unsafe { routine(device, requirements) });
    }
    let wanted = with(|world| {
        let alternatives = world.wdf.resources.get(&requirements).map(|list| list.alternatives.clone());
        let of = |at: &usize| world.wdf.resources.get(at).map(|list| list.wanted.clone()).unwrap_or_default();
        alternatives.unwrap_or_default().iter().map(of).collect::<Vec<Vec<Wanted>>>()
    });
    object::delete(requirements);
    if result < 0 { Err(result) } else { Ok(wanted) }
}

/// What an FDO adds to the requirements of its device, behind what VMBus lists.
pub fn filtered(device: usize) -> Result<Vec<Vec<Wanted>>, i32> {
    let routine = with(|world| world.wdf.devices.get(&device).and_then(|d| d.init.fdo.get(1).copied())).unwrap_or(0);
    let listed = with(|world| world.pnp.listed.clone());
    ask(device, routine, "EvtDeviceFilterAddResourceRequirements", &listed)
}

/// What a PDO needs.
pub fn required(device: usize) -> Result<Vec<Vec<Wanted>>, i32> {
    let routine = with(|world| world.wdf.devices.get(&device).and_then(|d| d.init.pdo.get(2).copied())).unwrap_or(0);
    ask(device, routine, "EvtDeviceResourceRequirementsQuery", &[])
}

/// Finds room for the first alternative that can be met. A descriptor with the option "alternative" is another way to
/// meet the one before it.
pub fn assign(bus: BusId, requirements: &[Vec<Wanted>]) -> Result<Assigned, i32> {
    with(|world| {
        for (index, wanted) in requirements.iter().enumerate() {
            let kept = world.pnp.arbiter.given.len();
            if let Some(ranges) = meet(&mut world.pnp.arbiter, bus, wanted) {
                trace!("bus {} is given {ranges:x?}", bus.0);
                let listed = world.pnp.listed.get(index).map_or(&[][..], Vec::as_slice);
                let listed = listed.iter().filter(|wanted| wanted.option & ALTERNATIVE == 0).count();
                return Ok(Assigned { ranges, listed, ..Assigned::default() });
            }
            world.pnp.arbiter.given.truncate(kept);
        }
        if requirements.iter().all(Vec::is_empty) {
            Ok(Assigned::default())
        } else {
            Err(status::INSUFFICIENT_RESOURCES)
        }
    })
}

/// IO_RESOURCE_ALTERNATIVE
const ALTERNATIVE: u8 = 8;

fn meet(arbiter: &mut Arbiter, bus: BusId, wanted: &[Wanted]) -> Option<Vec<(u64, u64)>> {
    const PREFERRED: u8 = 1;
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < wanted.len() {
        let ways = 1 + wanted[at + 1..].iter().take_while(|next| next.option & ALTERNATIVE != 0).count();
        let group = &wanted[at..at + ways];
        rule!(group[0].option & ALTERNATIVE == 0, "an alternative with nothing before it");
        let found = group.iter().find_map(|way| {
            rule!(
                matches!(way.kind, MEMORY | MEMORY_LARGE),
                "a resource of type {}: the loader has memory only",
                way.kind
            );
            arbiter.place(way).map(|base| (base, way.length))
        });
        match found {
            Some((base, size)) => {
                arbiter.given.push((base, size, bus));
                ranges.push((base, size));
            }
            None if group.iter().all(|way| way.option & PREFERRED != 0) => {}
            None => return None,
        }
        at += ways;
    }
    Some(ranges)
}

/// What a child is started with.
#[derive(Clone, Debug, Default)]
pub struct Assigned {
    /// Memory: first address and bytes.
    pub ranges: Vec<(u64, u64)>,
    /// Message interrupts.
    pub messages: Vec<Messages>,
    /// How many of the ranges the parent's bus driver lists by itself: the first ones.
    pub listed: usize,
}

/// Checks that a child asks for space its own bus was given, and gives it just that.
///
/// Message interrupts: an **assumption**, since nothing documents it. With [`crate::pnp::State::arbitrates`] somebody above
/// the bus hands out vectors of the processors, to the child's requirements as they stand; without, an alternative that
/// asks for messages cannot be met, and the next one is taken. Nobody but the bus programs the function.
pub fn within(bus: BusId, requirements: &[Vec<Wanted>]) -> Result<Assigned, i32> {
    let arbitrates = with(|world| world.pnp.arbitrates);
    let possible = |list: &&Vec<Wanted>| arbitrates || list.iter().all(|need| need.kind != INTERRUPT);
    let Some(wanted) = requirements.iter().find(possible) else {
        return if requirements.is_empty() { Ok(Assigned::default()) } else { Err(status::INSUFFICIENT_RESOURCES) };
    };
    let mut assigned = Assigned::default();
    for need in wanted {
        if need.kind == INTERRUPT {
            assigned.messages.push(vectors(need.length));
            continue;
        }
        let (base, end) = (need.minimum, need.minimum + need.length);
        rule!(need.maximum == end - 1, "a child asks for memory anywhere: its BARs are placed by its bus: {need:x?}");
        let own = with(|world| {
            world.pnp.arbiter.given.iter().any(|(first, size, of)| *of == bus && base >= *first && end <= first + size)
        });
        rule!(own, "a child asks for {base:#x}..{end:#x}, which is not its bus's");
        let apart = assigned.ranges.iter().all(|(other, size)| end <= *other || base >= other + size);
        rule!(apart, "a child asks for {base:#x}..{end:#x} twice");
        assigned.ranges.push((base, need.length));
    }
    Ok(assigned)
}

/// The next free vectors, on the next processor of four.
fn vectors(count: u64) -> Messages {
    let count = u16::try_from(count).unwrap_or(1);
    with(|world| {
        let next = world.pnp.next_vector.max(0x60).next_multiple_of(count.into());
        world.pnp.next_vector = next + u32::from(count);
        rule!(world.pnp.next_vector <= 0x100, "the loader has no vector left");
        Messages { vector: next, count, affinity: 1 << (next / u32::from(count) % 4) }
    })
}

/// The raw and the translated WDFCMRESLIST of a device.
pub fn lists(device: usize, assigned: &Assigned) -> (usize, usize) {
    let list = |message: fn(&Messages) -> guard::Block| {
        let handle = bare(Kind::CmResources, device);
        let messages = assigned.messages.iter().map(message);
        let blocks = assigned.ranges.iter().map(|(base, size)| descriptor(*base, *size)).chain(messages).collect();
        with(|world| world.wdf.resources.entry(handle).or_default().given = blocks);
        handle
    };
    (list(Messages::raw), list(Messages::translated))
}

/// EvtDeviceRemoveAddedResources: before VMBus sees the start request the FDO takes out of both lists what it added. KMDF
/// hands over copies: EvtDevicePrepareHardware gets the lists as they were.
pub fn without_added(device: usize, assigned: &Assigned) -> Result<(), i32> {
    let routine = with(|world| world.wdf.devices.get(&device).and_then(|d| d.init.fdo.get(3).copied())).unwrap_or(0);
    rule!(routine != 0, "an FDO that adds resource requirements has no EvtDeviceRemoveAddedResources");
    let (raw, translated) = lists(device, assigned);
    let shrinks = |on: bool| {
        with(|world| {
            for list in [raw, translated] {
                world.wdf.resources.entry(list).or_default().shrinks = on;
            }
        });
    };
    shrinks(true);
    // SAFETY: EVT_WDF_DEVICE_REMOVE_ADDED_RESOURCES, as the driver registered it.
    let routine: unsafe extern "win64" fn(usize, usize, usize) -> i32 = unsafe { std::mem::transmute(routine) };
    let result = irql::at(PASSIVE, "EvtDeviceRemoveAddedResources", || unsafe { routine(device, raw, translated) });
    shrinks(false);
    // One resource for each thing that VMBus lists; what it lists stands first, in every alternative.
    let own: Vec<u64> = assigned.ranges.iter().take(assigned.listed).map(|(base, _)| *base).collect();
    for list in [raw, translated] {
        let left = with(|world| {
            world.wdf.resources.get(&list).map(|list| list.given.iter().map(address).collect::<Vec<u64>>())
        });
        rule!(left.as_ref() == Some(&own), "VMBus would be started with resources at {left:x?}: it lists {own:x?}");
        object::delete(list);
    }
    if result < 0 { Err(result) } else { Ok(()) }
}

/// A bus is gone, and its space is free.
pub fn free(bus: BusId) {
    with(|world| {
        let of = world.pnp.arbiter.given.iter().filter(|(_, _, owner)| *owner == bus);
        for (base, size, _) in of.copied().collect::<Vec<_>>() {
            world.host.take_aperture(bus, base, size);
        }
        world.pnp.arbiter.given.retain(|(_, _, owner)| *owner != bus);
    });
}
