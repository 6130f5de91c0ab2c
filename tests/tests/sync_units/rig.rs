//! A task as a backend has it: a future, its state, its wait point and its work item.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Waker};

use hvpci_core::Time;
use hvpci_sync::{TaskState, WaitPoint};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};

use crate::kernel::Checked;
use crate::queue::WorkItem;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The task.
pub struct Rig<const FAULT: u8> {
    pub point: Arc<WaitPoint<Checked<FAULT>>>,
    pub state: TaskState<Checked<FAULT>>,
    pub work: WorkItem,
    /// What the timer is set to.
    pub timer: AtomicU64,
    /// A defect: the timer is set after the turn was given up.
    pub late: bool,
    /// Stands for where a backend keeps the future: loom notes who is in it, and in which order with others.
    place: UnsafeCell<()>,
    /// The future itself. Never waited for.
    job: Mutex<Option<Job>>,
}

impl<const FAULT: u8> Rig<FAULT> {
    pub fn new(point: Arc<WaitPoint<Checked<FAULT>>>, work: WorkItem) -> Self {
        Rig {
            point,
            state: TaskState::new(),
            work,
            timer: AtomicU64::new(u64::MAX),
            late: false,
            place: UnsafeCell::new(()),
            job: Mutex::new(None),
        }
    }

    /// Runs `f` on the future, in which nobody else may be.
    fn with_job<R>(&self, f: impl FnOnce(&mut Option<Job>) -> R) -> R {
        self.place.with_mut(|_| f(&mut self.job.try_lock().expect("two are at the future")))
    }

    pub fn start(&self, job: impl Future<Output = ()> + Send + 'static) -> bool {
        self.state.start(|| self.with_job(|place| *place = Some(Box::pin(job))))
    }

    pub fn run(&self) {
        let mut noted = None;
        let poll = || {
            self.with_job(|place| {
                let job = place.as_mut().expect("a task that is not over has a future");
                let polled = job.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if polled.is_ready() {
                    *place = None;
                }
                polled
            })
        };
        let arm = |at: Time| {
            if self.late {
                noted = Some(at.as_nanos());
            } else {
                self.timer.store(at.as_nanos(), Ordering::Relaxed);
            }
        };
        self.state.run(&self.point, poll, arm);
        if let Some(at) = noted {
            self.timer.store(at, Ordering::Relaxed);
        }
    }

    pub fn poll_soon(&self) {
        if self.state.is_alive() {
            self.work.enqueue(|| self.run());
        }
    }

    /// What `Platform::wake` does.
    pub fn wake(&self) {
        self.point.signal();
        self.poll_soon();
    }
}
