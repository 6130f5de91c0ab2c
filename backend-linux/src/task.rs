//! The executor: two futures per bus, each polled by a work item of its own.
//!
//! Nothing is woken through a `Waker`: whoever wakes a bus has the shim run both work items, and a future that waits looks
//! at its flag and its deadline. Being polled for nothing is harmless.

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll, Waker};

use hvpci_core::backend::Waiter;
use hvpci_core::{Time, driver};

use crate::bus::{LinuxBus, NEVER};
use crate::ffi;
use crate::memory::try_box;

/// One of the two.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// `HVPCI_OVER`
const OVER: u64 = u64::MAX;
/// `HVPCI_IDLE`
const IDLE: u64 = u64::MAX - 1;
/// How soon a full ring is tried again, in nanoseconds.
const RING_RETRY: u64 = 2_000_000;

/// The place of a waiter in the bus's tables.
pub const fn place(waiter: Waiter) -> usize {
    match waiter {
        Waiter::Pump => 0,
        Waiter::Publisher => 1,
        Waiter::Function(_) => 2,
    }
}

/// Makes the two futures. `false` without memory.
pub fn prepare(bus: &'static LinuxBus) -> bool {
    let (Some(pump), Some(publisher)) = (try_box(driver::pump(bus)), try_box(driver::publisher(bus))) else {
        return false;
    };
    // SAFETY: no worker runs before the bus is started.
    unsafe {
        *bus.pump.get() = Some(Box::into_pin(pump as Box<dyn Future<Output = ()>>));
        *bus.publisher.get() = Some(Box::into_pin(publisher as Box<dyn Future<Output = ()>>));
    }
    true
}

/// Polls one of the two; returns what `hvpci_rs_pump` promises.
///
/// # Safety
///
/// `task` is touched by nobody else meanwhile.
pub unsafe fn poll(bus: &LinuxBus, waiter: Waiter, task: *mut Option<Task>) -> u64 {
    // SAFETY: the caller is alone with it.
    let slot = unsafe { &mut *task };
    let Some(future) = slot.as_mut() else { return OVER };
    let mut context = Context::from_waker(Waker::noop());
    if future.as_mut().poll(&mut context).is_ready() {
        *slot = None;
        return OVER;
    }
    let now = ffi::hvpci_shim_now();
    let mut next = match bus.deadlines.get(place(waiter)).map_or(NEVER, |d| d.load(Ordering::Acquire)) {
        NEVER => IDLE,
        deadline => deadline.saturating_sub(now).min(IDLE - 1),
    };
    if waiter == Waiter::Pump && bus.take_full() {
        if let Some(woken) = bus.woken.get(place(waiter)) {
            woken.store(true, Ordering::Release);
        }
        next = next.min(RING_RETRY);
    }
    next
}

/// What [`hvpci_core::backend::Platform::wait`] does.
pub async fn wait(bus: &LinuxBus, waiter: Waiter, deadline: Option<Time>) {
    let (Some(woken), Some(place)) = (bus.woken.get(place(waiter)), bus.deadlines.get(place(waiter))) else { return };
    let deadline = deadline.map_or(NEVER, Time::as_nanos);
    place.store(deadline, Ordering::Release);
    core::future::poll_fn(|_| {
        let expired = deadline != NEVER && ffi::hvpci_shim_now() >= deadline;
        if woken.swap(false, Ordering::AcqRel) || expired { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    place.store(NEVER, Ordering::Release);
}
