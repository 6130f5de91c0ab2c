//! Whose turn it is to poll a future.

use core::sync::atomic::Ordering;
use core::task::Poll;

use hvpci_core::Time;

use crate::{Atomic, Kernel, WaitPoint};

/// There is no future: none was started, or it has ended.
const OVER: u8 = 0;
/// Nobody polls the future.
const IDLE: u8 = 1;
/// Somebody polls it.
const RUNNING: u8 = 2;
/// Somebody polls it, or is about to, and has to once more: somebody else came meanwhile.
const AGAIN: u8 = 3;
/// Nobody polls the future any more, and no other takes its place.
const ABANDONED: u8 = 4;

/// Where a future stands that any thread may want polled and one thread at a time may poll.
///
/// Kernels may run a work item on two processors at once, and run it once more after the future has ended. The future itself
/// is kept by the backend; it may be touched from within [`TaskState::start`] and [`TaskState::run`] alone.
pub struct TaskState<K: Kernel>(K::Byte);

impl<K: Kernel> TaskState<K> {
    /// There is no future yet.
    pub fn new() -> TaskState<K> {
        TaskState(K::Byte::new(OVER))
    }

    /// Whether there is a future and it has not ended. Any context.
    pub fn is_alive(&self) -> bool {
        !matches!(self.0.load(Ordering::Acquire), OVER | ABANDONED)
    }

    /// Whether the future was left to rest for good: see [`TaskState::abandon`]. Any context.
    pub fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Acquire) == ABANDONED
    }

    /// Has the future rest for good where it is: nobody begins to poll it after this. One poll may be under way, which the
    /// caller can wait for by the means of the kernel. Any context.
    pub fn abandon(&self) {
        self.0.swap(ABANDONED, Ordering::AcqRel);
    }

    /// Has `install` put a future in place, unless there is one: two that start at once start one. Returns whether it did;
    /// the caller then has it polled.
    pub fn start(&self, install: impl FnOnce()) -> bool {
        if self.0.compare_exchange(OVER, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        install();
        // Whoever came meanwhile only left word; the caller has the future polled in any case.
        self.go_on(IDLE)
    }

    /// Polls the future until nothing is left to do. `poll` polls it, and puts it away when it is ready; `arm` is told when
    /// a future that waits has to be polled again at the latest, and sets a timer. Both are called by one thread at a time:
    /// a second one returns at once, and the first polls once more. Returns whether the future
    /// ended in this call.
    pub fn run(&self, point: &WaitPoint<K>, mut poll: impl FnMut() -> Poll<()>, mut arm: impl FnMut(Time)) -> bool {
        if !self.enter() {
            return false;
        }
        // Takes all word that was left so far.
        while self.go_on(RUNNING) {
            if poll().is_ready() {
                return self.go_on(OVER);
            }
            if let Some(deadline) = point.deadline() {
                arm(deadline);
            }
            if self.0.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return false;
            }
        }
        false
    }

    /// The next state, for who has the turn, unless the task was abandoned. Reads what everybody wrote who left word, so that
    /// what they did before comes before what is done next.
    fn go_on(&self, next: u8) -> bool {
        let mut seen = self.0.load(Ordering::Acquire);
        while seen != ABANDONED {
            match self.0.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Takes the turn, or leaves word with who has it. Leaving word writes also where word was left before: who has the
    /// turn must see what each of those did who left it.
    fn enter(&self) -> bool {
        let mut seen = self.0.load(Ordering::Acquire);
        while !matches!(seen, OVER | ABANDONED) {
            match self.0.compare_exchange(seen, AGAIN, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return seen == IDLE,
                Err(now) => seen = now,
            }
        }
        false
    }
}

impl<K: Kernel> Default for TaskState<K> {
    fn default() -> Self {
        TaskState::new()
    }
}
