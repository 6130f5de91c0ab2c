//! What is run on each machine, and what must come out.

mod debug;
mod endurance;
mod judge;
mod plan;
mod seeded;

use anyhow::Result;
use xshell::Shell;

use super::kernel::Series;
use super::machine::Machine;
use super::results::{self, Case};
use judge::{fewer_traps, judge};
use plan::Check;
pub use plan::{Boot, Driver, drivers};

/// The boots of a machine, all or those of one name; the problems found. On a debug kernel those that take long are `more`.
pub fn run(sh: &Shell, machine: &Machine, only: Option<&str>, more: bool) -> Result<Vec<String>> {
    if machine.kernel.series == Series::Debug {
        return debug::run(sh, machine, more);
    }
    let mut problems = Vec::new();
    for boot in plan::stock_kernel(machine).iter().filter(|boot| only.is_none_or(|only| only == boot.name)) {
        problems.extend(run_boot(sh, machine, boot)?);
    }
    Ok(problems)
}

/// Boots once with the cases of `boot`.
fn run_boot(sh: &Shell, machine: &Machine, boot: &Boot) -> Result<Vec<String>> {
    let lines: Vec<&str> = boot.checks.iter().map(|check| check.line.as_str()).collect();
    let log = machine.clone().with(boot.limit, boot.arguments).emulated(boot.emulator).boot(sh, &lines.join("\n"))?;
    let place = format!("{}, {} CPUs, {}", machine.kernel.release, machine.cpus, boot.name);
    let mut problems: Vec<String> = log.alarms();
    let cases = results::parse(&log.text);
    for check in &boot.checks {
        match cases.iter().find(|case| case.line == check.line) {
            Some(case) => problems.extend(judge(check, case)),
            None => problems.push(format!("`{}` did not run", check.line)),
        }
        eprintln!("  {place}: {}{}", check.line, figures(&cases, check));
    }
    problems.extend(fewer_traps(&cases));
    Ok(problems.into_iter().map(|problem| format!("{place}: {problem}")).collect())
}

fn figures(cases: &[Case], check: &Check) -> String {
    let moment = |name| cases.iter().find(|case| case.line == check.line).and_then(|case: &Case| case.moment(name));
    let Some(bound) = moment("bound") else { return String::new() };
    let at = |key| bound.total.number(key);
    let started = at("started_ns");
    let last = bound.drivers.iter().map(|driver| driver.number("bound_ns")).max().unwrap_or(started);
    format!(
        ": maps={} unmaps={} traps={} messages={} bound_ms={}",
        at("maps"),
        at("unmaps"),
        at("traps"),
        at("messages"),
        last.saturating_sub(started) / 1_000_000
    )
}
