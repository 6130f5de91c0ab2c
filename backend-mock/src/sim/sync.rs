//! What tasks wait on besides time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A flag that one task waits for and anyone sets. Setting it twice before the wait is setting it once.
#[derive(Default)]
pub struct Signal {
    state: Mutex<(bool, Option<Waker>)>,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, (bool, Option<Waker>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the flag and wakes the waiter.
    pub fn set(&self) {
        let waker = {
            let mut state = self.lock();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the flag is set, and clears it.
    pub async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if std::mem::take(&mut state.0) {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A lock held across waits, granted in the order of asking: what Linux's `pci_rescan_remove_lock` does to bring-up.
#[derive(Clone, Default)]
pub struct FairLock {
    state: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    next: u64,
    serving: u64,
    waiting: VecDeque<(u64, Waker)>,
}

impl FairLock {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lock; it is given back when the guard is dropped.
    pub async fn lock(&self) -> FairGuard {
        let ticket = {
            let mut queue = self.queue();
            queue.next += 1;
            queue.next - 1
        };
        poll_fn(|context| {
            let mut queue = self.queue();
            if queue.serving == ticket {
                return Poll::Ready(());
            }
            queue.waiting.retain(|(t, _)| *t != ticket);
            queue.waiting.push_back((ticket, context.waker().clone()));
            Poll::Pending
        })
        .await;
        FairGuard { lock: self.clone() }
    }
}

/// See [`FairLock::lock`].
pub struct FairGuard {
    lock: FairLock,
}

impl Drop for FairGuard {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.lock.queue();
            queue.serving += 1;
            let serving = queue.serving;
            queue.waiting.iter().position(|(t, _)| *t == serving).and_then(|at| queue.waiting.remove(at))
        };
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::executor::Executor;
    use super::*;
    use hvpci_core::Time;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn the_lock_serves_in_order_and_nobody_twice() {
        let mut executor = Executor::default();
        let (lock, log) = (FairLock::default(), Rc::new(RefCell::new(Vec::new())));
        for name in 0..3u64 {
            let (clock, lock, log) = (executor.clock(), lock.clone(), log.clone());
            executor.spawn(async move {
                let _guard = lock.lock().await;
                log.borrow_mut().push((name, clock.now().as_nanos()));
                clock.sleep_until(Time::from_nanos(clock.now().as_nanos() + 10)).await;
            });
        }
        assert_eq!(executor.run(Time::from_nanos(100), |_| {}), Ok(()));
        assert_eq!(*log.borrow(), [(0, 0), (1, 10), (2, 20)]);
    }

    #[test]
    fn a_signal_set_before_the_wait_is_not_lost() {
        let mut executor = Executor::default();
        let signal = Arc::new(Signal::default());
        signal.set();
        signal.set();
        let waiting = signal.clone();
        executor.spawn(async move { waiting.wait().await });
        assert_eq!(executor.run(Time::ZERO, |_| {}), Ok(()));
    }
}
