//! Events, spin locks, and waiting for them.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};

use crate::irql::{self, APC, DISPATCH};
use crate::nt::status;
use crate::rule;
use crate::world::{Step, World, sleep, spin, wait, with};

/// What can be waited for, by its address.
#[derive(Debug, Default)]
pub struct State {
    signals: HashMap<usize, Signal>,
    locks: HashMap<usize, Lock>,
}

#[derive(Clone, Copy, Debug)]
struct Signal {
    /// Whether one waiter takes the signal with it.
    synchronization: bool,
    on: bool,
    waiters: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    owner: ThreadId,
    /// Somebody looked while it was held, and has to look again when it is given back.
    wanted: bool,
}

impl State {
    /// Makes an object that can be waited for.
    pub fn create(&mut self, at: usize, synchronization: bool, on: bool) {
        self.signals.insert(at, Signal { synchronization, on, waiters: 0 });
    }

    /// Signals an object the fakes made themselves, or forgets it.
    pub fn set(&mut self, at: usize) {
        if let Some(signal) = self.signals.get_mut(&at) {
            signal.on = true;
        }
    }

    /// Takes a spin lock for a thread; false if it is held. Who finds it held looks again.
    fn take(&mut self, at: usize, thread: ThreadId, what: &str) -> bool {
        match self.locks.get_mut(&at) {
            Some(lock) => {
                rule!(lock.owner != thread, "{what}({at:#x}): this thread holds it already");
                lock.wanted = true;
                false
            }
            None => self.locks.insert(at, Lock { owner: thread, wanted: false }).is_none(),
        }
    }

    /// Gives a spin lock back; true if somebody has to look again.
    fn give(&mut self, at: usize, thread: ThreadId, what: &str) -> bool {
        let lock = self.locks.remove(&at);
        rule!(lock.is_some(), "{what}({at:#x}): not held");
        rule!(lock.is_some_and(|lock| lock.owner == thread), "{what}({at:#x}): another thread holds it");
        lock.is_some_and(|lock| lock.wanted)
    }

    /// Memory goes away: what in it is still in use.
    pub fn forget(&mut self, at: usize, size: usize) -> Vec<String> {
        let inside = |address: &usize| (at..at + size.max(1)).contains(address);
        let waited = self.signals.iter().filter(|(address, signal)| inside(address) && signal.waiters > 0);
        let mut stale: Vec<String> = waited.map(|(address, _)| format!("an event at {address:#x}")).collect();
        stale.extend(self.locks.keys().filter(|a| inside(a)).map(|a| format!("a held spin lock at {a:#x}")));
        self.signals.retain(|address, _| !inside(address));
        stale
    }
}

unsafe extern "win64" fn KeInitializeEvent(event: usize, kind: u32, on: u8) {
    rule!(kind <= 1, "KeInitializeEvent: type {kind}");
    rule!(event.is_multiple_of(8), "KeInitializeEvent({event:#x}): not aligned");
    with(|world| {
        let waited = world.nt.sync.signals.get(&event).is_some_and(|signal| signal.waiters > 0);
        rule!(!waited, "KeInitializeEvent({event:#x}): somebody waits for it");
        world.nt.sync.create(event, kind == 1, on != 0);
    });
    // SAFETY: a KEVENT of the driver is 24 bytes; the write proves that it is there. KeInitializeEvent sets type and size.
    unsafe {
        (event as *mut [u8; 24]).write([
            if kind == 1 { 1 } else { 0 },
            0,
            6,
            0,
            on,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ])
    };
}

fn event<'w>(world: &'w mut World, at: usize, what: &str) -> &'w mut Signal {
    let freed = world.nt.pool.was_freed(at);
    rule!(!freed, "{what}({at:#x}): in freed pool");
    let signal = world.nt.sync.signals.get_mut(&at);
    rule!(signal.is_some(), "{what}({at:#x}): never initialized");
    match signal {
        Some(signal) => signal,
        None => unreachable!("ruled out above"),
    }
}

unsafe extern "win64" fn KeSetEvent(at: usize, _increment: i32, wait: u8) -> i32 {
    irql::at_most(DISPATCH, "KeSetEvent");
    rule!(wait == 0, "KeSetEvent with Wait: not used by this driver");
    with(|world| {
        let signal = event(world, at, "KeSetEvent");
        let before = std::mem::replace(&mut signal.on, true);
        if !before {
            world.changed();
        }
        i32::from(before)
    })
}

unsafe extern "win64" fn KeResetEvent(at: usize) -> i32 {
    irql::at_most(DISPATCH, "KeResetEvent");
    with(|world| i32::from(std::mem::replace(&mut event(world, at, "KeResetEvent").on, false)))
}

