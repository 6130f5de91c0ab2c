//! Boots that wait for a processor. The emulator runs all processors of a machine in one thread, so as many machines as this one
//! has processors run side by side. Most have clocks that count instructions: what they find does not depend on it.

use std::num::NonZero;
use std::sync::Mutex;
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

/// Runs all of them, the longest first so that none is left over alone; the problems found, each with the place of its boot.
pub fn run(sh: &Shell, mut jobs: Vec<Job>) -> Result<Vec<String>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    // what may take longest usually does
    jobs.sort_by_key(|job| std::cmp::Reverse(job.machine.limit()));
    let side_by_side = available_parallelism().map_or(1, NonZero::get).min(MOST).min(jobs.len());
    let waiting = Mutex::new(jobs.iter());
    let directory = sh.current_dir();
    let worker = || -> Result<Vec<Done>> {
        let sh = Shell::new()?;
        sh.change_dir(&directory);
        let mut done = Vec::new();
        loop {
            let next = waiting.lock().map_err(|_| anyhow!("another boot's thread panicked"))?.next();
            let Some(job) = next else { return Ok(done) };
            done.push(one(&sh, job)?);
        }
    };
    let start = Instant::now();
    let done = thread::scope(|scope| -> Result<Vec<Done>> {
        let workers: Vec<_> = (0..side_by_side).map(|_| scope.spawn(worker)).collect();
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().map_err(|_| anyhow!("a boot's thread panicked"))??);
        }
        Ok(done)
    })?;
    let machines: u64 = done.iter().map(|done| done.took.as_secs()).sum();
    eprintln!(
        "  {} boots, {side_by_side} side by side: {machines} s of machines in {} s",
        done.len(),
        start.elapsed().as_secs()
    );
    let named = |done: Done| done.problems.into_iter().map(move |problem| format!("{}: {problem}", done.place));
    Ok(done.into_iter().flat_map(named).collect())
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
