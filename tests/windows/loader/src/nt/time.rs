//! Clocks, delays and timers: all virtual.

use std::collections::BTreeMap;

use crate::irql::{self, APC, DISPATCH};
use crate::rule;
use crate::world::{Step, wait, with};

/// 2026-01-01 in 100 ns since 1601.
const SYSTEM_TIME_BASE: u64 = 134_117_856_000_000_000;

/// The timers that are set, by due time.
#[derive(Debug, Default)]
pub struct State {
    set: BTreeMap<(u64, usize), Timer>,
    /// DPCs that wait for their turn.
    dpcs: Vec<usize>,
}

/// What happens when a timer is due.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// Nanoseconds between two runs; 0 for one run.
    pub period: u64,
    /// The timer: a WDFTIMER or a KTIMER.
    pub object: usize,
    /// The KDPC of a KTIMER; 0 for none.
    pub dpc: usize,
}

impl State {
    /// Sets a timer, and says whether it was set before.
    pub fn set(&mut self, due: u64, timer: Timer) -> bool {
        let before = self.cancel(timer.object);
        self.set.insert((due, timer.object), timer);
        before
    }

    /// Cancels a timer, and says whether it was set.
    pub fn cancel(&mut self, object: usize) -> bool {
        let before = self.set.len();
        self.set.retain(|_, timer| timer.object != object);
        self.set.len() != before
    }