unsafe extern "win64" fn KeClearEvent(at: usize) {
    irql::at_most(DISPATCH, "KeClearEvent");
    with(|world| event(world, at, "KeClearEvent").on = false);
}

unsafe extern "win64" fn KeReadStateEvent(at: usize) -> i32 {
    irql::at_most(DISPATCH, "KeReadStateEvent");
    with(|world| i32::from(event(world, at, "KeReadStateEvent").on))
}

/// When a LARGE_INTEGER timeout ends: negative is relative, positive a system time, null never.
pub(crate) fn deadline(timeout: *const i64) -> Option<u64> {
    if timeout.is_null() {
        return None;
    }
    // SAFETY: the driver's timeout.
    let value = unsafe { timeout.read() };
    let now = with(|world| world.now());
    Some(match value {
        relative if relative <= 0 => now.saturating_add(relative.unsigned_abs().saturating_mul(100)),
        absolute => super::time::from_system(absolute.unsigned_abs()),
    })
}

/// What a wait at this IRQL may do: at DISPATCH_LEVEL only look.
fn check_wait(timeout: *const i64, what: &str) {
    // SAFETY: the driver's timeout.
    let looks = !timeout.is_null() && unsafe { timeout.read() } == 0;
    irql::at_most(if looks { DISPATCH } else { APC }, what);
    rule!(looks || irql::holds() == 0, "{what} while a spin lock is held");
}

unsafe extern "win64" fn KeWaitForSingleObject(
    at: usize,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: *const i64,
) -> i32 {
    check_wait(timeout, "KeWaitForSingleObject");
    wait_for(&[at], true, deadline(timeout), "KeWaitForSingleObject")
}

unsafe extern "win64" fn KeWaitForMultipleObjects(
    count: u32,
    objects: *const usize,
    kind: u32,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: *const i64,
    blocks: usize,
) -> i32 {
    check_wait(timeout, "KeWaitForMultipleObjects");
    rule!(count <= 64, "KeWaitForMultipleObjects of {count} objects");
    rule!(blocks != 0 || count <= 3, "KeWaitForMultipleObjects of {count} objects needs wait blocks");
    // SAFETY: the driver's array.
    let objects = unsafe { std::slice::from_raw_parts(objects, count as usize) };
    wait_for(objects, kind == 1, deadline(timeout), "KeWaitForMultipleObjects")
}

/// Waits for any or all of some objects.
pub fn wait_for(objects: &[usize], any: bool, until: Option<u64>, what: &str) -> i32 {
    let mut registered = false;
    wait(what, |world| {
        for at in objects {
            let signal = event(world, *at, what);
            if !registered {
                signal.waiters += 1;
            }
        }
        registered = true;
        let on = |world: &World, at: &usize| world.nt.sync.signals.get(at).is_some_and(|signal| signal.on);
        let first = objects.iter().position(|at| on(world, at));
        let all = objects.iter().all(|at| on(world, at));
        let result = match first {
            Some(index) if any || all => {
                let taken = if any { &objects[index..=index] } else { objects };
                for at in taken {
                    if let Some(signal) = world.nt.sync.signals.get_mut(at) {
                        signal.on &= !signal.synchronization;
                    }
                }
                Some(if any { i32::try_from(index).unwrap_or(0) } else { status::SUCCESS })
            }
            _ if until.is_some_and(|at| world.now() >= at) => Some(status::TIMEOUT),
            _ => None,
        };
        match (result, until) {
            (Some(result), _) => {
                for at in objects {
                    if let Some(signal) = world.nt.sync.signals.get_mut(at) {
                        signal.waiters -= 1;
                    }
                }
                Step::Done(result)
            }
            (None, Some(at)) => Step::Until(at),
            (None, None) => Step::Sleep,
        }
    })
}

/// Takes a spin lock; the caller has raised the IRQL.
pub fn acquire(at: usize, what: &str) {
    let me = thread::current().id();
    spin(what, |world| {
        rule!(!world.nt.pool.was_freed(at), "{what}({at:#x}): in freed pool");
        if world.nt.sync.take(at, me, what) { Step::Done(()) } else { Step::Sleep }
    });
    irql::held(1);
}

/// Spin locks released so far, by all threads.
static RELEASES: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The number of this thread's last release; 0 before any.
    static RELEASED: Cell<u64> = const { Cell::new(0) };
}

/// How many spin locks were released so far.
pub fn releases() -> u64 {
    RELEASES.load(Ordering::SeqCst)
}

/// The number of this thread's last release: what [`releases`] said before it.
pub fn last_release() -> u64 {
    RELEASED.get()
}

