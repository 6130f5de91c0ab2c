//! Side by side: the same kernel, boot, host and device under both drivers; the table of the docs is made here.

mod page;

use std::fs;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::build::Modules;
use super::cases::{self, Driver};
use super::kernel::Kernel;
use super::machine::Machine;
use super::results::{self, Case};

/// Runs of each row.
const RUNS: usize = 5;
/// The module's text and data may have as many bytes as this.
const GATE: u64 = 256 * 1024;

/// A row of the table: what the host is like and what our driver is told.
struct Row {
    title: &'static str,
    functions: u32,
    /// How long the guest's shell keeps still.
    seconds: u32,
    host: &'static str,
    ours: &'static str,
}

const ONE: usize = 0;
const FREE: usize = 1;
const LEFT_ON: usize = 2;
const DEFERRED: usize = 3;
const PREFETCH: usize = 4;

const ROWS: &[Row] = &[
    Row { title: "1 function, maps free", functions: 1, seconds: 1, host: "buses=1", ours: "" },
    Row { title: "14 functions, maps free", functions: 14, seconds: 1, host: "buses=14", ours: "" },
    Row { title: "14 functions, decode left on", functions: 14, seconds: 1, host: "buses=14,leftover=1", ours: "" },
    Row {
        title: "14 functions, 0.2 s a map, `deferred`",
        functions: 14,
        seconds: 4,
        host: "buses=14,map_ms=200,parallel=14",
        ours: "",
    },
    Row {
        title: "14 functions, 0.2 s a map, `prefetch`",
        functions: 14,
        seconds: 4,
        host: "buses=14,map_ms=200,parallel=14",
        ours: "policy=prefetch",
    },
];

/// One function whose driver comes a second after it.
const LATE: &[(&str, &str)] = &[("`deferred`", ""), ("`prefetch`", "policy=prefetch")];

/// Medians of one row under one driver.
#[derive(Clone, Debug, Default, PartialEq)]
struct Figures {
    maps: u64,
    unmaps: u64,
    traps: u64,
    messages: u64,
    at_once: u64,
    microseconds: u64,
    /// The longest config write of any bus, and of the bus in the middle; 0 where nobody measures it.
    longest_us: u64,
    middle_us: u64,
    runs: usize,
}

/// Everything the page is made of.
#[derive(Default)]
struct Measured {
    release: String,
    cpus: u32,
    /// By row.
    stock: Vec<Figures>,
    ours: Vec<Figures>,
    /// Maps of a remove and rescan: pci-hyperv, ours, ours with `absorbing`.
    rescan: [u64; 3],
    /// By [`LATE`]: the longest config write.
    late_us: Vec<u64>,
    /// Text, then text and data, in bytes.
    stock_size: (u64, u64),
    ours_size: (u64, u64),
}

/// Measures and writes docs/linux-figures.md; the problems found, figures among them that miss their mark.
pub fn measure(sh: &Shell, kernel: &Kernel, modules: &Modules) -> Result<Vec<String>> {
    let machine = Machine::new(kernel, modules, 4).counted();
    let mut problems = Vec::new();
    if cases::drivers(&machine) != [Driver::Stock, Driver::Ours] {
        return Ok(vec![format!("{}: the figures need both drivers", kernel.release)]);
    }
    let mut measured = Measured { release: kernel.release.clone(), cpus: machine.cpus, ..Measured::default() };
    for row in ROWS {
        // The first is for the emulator's caches and the kernel's: nobody counts it.
        let mut lines = vec![format!("figure_up warm stock 1 {} buses=1", row.seconds)];
        for run in 0..RUNS {
            for driver in ["stock", "ours"] {
                let ours = if driver == "ours" { row.ours } else { "" };
                let line = format!("figure_up run{run} {driver} {} {} {} {ours}", row.functions, row.seconds, row.host);
                lines.push(line.trim_end().to_string());
            }
        }
        let cases = boot(sh, &machine, &lines, &mut problems)?;
        measured.stock.push(medians(&of_driver(&cases, "stock")));
        measured.ours.push(medians(&of_driver(&cases, "ours")));
        eprintln!("{}:\n  {:?}\n  {:?}", row.title, measured.stock.last(), measured.ours.last());
    }
    let rescans = ["rescan stock", "rescan ours", "rescan ours policy=absorbing"];
    let mut lines: Vec<String> = rescans.iter().map(|line| (*line).to_string()).collect();
    lines.extend(
        LATE.iter().map(|(_, ours)| format!("figure_late late ours 2 buses=1,map_ms=200 {ours}").trim_end().into()),
    );
    let cases = boot(sh, &machine, &lines, &mut problems)?;
    for (place, line) in measured.rescan.iter_mut().zip(rescans) {
        *place = result(&cases, line, "rescan", "maps").first().copied().unwrap_or(u64::MAX);
    }
    for line in lines.iter().skip(rescans.len()) {
        measured.late_us.push(result(&cases, line, "longest", "us").last().copied().unwrap_or(u64::MAX));
    }
    measured.stock_size = size(sh, &modules.stock)?;
    measured.ours_size = size(sh, modules.ours.as_ref().unwrap_or(&modules.stock))?;
    let marks = page::marks(&measured);
    problems.extend(marks.iter().filter(|mark| !mark.good).map(|mark| format!("{}: {}", mark.what, mark.measured)));
    let file = sh.current_dir().join("docs/linux-figures.md");
    fs::write(&file, page::write(&measured, &marks)?).with_context(|| format!("{}", file.display()))?;
    Ok(problems)
}

