//! Side by side: the same kernel, boot, host and device under both drivers; the table of the docs is made here.

mod page;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::build::Modules;
use super::cases::{self, Check, Driver};
use super::kernel::Kernel;
use super::machine::{Clock, Log, Machine};
use super::queue::{Job, Verdict};
use super::results::{self, Case, Moment};
use page::Mark;

/// Runs of each row for the page.
const RUNS: usize = 5;
/// Virtual processors of the machine that is measured.
const CPUS: u32 = 4;
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

/// Remove and rescan: pci-hyperv, ours, ours with `absorbing`.
const RESCANS: [&str; 3] = ["rescan stock", "rescan ours", "rescan ours policy=absorbing"];
/// One function whose driver comes 2 s after it.
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
    /// Maps, by [`RESCANS`].
    rescan: [u64; 3],
    /// By [`LATE`]: the longest config write.
    late_us: Vec<u64>,
    /// Text, then text and data, in bytes.
    stock_size: (u64, u64),
    ours_size: (u64, u64),
}

/// Text, then text and data, of both modules.
type Sizes = [(u64, u64); 2];

/// Measures and writes docs/linux-figures.md; the problems found, figures among them that miss their mark.
pub fn measure(sh: &Shell, kernel: &Kernel, modules: &Modules) -> Result<Vec<String>> {
    let machine = on(&Machine::new(kernel, modules, CPUS));
    if cases::drivers(&machine) != [Driver::Stock, Driver::Ours] {
        return Ok(vec![format!("{}: the figures need both drivers", kernel.release)]);
    }
    let (lines, sizes) = (lines(RUNS), sizes(sh, modules)?);
    let log = machine.boot(sh, &lines.join("\n"))?;
    let mut problems = cases::verdict(&checks(&lines), &log, Clock::USUAL).problems;
    let measured = read(&machine, &results::parse(&log.text), sizes);
    for (row, (stock, ours)) in ROWS.iter().zip(measured.stock.iter().zip(&measured.ours)) {
        eprintln!("{}:\n  {stock:?}\n  {ours:?}", row.title);
    }
    let marks = page::marks(&measured);
    problems.extend(marks.iter().filter(|mark| !mark.good).map(Mark::problem));
    let file = sh.current_dir().join("docs/linux-figures.md");
    fs::write(&file, page::write(&measured, &marks)?).with_context(|| format!("{}", file.display()))?;
    Ok(problems)
}

/// The boot that holds the figures to their marks, once each; none on a machine that is not measured.
pub fn gate(sh: &Shell, machine: &Machine) -> Result<Option<Job>> {
    if machine.cpus != CPUS || cases::drivers(machine) != [Driver::Stock, Driver::Ours] {
        return Ok(None);
    }
    let (machine, lines, sizes) = (on(machine), lines(1), sizes(sh, &machine.modules)?);
    let (of, ran) = (machine.clone(), lines.clone());
    let judge = move |log: &Log| {
        let Verdict { mut problems, .. } = cases::verdict(&checks(&ran), log, Clock::USUAL);
        let marks = page::marks(&read(&of, &results::parse(&log.text), sizes));
        problems.extend(marks.iter().filter(|mark| mark.gated && !mark.good).map(Mark::problem));
        let said =
            |mark: &Mark| format!("{}: {}{}", mark.what, mark.measured, if mark.gated { "" } else { " (no gate)" });
        Verdict { lines: marks.iter().map(said).collect(), problems }
    };
    Ok(Some(Job { machine, lines, judge: Box::new(judge) }))
}

fn on(machine: &Machine) -> Machine {
    machine.clone().named("figures").with(Duration::from_secs(1800), "")
}