thread_local! {
    /// Where this thread is held up, and for how many nanoseconds: see [`hold_up`].
    static HOLD: Cell<Option<(u32, u64)>> = const { Cell::new(None) };
}

/// Holds this thread up when it has given back its n-th spin lock from now on and is at PASSIVE_LEVEL. Returns what was to
/// hold it up and has not.
pub fn hold_up(at: Option<(u32, u64)>) -> Option<(u32, u64)> {
    HOLD.replace(at)
}

/// A spin lock was given back, and the IRQL is as before it.
pub fn is_held_up() {
    match HOLD.get().filter(|_| irql::current() == irql::PASSIVE) {
        Some((1, nanoseconds)) => {
            HOLD.set(None);
            sleep(nanoseconds);
        }
        Some((more, nanoseconds)) => HOLD.set(Some((more - 1, nanoseconds))),
        None => {}
    }
}

/// This thread is as good as new.
pub fn begin_thread() {
    RELEASED.set(0);
}

/// Gives a spin lock back.
pub fn release(at: usize, what: &str) {
    RELEASED.set(RELEASES.fetch_add(1, Ordering::SeqCst));
    let me = thread::current().id();
    with(|world| {
        if world.nt.sync.give(at, me, what) {
            world.lock_given_back();
        }
    });
    irql::held(-1);
}

unsafe extern "win64" fn KeAcquireSpinLockRaiseToDpc(at: usize) -> u8 {
    irql::at_most(DISPATCH, "KeAcquireSpinLockRaiseToDpc");
    let before = irql::set(DISPATCH);
    acquire(at, "KeAcquireSpinLockRaiseToDpc");
    before
}

unsafe extern "win64" fn KeAcquireSpinLockAtDpcLevel(at: usize) {
    irql::exactly(DISPATCH, "KeAcquireSpinLockAtDpcLevel");
    acquire(at, "KeAcquireSpinLockAtDpcLevel");
}

unsafe extern "win64" fn KeReleaseSpinLock(at: usize, level: u8) {
    irql::exactly(DISPATCH, "KeReleaseSpinLock");
    rule!(level <= DISPATCH, "KeReleaseSpinLock to IRQL {level}");
    release(at, "KeReleaseSpinLock");
    irql::set(level);
}

unsafe extern "win64" fn KeReleaseSpinLockFromDpcLevel(at: usize) {
    irql::exactly(DISPATCH, "KeReleaseSpinLockFromDpcLevel");
    release(at, "KeReleaseSpinLockFromDpcLevel");
}

unsafe extern "win64" fn KeGetCurrentIrql() -> u8 {
    irql::current()
}

unsafe extern "win64" fn KfRaiseIrql(level: u8) -> u8 {
    rule!(irql::current() <= level, "KfRaiseIrql to {level} from {}", irql::current());
    irql::set(level)
}

unsafe extern "win64" fn KeLowerIrql(level: u8) {
    rule!(irql::current() >= level, "KeLowerIrql to {level} from {}", irql::current());
    rule!(irql::holds() == 0, "KeLowerIrql while a spin lock is held");
    irql::set(level);
}

crate::exports!("ntoskrnl.exe" => KeInitializeEvent, KeSetEvent, KeResetEvent, KeClearEvent, KeReadStateEvent,
    KeWaitForSingleObject, KeWaitForMultipleObjects, KeAcquireSpinLockRaiseToDpc, KeAcquireSpinLockAtDpcLevel,
    KeReleaseSpinLock, KeReleaseSpinLockFromDpcLevel, KeGetCurrentIrql, KfRaiseIrql, KeLowerIrql);

#[cfg(test)]
mod tests {
    use super::*;

    /// A waiter that finds the lock taken by somebody else is still a waiter: whoever gives it back next has to wake it.
    #[test]
    fn a_waiter_that_loses_the_race_is_woken_by_the_next_owner() {
        let ids: Vec<ThreadId> = (0..3).filter_map(|_| thread::spawn(|| thread::current().id()).join().ok()).collect();
        let [first, second, third] = ids[..] else { panic!("three threads") };
        let mut state = State::default();
        assert!(state.take(8, first, "test"));
        assert!(!state.take(8, second, "test") && !state.take(8, third, "test"));
        assert!(state.give(8, first, "test"), "two wait");
        assert!(state.take(8, second, "test"));
        assert!(!state.take(8, third, "test"), "looked again, too late");
        assert!(state.give(8, second, "test"), "the third still waits");
        assert!(state.take(8, third, "test"));
        assert!(!state.give(8, third, "test"), "nobody waits");
    }
}
