//! Work items and system threads. Every piece of work gets a thread of its own, so that two that the system might run at
//! once do run at once.

use std::collections::HashMap;

use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::status;
use crate::world::{Step, spawn, wait, with};
use crate::{rule, trace};

/// Work under way.
#[derive(Debug, Default)]
pub struct State {
    items: HashMap<usize, IoItem>,
    threads: HashMap<usize, bool>,
    next: usize,
    /// Pieces of work that run or wait to run.
    pub busy: u32,
}

#[derive(Debug, Default)]
struct IoItem {
    device: usize,
    queued: bool,
}

impl State {
    /// What the driver has not given back.
    pub fn leaks(&self) -> Vec<String> {
        let mut leaks: Vec<String> = self.items.keys().map(|at| format!("IO_WORKITEM {at:#x}")).collect();
        leaks.extend(self.threads.iter().filter(|(_, runs)| **runs).map(|(at, _)| format!("system thread {at:#x}")));
        leaks
    }
}

/// Runs a piece of work at PASSIVE_LEVEL on a system thread.
pub fn run(name: &'static str, body: impl FnOnce() + Send + 'static) {
    with(|world| world.nt.work.busy += 1);
    spawn(name, move || {
        irql::at(PASSIVE, name, body);
        with(|world| {
            world.nt.work.busy -= 1;
            world.changed();
        });
    });
}

unsafe extern "win64" fn IoAllocateWorkItem(device: usize) -> usize {
    irql::at_most(DISPATCH, "IoAllocateWorkItem");
    rule!(device != 0, "IoAllocateWorkItem without a device object");
    with(|world| {
        if world.allocation_fails("IoAllocateWorkItem") {
            return 0;
        }
        let work = &mut world.nt.work;
        work.next += 16;
        let handle = 0x0FFF_1000_0000 + work.next;
        work.items.insert(handle, IoItem { device, queued: false });
        handle
    })
}

unsafe extern "win64" fn IoFreeWorkItem(item: usize) {
    let known = with(|world| world.nt.work.items.remove(&item));
    rule!(known.as_ref().is_some_and(|item| !item.queued), "IoFreeWorkItem({item:#x}): unknown or queued");
}

fn queue(item: usize, extended: bool, routine: usize, context: usize) {
    irql::at_most(DISPATCH, "IoQueueWorkItem");
    let device = with(|world| {
        let known = world.nt.work.items.get_mut(&item);
        rule!(known.as_ref().is_some_and(|item| !item.queued), "IoQueueWorkItem({item:#x}): unknown or queued already");
        known.map_or(0, |item| {
            item.queued = true;
            item.device
        })
    });
    run("a work item", move || {
        with(|world| {
            if let Some(item) = world.nt.work.items.get_mut(&item) {
                item.queued = false;
            }
        });
        // SAFETY: IO_WORKITEM_ROUTINE and IO_WORKITEM_ROUTINE_EX, as the driver passed it.
        unsafe {
            if extended {
                let routine: unsafe extern "win64" fn(usize, usize, usize) = std::mem::transmute(routine);
                routine(device, context, item);
            } else {
                let routine: unsafe extern "win64" fn(usize, usize) = std::mem::transmute(routine);
                routine(device, context);
            }
        }
    });
}

unsafe extern "win64" fn IoQueueWorkItem(item: usize, routine: usize, _queue: u32, context: usize) {
    queue(item, false, routine, context);
}

unsafe extern "win64" fn IoQueueWorkItemEx(item: usize, routine: usize, _queue: u32, context: usize) {
    queue(item, true, routine, context);
}

unsafe extern "win64" fn PsCreateSystemThread(
    handle: *mut usize,
    _access: u32,
    _attributes: usize,
    _process: usize,
    _client: usize,
    routine: usize,
    context: usize,
) -> i32 {
    irql::exactly(PASSIVE, "PsCreateSystemThread");
    let thread = with(|world| {
        if world.allocation_fails("PsCreateSystemThread") {
            return None;
        }
        let work = &mut world.nt.work;
        work.next += 16;
        let thread = 0x0FFF_2000_0000 + work.next;
        work.threads.insert(thread, true);
        world.nt.sync.create(thread, false, false);
        Some(thread)
    });
    let Some(thread) = thread else { return status::INSUFFICIENT_RESOURCES };
    // SAFETY: the driver's out parameter.
    unsafe { handle.write(thread) };
    spawn("a system thread", move || {
        // SAFETY: KSTART_ROUTINE, as the driver passed it.
        let routine: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(routine) };
        irql::at(PASSIVE, "a system thread", || unsafe { routine(context) });
        with(|world| {
            world.nt.work.threads.insert(thread, false);
            world.nt.sync.set(thread);
            world.changed();
        });
    });
    status::SUCCESS
}

/// Ending a thread by returning from its routine and by this call are the same here, except that this does not return.
unsafe extern "win64" fn PsTerminateSystemThread(_status: i32) -> i32 {
    trace!("PsTerminateSystemThread: a routine that returns does the same");
    status::SUCCESS
}

unsafe extern "win64" fn ObReferenceObjectByHandle(
    handle: usize,
    _access: u32,
    _kind: usize,
    _mode: u8,
    object: *mut usize,
    _information: usize,
) -> i32 {
    irql::exactly(PASSIVE, "ObReferenceObjectByHandle");
    // SAFETY: the driver's out parameter. Thread handles and objects are the same here.
    unsafe { object.write(handle) };
    status::SUCCESS
}

unsafe extern "win64" fn ZwClose(_handle: usize) -> i32 {
    irql::exactly(PASSIVE, "ZwClose");
    status::SUCCESS
}

/// Waits until no work runs or waits to run; false if that takes longer than `nanoseconds`.
pub fn idle(nanoseconds: u64) -> bool {
    let end = with(|world| world.now()) + nanoseconds;
    wait("idle", |world| {
        if world.nt.work.busy == 0 {
            Step::Done(true)
        } else if world.now() >= end {
            Step::Done(false)
        } else {
            Step::Until(end)
        }
    })
}

crate::exports!("ntoskrnl.exe" => IoAllocateWorkItem, IoFreeWorkItem, IoQueueWorkItem, IoQueueWorkItemEx,
    PsCreateSystemThread, PsTerminateSystemThread, ObReferenceObjectByHandle, ZwClose);
