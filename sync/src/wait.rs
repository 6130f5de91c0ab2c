//! Where a future waits for a wake-up or a time.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll};

use hvpci_core::Time;

use crate::{Atomic, Kernel};

/// No deadline.
const NEVER: u64 = u64::MAX;

/// Where one future waits. Nothing is woken through a `Waker`: whoever signals the point also has the future polled, by
/// the means of the kernel (a work item, an event), and so does a timer at the deadline. Polling for nothing is harmless.
///
/// No signal is lost: it stays until a [`Wait`] takes it, and whoever takes it looks, afterwards, at everything that was
/// done before it was given.
pub struct WaitPoint<K: Kernel> {
    signal: K::Flag,
    /// Until when the waiter wants to wait, in nanoseconds. Written and read only by who polls the future.
    deadline: K::Long,
}

impl<K: Kernel> WaitPoint<K> {
    /// A point that nobody waits at and that is not signalled.
    pub fn new() -> WaitPoint<K> {
        WaitPoint { signal: K::Flag::new(false), deadline: K::Long::new(NEVER) }
    }

    /// Lets the waiter go on: now, if it is polled after this, or when it next waits. Any context.
    pub fn signal(&self) {
        // A swap and not a store: who takes the signal then sees also what was done before earlier signals that this one
        // comes on top of.
        self.signal.swap(true, Ordering::AcqRel);
    }

    /// Waits until signalled or until `deadline`. One wait at a time.
    pub fn wait(&self, deadline: Option<Time>) -> Wait<'_, K> {
        Wait { point: self, deadline }
    }

    /// When the future that waits has to be polled at the latest; `None` while it waits for a signal alone. For who polls
    /// it.
    pub fn deadline(&self) -> Option<Time> {
        let nanos = self.deadline.load(Ordering::Relaxed);
        (nanos != NEVER).then_some(Time::from_nanos(nanos))
    }
}

impl<K: Kernel> Default for WaitPoint<K> {
    fn default() -> Self {
        WaitPoint::new()
    }
}

/// The future of [`WaitPoint::wait`].
pub struct Wait<'a, K: Kernel> {
    point: &'a WaitPoint<K>,
    deadline: Option<Time>,
}

impl<K: Kernel> Future for Wait<'_, K> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let due = || self.deadline.is_some_and(|deadline| deadline <= K::now());
        if self.point.signal.swap(false, Ordering::AcqRel) || due() {
            self.point.deadline.store(NEVER, Ordering::Relaxed);
            return Poll::Ready(());
        }
        self.point.deadline.store(self.deadline.map_or(NEVER, Time::as_nanos), Ordering::Relaxed);
        Poll::Pending
    }
}

impl<K: Kernel> Drop for Wait<'_, K> {
    /// A wait that was given up has no deadline any more.
    fn drop(&mut self) {
        self.point.deadline.store(NEVER, Ordering::Relaxed);
    }
}
