//! Handles: what they stand for, their contexts, references, parents, and callbacks at the end.

use std::collections::HashMap;

use crate::guard::{self, Block};
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::status;
use crate::wdf::{check_size, field, field32, queue, sync};
use crate::world::{World, with};
use crate::{rule, trace};

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WDFDRIVER.
    Driver,
    /// WDFDEVICE.
    Device,
    /// WDFSPINLOCK.
    SpinLock,
    /// WDFTIMER.
    Timer,
    /// WDFWORKITEM.
    WorkItem,
    /// WDFCHILDLIST.
    ChildList,
    /// WDFKEY.
    Key,
    /// WDFIORESREQLIST.
    Requirements,
    /// WDFIORESLIST.
    IoResources,
    /// WDFCMRESLIST.
    CmResources,
    /// WDFQUEUE.
    Queue,
    /// WDFREQUEST.
    Request,
}

/// Handles by value. Deleted ones stay, to tell a stale handle from a wild one.
#[derive(Debug, Default)]
pub struct Objects {
    all: HashMap<usize, Object>,
    /// The handles below each handle, by age.
    below: HashMap<usize, Vec<usize>>,
    next: usize,
}

#[derive(Debug)]
struct Object {
    kind: Kind,
    contexts: Vec<(usize, Block)>,
    cleanup: usize,
    destroy: usize,
    references: u32,
    /// Its deletion has begun.
    deleted: bool,
    /// Its EvtCleanupCallback has returned: of no use but for its context and its references.
    cleaned: bool,
    /// Its last reference has gone.
    gone: bool,
}

/// What WDF_OBJECT_ATTRIBUTES say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes {
    cleanup: usize,
    destroy: usize,
    /// The parent named; 0 for the default one.
    pub parent: usize,
    context_type: usize,
    context_size: usize,
    /// WDF_EXECUTION_LEVEL.
    pub level: u32,
}

/// Bytes of WDF_OBJECT_ATTRIBUTES.
const ATTRIBUTES: u32 = 56;
const CONTEXT_TYPE_INFO: u32 = 40;

/// Reads the driver's WDF_OBJECT_ATTRIBUTES.
///
/// # Safety
/// `at` is null or points to the structure.
pub unsafe fn attributes(at: *const u32) -> Attributes {
    if at.is_null() {
        return Attributes::default();
    }
    check_size(at, ATTRIBUTES, "WDF_OBJECT_ATTRIBUTES");
    // SAFETY: the size was checked.
    unsafe {
        let (level, scope) = (field32(at, 24), field32(at, 28));
        rule!((1..=3).contains(&level), "WDF_OBJECT_ATTRIBUTES.ExecutionLevel is {level}");
        rule!((1..=4).contains(&scope), "WDF_OBJECT_ATTRIBUTES.SynchronizationScope is {scope}");
        let context_type = field(at, 48);
        let mut context_size = 0;
        if context_type != 0 {
            let info = context_type as *const u32;
            check_size(info, CONTEXT_TYPE_INFO, "WDF_OBJECT_CONTEXT_TYPE_INFO");
            context_size = field(info, 16).max(field(at, 40));
            rule!(field(info, 24) != 0, "WDF_OBJECT_CONTEXT_TYPE_INFO.UniqueType is null");
        }
        Attributes {
            cleanup: field(at, 8),
            destroy: field(at, 16),
            parent: field(at, 32),
            context_type,
            context_size,
            level,
        }
    }
}

impl Objects {
    /// A new handle.
    pub fn create(&mut self, kind: Kind, attributes: Attributes, default_parent: usize) -> usize {
        self.next += 1;
        let handle = 0x0FFF_4000_0000 + self.next * 16;
        let parent = if attributes.parent == 0 { default_parent } else { attributes.parent };
        let mut contexts = Vec::new();
        if attributes.context_type != 0 {
            contexts.push((attributes.context_type, guard::allocate(attributes.context_size)));
        }
        let (cleanup, destroy) = (attributes.cleanup, attributes.destroy);
        let object =
            Object { kind, contexts, cleanup, destroy, references: 1, deleted: false, cleaned: false, gone: false };
        self.all.insert(handle, object);
        self.below.entry(parent).or_default().push(handle);
        trace!("{kind:?} {handle:#x}");
        handle
    }

