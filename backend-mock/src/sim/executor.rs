//! A deterministic executor over virtual time.
//!
//! Tasks run on the calling thread, in the order in which they became ready. Time stands still while any task can run and
//! then jumps to the earliest timer, so a boot of minutes takes milliseconds and is the same every time.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hvpci_core::Time;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The virtual clock. Clones share it.
#[derive(Clone, Default)]
pub struct Clock {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    now: Time,
    /// Sleepers by the time they want, then by the order in which they asked.
    timers: BTreeMap<(Time, u64), Waker>,
    next_timer: u64,
    ready: VecDeque<usize>,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The virtual time now.
    pub fn now(&self) -> Time {
        self.lock().now
    }

    /// A future that completes when virtual time has reached `deadline`.
    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep { clock: self.clone(), deadline, timer: None }
    }
}

/// See [`Clock::sleep_until`].
pub struct Sleep {
    clock: Clock,
    deadline: Time,
    timer: Option<(Time, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (clock, deadline) = (self.clock.clone(), self.deadline);
        let mut shared = clock.lock();
        if let Some(timer) = self.timer.take() {
            shared.timers.remove(&timer);
        }
        if shared.now >= deadline {
            return Poll::Ready(());
        }
        let timer = (deadline, shared.next_timer);
        shared.next_timer += 1;
        shared.timers.insert(timer, context.waker().clone());
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.clock.lock().timers.remove(&timer);
        }
    }
}

struct TaskWaker {
    clock: Clock,
    task: usize,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut shared = self.clock.lock();
        if !shared.ready.contains(&self.task) {
            shared.ready.push_back(self.task);
        }
    }
}

/// More polls than this at one moment of virtual time are no progress.
const MOST_POLLS: u32 = 1_000_000;

/// A future that lets the other tasks run once.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Why a run ended without its last task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// Every task waits and no timer is left: nothing can ever happen again.
    Deadlock,
    /// Virtual time would have passed the limit.
    TimeLimit,
    /// Tasks wake each other without end and virtual time does not move.
    Livelock,
}

/// Runs tasks on a [`Clock`].
#[derive(Default)]
pub struct Executor {
    clock: Clock,
    tasks: Vec<Option<Task>>,
}

impl Executor {
    /// An executor without tasks whose clock shows `now`.
    pub fn at(now: Time) -> Executor {
        let executor = Executor::default();
        executor.clock.lock().now = now;
        executor
    }

    /// The executor's clock.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Adds a task; it first runs in the next [`Executor::run`].
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.clock.lock().ready.push_back(self.tasks.len());
        self.tasks.push(Some(Box::pin(task)));
    }

    /// Runs until every task is done. `advance` is told of each new time before tasks run at it.
    pub fn run(&mut self, limit: Time, advance: impl FnMut(Time)) -> Result<(), Stall> {
        self.run_while(limit, advance, |left| left > 0)
    }

    /// Runs until `task` is done, and leaves the others where they are then.
    pub fn run_task<T: 'static>(&mut self, limit: Time, task: impl Future<Output = T> + 'static) -> Result<T, Stall> {
        let result = Rc::new(Cell::new(None));
        let (written, done) = (result.clone(), Rc::new(Cell::new(false)));
        let finished = done.clone();
        self.spawn(async move {
            written.set(Some(task.await));
            finished.set(true);
        });
        self.run_while(limit, |_| {}, |_| !done.get())?;
        result.take().ok_or(Stall::Deadlock)
    }

    fn run_while(
        &mut self,
        limit: Time,
        mut advance: impl FnMut(Time),
        mut goes_on: impl FnMut(usize) -> bool,
    ) -> Result<(), Stall> {
        let mut left = self.tasks.iter().flatten().count();
        let mut polls = 0;
        while goes_on(left) {
            let next = self.clock.lock().ready.pop_front();
            let Some(task) = next else {
                advance(self.advance(limit)?);
                polls = 0;
                continue;
            };
            polls += 1;
            if polls > MOST_POLLS {
                return Err(Stall::Livelock);
            }
            let Some(place) = self.tasks.get_mut(task) else { continue };
            let Some(mut future) = place.take() else { continue };
            let waker = Waker::from(Arc::new(TaskWaker { clock: self.clock.clone(), task }));
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(()) => left -= 1,
                Poll::Pending => *place = Some(future),
            }
        }
        Ok(())
    }

    /// Jumps to the earliest timer and wakes everyone who wanted that time.
    fn advance(&self, limit: Time) -> Result<Time, Stall> {
        let mut shared = self.clock.lock();
        let Some((&(now, _), _)) = shared.timers.first_key_value() else { return Err(Stall::Deadlock) };
        if now > limit {
            return Err(Stall::TimeLimit);
        }
        shared.now = now;
        let mut due = Vec::new();
        while let Some(entry) = shared.timers.first_entry().filter(|e| e.key().0 == now) {
            due.push(entry.remove());
        }
        drop(shared);
        due.into_iter().for_each(Waker::wake);
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn seconds(s: u64) -> Time {
        Time::from_nanos(s * 1_000_000_000)
    }

    #[test]
    fn sleepers_wake_in_order_of_time_then_of_asking() {
        let mut executor = Executor::default();
        let log = Rc::new(RefCell::new(Vec::new()));
        for (name, at) in [("c", 3), ("a", 1), ("b", 1)] {
            let (clock, log) = (executor.clock(), log.clone());
            executor.spawn(async move {
                clock.sleep_until(seconds(at)).await;
                log.borrow_mut().push((name, clock.now()));
            });
        }
        assert_eq!(executor.run(seconds(10), |_| {}), Ok(()));
        assert_eq!(*log.borrow(), [("a", seconds(1)), ("b", seconds(1)), ("c", seconds(3))]);
    }

    #[test]
    fn one_task_is_waited_for_and_the_others_go_on_later() {
        let mut executor = Executor::default();
        let (clock, log) = (executor.clock(), Rc::new(RefCell::new(Vec::new())));
        let (slow, written) = (clock.clone(), log.clone());
        executor.spawn(async move {
            slow.sleep_until(seconds(5)).await;
            written.borrow_mut().push(slow.now());
        });
        let quick = clock.clone();
        let answer = executor.run_task(seconds(10), async move {
            quick.sleep_until(seconds(1)).await;
            42
        });
        assert_eq!((answer, clock.now(), log.borrow().len()), (Ok(42), seconds(1), 0));
        assert_eq!(executor.run(seconds(10), |_| {}), Ok(()));
        assert_eq!(*log.borrow(), [seconds(5)]);
    }

    #[test]
    fn a_run_that_cannot_end_says_so() {
        let mut executor = Executor::default();
        executor.spawn(std::future::pending());
        assert_eq!(executor.run(seconds(1), |_| {}), Err(Stall::Deadlock));

        let mut executor = Executor::default();
        executor.spawn(async {
            loop {
                yield_now().await;
            }
        });
        assert_eq!(executor.run(seconds(1), |_| {}), Err(Stall::Livelock));

        let mut executor = Executor::default();
        let clock = executor.clock();
        executor.spawn(async move { clock.sleep_until(seconds(2)).await });
        assert_eq!(executor.run(seconds(1), |_| {}), Err(Stall::TimeLimit));
    }
}
