//! Boots that wait for a processor. The emulator runs all processors of a machine in one thread, so as many machines as this one
//! has processors run side by side. Most have clocks that count instructions: what they find does not depend on it.

use std::cmp::Reverse;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use xshell::Shell;

use super::machine::{Log, Machine};

/// Machines at a time, at most: each has a gigabyte of memory.
const MOST: usize = 8;

/// What is made of a log: the lines that a person sees, and the problems found.
#[derive(Default)]
pub struct Verdict {
    pub lines: Vec<String>,
    pub problems: Vec<String>,
}

/// A machine, what runs on it, and who judges it.
pub struct Job {
    pub machine: Machine,
    /// Functions of `tests/linux/guest/case-*.sh` with their arguments.
    pub lines: Vec<String>,
    pub judge: Box<dyn Fn(&Log) -> Verdict + Send + Sync>,
}

/// How a job went.
struct Done {
    place: String,
    took: Duration,
    problems: Vec<String>,
}

/// Boots that are still to be run, and whether more may come.
#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    complete: bool,
}

/// Where jobs are put as soon as they can run.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

impl Queue {
    /// Has jobs run, beside whatever the caller does next.
    pub fn add(&self, jobs: Vec<Job>) {
        self.waiting().jobs.extend(jobs);
        self.more.notify_all();
    }

    /// No more jobs come; with `dropped` those that wait are not run either.
    fn complete(&self, dropped: bool) {
        let mut waiting = self.waiting();
        waiting.complete = true;
        if dropped {
            waiting.jobs.clear();
        }
        self.more.notify_all();
    }

    /// The job that may take longest, and so usually does: none of those is to be left over alone. Of equals, the first that was
    /// added. `None` when all have been run.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        loop {
            let limits = waiting.jobs.iter().map(|job| job.machine.limit()).enumerate();
            match limits.min_by_key(|(_, limit)| Reverse(*limit)) {
                Some((at, _)) => return Some(waiting.jobs.remove(at)),
                None if waiting.complete => return None,
                None => waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what `fill` puts into a queue, while `fill` is at it; the problems found, each with the place of its boot, after those
/// that `fill` found. When `fill` fails, only the boots that have begun are waited for.
pub fn run(sh: &Shell, fill: impl FnOnce(&Queue) -> Result<Vec<String>>) -> Result<Vec<String>> {
    let side_by_side = available_parallelism().map_or(1, NonZero::get).min(MOST);
    let queue = Queue::default();
    let directory = sh.current_dir();
    let worker = || -> Result<Vec<Done>> {
        let sh = Shell::new()?;
        sh.change_dir(&directory);
        let mut done = Vec::new();
        while let Some(job) = queue.next() {
            done.push(one(&sh, &job)?);
        }
        Ok(done)
    };
    let start = Instant::now();
    let (mut problems, done) = thread::scope(|scope| -> Result<(Vec<String>, Vec<Done>)> {
        let workers: Vec<_> = (0..side_by_side).map(|_| scope.spawn(worker)).collect();
        let filled = fill(&queue);
        queue.complete(filled.is_err());
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().map_err(|_| anyhow!("a boot's thread panicked"))??);
        }
        Ok((filled?, done))
    })?;
    if !done.is_empty() {
        let machines: u64 = done.iter().map(|done| done.took.as_secs()).sum();
        eprintln!(
            "  {} boots, {side_by_side} side by side: {machines} s of machines within {} s",
            done.len(),
            start.elapsed().as_secs()
        );
    }
    let named = |done: Done| done.problems.into_iter().map(move |problem| format!("{}: {problem}", done.place));
    problems.extend(done.into_iter().flat_map(named));
    Ok(problems)
}

fn one(sh: &Shell, job: &Job) -> Result<Done> {
    let start = Instant::now();
    let place = job.machine.place();
    let log = job.machine.boot(sh, &job.lines.join("\n"))?;
    let mut verdict = (job.judge)(&log);
    if !verdict.problems.is_empty() {
        verdict.problems.push(format!("the whole of it: {}", log.file.display()));
    }
    let took = start.elapsed();
    // in one piece: others print, too
    let mut said = format!("  {place}: {} s, {} problems\n", took.as_secs(), verdict.problems.len());
    for line in verdict.lines.iter().chain(&verdict.problems) {
        said.push_str(&format!("    {line}\n"));
    }
    eprint!("{said}");
    Ok(Done { place, took, problems: verdict.problems })
}
