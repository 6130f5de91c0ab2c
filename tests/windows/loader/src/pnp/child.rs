//! The children of a bus: created when they are reported, taken away when they are missing or ejected.

use hvpci_mock::host::BusId;

use crate::irql::{self, PASSIVE};
use crate::nt::status;
use crate::pnp::{self, arbiter};
use crate::wdf::init::Init;
use crate::wdf::object;
use crate::world::{Step, World, sleep, spawn, wait, with};
use crate::{rule, trace};

/// What the PnP manager has to do next on some bus.
enum Task {
    Create(BusId, usize, usize),
    Missing(BusId, usize, usize),
    Eject(BusId, usize),
}

/// Starts the thread that follows what bus drivers report.
pub fn start() {
    spawn("the PnP manager", || {
        loop {
            let (bus, task) = wait("reports of children", |world| match next(world) {
                Some(task) => Step::Done(match task {
                    Task::Create(bus, ..) | Task::Missing(bus, ..) | Task::Eject(bus, ..) => (bus, task),
                }),
                None => Step::Sleep,
            });
            match task {
                Task::Create(_, list, index) => create(bus, list, index),
                Task::Missing(_, list, index) => missing(list, index),
                Task::Eject(_, pdo) => eject(pdo),
            }
            with(|world| {
                world.pnp.busy.remove(&bus);
                world.changed();
            });
        }
    });
}

/// The next thing to do on a bus that nobody works on and that is started; takes the bus.
fn next(world: &mut World) -> Option<Task> {
    let buses: Vec<(BusId, usize)> = world.pnp.fdos.iter().map(|(bus, fdo)| (*bus, *fdo)).collect();
    for (bus, fdo) in buses {
        let ready = world.pnp.power.get(&fdo).is_some_and(|power| power.in_d0);
        if !ready || world.pnp.busy.contains(&bus) {
            continue;
        }
        let task = task(world, bus, fdo);
        if task.is_some() {
            world.pnp.busy.insert(bus);
            return task;
        }
    }
    None
}

fn task(world: &World, bus: BusId, fdo: usize) -> Option<Task> {
    let at = world.wdf.devices.get(&fdo)?.list;
    let list = world.wdf.lists.get(&at)?;
    for (index, entry) in list.entries.iter().enumerate() {
        if !entry.present {
            return Some(Task::Missing(bus, at, index));
        }
        if entry.device == 0 && !entry.refused {
            return Some(Task::Create(bus, at, index));
        }
        if world.wdf.devices.get(&entry.device).is_some_and(|device| device.eject_requested) {
            return Some(Task::Eject(bus, entry.device));
        }
    }
    None
}

/// EvtChildListCreateDevice.
fn create(bus: BusId, list: usize, index: usize) {
    let (at, routine, id, fdo) = with(|world| {
        world.pnp.next += 1;
        let at = 0x0FFF_7000_0000 + world.pnp.next * 16;
        let physical = 0x0FFF_6800_0000 + world.pnp.next * 0x1000;
        let (routine, id, fdo) = world.wdf.lists.get(&list).map_or((0, Vec::new(), 0), |list| {
            (
                list.create_device(),
                list.entries.get(index).map(|entry| entry.id.clone()).unwrap_or_default(),
                list.device,
            )
        });
        world.wdf.inits.insert(at, Init { parent: fdo, list, physical, ..Init::default() });
        (at, routine, id, fdo)
    });
    let delay = with(|world| world.pnp.create_delay);
    if delay != 0 {
        // The driver may report another child meanwhile.
        sleep(delay);
    }
    let before = of(fdo);
    // SAFETY: EVT_WDF_CHILD_LIST_CREATE_DEVICE, as the driver registered it. The description is a copy in guarded memory.
    let routine: unsafe extern "win64" fn(usize, usize, usize) -> i32 = unsafe { std::mem::transmute(routine) };
    let block = crate::guard::allocate(id.len());
    unsafe { (block.at as *mut u8).copy_from(id.as_ptr(), id.len()) };
    let result = irql::at(PASSIVE, "EvtChildListCreateDevice", || unsafe { routine(list, block.at, at) });
    block.retire();
    let made = of(fdo).into_iter().find(|pdo| !before.contains(pdo));
    if result < 0 {
        trace!("EvtChildListCreateDevice failed: {result:#x}");
        with(|world| world.pnp.not_created += 1);
        made.into_iter().for_each(object::delete);
    } else {
        rule!(made.is_some(), "EvtChildListCreateDevice succeeded without a device");
    }
    with(|world| {
        if let Some(entry) = world.wdf.lists.get_mut(&list).and_then(|list| list.entries.get_mut(index)) {
            entry.device = if result < 0 { 0 } else { made.unwrap_or(0) };
            entry.refused = result < 0;
        }
        let same = made
            .and_then(|made| world.wdf.devices.get(&made))
            .map(|d| (d.init.ids.device.clone(), d.init.ids.instance.clone()));
        let twins =
            world.wdf.devices.values().filter(|d| {
                d.init.parent == fdo && Some((d.init.ids.device.clone(), d.init.ids.instance.clone())) == same
            });
        rule!(twins.count() <= 1, "two children of bus {} are both called {same:?}", bus.0);
    });
}

