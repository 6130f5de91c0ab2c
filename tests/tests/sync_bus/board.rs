//! Time and waiting. The clock stands still while any thread can run, and jumps to the next deadline when all wait; a thread
//! of its own also moves it while others run, so that deadlines and what they wait for meet.
//!
//! When all wait and there is no deadline, nothing can ever happen again: a wake-up was lost.

use std::sync::PoisonError;

use hvpci_core::Time;
use hvpci_sync::{Atomic, Event as _, Kernel};
use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
use shuttle::thread;

/// No deadline.
pub const NEVER: Time = Time::from_nanos(u64::MAX);

shuttle::lazy_static! {
    static ref BOARD: Board = Board::default();
    static ref CLOCK: AtomicU64 = AtomicU64::new(0);
}

#[derive(Default)]
struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By event: whether it is set.
    events: Vec<bool>,
    /// Threads that are there, and what those wait for that wait.
    threads: usize,
    waiting: Vec<(usize, Time)>,
}

impl State {
    /// The next deadline, if nobody can go on before it.
    fn idle_until(&self) -> Option<Time> {
        let now = now();
        let ready = |(event, until): &(usize, Time)| self.events.get(*event) == Some(&true) || *until <= now;
        if self.waiting.len() < self.threads || self.waiting.iter().any(ready) {
            return None;
        }
        self.waiting.iter().map(|(_, until)| *until).min()
    }
}

impl Board {
    /// Moves the clock on if nobody can go on otherwise.
    fn settle(&self, state: &State) {
        if let Some(next) = state.idle_until() {
            assert!(next < NEVER, "a wake-up was lost: everybody waits, and nothing can happen any more");
            CLOCK.store(next.as_nanos(), Ordering::SeqCst);
            self.changed.notify_all();
        }
    }

    fn leave(&self) {
        let mut board = state();
        board.threads -= 1;
        self.settle(&board);
    }
}

/// The board, also where a thread has failed while it had it: what failed first is what counts.
fn state() -> MutexGuard<'static, State> {
    BOARD.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time now.
pub fn now() -> Time {
    Time::from_nanos(CLOCK.load(Ordering::SeqCst))
}

/// Counts the calling thread among those that the clock waits for, as long as the result lives.
pub fn attend() -> Attendance {
    state().threads += 1;
    Attendance
}

/// See [`attend`].
pub struct Attendance;

impl Drop for Attendance {
    fn drop(&mut self) {
        // A test that has failed unwinds; nothing is locked then that could be locked again.
        if !std::thread::panicking() {
            BOARD.leave();
        }
    }
}

/// A thread that the clock waits for, unless it waits itself.
pub struct Attending {
    done: Arc<Event>,
    handle: thread::JoinHandle<()>,
}

/// Starts one.
pub fn spawn(f: impl FnOnce() + Send + 'static) -> Attending {
    let here = attend();
    let done: Arc<Event> = Arc::new(hvpci_sync::Event::new());
    let told = done.clone();
    let handle = thread::spawn(move || {
        f();
        told.set();
        drop(here);
    });
    Attending { done, handle }
}

impl Attending {
    /// Waits until the thread is through.
    pub fn join(self) {
        self.done.wait(NEVER);
        self.handle.join().expect("a thread failed");
    }
}

/// Moves the clock to the next deadline, though others may still run.
pub fn hurry() {
    let board = state();
    let next = board.waiting.iter().map(|(_, until)| *until).filter(|until| *until > now() && *until < NEVER).min();
    if let Some(next) = next {
        CLOCK.store(next.as_nanos(), Ordering::SeqCst);
        BOARD.changed.notify_all();
    }
}

/// An event that resets itself when a wait takes it.
pub struct Event(usize);

impl hvpci_sync::Event for Event {
    fn new() -> Event {
        let mut board = state();
        board.events.push(false);
        Event(board.events.len() - 1)
    }

    fn initialise(&self) {}

    fn set(&self) {
        state().events[self.0] = true;
        BOARD.changed.notify_all();
    }

    fn wait(&self, until: Time) {
        let mut board = state();
        loop {
            if std::mem::take(&mut board.events[self.0]) || now() >= until {
                return;
            }
            board.waiting.push((self.0, until));
            BOARD.settle(&board);
            if now() < until && !board.events[self.0] {
                board = BOARD.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
            }
            let at = board.waiting.iter().position(|entry| *entry == (self.0, until)).expect("entered above");
            board.waiting.swap_remove(at);
        }
    }
}

/// shuttle's atomics, and the clock above.
pub struct Shuttle;

impl Kernel for Shuttle {
    type Flag = Atom<AtomicBool>;
    type Byte = Atom<AtomicU8>;
    type Long = Atom<AtomicU64>;

    fn now() -> Time {
        now()
    }
}

/// An atomic of shuttle.
pub struct Atom<A>(A);

macro_rules! atomic {
    ($($atomic:ty: $value:ty),*) => {$(
        impl Atomic<$value> for Atom<$atomic> {
            fn new(value: $value) -> Self {
                Atom(<$atomic>::new(value))
            }

            fn load(&self, _: Ordering) -> $value {
                self.0.load(Ordering::SeqCst)
            }

            fn store(&self, value: $value, _: Ordering) {
                self.0.store(value, Ordering::SeqCst);
            }

            fn swap(&self, value: $value, _: Ordering) -> $value {
                self.0.swap(value, Ordering::SeqCst)
            }

            fn compare_exchange(&self, old: $value, new: $value, _: Ordering, _: Ordering) -> Result<$value, $value> {
                self.0.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
            }
        }
    )*};
}

atomic!(AtomicBool: bool, AtomicU8: u8, AtomicU64: u64);
