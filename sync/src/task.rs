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
        self.0.load(Ordering::Acquire) != OVER
    }

    /// Has `install` put a future in place, unless there is one: two that start at once start one. Returns whether it did;
    /// the caller then has it polled.
    pub fn start(&self, install: impl FnOnce()) -> bool {
        if self.0.compare_exchange(OVER, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        install();
        // Whoever came meanwhile only left word; the caller has the future polled in any case.
        self.0.swap(IDLE, Ordering::AcqRel);
        true
    }

    /// Polls the future until nothing is left to do. `poll` polls it, and puts it away when it is ready; `arm` is told when
    /// a future that waits has to be polled again at the latest, and sets a timer. Both are called by one thread at a time:
    /// a second one returns at once, and the first polls once more. Returns whether the future ended in this call.
    pub fn run(&self, point: &WaitPoint<K>, mut poll: impl FnMut() -> Poll<()>, mut arm: impl FnMut(Time)) -> bool {
        if !self.enter() {
            return false;
        }
        loop {
            // Takes all that was said so far, together with what was done before it was said: hence a swap.
            self.0.swap(RUNNING, Ordering::AcqRel);
            if poll().is_ready() {
                self.0.swap(OVER, Ordering::AcqRel);
                return true;
            }
            if let Some(deadline) = point.deadline() {
                arm(deadline);
            }
            if self.0.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return false;
            }
        }
    }

    /// Takes the turn, or leaves word with who has it. Leaving word writes also where word was left before: who has the
    /// turn must see what each of those did who left it.
    fn enter(&self) -> bool {
        let mut seen = self.0.load(Ordering::Acquire);
        while seen != OVER {
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
