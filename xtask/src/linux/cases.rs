//! What is run on each machine, and what must come out.

use anyhow::Result;
use xshell::Shell;

use super::kernel::Series;
use super::machine::Machine;
use super::results::{self, Case};

/// The driver of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Stock,
    Ours,
}

impl Driver {
    pub const fn word(self) -> &'static str {
        match self {
            Driver::Stock => "stock",
            Driver::Ours => "ours",
        }
    }
}

/// The drivers a machine can run. pci-hyperv of 6.1 cannot reach config space by hypercalls, so it has no host here.
pub fn drivers(machine: &Machine) -> Vec<Driver> {
    let mut drivers = Vec::new();
    if machine.kernel.series == Series::Six12 {
        drivers.push(Driver::Stock);
    }
    if machine.modules.ours.is_some() {
        drivers.push(Driver::Ours);
    }
    drivers
}

/// A line for the test kernel and the check of what came out.
struct Check {
    line: String,
    functions: u64,
    leftover: bool,
}

/// Boots once with all cases.
pub fn run(sh: &Shell, machine: &Machine) -> Result<Vec<String>> {
    let mut checks = Vec::new();
    for driver in drivers(machine) {
        let word = driver.word();
        let mut add = |functions: u64, line: String| {
            let leftover = line.contains("leftover");
            checks.push(Check { line, functions, leftover });
        };
        add(1, format!("bring_up one {word} 1 buses=1"));
        add(1, format!("bring_up nvme {word} 1 buses=1,device=nvme"));
        add(14, format!("bring_up fourteen {word} 14 buses=14"));
        add(14, format!("bring_up leftover {word} 14 buses=14,leftover=1"));
        add(1, format!("affinity {word}"));
        add(1, format!("blocks {word}"));
        add(1, format!("eject_cycles {word} 5"));
        add(1, format!("rescind_cycles {word} 5"));
        add(1, format!("rescind_steps {word} 24"));
        add(1, format!("load_cycles {word} 10"));
        add(1, format!("rescan {word}"));
        // What pci-hyperv does not do: remove a function that the relations leave out, give BARs to one that comes later.
        if driver == Driver::Ours {
            add(1, format!("rescan {word} policy=absorbing"));
            add(1, format!("lying {word}"));
            add(1, format!("surprise {word}"));
            add(2, format!("hot_add {word}"));
        }
    }
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let lines: Vec<&str> = checks.iter().map(|check| check.line.as_str()).collect();
    let log = machine.boot(sh, &lines.join("\n"))?;
    let place = format!("{}, {} CPUs", machine.kernel.release, machine.cpus);
    let mut problems: Vec<String> = log.alarms();
    let cases = results::parse(&log.text);
    for check in &checks {
        match cases.iter().find(|case| case.line == check.line) {
            Some(case) => problems.extend(judge(check, case)),
            None => problems.push(format!("`{}` did not run", check.line)),
        }
        eprintln!("  {place}: {}{}", check.line, figures(&cases, check));
    }
    problems.extend(fewer_traps(&cases));
    Ok(problems.into_iter().map(|problem| format!("{place}: {problem}")).collect())
}