    /// Checks a handle that the driver passed to `what`.
    pub fn check(&self, handle: usize, kind: Kind, what: &str) {
        match self.all.get(&handle) {
            None => rule!(false, "{what}: {handle:#x} is no handle"),
            Some(object) if object.gone => rule!(false, "{what}: {:?} {handle:#x} is deleted", object.kind),
            Some(object) if object.cleaned => {
                rule!(false, "{what}: {:?} {handle:#x} is cleaned up, and only referenced", object.kind);
            }
            Some(object) => {
                rule!(object.kind == kind, "{what}: {handle:#x} is a {:?}, not a {kind:?}", object.kind);
            }
        }
    }

    /// Whether an object is deleted, though references may keep it.
    pub fn is_deleted(&self, handle: usize) -> bool {
        self.all.get(&handle).is_none_or(|object| object.deleted)
    }

    /// What of this kind still exists.
    pub fn alive(&self, kind: Kind) -> Vec<usize> {
        let mut alive: Vec<usize> =
            self.all.iter().filter(|(_, o)| o.kind == kind && !o.gone).map(|(h, _)| *h).collect();
        alive.sort_unstable();
        alive
    }

    /// Objects that still exist, in words.
    pub fn leaks(&self) -> Vec<String> {
        let alive = self.all.iter().filter(|(_, object)| !object.gone);
        let mut named: Vec<String> =
            alive.map(|(h, o)| format!("{:?} {h:#x} ({} reference(s))", o.kind, o.references)).collect();
        named.sort();
        named
    }

    fn subtree(&self, root: usize) -> Vec<usize> {
        let children = self.below.get(&root).into_iter().flatten().rev();
        let left = children.filter(|child| self.all.get(child).is_some_and(|object| !object.deleted));
        let mut all: Vec<usize> = left.flat_map(|child| self.subtree(*child)).collect();
        all.push(root);
        all
    }
}

/// Deletes an object and everything below it, children first, as KMDF does: queues take nothing any more, then each object is
/// stopped and cleaned up, and goes when its last reference goes.
pub fn delete(handle: usize) {
    let all = with(|world| world.wdf.objects.subtree(handle));
    let kind = |at| with(|world| world.wdf.objects.all.get(&at).map(|object| object.kind));
    all.iter().filter(|at| kind(**at) == Some(Kind::Device)).for_each(|device| queue::purge(*device));
    let mut cleaned = Vec::new();
    for at in all {
        match kind(at) {
            Some(Kind::WorkItem) => sync::flush_item(at),
            Some(Kind::Timer) => drop(sync::stop_timer(at, true)),
            _ => {}
        }
        let cleanup = with(|world| {
            world.wdf.objects.all.get_mut(&at).map_or(0, |object| {
                object.deleted = true;
                object.cleanup
            })
        });
        callback(cleanup, at, "EvtCleanupCallback");
        with(|world| {
            if let Some(object) = world.wdf.objects.all.get_mut(&at) {
                object.cleaned = true;
            }
        });
        cleaned.push(at);
    }
    for at in cleaned {
        release(at, "the deletion");
    }
}

fn callback(routine: usize, handle: usize, name: &str) {
    if routine != 0 {
        // SAFETY: EVT_WDF_OBJECT_CONTEXT_CLEANUP or _DESTROY, as the driver registered it.
        let routine: unsafe extern "win64" fn(usize) = unsafe { std::mem::transmute(routine) };
        irql::at(irql::current(), name, || unsafe { routine(handle) });
    }
}

fn release(handle: usize, by: &str) {
    let destroy = with(|world| {
        let object = world.wdf.objects.all.get_mut(&handle)?;
        rule!(object.references > 0, "{handle:#x}: released by {by} more often than referenced");
        object.references -= 1;
        if object.references > 0 {
            return None;
        }
        object.gone = true;
        Some(object.destroy)
    });
    let Some(destroy) = destroy else { return };
    // The context is still there while the callback runs; the handle is not good for anything else.
    with(|world| mark(world, handle, false));
    callback(destroy, handle, "EvtDestroyCallback");
    with(|world| {
        mark(world, handle, true);
        if let Some(object) = world.wdf.objects.all.get_mut(&handle) {
            for (_, block) in std::mem::take(&mut object.contexts) {
                rule!(!block.damaged(), "the context of {handle:#x} was written outside its bounds");
                block.retire();
            }
        }
        world.wdf.items.remove(&handle);
        world.wdf.timers.remove(&handle);
        world.wdf.devices.remove(&handle);
        world.wdf.lists.remove(&handle);
        world.wdf.resources.remove(&handle);
        queue::forget(&mut world.wdf.queues, handle);
        world.changed();
    });
}

