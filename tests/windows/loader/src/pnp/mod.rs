//! The PnP and power manager: calls a device's callbacks in KMDF's order, one device of a bus at a time.

pub mod arbiter;
pub mod child;
pub mod interface;

use std::collections::{BTreeMap, HashMap, HashSet};

use hvpci_mock::host::BusId;

use crate::irql::{self, PASSIVE};
use crate::nt::status;
use crate::wdf::init::Init;
use crate::wdf::object::{self, Kind};
use crate::wdf::resources::Wanted;
use crate::world::{Step, World, sleep, wait, with};
use crate::{rule, trace};

/// The PnP manager's view.
#[derive(Debug)]
pub struct State {
    /// VMBus devices: their physical device objects.
    physical: BTreeMap<usize, BusId>,
    /// The FDO of each bus.
    pub fdos: BTreeMap<BusId, usize>,
    power: HashMap<usize, Power>,
    /// Buses on which something is under way.
    busy: HashSet<BusId>,
    /// Space that is given out.
    pub arbiter: arbiter::Arbiter,
    next: usize,
    /// What VMBus asks for itself, per alternative: nothing, in one list.
    pub listed: Vec<Vec<Wanted>>,
    /// How long EvtChildListCreateDevice takes to be called once the PnP manager has a description.
    pub create_delay: u64,
    /// Nanoseconds between a device's PrepareHardware and its D0Entry.
    pub start_delay: u64,
    /// Calls of EvtChildListCreateDevice that failed.
    pub not_created: u32,
    /// Whether anybody arbitrates message interrupts for children: see [`arbiter::within`].
    pub arbitrates: bool,
    next_vector: u32,
    /// What each child was last started with.
    pub assigned: HashMap<usize, arbiter::Assigned>,
}

/// How a device stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// Between PrepareHardware and ReleaseHardware.
    pub prepared: bool,
    /// Between D0Entry and D0Exit.
    pub in_d0: bool,
    /// SelfManagedIoInit was called.
    managed: bool,
    /// The lists handed to PrepareHardware.
    lists: (usize, usize),
}

/// WDF_POWER_DEVICE_STATE.
pub const D0: u32 = 1;
/// D3, on the way to sleep or idle.
pub const D3: u32 = 4;
/// D3 for good, and where a device comes from at its first start.
pub const D3_FINAL: u32 = 5;
/// D3 before the hibernation file is written.
pub const PREPARE_FOR_HIBERNATION: u32 = 6;

/// PowerActionSleep and PowerActionHibernate.
pub const ACTION_SLEEP: i32 = 2;
/// PowerActionHibernate.
pub const ACTION_HIBERNATE: i32 = 3;

/// Where the callbacks are in WDF_PNPPOWER_EVENT_CALLBACKS, in words.
#[derive(Clone, Copy, Debug)]
enum Event {
    D0Entry = 1,
    D0EntryPostInterruptsEnabled = 2,
    D0Exit = 3,
    D0ExitPreInterruptsDisabled = 4,
    PrepareHardware = 5,
    ReleaseHardware = 6,
    SelfManagedIoCleanup = 7,
    SelfManagedIoFlush = 8,
    SelfManagedIoInit = 9,
    SelfManagedIoSuspend = 10,
    SelfManagedIoRestart = 11,
    SurpriseRemoval = 12,
    QueryRemove = 13,
}

impl Default for State {
    fn default() -> State {
        State {
            physical: BTreeMap::new(),
            fdos: BTreeMap::new(),
            power: HashMap::new(),
            busy: HashSet::new(),
            arbiter: arbiter::Arbiter::default(),
            next: 0,
            listed: vec![Vec::new()],
            create_delay: 0,
            start_delay: 0,
            not_created: 0,
            arbitrates: false,
            next_vector: 0,
            assigned: HashMap::new(),
        }
    }
}

impl State {
    /// All vectors are free again.
    pub fn restart_vectors(&mut self) {
        self.next_vector = 0;
    }
}

/// The bus behind a physical device object.
pub fn bus_of(world: &World, physical: usize) -> Option<BusId> {
    world.pnp.physical.get(&physical).copied()
}

/// Waits for its turn on a bus, and keeps others off it.
pub fn exclusively<R>(bus: BusId, f: impl FnOnce() -> R) -> R {
    wait("its turn on the bus", |world| if world.pnp.busy.insert(bus) { Step::Done(()) } else { Step::Sleep });
    let result = f();
    with(|world| {
        world.pnp.busy.remove(&bus);
        world.changed();
    });
    result
}

