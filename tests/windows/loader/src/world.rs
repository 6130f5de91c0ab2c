//! The machine's state under one lock, and its clock.
//!
//! Driver threads are real threads and run at once, but time is virtual: the clock stands still while any thread can run
//! and jumps to the next deadline when all of them wait. A silent host therefore costs no real time, and a state in which
//! nothing can ever happen again is found at once and named.
//!
//! Whoever has changed the world looks for the threads that wait, before it gives the lock back, and wakes those that have
//! found what they wait for: a change costs no thread anything that it does not concern.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use hvpci_core::Time;
use hvpci_mock::host::{Host, HostOptions};

use crate::fail::{Verdict, fail};
use crate::{kmcl, mmio, nt, pnp, threads, trace, wdf};

/// Everything the fakes know.
pub struct World {
    now: u64,
    running: u32,
    sleepers: Vec<Sleeper>,
    /// Something changed that a sleeper may wait for.
    stirred: bool,
    /// Threads to be woken when the lock is given back.
    woken: Vec<Thread>,
    /// The host behind every channel.
    pub host: Host,
    /// ntoskrnl's objects.
    pub nt: nt::State,
    /// KMDF's objects.
    pub wdf: wdf::State,
    /// KMCL's channels and packets.
    pub kmcl: kmcl::State,
    /// The config windows that the driver has mapped.
    pub mmio: mmio::State,
    /// The PnP manager.
    pub pnp: pnp::State,
    /// Allocations the driver has asked for, and which of them fails.
    pub allocations: Allocations,
}

/// Counts what can fail for want of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocations {
    /// So far.
    pub count: u32,
    /// The one that fails, from 1; 0 for none.
    pub fail_at: u32,
    /// The first of those that fail, all that come after it included; 0 for none.
    pub fail_from: u32,
}

/// What a waiter finds when it looks.
pub enum Step<T> {
    /// What it waits for is there.
    Done(T),
    /// Look again at this time at the latest.
    Until(u64),
    /// Look again when something changes.
    Sleep,
}

/// What a look that others may do for a waiter comes to.
enum Look {
    Found,
    Not { until: Option<u64> },
}

/// A thread that waits.
struct Sleeper {
    /// What for: text of the thread that waits.
    what: *const str,
    irql: u8,
    until: Option<u64>,
    /// Looks for what the thread waits for; `None` at a spin lock, where the thread looks itself once one is given back.
    look: Option<*mut dyn FnMut(&mut World) -> Look>,
    thread: Thread,
    /// In the frame of the thread, which leaves it once this is set.
    woken: *const AtomicBool,
}

// SAFETY: what a sleeper points to stays until `woken` is set, and is touched under the lock of the world only; the looks
// touch the world and what other threads may touch too.
unsafe impl Send for Sleeper {}

impl Sleeper {
    fn name(&self) -> String {
        // SAFETY: as said above: the thread still waits.
        format!("{} (IRQL {})", unsafe { &*self.what }, self.irql)
    }
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| {
    Mutex::new(World {
        now: 1_000_000_000,
        running: 1,
        sleepers: Vec::new(),
        stirred: false,
        woken: Vec::new(),
        host: Host::new(HostOptions::default()),
        nt: nt::State::default(),
        wdf: wdf::State::default(),
        kmcl: kmcl::State::default(),
        mmio: mmio::State::default(),
        pnp: pnp::State::default(),
        allocations: Allocations::default(),
    })
});

fn lock() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the lock back, after the looks that are due. The threads that go on are woken without it: they want it next.
fn release(mut world: MutexGuard<'static, World>) {
    world.settle();
    let woken = std::mem::take(&mut world.woken);
    drop(world);
    woken.iter().for_each(Thread::unpark);
}

/// Looks at the world or changes it. Never calls the driver from inside.
pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    jitter();
    let mut world = lock();
    let result = f(&mut world);
    release(world);
    result
}

/// The state of the numbers that [`jitter`] goes by; 0 for no jitter.
static JITTER: AtomicU64 = AtomicU64::new(0);

/// From now on threads are held up at calls of the fakes, here and there: other orders of events than this machine's come
/// about. Which calls follows from the seed, and from which thread comes first.
pub fn start_jitter(seed: u64) {
    JITTER.store(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, Ordering::Relaxed);
}

fn jitter() {
    let mut random = JITTER.load(Ordering::Relaxed);
    if random == 0 {
        return;
    }
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    JITTER.store(random, Ordering::Relaxed);
    match random >> 58 {
        0 => thread::sleep(Duration::from_micros(random % 300)),
        1..16 => thread::yield_now(),
        _ => {}
    }
}

/// The same where nobody may be able to give the lock: in a signal handler that reports.
pub fn try_with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD.try_lock().ok().map(|mut world| f(&mut world))
}

impl World {
    /// The time in nanoseconds since the machine started.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The time as the host counts it.
    pub fn time(&self) -> Time {
        Time::from_nanos(self.now)
    }

    /// A clock is read: a driver that reads it in a loop sees it move.
    pub fn tick(&mut self) -> u64 {
        self.now += 100;
        self.now
    }

    /// A trap into the host keeps the processor until `time`.
    pub fn advance_to(&mut self, time: Time) {
        self.now = self.now.max(time.as_nanos());
        self.changed();
    }

    /// Something changed that somebody may wait for.
    pub fn changed(&mut self) {
        self.stirred = true;
    }