fn boot(sh: &Shell, machine: &Machine, lines: &[String], problems: &mut Vec<String>) -> Result<Vec<Case>> {
    let log = machine.clone().with(std::time::Duration::from_secs(900), "").boot(sh, &lines.join("\n"))?;
    problems.extend(log.alarms());
    let cases = results::parse(&log.text);
    problems.extend(cases.iter().flat_map(|case| case.bad.iter().map(|bad| format!("`{}`: {bad}", case.line))));
    Ok(cases)
}

fn of_driver<'a>(cases: &'a [Case], driver: &str) -> Vec<&'a Case> {
    let wanted = |case: &&Case| {
        let mut words = case.line.split(' ').skip(1);
        words.next() != Some("warm") && words.next() == Some(driver)
    };
    cases.iter().filter(wanted).collect()
}

/// The numbers of a result line.
fn result(cases: &[Case], line: &str, name: &str, key: &str) -> Vec<u64> {
    let case = cases.iter().find(|case| case.line == line);
    let found = case.and_then(|case| case.results.iter().find(|(result, _)| result == name));
    found.map(|(_, fields)| numbers(fields, key)).unwrap_or_default()
}

fn numbers(fields: &results::Fields, key: &str) -> Vec<u64> {
    fields.numbers(key).into_iter().filter_map(|number| u64::try_from(number).ok()).collect()
}

fn medians(cases: &[&Case]) -> Figures {
    let column = |value: &dyn Fn(&Case) -> Option<u64>| median(cases.iter().filter_map(|case| value(case)).collect());
    let total = |key: &'static str| move |case: &Case| Some(case.moment("bound")?.total.number(key));
    let microseconds = |case: &Case| {
        let bound = case.moment("bound")?;
        let last = bound.drivers.iter().map(|driver| driver.number("bound_ns")).max()?;
        Some(last.saturating_sub(bound.total.number("started_ns")) / 1_000)
    };
    // One number per bus, in order.
    let longest = |case: &Case| {
        let (_, fields) = case.results.iter().find(|(name, _)| name == "longest")?;
        Some(numbers(fields, "us"))
    };
    Figures {
        maps: column(&total("maps")),
        unmaps: column(&total("unmaps")),
        traps: column(&total("traps")),
        messages: column(&total("messages")),
        at_once: column(&total("at_once")),
        microseconds: column(&microseconds),
        longest_us: column(&|case| longest(case)?.last().copied()),
        middle_us: column(&|case| longest(case).map(median)),
        runs: cases.iter().filter(|case| case.moment("bound").is_some()).count(),
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Of `size`: a line of names, a line of numbers, text and data first.
fn size(sh: &Shell, module: &std::path::Path) -> Result<(u64, u64)> {
    let said = cmd!(sh, "size {module}").quiet().read()?;
    let mut numbers = said.lines().nth(1).into_iter().flat_map(str::split_ascii_whitespace).map(str::parse::<u64>);
    let (text, data) = (numbers.next().context("size said nothing")??, numbers.next().context("size said nothing")??);
    Ok((text, text.saturating_add(data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_five_is_the_third() {
        assert_eq!(median(vec![9, 1, 5, 7, 3]), 5);
        assert_eq!(median(Vec::new()), 0);
    }

    #[test]
    fn the_time_runs_from_the_offer_to_the_last_driver() {
        let log = "@@ case figure_up warm stock 1 1 buses=1\n\
            @@ host bound total started_ns=1 maps=9 unmaps=9 traps=9 messages=9 at_once=9\n\
            @@ case figure_up run0 ours 2 1 buses=2\n\
            @@ host bound total started_ns=1000000 maps=2 unmaps=0 traps=40 messages=9 at_once=1\n\
            @@ driver bound bound_ns=5000000\n@@ driver bound bound_ns=9000000\n@@ result longest us=3,5,200,\n";
        let cases = results::parse(log);
        let figures = medians(&of_driver(&cases, "ours"));
        let expected = Figures {
            maps: 2,
            traps: 40,
            messages: 9,
            at_once: 1,
            microseconds: 8000,
            longest_us: 200,
            middle_us: 5,
            runs: 1,
            ..Figures::default()
        };
        assert_eq!(figures, expected);
        assert!(of_driver(&cases, "stock").is_empty(), "the warm-up does not count");
    }

    #[test]
    fn a_result_that_is_missing_is_none() {
        let cases = results::parse("@@ case rescan ours\n@@ result rescan maps=7 unmaps=7\n");
        assert_eq!(result(&cases, "rescan ours", "rescan", "maps"), [7]);
        assert!(result(&cases, "rescan stock", "rescan", "maps").is_empty());
        assert!(result(&cases, "rescan ours", "longest", "us").is_empty());
    }
}