/// What is run: each row so many times under each driver, then what is not a row.
fn lines(runs: usize) -> Vec<String> {
    // The first is for the kernel's caches: nobody counts it.
    let mut lines = vec!["figure_up warm stock 1 1 buses=1".to_string()];
    for (at, row) in ROWS.iter().enumerate() {
        for run in 0..runs {
            for (driver, parameters) in [("stock", ""), ("ours", row.ours)] {
                let Row { functions, seconds, host, .. } = row;
                let line = format!("figure_up row{at}run{run} {driver} {functions} {seconds} {host} {parameters}");
                lines.push(line.trim_end().to_string());
            }
        }
    }
    lines.extend(RESCANS.iter().map(|line| (*line).to_string()));
    lines.extend(LATE.iter().map(|(_, ours)| late(ours)));
    lines
}

fn late(ours: &str) -> String {
    format!("figure_late late ours 2 buses=1,map_ms=200 {ours}").trim_end().to_string()
}

/// Every line is to run to its end, without a violation.
fn checks(lines: &[String]) -> Vec<Check> {
    lines.iter().map(|line| Check::new(0, line.clone())).collect()
}

/// What a log has of them.
fn read(machine: &Machine, cases: &[Case], sizes: Sizes) -> Measured {
    let rows = |driver| (0..ROWS.len()).map(|row| medians(&of_row(cases, row, driver))).collect();
    let last = |line: &str, name, key| result(cases, line, name, key).last().copied().unwrap_or(u64::MAX);
    Measured {
        release: machine.kernel.release.clone(),
        cpus: machine.cpus,
        stock: rows("stock"),
        ours: rows("ours"),
        rescan: RESCANS.map(|line| last(line, "rescan", "maps")),
        late_us: LATE.iter().map(|(_, ours)| last(&late(ours), "longest", "us")).collect(),
        stock_size: sizes[0],
        ours_size: sizes[1],
    }
}

fn of_row<'a>(cases: &'a [Case], row: usize, driver: &str) -> Vec<&'a Case> {
    let wanted = |case: &&Case| {
        let mut words = case.line.split(' ').skip(1);
        words.next().is_some_and(|name| name.starts_with(&format!("row{row}run"))) && words.next() == Some(driver)
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
    let microseconds = |case: &Case| case.moment("bound").map(Moment::microseconds);
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

fn sizes(sh: &Shell, modules: &Modules) -> Result<Sizes> {
    Ok([size(sh, &modules.stock)?, size(sh, modules.ours.as_ref().context("hvpci.ko was not built")?)?])
}

/// Of `size`: a line of names, a line of numbers, text and data first.
fn size(sh: &Shell, module: &Path) -> Result<(u64, u64)> {
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
            @@ case figure_up row1run0 ours 2 1 buses=2\n\
            @@ host bound total started_ns=1000000 maps=2 unmaps=0 traps=40 messages=9 at_once=1\n\
            @@ driver bound bound_ns=5000000\n@@ driver bound bound_ns=9000000\n@@ result longest us=3,5,200,\n";
        let cases = results::parse(log);
        let figures = medians(&of_row(&cases, 1, "ours"));
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
        assert!(of_row(&cases, 1, "stock").is_empty(), "the warm-up does not count");
        assert!(of_row(&cases, 0, "ours").is_empty(), "another row");
    }

    #[test]
    fn every_row_is_run_under_both_drivers() {
        let lines = lines(2);
        assert_eq!(lines.len(), 1 + ROWS.len() * 2 * 2 + RESCANS.len() + LATE.len());
        let log: String = lines.iter().map(|line| format!("@@ case {line}\n")).collect();
        let cases = results::parse(&log);
        for row in 0..ROWS.len() {
            assert_eq!((of_row(&cases, row, "stock").len(), of_row(&cases, row, "ours").len()), (2, 2));
        }
    }

    #[test]
    fn a_result_that_is_missing_is_none() {
        let cases = results::parse("@@ case rescan ours\n@@ result rescan maps=7 unmaps=7\n");
        assert_eq!(result(&cases, "rescan ours", "rescan", "maps"), [7]);
        assert!(result(&cases, "rescan stock", "rescan", "maps").is_empty());
        assert!(result(&cases, "rescan ours", "longest", "us").is_empty());
    }
}
