//! Futures on work items, as the backends have them: worker threads, a queue of work items, and timers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use hvpci_core::Time;
use hvpci_sync::{Event as _, TaskState, WaitPoint};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, Ordering};

use crate::board::{Event, NEVER, Shuttle, now};
use crate::defect::Defect;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future and its work item.
pub struct Task {
    /// Where the future waits.
    pub point: WaitPoint<Shuttle>,
    state: TaskState<Shuttle>,
    job: Mutex<Option<Job>>,
    timer: Mutex<Option<Time>>,
}

impl Task {
    fn new() -> Task {
        Task { point: WaitPoint::new(), state: TaskState::new(), job: Mutex::new(None), timer: Mutex::new(None) }
    }

    /// Whether the future has not ended.
    pub fn is_alive(&self) -> bool {
        self.state.is_alive()
    }

    fn with_job<R>(&self, f: impl FnOnce(&mut Option<Job>) -> R) -> R {
        f(&mut self.job.try_lock().expect("two are at one future"))
    }
}

/// The tasks of a bus, their queue and their timers.
pub struct Workers {
    tasks: [Task; 2],
    queue: Mutex<Queue>,
    /// One for each worker thread, and one for the timer's.
    idle: Vec<Event>,
    timer: Event,
    ended: AtomicBool,
    defect: Option<Defect>,
    /// Whether a work item may run on two threads at once (Windows) or not (Linux).
    overlap: bool,
}

#[derive(Default)]
struct Queue {
    queued: [bool; 2],
    running: [usize; 2],
}

/// The pump's task.
pub const PUMP: usize = 0;
/// The publisher's task.
pub const PUBLISHER: usize = 1;

impl Workers {
    /// Two tasks without futures, for `threads` worker threads.
    pub fn new(threads: usize, overlap: bool, defect: Option<Defect>) -> Workers {
        Workers {
            tasks: [Task::new(), Task::new()],
            queue: Mutex::default(),
            idle: (0..threads).map(|_| Event::new()).collect(),
            timer: Event::new(),
            ended: AtomicBool::new(false),
            defect,
            overlap,
        }
    }

    /// One of the tasks.
    pub fn task(&self, task: usize) -> &Task {
        &self.tasks[task]
    }

    /// Starts a future, unless one runs.
    pub fn start(&self, task: usize, job: impl Future<Output = ()> + Send + 'static) {
        let place = &self.tasks[task];
        place.state.start(|| place.with_job(|place| *place = Some(Box::pin(job))));
        self.poll_soon(task);
    }

    /// Queues a task's work item.
    pub fn poll_soon(&self, task: usize) {
        if !self.tasks[task].is_alive() {
            return;
        }
        let mut queue = self.queue.lock().unwrap();
        if self.defect == Some(Defect::DeafWhileRunning) && queue.running[task] > 0 {
            return;
        }
        queue.queued[task] = true;
        drop(queue);
        self.idle.iter().for_each(Event::set);
    }

    /// A worker thread.
    pub fn work(&self, worker: usize, ended: impl Fn()) {
        while !self.ended.load(Ordering::SeqCst) {
            let mut queue = self.queue.lock().unwrap();
            let next = (0..2).find(|at| queue.queued[*at] && (self.overlap || queue.running[*at] == 0));
            let Some(next) = next else {
                drop(queue);
                self.idle[worker].wait(NEVER);
                continue;
            };
            queue.queued[next] = false;
            queue.running[next] += 1;
            drop(queue);
            if self.run(next) {
                ended();
            }
            self.queue.lock().unwrap().running[next] -= 1;
            self.idle.iter().for_each(Event::set);
        }
    }

    fn run(&self, task: usize) -> bool {
        let place = &self.tasks[task];
        let poll = || {
            place.with_job(|job| {
                let future = job.as_mut().expect("a task that is not over has a future");
                let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if polled.is_ready() {
                    *job = None;
                }
                polled
            })
        };
        let arm = |at| {
            *place.timer.lock().unwrap() = Some(at);
            self.timer.set();
        };
        place.state.run(&place.point, poll, arm)
    }

    /// The thread of the timers.
    pub fn time(&self) {
        while !self.ended.load(Ordering::SeqCst) {
            for (at, task) in self.tasks.iter().enumerate() {
                let due = task.timer.lock().unwrap().take_if(|due| *due <= now());
                if due.is_some() {
                    self.poll_soon(at);
                }
            }
            let next = self.tasks.iter().filter_map(|task| *task.timer.lock().unwrap()).min();
            self.timer.wait(next.unwrap_or(NEVER));
        }
    }

    /// Has all threads end.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.idle.iter().for_each(Event::set);
        self.timer.set();
    }
}