/// Ours pays at most a quarter of the distribution's traps from the offer to the bound driver, in the same boot.
fn fewer_traps(cases: &[Case]) -> Option<String> {
    let traps = |driver: Driver| {
        let case = cases.iter().find(|case| case.line.starts_with(&format!("bring_up fourteen {} ", driver.word())))?;
        Some(case.moment("bound")?.total.number("traps"))
    };
    let (stock, ours) = (traps(Driver::Stock)?, traps(Driver::Ours)?);
    (ours.saturating_mul(4) > stock).then(|| format!("{ours} traps, pci-hyperv paid {stock}: more than a quarter"))
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

/// A problem per line.
fn judge(check: &Check, case: &Case) -> Vec<String> {
    let mut problems: Vec<String> = case.bad.clone();
    let mut must = |good: bool, what: String| {
        if !good {
            problems.push(what);
        }
    };
    if check.line.starts_with("bring_up") {
        let Some(bound) = case.moment("bound") else {
            problems.push("nothing was written down".to_string());
            return problems.into_iter().map(|problem| format!("`{}`: {problem}", check.line)).collect();
        };
        let total = |key| bound.total.number(key);
        must(total("maps") == check.functions, format!("{} maps for {} functions", total("maps"), check.functions));
        let unmaps = if check.leftover { check.functions } else { 0 };
        must(total("unmaps") <= unmaps, format!("{} unmaps, at most {unmaps}", total("unmaps")));
    }
    if let Some((_, rescan)) = case.results.iter().find(|(name, _)| name == "rescan") {
        // linux-6.12: what a plain guest pays for sizing and assigning again with decode left on
        let most = if check.line.contains("absorbing") { 0 } else { 7 };
        must(rescan.number("maps") <= most, format!("{} maps for remove and rescan", rescan.number("maps")));
    }
    if let Some(fired) = case.moment("fired") {
        for driver in &fired.drivers {
            let counts = driver.numbers("counts");
            let good = !counts.is_empty() && counts.iter().all(|count| *count == 1);
            must(good, format!("{}: interrupts counted {counts:?}, one each was sent", driver.text("pci")));
        }
    }
    for (name, moment) in &case.moments {
        // A config-space guest announces its resources with empty descriptors before it has touched COMMAND, decode being left
        // on by the kernel before it; the mock host notes that, and it harms nobody.
        let empty_descriptors = |text: &&String| check.leftover && text.contains("BarWriteWhileDecoding");
        let known = moment.violations.iter().filter(empty_descriptors).count() as u64;
        let errors = moment.total.number("errors");
        let excused = if known > 0 { check.functions } else { 0 };
        must(errors <= excused, format!("{name}: {errors} violations, such as {:?}", moment.violations.first()));
        must(moment.leaks.is_empty(), format!("{name}: leaks, such as {:?}", moment.leaks.first()));
    }
    match case.moment("unloaded") {
        Some(end) => must(end.mmio_held == 0, format!("{} MMIO ranges held after unload", end.mmio_held)),
        None => must(false, "it did not come to its end".to_string()),
    }
    problems.into_iter().map(|problem| format!("`{}`: {problem}", check.line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(counts: &str, maps: u64, held: u64) -> String {
        format!(
            "@@ case bring_up one stock 1 buses=1\n\
             @@ host bound mmio held=2\n@@ host bound total started_ns=1 errors=0 maps={maps} unmaps=0 traps=400\n\
             @@ driver bound pci=1001:00:00.0 bound_ns=9 counts=0,0\n\
             @@ host fired total errors=0\n@@ driver fired pci=1001:00:00.0 counts={counts}\n\
             @@ host unloaded mmio held={held}\n@@ host unloaded total errors=0\n"
        )
    }

    fn problems(log: &str) -> Vec<String> {
        let check = Check { line: "bring_up one stock 1 buses=1".to_string(), functions: 1, leftover: false };
        judge(&check, &results::parse(log)[0])
    }

    #[test]
    fn a_good_bring_up_has_no_problem() {
        assert_eq!(problems(&log("1,1", 1, 0)), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_goes_wrong_is_seen() {
        for (log, what) in [
            (log("1,0", 1, 0), "interrupts"),
            (log("", 1, 0), "interrupts"),
            (log("1,1", 8, 0), "8 maps"),
            (log("1,1", 1, 2), "MMIO ranges"),
            (log("1,1", 1, 0).replace("fired total errors=0", "fired total errors=3"), "3 violations"),
            (
                log("1,1", 1, 0)
                    .replace("@@ host unloaded total", "@@ host unloaded leak bus=0 x\n@@ host unloaded total"),
                "leaks",
            ),
            (log("1,1", 1, 0) + "@@ bad rmmod pci_hyperv\n", "rmmod"),
            ("@@ case bring_up one stock 1 buses=1\n".to_string(), "nothing was written down"),
        ] {
            let found = problems(&log);
            assert!(found.iter().any(|problem| problem.contains(what)), "{what}: {found:?}");
        }
    }

    #[test]
    fn more_than_a_quarter_of_the_traps_is_a_problem() {
        let of = |driver: &str, traps: u64| {
            format!("@@ case bring_up fourteen {driver} 14 buses=14\n@@ host bound total traps={traps}\n")
        };
        let both = |ours| results::parse(&(of("stock", 400) + &of("ours", ours)));
        assert_eq!(fewer_traps(&both(100)), None);
        assert!(fewer_traps(&both(101)).is_some());
        assert_eq!(fewer_traps(&results::parse(&of("stock", 400))), None);
    }
}