fn mark(world: &mut World, handle: usize, gone: bool) {
    if let Some(object) = world.wdf.objects.all.get_mut(&handle) {
        object.gone = gone;
    }
}

/// The context of a type, if the object has one.
pub fn context(world: &World, handle: usize, info: usize) -> usize {
    let object = world.wdf.objects.all.get(&handle);
    object.and_then(|o| o.contexts.iter().find(|(t, _)| *t == info)).map_or(0, |(_, block)| block.at)
}

unsafe extern "win64" fn WdfObjectGetTypedContextWorker(_globals: usize, handle: usize, info: usize) -> usize {
    with(|world| {
        let object = world.wdf.objects.all.get(&handle);
        rule!(object.is_some_and(|o| !o.gone), "WdfObjectGetTypedContext: {handle:#x} is no handle, or deleted");
        context(world, handle, info)
    })
}

unsafe extern "win64" fn WdfObjectReferenceActual(
    _globals: usize,
    handle: usize,
    _tag: usize,
    _line: i32,
    _file: usize,
) {
    irql::at_most(DISPATCH, "WdfObjectReference");
    with(|world| match world.wdf.objects.all.get_mut(&handle) {
        Some(object) if !object.gone => object.references += 1,
        _ => rule!(false, "WdfObjectReference: {handle:#x} is no handle, or deleted"),
    });
}

unsafe extern "win64" fn WdfObjectDereferenceActual(
    _globals: usize,
    handle: usize,
    _tag: usize,
    _line: i32,
    _file: usize,
) {
    irql::at_most(DISPATCH, "WdfObjectDereference");
    let known = with(|world| world.wdf.objects.all.get(&handle).is_some_and(|object| !object.gone));
    rule!(known, "WdfObjectDereference: {handle:#x} is no handle, or deleted");
    release(handle, "WdfObjectDereference");
}

unsafe extern "win64" fn WdfObjectDelete(_globals: usize, handle: usize) {
    irql::at_most(DISPATCH, "WdfObjectDelete");
    let kind = with(|world| world.wdf.objects.all.get(&handle).filter(|o| !o.deleted).map(|o| o.kind));
    rule!(kind.is_some(), "WdfObjectDelete: {handle:#x} is no handle, or deleted");
    rule!(!matches!(kind, Some(Kind::Driver | Kind::ChildList)), "WdfObjectDelete of a {kind:?}");
    if matches!(kind, Some(Kind::WorkItem | Kind::Timer)) {
        irql::exactly(PASSIVE, "WdfObjectDelete of a work item or timer");
    }
    delete(handle);
}

unsafe extern "win64" fn WdfObjectAllocateContext(
    _globals: usize,
    handle: usize,
    given: *const u32,
    out: *mut usize,
) -> i32 {
    // SAFETY: the driver's attributes.
    let given = unsafe { attributes(given) };
    rule!(given.context_type != 0, "WdfObjectAllocateContext without a type");
    let block = with(|world| {
        if world.allocation_fails("WdfObjectAllocateContext") {
            return None;
        }
        let object = world.wdf.objects.all.get_mut(&handle).filter(|object| !object.gone);
        rule!(object.is_some(), "WdfObjectAllocateContext: {handle:#x} is no handle");
        let block = guard::allocate(given.context_size);
        object?.contexts.push((given.context_type, block));
        Some(block)
    });
    let Some(block) = block else { return status::INSUFFICIENT_RESOURCES };
    if !out.is_null() {
        // SAFETY: the driver's out parameter.
        unsafe { out.write(block.at) };
    }
    status::SUCCESS
}

crate::wdf_exports!(202 => WdfObjectGetTypedContextWorker, 203 => WdfObjectAllocateContext,
    205 => WdfObjectReferenceActual, 206 => WdfObjectDereferenceActual, 208 => WdfObjectDelete);
