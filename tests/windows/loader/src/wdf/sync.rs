//! Spin locks, timers and work items.

use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::{self, status};
use crate::rule;
use crate::wdf::object::{Attributes, Kind, attributes};
use crate::wdf::{check_size, field, field32};
use crate::world::{Step, World, wait, with};

/// A work item.
#[derive(Debug)]
pub struct Item {
    routine: usize,
    /// Enqueued, and its routine has not begun.
    queued: bool,
    running: u32,
}

/// A timer.
#[derive(Debug)]
pub struct Timer {
    routine: usize,
    period: u64,
    running: bool,
}

/// Creates an object of `kind` that WDF lets the driver delete itself or by its parent.
fn create(kind: Kind, given: Attributes, needs_parent: bool, name: &str, out: *mut usize) -> Option<usize> {
    let handle = with(|world| {
        let driver = world.wdf.driver.map_or(0, |driver| driver.handle);
        rule!(!needs_parent || given.parent != 0, "{name} without a parent");
        if world.allocation_fails(name) { None } else { Some(world.wdf.objects.create(kind, given, driver)) }
    })?;
    // SAFETY: the driver's out parameter.
    unsafe { out.write(handle) };
    Some(handle)
}

unsafe extern "win64" fn WdfSpinLockCreate(_globals: usize, given: *const u32, out: *mut usize) -> i32 {
    irql::at_most(DISPATCH, "WdfSpinLockCreate");
    // SAFETY: the driver's attributes.
    let given = unsafe { attributes(given) };
    create(Kind::SpinLock, given, false, "WdfSpinLockCreate", out)
        .map_or(status::INSUFFICIENT_RESOURCES, |_| status::SUCCESS)
}

std::thread_local! {
    /// The spin locks this thread holds and the IRQL before each.
    static LOCKS: std::cell::RefCell<Vec<(usize, u8)>> = const { std::cell::RefCell::new(Vec::new()) };
}

unsafe extern "win64" fn WdfSpinLockAcquire(_globals: usize, lock: usize) {
    irql::at_most(DISPATCH, "WdfSpinLockAcquire");
    with(|world| world.wdf.objects.check(lock, Kind::SpinLock, "WdfSpinLockAcquire"));
    let before = irql::set(DISPATCH);
    nt::sync::acquire(lock, "WdfSpinLockAcquire");
    LOCKS.with_borrow_mut(|locks| locks.push((lock, before)));
}

unsafe extern "win64" fn WdfSpinLockRelease(_globals: usize, lock: usize) {
    irql::exactly(DISPATCH, "WdfSpinLockRelease");
    with(|world| world.wdf.objects.check(lock, Kind::SpinLock, "WdfSpinLockRelease"));
    let before = LOCKS.with_borrow_mut(|locks| match locks.pop() {
        Some((last, before)) => {
            rule!(last == lock, "WdfSpinLockRelease({lock:#x}): the last one taken was {last:#x}");
            before
        }
        None => DISPATCH,
    });
    nt::sync::release(lock, "WdfSpinLockRelease");
    irql::set(before);
    nt::sync::is_held_up();
}

unsafe extern "win64" fn WdfTimerCreate(
    _globals: usize,
    config: *const u32,
    given: *const u32,
    out: *mut usize,
) -> i32 {
    irql::at_most(DISPATCH, "WdfTimerCreate");
    check_size(config, 40, "WDF_TIMER_CONFIG");
    // SAFETY: the size was checked.
    let (given, routine, period) = unsafe { (attributes(given), field(config, 8), field32(config, 16)) };
    rule!(routine != 0, "WdfTimerCreate without EvtTimerFunc");
    let Some(handle) = create(Kind::Timer, given, true, "WdfTimerCreate", out) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    let period = u64::from(period) * 1_000_000;
    with(|world| world.wdf.timers.insert(handle, Timer { routine, period, running: false }));
    status::SUCCESS
}

unsafe extern "win64" fn WdfTimerStart(_globals: usize, timer: usize, due: i64) -> u8 {
    irql::at_most(DISPATCH, "WdfTimerStart");
    with(|world| {
        world.wdf.objects.check(timer, Kind::Timer, "WdfTimerStart");
        let at = nt::time::due(world.now(), due);
        let period = world.wdf.timers.get(&timer).map_or(0, |timer| timer.period);
        let before = world.nt.time.set(at, nt::time::Timer { period, object: timer, dpc: 0 });
        world.changed();
        u8::from(before)
    })
}

unsafe extern "win64" fn WdfTimerStop(_globals: usize, timer: usize, wait: u8) -> u8 {
    irql::at_most(if wait != 0 { PASSIVE } else { DISPATCH }, "WdfTimerStop");
    with(|world| world.wdf.objects.check(timer, Kind::Timer, "WdfTimerStop"));
    u8::from(stop_timer(timer, wait != 0))
}