    /// The timer that is due first, if that is by `now`.
    pub fn take_due(&mut self, now: u64) -> Option<Timer> {
        let (key, timer) = self.set.first_key_value().map(|(key, timer)| (*key, *timer))?;
        if key.0 > now {
            return None;
        }
        self.set.remove(&key);
        if timer.period != 0 {
            self.set.insert((key.0 + timer.period, timer.object), timer);
        }
        Some(timer)
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<u64> {
        self.set.first_key_value().map(|(key, _)| key.0)
    }

    /// A DPC whose turn it is.
    pub fn take_dpc(&mut self) -> Option<usize> {
        if self.dpcs.is_empty() { None } else { Some(self.dpcs.remove(0)) }
    }

    /// The timers that are set.
    pub fn count(&self) -> usize {
        self.set.len()
    }
}

/// Nanoseconds of the machine from a system time in 100 ns.
pub fn from_system(time: u64) -> u64 {
    time.saturating_sub(SYSTEM_TIME_BASE).saturating_mul(100)
}

/// When a due time as KeSetTimer and WdfTimerStart take it comes: negative is relative.
pub fn due(now: u64, due: i64) -> u64 {
    if due < 0 { now.saturating_add(due.unsigned_abs().saturating_mul(100)) } else { from_system(due.unsigned_abs()) }
}

unsafe extern "win64" fn KeQueryInterruptTime() -> u64 {
    with(|world| world.tick() / 100)
}

unsafe extern "win64" fn KeQueryInterruptTimePrecise(counter: *mut u64) -> u64 {
    let time = with(|world| world.tick() / 100);
    // SAFETY: the driver's out parameter.
    unsafe { counter.write(time) };
    time
}

unsafe extern "win64" fn KeQueryUnbiasedInterruptTime() -> u64 {
    with(|world| world.tick() / 100)
}

unsafe extern "win64" fn KeQueryPerformanceCounter(frequency: *mut u64) -> u64 {
    if !frequency.is_null() {
        // SAFETY: the driver's out parameter.
        unsafe { frequency.write(10_000_000) };
    }
    with(|world| world.tick() / 100)
}

unsafe extern "win64" fn KeQuerySystemTimePrecise(out: *mut u64) {
    // SAFETY: the driver's out parameter.
    unsafe { out.write(SYSTEM_TIME_BASE + with(|world| world.tick() / 100)) };
}

unsafe extern "win64" fn KeQueryTimeIncrement() -> u32 {
    156_250
}

unsafe extern "win64" fn KeDelayExecutionThread(_mode: u8, _alertable: u8, interval: *const i64) -> i32 {
    irql::at_most(APC, "KeDelayExecutionThread");
    let until = super::sync::deadline(interval).unwrap_or(0);
    wait("KeDelayExecutionThread", |world| if world.now() >= until { Step::Done(()) } else { Step::Until(until) });
    0
}

unsafe extern "win64" fn KeStallExecutionProcessor(microseconds: u32) {
    rule!(microseconds <= 50, "KeStallExecutionProcessor for {microseconds} us: not more than 50 are allowed");
    with(|world| {
        let then = world.time().after(std::time::Duration::from_micros(microseconds.into()));
        world.advance_to(then);
    });
}

unsafe extern "win64" fn KeInitializeTimerEx(timer: usize, kind: u32) {
    with(|world| world.nt.sync.create(timer, kind == 1, false));
}

unsafe extern "win64" fn KeInitializeTimer(timer: usize) {
    with(|world| world.nt.sync.create(timer, false, false));
}

unsafe extern "win64" fn KeSetTimerEx(timer: usize, when: i64, period: u32, dpc: usize) -> u8 {
    irql::at_most(DISPATCH, "KeSetTimer");
    with(|world| {
        let at = due(world.now(), when);
        let before = world.nt.time.set(at, Timer { period: u64::from(period) * 1_000_000, object: timer, dpc });
        world.changed();
        u8::from(before)
    })
}

unsafe extern "win64" fn KeSetTimer(timer: usize, when: i64, dpc: usize) -> u8 {
    // SAFETY: same contract.
    unsafe { KeSetTimerEx(timer, when, 0, dpc) }
}

unsafe extern "win64" fn KeSetCoalescableTimer(
    timer: usize,
    when: i64,
    period: u32,
    _tolerance: u32,
    dpc: usize,
) -> u8 {
    // SAFETY: same contract.
    unsafe { KeSetTimerEx(timer, when, period, dpc) }
}

unsafe extern "win64" fn KeCancelTimer(timer: usize) -> u8 {
    irql::at_most(DISPATCH, "KeCancelTimer");
    with(|world| u8::from(world.nt.time.cancel(timer)))
}

/// KDPC: routine at 0x18, context at 0x20.
unsafe extern "win64" fn KeInitializeDpc(dpc: *mut usize, routine: usize, context: usize) {
    // SAFETY: a KDPC of the driver is 64 bytes.
    unsafe {
        dpc.write_bytes(0, 8);
        dpc.add(3).write(routine);
        dpc.add(4).write(context);
    }
}

unsafe extern "win64" fn KeInsertQueueDpc(dpc: usize, _a: usize, _b: usize) -> u8 {
    with(|world| {
        let queued = world.nt.time.dpcs.contains(&dpc);
        if !queued {
            world.nt.time.dpcs.push(dpc);
            world.changed();
        }
        u8::from(!queued)
    })
}

unsafe extern "win64" fn KeFlushQueuedDpcs() {
    irql::exactly(irql::PASSIVE, "KeFlushQueuedDpcs");
    wait("KeFlushQueuedDpcs", |world| {
        if world.nt.time.dpcs.is_empty() && !world.kmcl.delivering() { Step::Done(()) } else { Step::Sleep }
    });
}

/// Calls a KDPC's routine.
pub fn call_dpc(dpc: usize) {
    type Routine = unsafe extern "win64" fn(usize, usize, usize, usize);
    // SAFETY: KeInitializeDpc put a KDEFERRED_ROUTINE and its context there.
    unsafe {
        let routine: Routine = std::mem::transmute(*(dpc as *const usize).add(3));
        let context = *(dpc as *const usize).add(4);
        irql::at(DISPATCH, "a DPC", || routine(dpc, context, 0, 0));
    }
}

crate::exports!("ntoskrnl.exe" => KeQueryInterruptTime, KeQueryInterruptTimePrecise, KeQueryUnbiasedInterruptTime,
    KeQueryPerformanceCounter, KeQuerySystemTimePrecise, KeQueryTimeIncrement, KeDelayExecutionThread,
    KeStallExecutionProcessor, KeInitializeTimerEx, KeInitializeTimer, KeSetTimerEx, KeSetTimer, KeSetCoalescableTimer,
    KeCancelTimer, KeInitializeDpc, KeInsertQueueDpc, KeFlushQueuedDpcs);