/// How a device stands.
pub fn power(device: usize) -> Power {
    with(|world| world.pnp.power.get(&device).copied().unwrap_or_default())
}

fn set_power(device: usize, change: impl FnOnce(&mut Power)) {
    with(|world| change(world.pnp.power.entry(device).or_default()));
}

/// Calls a device's callback with up to two arguments after the device; STATUS_SUCCESS if it has none.
fn call(device: usize, event: Event, arguments: [usize; 2]) -> i32 {
    let routine = with(|world| world.wdf.devices.get(&device).and_then(|d| d.init.pnp.get(event as usize).copied()));
    let Some(routine) = routine.filter(|routine| *routine != 0) else { return status::SUCCESS };
    // SAFETY: the callback of this place in WDF_PNPPOWER_EVENT_CALLBACKS; those with fewer arguments ignore the rest, which
    // the Windows x64 convention passes in registers.
    let routine: unsafe extern "win64" fn(usize, usize, usize) -> i32 = unsafe { std::mem::transmute(routine) };
    let name = format!("EvtDevice{event:?}({device:#x})");
    let result = irql::at(PASSIVE, &name, || unsafe { routine(device, arguments[0], arguments[1]) });
    let returns = !matches!(event, Event::SelfManagedIoCleanup | Event::SelfManagedIoFlush | Event::SurpriseRemoval);
    if !returns {
        return status::SUCCESS;
    }
    rule!(result != status::PENDING, "EvtDevice{event:?} returned STATUS_PENDING");
    if result < 0 {
        trace!("EvtDevice{event:?} failed: {result:#x}");
    }
    result
}

fn succeed(result: i32) -> Result<(), i32> {
    if result >= 0 { Ok(()) } else { Err(result) }
}

/// VMBus offers a device: makes its physical device object.
pub fn offer(bus: BusId) {
    with(|world| {
        let physical = 0x0FFF_6000_0000 + bus.0 as usize * 0x1000;
        world.pnp.physical.insert(physical, bus);
    });
}

/// PnP finds the driver for a bus: EvtDriverDeviceAdd.
pub fn add_device(bus: BusId) -> Result<usize, i32> {
    let (at, driver) = with(|world| {
        let physical = world.pnp.physical.iter().find(|(_, known)| **known == bus).map_or(0, |(at, _)| *at);
        world.pnp.next += 1;
        let at = 0x0FFF_7000_0000 + world.pnp.next * 16;
        world.wdf.inits.insert(at, Init { physical, ..Init::default() });
        (at, world.wdf.driver)
    });
    let Some(driver) = driver else { return Err(status::NO_SUCH_DEVICE) };
    let before = with(|world| world.wdf.objects.alive(Kind::Device));
    // SAFETY: EVT_WDF_DRIVER_DEVICE_ADD, as the driver registered it.
    let add: unsafe extern "win64" fn(usize, usize) -> i32 = unsafe { std::mem::transmute(driver.device_add) };
    let result = irql::at(PASSIVE, "EvtDriverDeviceAdd", || unsafe { add(driver.handle, at) });
    let made = with(|world| world.wdf.objects.alive(Kind::Device)).into_iter().find(|at| !before.contains(at));
    if result < 0 {
        // KMDF deletes what the driver had created.
        made.into_iter().for_each(object::delete);
        return Err(result);
    }
    rule!(made.is_some(), "EvtDriverDeviceAdd succeeded without a device");
    let device = made.unwrap_or(0);
    with(|world| {
        world.pnp.fdos.insert(bus, device);
        let instance = world.host.instance(bus).map_or([0; 16], hvpci_core::InstanceId::to_bytes);
        if let Some(device) = world.wdf.devices.get_mut(&device) {
            device.path = format!("VMBUS\\{{44C4F61D-4444-4400-9D52-802E27EDE19F}}\\{{{}}}", guid(&instance));
        }
    });
    Ok(device)
}

/// A GUID without braces.
fn guid(bytes: &[u8; 16]) -> String {
    let hex = |range: &[u8]| range.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let swapped = |from: usize, to: usize| bytes[from..to].iter().rev().copied().collect::<Vec<u8>>();
    let (a, b, c) = (swapped(0, 4), swapped(4, 6), swapped(6, 8));
    format!("{}-{}-{}-{}-{}", hex(&a), hex(&b), hex(&c), hex(&bytes[8..10]), hex(&bytes[10..16]))
}

