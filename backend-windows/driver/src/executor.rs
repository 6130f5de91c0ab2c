//! Runs the two futures of a bus on work items, and blocks PnP callbacks on futures of their own.

use core::cell::UnsafeCell;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};

use hvpci_core::Time;
use wdk_sys::NTSTATUS;

use crate::memory::Boxed;
use crate::sys::event::Event;
use crate::sys::nt;
use crate::sys::work::{Timer, WorkItem};

const NEVER: u64 = u64::MAX;

/// Where one waiter waits: `Platform::wake` signals it.
pub struct WaitPoint {
    signal: AtomicBool,
    /// Until when the waiter wants to wait, in nanoseconds.
    deadline: AtomicU64,
}

impl WaitPoint {
    /// A point that nobody waits at.
    pub fn new() -> WaitPoint {
        WaitPoint { signal: AtomicBool::new(false), deadline: AtomicU64::new(NEVER) }
    }

    /// Lets the waiter go on, now or when it next waits. Any IRQL.
    pub fn signal(&self) {
        self.signal.store(true, Ordering::SeqCst);
    }

    /// Waits until signalled or until `deadline`.
    pub fn wait(&self, deadline: Option<Time>) -> Wait<'_> {
        Wait { point: self, deadline }
    }

    fn deadline(&self) -> Option<Time> {
        let nanos = self.deadline.load(Ordering::SeqCst);
        (nanos != NEVER).then_some(Time::from_nanos(nanos))
    }
}

/// The future of [`WaitPoint::wait`]. Whoever polls it polls again after a signal and at the deadline.
pub struct Wait<'a> {
    point: &'a WaitPoint,
    deadline: Option<Time>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let due = || self.deadline.is_some_and(|deadline| deadline <= nt::now());
        if self.point.signal.swap(false, Ordering::SeqCst) || due() {
            self.point.deadline.store(NEVER, Ordering::SeqCst);
            return Poll::Ready(());
        }
        self.point.deadline.store(self.deadline.map_or(NEVER, Time::as_nanos), Ordering::SeqCst);
        Poll::Pending
    }
}

type Job = Boxed<'static, ()>;

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
/// Somebody asked for another poll during this one.
const AGAIN: u8 = 2;

/// A future polled by a work item at PASSIVE_LEVEL.
pub struct Task {
    /// Where the future waits.
    pub point: WaitPoint,
    state: AtomicU8,
    alive: AtomicBool,
    job: UnsafeCell<Option<Job>>,
    work: Option<(WorkItem, Timer)>,
    /// Who waits for the future's end.
    ended: *const BlockPoint,
}

// SAFETY: the pointer names a part of the same bus, whose parts go together.
unsafe impl Send for Task {}
// SAFETY: `job` is reached by whoever brought `state` from IDLE to RUNNING only.
unsafe impl Sync for Task {}

impl Task {
    /// A task without its work item and timer.
    pub fn new() -> Task {
        Task {
            point: WaitPoint::new(),
            state: AtomicU8::new(IDLE),
            alive: AtomicBool::new(false),
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
        self.alive.load(Ordering::SeqCst)
    }

    /// Starts a future, where none is running. PASSIVE_LEVEL.
    pub fn start(&self, job: Job) {
        while self.state.compare_exchange(IDLE, RUNNING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            core::hint::spin_loop();
        }
        // SAFETY: this thread brought the state to RUNNING.
        unsafe { *self.job.get() = Some(job) };
        self.alive.store(true, Ordering::SeqCst);
        self.state.store(IDLE, Ordering::SeqCst);
        self.poll_soon();
    }

    /// Lets the future rest for good. It is dropped with the task.
    pub fn abandon(&self) {
        self.alive.store(false, Ordering::SeqCst);
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

    /// Polls the future until nothing is left to do. Called by the work item. Windows may run two work item callbacks at
    /// once: the second only leaves word.
    pub fn run(&self) {
        loop {
            match self.state.compare_exchange(IDLE, RUNNING, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => break,
                Err(AGAIN) => return,
                Err(_) => {
                    if self.state.compare_exchange(RUNNING, AGAIN, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                        return;
                    }
                }
            }
        }
        loop {
            self.poll_once();
            if self.state.compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return;
            }
            self.state.store(RUNNING, Ordering::SeqCst);
        }
    }

    fn poll_once(&self) {
        // SAFETY: this thread brought the state to RUNNING.
        let job = unsafe { &mut *self.job.get() };
        let Some(future) = job else { return };
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            *job = None;
            self.alive.store(false, Ordering::SeqCst);
            // SAFETY: null, or a point that goes no sooner than the task.
            unsafe { self.ended.as_ref() }.into_iter().for_each(BlockPoint::wake);
        } else if let (Some(deadline), Some((_, timer))) = (self.point.deadline(), &self.work) {
            timer.start(deadline);
        }
    }
}

/// A [`WaitPoint`] for a thread that blocks.
pub struct BlockPoint {
    /// Where the future waits.
    pub point: WaitPoint,
    event: Event,
}

impl BlockPoint {
    /// A point that must be [`BlockPoint::initialise`]d where it stays.
    pub fn new() -> BlockPoint {
        BlockPoint { point: WaitPoint::new(), event: Event::new() }
    }

    /// Makes the point usable.
    pub fn initialise(&self) {
        self.event.initialise();
    }

    /// Wakes the thread. At most DISPATCH_LEVEL.
    pub fn wake(&self) {
        self.point.signal();
        self.event.set();
    }

    /// Runs a future that waits at this point to its end, or until `limit`. PASSIVE_LEVEL.
    pub fn block_on<T>(&self, mut future: Pin<&mut impl Future<Output = T>>, limit: Time) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            if nt::now() >= limit {
                return None;
            }
            self.event.wait(self.point.deadline().map_or(limit, |deadline| deadline.min(limit)));
        }
    }
}
