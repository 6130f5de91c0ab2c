//! Runs the two futures of a bus on work items, and blocks PnP callbacks on futures of their own. What several threads touch
//! at once is in hvpci-sync.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use core::task::{Context, Poll, Waker};

use hvpci_core::Time;
use hvpci_sync::{Kernel, TaskState};

use super::event::Event;
use super::gate::{self, Gate};
use super::memory::Boxed;
use super::nt;
use super::work::{Timer, WorkItem};

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
/// Who found no place is told when there is one.
pub type Shortage = hvpci_sync::Shortage<Nt>;

type Job = Boxed<'static, ()>;

/// A future polled by a work item at PASSIVE_LEVEL. It is part of a bus device, which makes it.
pub struct Task {
    /// Where the future waits.
    pub point: WaitPoint,
    state: TaskState<Nt>,
    job: UnsafeCell<Option<Job>>,
    gate: Gate,
    work: WorkItem,
    timer: Timer,
}

// SAFETY: `job` is reached from within `TaskState::start` and `TaskState::run` only, which let one thread in at a time.
unsafe impl Sync for Task {}

impl Task {
    /// A task that is polled by `work`, and by `timer` when its wait is over.
    ///
    /// # Safety
    ///
    /// Both live at least as long as the gate of the task is open: see [`Task::open`].
    pub(super) unsafe fn new(work: WorkItem, timer: Timer) -> Task {
        let (point, state, job, gate) = (WaitPoint::new(), TaskState::new(), UnsafeCell::new(None), Gate::new());
        Task { point, state, job, gate, work, timer }
    }

    /// From here until [`Task::close`] the task is polled. The device that work item and timer belong to is not deleted
    /// before that.
    pub(super) fn open(&self) {
        self.gate.open();
    }

    /// The end of what [`Task::open`] began. PASSIVE_LEVEL, not from the future.
    pub(super) fn close(&self) {
        gate::shut(&self.gate);
        // SAFETY: work item and timer live at least until the end of this: the word given with `new` and `open`.
        unsafe {
            self.timer.stop();
            self.work.flush();
        }
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
    pub(super) fn start(&self, job: Job) {
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
        if self.is_alive() {
            self.inside(|| {
                // SAFETY: WdfWorkItemEnqueue on a live work item: inside the gate, which is shut before it is deleted.
                unsafe { self.work.enqueue() }
            });
        }
    }

    /// Stops the timer and waits for the work item. PASSIVE_LEVEL, and not from the future.
    pub fn flush(&self) {
        self.inside(|| {
            // SAFETY: WdfTimerStop and WdfWorkItemFlush on live objects: inside the gate, which is shut before they are deleted.
            unsafe {
                self.timer.stop();
                self.work.flush();
            }
        });
    }

    /// Runs `f` while work item and timer are there, and have to stay.
    fn inside(&self, f: impl FnOnce()) {
        if let Some(_inside) = self.gate.enter() {
            f();
        }
    }

    /// Polls the future until nothing is left to do. Called by the work item, whose callback Windows may run twice at once.
    /// Returns whether the future ended.
    pub(super) fn run(&self) -> bool {
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
        let arm = |deadline| {
            self.inside(|| {
                // SAFETY: WdfTimerStart on a live timer: inside the gate, which is shut before it is deleted.
                unsafe { self.timer.start(deadline) }
            });
        };
        self.state.run(&self.point, poll, arm)
    }
}

/// Goes off once, at a time.
pub struct Alarm {
    gate: Gate,
    timer: Timer,
}

impl Alarm {
    /// # Safety
    ///
    /// As for [`Task::new`].
    pub(super) unsafe fn new(timer: Timer) -> Alarm {
        Alarm { gate: Gate::new(), timer }
    }

    /// As [`Task::open`].
    pub(super) fn open(&self) {
        self.gate.open();
    }

    /// As [`Task::close`].
    pub(super) fn close(&self) {
        gate::shut(&self.gate);
        // SAFETY: as in `Task::close`.
        unsafe { self.timer.stop() }
    }

    /// Sets the alarm, instead of what was set before. At most DISPATCH_LEVEL.
    pub fn set(&self, time: Time) {
        if let Some(_inside) = self.gate.enter() {
            // SAFETY: WdfTimerStart on a live timer: inside the gate, which is shut before it is deleted.
            unsafe { self.timer.start(time) }
        }
    }

    /// Unsets the alarm, and waits for what it sets off. PASSIVE_LEVEL.
    pub fn unset(&self) {
        if let Some(_inside) = self.gate.enter() {
            // SAFETY: WdfTimerStop on a live timer: inside the gate, which is shut before it is deleted.
            unsafe { self.timer.stop() }
        }
    }
}
