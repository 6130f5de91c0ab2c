//! Threads that block.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use hvpci_core::Time;

use crate::{Kernel, WaitPoint};

/// An event of the kernel that one thread waits for and that resets itself when it has let the thread go on.
pub trait Event {
    /// An event that is not usable before [`Event::initialise`].
    fn new() -> Self;

    /// Makes the event usable, at the place where it stays. Any context.
    fn initialise(&self);

    /// Lets the waiting thread go on, or the next one that waits. Any context.
    fn set(&self);

    /// Waits until the event is set or the time has come. Sleepable.
    fn wait(&self, until: Time);
}

/// A [`WaitPoint`] for a thread that blocks.
pub struct BlockPoint<K: Kernel, E> {
    /// Where the future waits.
    pub point: WaitPoint<K>,
    event: E,
}

impl<K: Kernel, E: Event> BlockPoint<K, E> {
    /// A point that must be [`BlockPoint::initialise`]d where it stays.
    pub fn new() -> BlockPoint<K, E> {
        BlockPoint { point: WaitPoint::new(), event: E::new() }
    }

    /// Makes the point usable.
    pub fn initialise(&self) {
        self.event.initialise();
    }

    /// The event that the thread waits for.
    pub fn event(&self) -> &E {
        &self.event
    }

    /// Wakes the thread. Any context.
    pub fn wake(&self) {
        // In this order: the thread that the event lets go on looks for the signal.
        self.point.signal();
        self.event.set();
    }

    /// Runs a future that waits at this point to its end, or until `limit`, which it is polled at once more. Sleepable.
    pub fn block_on<T>(&self, mut future: Pin<&mut impl Future<Output = T>>, limit: Time) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            // Before the look, so that the last look is not before the limit.
            let late = K::now() >= limit;
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            if late {
                return None;
            }
            self.event.wait(self.point.deadline().map_or(limit, |deadline| deadline.min(limit)));
        }
    }
}

impl<K: Kernel, E: Event> Default for BlockPoint<K, E> {
    fn default() -> Self {
        BlockPoint::new()
    }
}
