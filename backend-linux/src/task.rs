//! The executor: two futures per bus, each polled by a work item of its own. What several threads touch at once is in
//! hvpci-sync.
//!
//! Nothing is woken through a `Waker`: whoever wakes a bus has the shim run both work items, and a future that waits looks
//! at its flag and its deadline. Being polled for nothing is harmless.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use core::task::{Context, Poll, Waker};

use hvpci_core::backend::Waiter;
use hvpci_core::{Time, driver};
use hvpci_sync::{Kernel, TaskState};

use crate::bus::LinuxBus;
use crate::ffi;
use crate::memory::try_box;

/// This kernel's atomics and clock.
pub struct Linux;

impl Kernel for Linux {
    type Flag = AtomicBool;
    type Byte = AtomicU8;
    type Long = AtomicU64;

    fn now() -> Time {
        Time::from_nanos(ffi::hvpci_shim_now())
    }
}

/// Where one waiter waits.
pub type WaitPoint = hvpci_sync::WaitPoint<Linux>;

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// `HVPCI_OVER`
const OVER: u64 = u64::MAX;
/// `HVPCI_IDLE`
const IDLE: u64 = u64::MAX - 1;
/// How soon a full ring is tried again, in nanoseconds.
const RING_RETRY: u64 = 2_000_000;

/// One of the two.
pub struct Task {
    /// Where the future waits.
    pub point: WaitPoint,
    state: TaskState<Linux>,
    job: UnsafeCell<Option<Job>>,
}

// SAFETY: `job` is reached from within `TaskState::start` and `TaskState::run`, which let one thread in at a time, and by
// who frees the bus.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Task {
    /// A task without a future.
    pub fn new() -> Task {
        Task { point: WaitPoint::new(), state: TaskState::new(), job: UnsafeCell::new(None) }
    }

    fn start(&self, job: Box<dyn Future<Output = ()>>) {
        // SAFETY: from within `TaskState::start`.
        self.state.start(|| unsafe { *self.job.get() = Some(Box::into_pin(job)) });
    }

    /// Drops the future. For who frees the bus: nobody else uses it any more.
    pub fn clear(&mut self) {
        *self.job.get_mut() = None;
    }

    /// Polls the future; returns what `hvpci_rs_pump` promises. `full`: whether the ring was full, when it is asked, and so
    /// has to be tried again soon.
    pub fn run(&self, mut full: impl FnMut() -> bool) -> u64 {
        let mut next = IDLE;
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
        let arm = |deadline: Time| next = deadline.as_nanos().saturating_sub(ffi::hvpci_shim_now()).min(IDLE - 1);
        self.state.run(&self.point, poll, arm);
        if !self.state.is_alive() {
            return OVER;
        }
        if full() {
            self.point.signal();
            next = next.min(RING_RETRY);
        }
        next
    }
}

/// Gives a bus its two futures. `false` without memory.
pub fn prepare(bus: &'static LinuxBus) -> bool {
    let (Some(pump), Some(publisher)) = (try_box(driver::pump(bus)), try_box(driver::publisher(bus))) else {
        return false;
    };
    bus.pump.start(pump);
    bus.publisher.start(publisher);
    true
}

/// What [`hvpci_core::backend::Platform::wait`] does.
pub async fn wait(bus: &LinuxBus, waiter: Waiter, deadline: Option<Time>) {
    let point = match waiter {
        Waiter::Pump => &bus.pump.point,
        Waiter::Publisher => &bus.publisher.point,
        Waiter::Function(_) => &bus.callers,
    };
    point.wait(deadline).await;
}
