//! What is run on each machine, and what must come out.

mod debug;
mod endurance;
mod judge;
mod plan;
mod seeded;

use anyhow::{Result, bail};
use xshell::Shell;

use super::figures;
use super::kernel::Series;
use super::machine::{Clock, Log, Machine};
use super::queue::{Job, Verdict};
use super::results::{self, Case};
use judge::{fewer_traps, judge};
pub use plan::{Boot, Check, Driver, drivers};

/// Every name that a boot of some machine has.
pub const BOOTS: [&str; 19] = [
    "lanes",
    "power",
    "ram",
    "messages",
    "hostile",
    "identity",
    "holders",
    "cycles",
    "silent",
    "figures",
    "seeded",
    "levels of sleep",
    "lies and silence",
    "allocations that fail",
    "allocations that fail in load and removal",
    "quarter 1 of the allocations that fail in bring-up",
    "quarter 2 of the allocations that fail in bring-up",
    "quarter 3 of the allocations that fail in bring-up",
    "quarter 4 of the allocations that fail in bring-up",
];

/// The boots of a machine, all or those of some names. `more` are those that take long on a debug kernel, and those of 6.1 with
/// several processors that both its machine of one and 6.12's of four have: there the clock is the emulator's own, and
/// every wait of a case takes its time.
pub fn jobs(sh: &Shell, machine: &Machine, only: &[String], more: bool) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    if machine.kernel.series == Series::Debug {
        jobs.push(seeded::job(machine));
        if machine.modules.ours.is_some() {
            jobs.extend(debug::boots(more).into_iter().map(|(cpus, boot)| job(&machine.clone().with_cpus(cpus), boot)));
        }
    } else {
        let left_out = !more && !machine.can_count();
        let boots = plan::stock_kernel(machine).into_iter().filter(|boot| !left_out || boot.name == "lanes");
        jobs.extend(boots.map(|boot| job(machine, boot)));
        jobs.extend(figures::gate(sh, machine)?);
    }
    if let Some(job) = jobs.iter().find(|job| !BOOTS.contains(&job.machine.name())) {
        bail!("{} is a boot that cases::BOOTS does not name", job.machine.name());
    }
    jobs.retain(|job| only.is_empty() || only.iter().any(|only| only == job.machine.name()));
    Ok(jobs)
}

fn job(machine: &Machine, boot: Boot) -> Job {
    let clock = if machine.can_count() { boot.clock } else { Clock::Real };
    let machine = machine.clone().named(boot.name).with(boot.limit, boot.arguments);
    Job {
        machine: machine.emulated(boot.emulator).clocked(clock),
        lines: boot.checks.iter().map(|check| check.line.clone()).collect(),
        judge: Box::new(move |log| verdict(&boot.checks, log, clock)),
    }
}

/// What the lanes' judge makes of it.
pub fn verdict(checks: &[Check], log: &Log, clock: Clock) -> Verdict {
    let cases = results::parse(&log.text);
    let mut verdict = Verdict { lines: Vec::new(), problems: log.alarms() };
    for check in checks {
        match cases.iter().find(|case| case.line == check.line) {
            Some(case) => verdict.problems.extend(judge(check, case, clock)),
            None => verdict.problems.push(format!("`{}` did not run", check.line)),
        }
        verdict.lines.push(format!("{}{}", check.line, bound(&cases, check)));
    }
    verdict.problems.extend(fewer_traps(&cases));
    verdict
}

fn bound(cases: &[Case], check: &Check) -> String {
    let moment = |name| cases.iter().find(|case| case.line == check.line).and_then(|case: &Case| case.moment(name));
    let Some(bound) = moment("bound") else { return String::new() };
    let at = |key| bound.total.number(key);
    format!(
        ": maps={} unmaps={} traps={} messages={} at_once={} bound_ms={}",
        at("maps"),
        at("unmaps"),
        at("traps"),
        at("messages"),
        at("at_once"),
        bound.microseconds() / 1_000
    )
}
