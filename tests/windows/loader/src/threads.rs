//! Threads that are used again: making one costs more than most of what the driver does in it.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that have nothing to do.
static IDLE: Mutex<Vec<Sender<Job>>> = Mutex::new(Vec::new());

/// Runs `job` at once, at the same time as everything else: on a thread that is idle, or on a new one.
pub fn run(name: &str, job: impl FnOnce() + Send + 'static) {
    let mut job: Job = Box::new(job);
    while let Some(idle) = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop() {
        match idle.send(job) {
            Ok(()) => return,
            Err(back) => job = back.0,
        }
    }
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let (sender, receiver) = channel::<Job>();
        let mut next = Some(job);
        while let Some(job) = next {
            job();
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(sender.clone());
            next = receiver.recv().ok();
        }
    });
    assert!(started.is_ok(), "the loader cannot start a thread");
}
