//! The machine's state under one lock, and its clock.
//!
//! Driver threads are real threads and run at once, but time is virtual: the clock stands still while any thread can run
//! and jumps to the next deadline when all of them wait. A silent host therefore costs no real time, and a state in which
//! nothing can ever happen again is found at once and named.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hvpci_core::Time;
use hvpci_mock::host::{Host, HostOptions};

use crate::fail::{Verdict, fail};
use crate::{kmcl, mmio, nt, pnp, trace, wdf};

/// Everything the fakes know.
pub struct World {
    now: u64,
    running: u32,
    blocked: u32,
    /// Blocked threads that wait for a spin lock.
    spinning: u32,
    epoch: u64,
    deadlines: BTreeMap<u64, u32>,
    waiting: HashMap<u64, String>,
    next_wait: u64,
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

struct Shared {
    world: Mutex<World>,
    stirred: Condvar,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| Shared {
    world: Mutex::new(World {
        now: 1_000_000_000,
        running: 1,
        blocked: 0,
        spinning: 0,
        epoch: 0,
        deadlines: BTreeMap::new(),
        waiting: HashMap::new(),
        next_wait: 0,
        host: Host::new(HostOptions::default()),
        nt: nt::State::default(),
        wdf: wdf::State::default(),
        kmcl: kmcl::State::default(),
        mmio: mmio::State::default(),
        pnp: pnp::State::default(),
        allocations: Allocations::default(),
    }),
    stirred: Condvar::new(),
});

fn lock() -> MutexGuard<'static, World> {
    SHARED.world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the world or changes it. Never calls the driver from inside.
pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    jitter();
    f(&mut lock())
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
        0 => std::thread::sleep(Duration::from_micros(random % 300)),
        1..16 => std::thread::yield_now(),
        _ => {}
    }
}

/// The same where nobody may be able to give the lock: in a signal handler that reports.
pub fn try_with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    SHARED.world.try_lock().ok().map(|mut world| f(&mut world))
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
        self.running += self.blocked;
        self.blocked = 0;
        self.spinning = 0;
        self.epoch += 1;
        SHARED.stirred.notify_all();
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
        let next = world.deadlines.keys().next().map(|at| at.saturating_sub(world.now) as f64 / 1e9);
        let all: Vec<&str> = world.waiting.values().map(String::as_str).collect();
        format!("{}; next deadline in {next:?} s", all.join("; "))
    })
}

/// Waits until `look` finds what it looks for. Waiting threads let the clock run.
pub fn wait<T>(what: &str, look: impl FnMut(&mut World) -> Step<T>) -> T {
    wait_as(what, false, look)
}

/// Waits for a spin lock. Whoever holds one does not wait, so that some thread runs: the clock never moves meanwhile.
pub fn spin<T>(what: &str, look: impl FnMut(&mut World) -> Step<T>) -> T {
    wait_as(what, true, look)
}

fn wait_as<T>(what: &str, spins: bool, mut look: impl FnMut(&mut World) -> Step<T>) -> T {
    let mut world = lock();
    loop {
        let deadline = match look(&mut world) {
            Step::Done(found) => return found,
            Step::Until(at) if at <= world.now => continue,
            Step::Until(at) => Some(at),
            Step::Sleep => None,
        };
        if let Some(at) = deadline {
            *world.deadlines.entry(at).or_default() += 1;
        }
        world.next_wait += 1;
        let ticket = world.next_wait;
        world.waiting.insert(ticket, format!("{what} (IRQL {})", crate::irql::current()));
        world.running -= 1;
        world.blocked += 1;
        world.spinning += u32::from(spins);
        let epoch = world.epoch;
        if world.running == 0 {
            // With somebody at a spin lock it is a deadlock whatever the deadlines: no time that passes gives the lock back.
            match world.deadlines.keys().next().copied().filter(|_| world.spinning == 0) {
                Some(at) => {
                    world.now = world.now.max(at);
                    world.changed();
                }
                None => {
                    let all: Vec<&str> = world.waiting.values().map(String::as_str).collect();
                    fail(Verdict::Deadlock, &format!("every thread waits, for ever: {}", all.join("; ")));
                }
            }
        }
        while world.epoch == epoch {
            world = SHARED.stirred.wait(world).unwrap_or_else(PoisonError::into_inner);
        }
        world.waiting.remove(&ticket);
        if let Some(at) = deadline
            && let Some(users) = world.deadlines.get_mut(&at)
        {
            *users -= 1;
            if *users == 0 {
                world.deadlines.remove(&at);
            }
        }
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
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        body();
        let mut world = lock();
        world.running -= 1;
        if world.running == 0 {
            // The last one to run leaves: the others have to find the next deadline.
            world.changed();
        }
    });
    assert!(started.is_ok(), "the loader cannot start a thread");
}