/// The PDOs of a bus.
pub fn of(fdo: usize) -> Vec<usize> {
    with(|world| list_of(world, fdo))
}

fn list_of(world: &World, fdo: usize) -> Vec<usize> {
    let own = world.wdf.devices.iter().filter(|(_, device)| device.init.parent == fdo).map(|(at, _)| *at);
    let mut all: Vec<usize> = own.filter(|at| !world.wdf.objects.is_deleted(*at)).collect();
    all.sort_unstable();
    all
}

/// The driver reported a child as missing: its stack is removed by surprise if it was started.
fn missing(list: usize, index: usize) {
    let entry = with(|world| world.wdf.lists.get_mut(&list).map(|list| list.entries.remove(index)));
    if let Some(entry) = entry
        && entry.device != 0
    {
        let pdo = entry.device;
        call_pdo(pdo, 7);
        let surprise = pnp::power(pdo).prepared;
        pnp::remove(pdo, surprise);
    }
}

/// Calls a callback of WDF_PDO_EVENT_CALLBACKS with the device alone; STATUS_SUCCESS if there is none.
fn call_pdo(pdo: usize, word: usize) -> i32 {
    let routine = with(|world| world.wdf.devices.get(&pdo).and_then(|d| d.init.pdo.get(word).copied())).unwrap_or(0);
    if routine == 0 {
        return status::SUCCESS;
    }
    // SAFETY: EVT_WDF_DEVICE_EJECT or EVT_WDF_DEVICE_REPORTED_MISSING.
    let routine: unsafe extern "win64" fn(usize) -> i32 = unsafe { std::mem::transmute(routine) };
    irql::at(PASSIVE, if word == 3 { "EvtDeviceEject" } else { "EvtDeviceReportedMissing" }, || unsafe { routine(pdo) })
}

/// The driver asked for the ejection of a child: the PnP manager stops its stack in order, then tells it to go. The bus
/// driver reports it missing afterwards.
fn eject(pdo: usize) {
    with(|world| {
        if let Some(device) = world.wdf.devices.get_mut(&pdo) {
            device.eject_requested = false;
        }
    });
    if pnp::query_remove(pdo).is_err() {
        return trace!("the ejection was refused");
    }
    pnp::power_down(pdo, pnp::D3_FINAL);
    pnp::release(pdo);
    let result = call_pdo(pdo, 3);
    trace!("EvtDeviceEject: {result:#x}");
}

/// Removes a child because its bus goes.
pub fn take_away(pdo: usize, surprise: bool) {
    with(|world| {
        for list in world.wdf.lists.values_mut() {
            list.entries.retain(|entry| entry.device != pdo);
        }
    });
    pnp::remove(pdo, surprise && pnp::power(pdo).prepared);
}

/// Waits until a bus shows `count` children, or `seconds` have passed.
pub fn await_children(fdo: usize, count: usize, seconds: u64) -> Vec<usize> {
    let end = with(|world| world.now()) + seconds * 1_000_000_000;
    wait("children", |world| {
        let all = list_of(world, fdo);
        let settled = world.pnp.busy.is_empty() && all.len() == count;
        if settled || world.now() >= end { Step::Done(all) } else { Step::Until(end) }
    })
}

/// A function driver is there: the child gets its resources and starts, unless it has gone meanwhile.
pub fn start_child(bus: BusId, pdo: usize) -> Result<(), i32> {
    pnp::exclusively(bus, || {
        if with(|world| world.wdf.objects.is_deleted(pdo) || !world.wdf.devices.contains_key(&pdo)) {
            return Err(status::NO_SUCH_DEVICE);
        }
        let assigned = arbiter::within(bus, &arbiter::required(pdo)?)?;
        pnp::start(pdo, assigned)
    })
}