/// Starts a bus: requirements, resources, PrepareHardware, D0Entry. On failure everything is undone as KMDF undoes it, and
/// the device is still there, not started.
pub fn start_bus(bus: BusId, device: usize) -> Result<(), i32> {
    exclusively(bus, || {
        let requirements = arbiter::filtered(device)?;
        let assigned = arbiter::assign(bus, &requirements)?;
        arbiter::without_added(device, &assigned)?;
        with(|world| {
            for (base, size) in &assigned.ranges {
                world.mmio.assign(*base, *size, bus);
                world.host.give_aperture(bus, *base, *size);
            }
        });
        start(device, assigned)
    })
}

/// PrepareHardware and the first power-up of a device.
pub fn start(device: usize, assigned: arbiter::Assigned) -> Result<(), i32> {
    rule!(!power(device).prepared, "the loader started a device twice");
    let lists = arbiter::lists(device, &assigned);
    with(|world| world.pnp.assigned.insert(device, assigned));
    set_power(device, |power| {
        power.prepared = true;
        power.lists = lists;
    });
    let started = succeed(call(device, Event::PrepareHardware, [lists.0, lists.1]))
        .inspect(|()| hold(with(|world| world.pnp.start_delay)))
        .and_then(|()| power_up(device, D3_FINAL))
        .and_then(|()| {
            set_power(device, |power| power.managed = true);
            succeed(call(device, Event::SelfManagedIoInit, [0, 0])).inspect_err(|_| power_down(device, D3_FINAL))
        });
    if started.is_err() {
        release(device);
    }
    started
}

/// Other things take their time.
fn hold(nanoseconds: u64) {
    if nanoseconds != 0 {
        sleep(nanoseconds);
    }
}

/// D0Entry and what follows it.
pub fn power_up(device: usize, from: u32) -> Result<(), i32> {
    rule!(!power(device).in_d0, "the loader powered a device up twice");
    succeed(call(device, Event::D0Entry, [from as usize, 0]))?;
    set_power(device, |power| power.in_d0 = true);
    let posted = succeed(call(device, Event::D0EntryPostInterruptsEnabled, [from as usize, 0]));
    if posted.is_err() {
        power_down(device, D3_FINAL);
        return posted;
    }
    if power(device).managed { succeed(call(device, Event::SelfManagedIoRestart, [0, 0])) } else { Ok(()) }
}

/// D0Exit and what comes before it.
pub fn power_down(device: usize, to: u32) {
    if !power(device).in_d0 {
        return;
    }
    if power(device).managed {
        call(device, Event::SelfManagedIoSuspend, [0, 0]);
    }
    call(device, Event::D0ExitPreInterruptsDisabled, [to as usize, 0]);
    call(device, Event::D0Exit, [to as usize, 0]);
    set_power(device, |power| power.in_d0 = false);
}

/// ReleaseHardware: called even where PrepareHardware failed.
pub fn release(device: usize) {
    let state = power(device);
    if !state.prepared {
        return;
    }
    call(device, Event::ReleaseHardware, [state.lists.1, 0]);
    set_power(device, |power| *power = Power { managed: power.managed, ..Power::default() });
    object::delete(state.lists.0);
    object::delete(state.lists.1);
}

/// Tells a device that it is gone. KMDF may do so while another callback of the device runs.
pub fn surprise_removal(device: usize) {
    call(device, Event::SurpriseRemoval, [0, 0]);
}

/// Stops a device and deletes it; its children are gone already.
pub fn remove(device: usize, surprise: bool) {
    if surprise {
        surprise_removal(device);
    }
    power_down(device, D3_FINAL);
    release(device);
    if power(device).managed {
        call(device, Event::SelfManagedIoFlush, [0, 0]);
        call(device, Event::SelfManagedIoCleanup, [0, 0]);
    }
    with(|world| world.pnp.power.remove(&device));
    object::delete(device);
}

/// Asks a device whether it may be removed.
pub fn query_remove(device: usize) -> Result<(), i32> {
    succeed(call(device, Event::QueryRemove, [0, 0]))
}

/// Removes a bus: its children first.
pub fn remove_bus(bus: BusId, surprise: bool) {
    exclusively(bus, || {
        // Another thread may have been faster.
        let Some(device) = with(|world| world.pnp.fdos.get(&bus).copied()) else { return };
        for pdo in child::of(device) {
            child::take_away(pdo, surprise);
        }
        remove(device, surprise);
        with(|world| world.pnp.fdos.remove(&bus));
    });
    arbiter::free(bus);
}