/// Stops a timer and, if told so, waits for its routine.
pub fn stop_timer(timer: usize, waits: bool) -> bool {
    let before = with(|world| world.nt.time.cancel(timer));
    if waits {
        wait("a timer's routine", |world| {
            if world.wdf.timers.get(&timer).is_some_and(|timer| timer.running) { Step::Sleep } else { Step::Done(()) }
        });
    }
    before
}

/// Calls a timer's routine, at DISPATCH_LEVEL.
pub fn fire(timer: usize) {
    let routine = with(|world| {
        world.wdf.timers.get_mut(&timer).map(|timer| {
            timer.running = true;
            timer.routine
        })
    });
    let Some(routine) = routine else { return };
    // SAFETY: EVT_WDF_TIMER, as the driver registered it.
    let routine: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(routine) };
    irql::at(DISPATCH, "EvtTimerFunc", || unsafe { routine(timer) });
    with(|world| {
        if let Some(timer) = world.wdf.timers.get_mut(&timer) {
            timer.running = false;
        }
        world.changed();
    });
}

unsafe extern "win64" fn WdfWorkItemCreate(
    _globals: usize,
    config: *const u32,
    given: *const u32,
    out: *mut usize,
) -> i32 {
    irql::at_most(DISPATCH, "WdfWorkItemCreate");
    check_size(config, 24, "WDF_WORKITEM_CONFIG");
    // SAFETY: the size was checked.
    let (given, routine) = unsafe { (attributes(given), field(config, 8)) };
    rule!(routine != 0, "WdfWorkItemCreate without EvtWorkItemFunc");
    let Some(handle) = create(Kind::WorkItem, given, true, "WdfWorkItemCreate", out) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    with(|world| world.wdf.items.insert(handle, Item { routine, queued: false, running: 0 }));
    status::SUCCESS
}

/// The age of a work item among all, and where this run of it is held up.
fn hold(world: &mut World, item: usize) -> (usize, Option<(u32, u64)>) {
    let age = world.wdf.items.keys().filter(|other| **other < item).count();
    let hold = world.wdf.hold_work.take_if(|(held, ..)| *held == age);
    (age, hold.map(|(_, nth, nanoseconds)| (nth, nanoseconds)))
}

/// An item that is enqueued while its routine runs gets a second run, maybe at the same time: KMDF does not hold it back.
unsafe extern "win64" fn WdfWorkItemEnqueue(_globals: usize, item: usize) {
    irql::at_most(DISPATCH, "WdfWorkItemEnqueue");
    let starts = with(|world| {
        world.wdf.objects.check(item, Kind::WorkItem, "WdfWorkItemEnqueue");
        world.wdf.items.get_mut(&item).is_some_and(|item| !std::mem::replace(&mut item.queued, true))
    });
    if starts {
        nt::work::run("EvtWorkItemFunc", move || {
            let routine = with(|world| {
                world.wdf.items.get_mut(&item).map(|item| {
                    item.queued = false;
                    item.running += 1;
                    item.routine
                })
            });
            let Some(routine) = routine else { return };
            let held = with(|world| world.wdf.work_held_until);
            wait("work held up", |world| if world.now() >= held { Step::Done(()) } else { Step::Until(held) });
            // SAFETY: EVT_WDF_WORKITEM, as the driver registered it.
            let routine: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(routine) };
            let (age, hold) = with(|world| hold(world, item));
            nt::sync::hold_up(hold);
            unsafe { routine(item) };
            let left = nt::sync::hold_up(None);
            with(|world| {
                world.wdf.hold_work = world.wdf.hold_work.or(left.map(|(nth, nanoseconds)| (age, nth, nanoseconds)));
                if let Some(item) = world.wdf.items.get_mut(&item) {
                    item.running -= 1;
                }
                world.changed();
            });
        });
    }
}

unsafe extern "win64" fn WdfWorkItemFlush(_globals: usize, item: usize) {
    irql::exactly(PASSIVE, "WdfWorkItemFlush");
    with(|world| world.wdf.objects.check(item, Kind::WorkItem, "WdfWorkItemFlush"));
    flush_item(item);
}

/// Waits until a work item neither runs nor waits to run.
pub fn flush_item(item: usize) {
    wait("WdfWorkItemFlush", |world| {
        let busy = world.wdf.items.get(&item).is_some_and(|item| item.queued || item.running > 0);
        if busy { Step::Sleep } else { Step::Done(()) }
    });
}

crate::wdf_exports!(315 => WdfSpinLockCreate, 316 => WdfSpinLockAcquire, 317 => WdfSpinLockRelease,
    318 => WdfTimerCreate, 319 => WdfTimerStart, 320 => WdfTimerStop, 379 => WdfWorkItemCreate,
    380 => WdfWorkItemEnqueue, 382 => WdfWorkItemFlush);
