//! Runs the two futures of a bus on work items, and blocks PnP callbacks on futures of their own. What several threads touch
//! at once is in hvpci-sync.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use core::task::{Context, Poll, Waker};

use hvpci_core::Time;
use hvpci_sync::{Kernel, TaskState};
use wdk_sys::NTSTATUS;

use crate::memory::Boxed;
use crate::sys::event::Event;
use crate::sys::nt;
use crate::sys::work::{Timer, WorkItem};

/// This kernel's atomics and clock.
pub struct Nt;

impl Kernel for Nt {
    type Flag = AtomicBool;
    type Byte = AtomicU8;
    type Long = AtomicU64;

    fn now() -> Time {
        nt::now()
    }
}

/// Where one waiter waits: `Platform::wake` signals it.
pub type WaitPoint = hvpci_sync::WaitPoint<Nt>;
/// The future that waits there.
pub type Wait<'a> = hvpci_sync::Wait<'a, Nt>;
/// A [`WaitPoint`] for a thread that blocks.
pub type BlockPoint = hvpci_sync::BlockPoint<Nt, Event>;
/// A place that one at a time may have.
pub type Place = hvpci_sync::Place<Nt>;

type Job = Boxed<'static, ()>;

/// A future polled by a work item at PASSIVE_LEVEL.
pub struct Task {
    /// Where the future waits.
    pub point: WaitPoint,
    state: TaskState<Nt>,
    job: UnsafeCell<Option<Job>>,
    work: Option<(WorkItem, Timer)>,
    /// Who waits for the future's end.
    ended: *const BlockPoint,
}

// SAFETY: the pointer names a part of the same bus, whose parts go together.
unsafe impl Send for Task {}
// SAFETY: `job` is reached from within `TaskState::start` and `TaskState::run` only, which let one thread in at a time.
unsafe impl Sync for Task {}

impl Task {
    /// A task without its work item and timer.
    pub fn new() -> Task {
        Task {
            point: WaitPoint::new(),
            state: TaskState::new(),
            job: UnsafeCell::new(None),
            work: None,
            ended: core::ptr::null(),
        }
    }

    /// Gives the task its work item and timer, and the point to wake at its end, which goes no sooner than the task.
    pub fn equip(
        &mut self,
        work: Result<WorkItem, NTSTATUS>,
        timer: Result<Timer, NTSTATUS>,
        ended: *const BlockPoint,
    ) -> Result<(), NTSTATUS> {
        self.ended = ended;
        self.work = Some((work?, timer?));
        Ok(())
    }

    /// Whether the future has not ended.
    pub fn is_alive(&self) -> bool {
        self.state.is_alive()
    }

    /// Whether the future rests for good: see [`Task::abandon`].
    pub fn is_abandoned(&self) -> bool {
        self.state.is_abandoned()
    }

    /// Starts a future, unless one is running: that one goes on, and `job` is dropped. PASSIVE_LEVEL.
    pub fn start(&self, job: Job) {
        // SAFETY: from within `TaskState::start`.
        self.state.start(|| unsafe { *self.job.get() = Some(job) });
        self.poll_soon();
    }

    /// Lets the future rest for good. It is dropped with the task.
    pub fn abandon(&self) {
        self.state.abandon();
    }

    /// Has the future polled soon. At most DISPATCH_LEVEL.
    pub fn poll_soon(&self) {
        if let Some((work, _)) = self.work.as_ref().filter(|_| self.is_alive()) {
            work.enqueue();
        }
    }

    /// Stops the timer and waits for the work item. PASSIVE_LEVEL, not from the future.
    pub fn flush(&self) {
        if let Some((work, timer)) = &self.work {
            timer.stop();
            work.flush();
        }
    }

    /// Polls the future until nothing is left to do. Called by the work item, whose callback Windows may run twice at once.
    pub fn run(&self) {
        let poll = || {
            // SAFETY: from within `TaskState::run`.
            let job = unsafe { &mut *self.job.get() };
            let Some(future) = job else { return Poll::Ready(()) };
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if polled.is_ready() {
                *job = None;
            }
            polled
        };
        let arm = |deadline| self.work.iter().for_each(|(_, timer)| timer.start(deadline));
        if self.state.run(&self.point, poll, arm) {
            // SAFETY: null, or a point that goes no sooner than the task.
            unsafe { self.ended.as_ref() }.into_iter().for_each(BlockPoint::wake);
        }
    }
}