    /// A spin lock that somebody waits for was given back: whoever is first has it.
    pub fn lock_given_back(&mut self) {
        let (waiting, rest) =
            std::mem::take(&mut self.sleepers).into_iter().partition(|sleeper| sleeper.look.is_none());
        self.sleepers = rest;
        let waiting: Vec<Sleeper> = waiting;
        waiting.iter().for_each(|sleeper| self.wake(sleeper));
    }

    fn wake(&mut self, sleeper: &Sleeper) {
        self.running += 1;
        self.woken.push(sleeper.thread.clone());
        // SAFETY: the thread still waits. It does not touch the world's lock before it is woken, and this is its last use here.
        unsafe { &*sleeper.woken }.store(true, Ordering::Release);
    }

    /// Has all sleepers looked for after a change, in the order in which they came.
    fn settle(&mut self) {
        while std::mem::take(&mut self.stirred) {
            let mut sleepers = std::mem::take(&mut self.sleepers);
            sleepers.retain_mut(|sleeper| {
                let Some(look) = sleeper.look else { return true };
                // SAFETY: the thread still waits, and everybody who looks for it has the lock of the world.
                match unsafe { &mut *look }(self) {
                    Look::Found => {
                        self.wake(sleeper);
                        false
                    }
                    Look::Not { until } => {
                        sleeper.until = until;
                        true
                    }
                }
            });
            self.sleepers = sleepers;
        }
    }

    /// Lets the clock jump while no thread runs.
    fn pass(&mut self) {
        self.settle();
        while self.running == 0 {
            // With somebody at a spin lock it is a deadlock whatever the deadlines: no time that passes gives the lock back.
            let spins = self.sleepers.iter().any(|sleeper| sleeper.look.is_none());
            let Some(at) = self.next_deadline().filter(|_| !spins) else {
                let all: Vec<String> = self.sleepers.iter().map(Sleeper::name).collect();
                fail(Verdict::Deadlock, &format!("every thread waits, for ever: {}", all.join("; ")));
            };
            self.now = self.now.max(at);
            self.changed();
            self.settle();
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        self.sleepers.iter().filter_map(|sleeper| sleeper.until).min()
    }

    /// Whether the driver's next allocation fails. `what` names it.
    pub fn allocation_fails(&mut self, what: &str) -> bool {
        self.allocations.count += 1;
        let Allocations { count, fail_at, fail_from } = self.allocations;
        let fails = count == fail_at || (fail_from != 0 && count >= fail_from);
        if fails {
            trace!("allocation {} fails: {what}", self.allocations.count);
        }
        fails
    }
}

/// What every waiting thread waits for.
pub fn waiting() -> String {
    with(|world| {
        let next = world.next_deadline().map(|at| at.saturating_sub(world.now) as f64 / 1e9);
        let all: HashSet<String> = world.sleepers.iter().map(Sleeper::name).collect();
        format!("{}; next deadline in {next:?} s", all.into_iter().collect::<Vec<String>>().join("; "))
    })
}

/// Waits until `look` finds what it looks for. Waiting threads let the clock run. Other threads look for this one: `look`
/// must not ask which thread runs it.
pub fn wait<T>(what: &str, look: impl FnMut(&mut World) -> Step<T>) -> T {
    wait_as(what, false, look)
}

/// Waits for a spin lock. Whoever holds one does not wait, so that some thread runs: the clock never moves meanwhile.
pub fn spin<T>(what: &str, look: impl FnMut(&mut World) -> Step<T>) -> T {
    wait_as(what, true, look)
}

fn wait_as<T>(what: &str, spins: bool, mut look: impl FnMut(&mut World) -> Step<T>) -> T {
    let mut found = None;
    let mut look = |world: &mut World| loop {
        break match look(world) {
            Step::Done(value) => {
                found = Some(value);
                Look::Found
            }
            Step::Until(at) if at <= world.now => continue,
            Step::Until(at) => Look::Not { until: Some(at) },
            Step::Sleep => Look::Not { until: None },
        };
    };
    loop {
        let mut world = lock();
        let Look::Not { until } = look(&mut world) else {
            release(world);
            break;
        };
        let woken = AtomicBool::new(false);
        let asked: &mut dyn FnMut(&mut World) -> Look = &mut look;
        // SAFETY: only the lifetime is left out. This thread stays here until it is woken, and nobody looks after that.
        let asked: *mut dyn FnMut(&mut World) -> Look = unsafe { std::mem::transmute(asked) };
        let sleeper = Sleeper {
            what,
            irql: crate::irql::current(),
            until,
            look: (!spins).then_some(asked),
            thread: thread::current(),
            woken: &raw const woken,
        };
        world.sleepers.push(sleeper);
        world.running -= 1;
        world.pass();
        release(world);
        while !woken.load(Ordering::Acquire) {
            thread::park();
        }
        if !spins {
            break;
        }
    }
    match found {
        Some(found) => found,
        None => unreachable!("woken without what was waited for"),
    }
}

/// Lets `nanoseconds` pass, and whatever happens in them happen.
pub fn sleep(nanoseconds: u64) {
    let end = with(|world| world.now) + nanoseconds;
    wait("sleep", |world| if world.now >= end { Step::Done(()) } else { Step::Until(end) });
}

/// Runs `body` on a thread of its own, which counts as running from now on.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    with(|world| world.running += 1);
    threads::run(name, move || {
        nt::sync::begin_thread();
        body();
        let mut world = lock();
        world.running -= 1;
        world.pass();
        release(world);
    });
}
