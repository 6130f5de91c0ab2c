//! Side by side: the same kernel, boot, host and device under both drivers; the table of the docs is made here.

use std::fmt::Write as _;
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

/// A row of the table: what the host is like and what our driver is told.
struct Row {
    title: &'static str,
    functions: u32,
    host: &'static str,
    ours: &'static str,
}

const ROWS: &[Row] = &[
    Row { title: "1 function, maps free", functions: 1, host: "buses=1", ours: "" },
    Row { title: "14 functions, maps free", functions: 14, host: "buses=14", ours: "" },
    Row { title: "14 functions, decode left on", functions: 14, host: "buses=14,leftover=1", ours: "" },
    Row {
        title: "14 functions, 0.2 s a map, `deferred`",
        functions: 14,
        host: "buses=14,map_ms=200,parallel=14",
        ours: "",
    },
    Row {
        title: "14 functions, 0.2 s a map, `prefetch`",
        functions: 14,
        host: "buses=14,map_ms=200,parallel=14",
        ours: "policy=prefetch",
    },
];

/// Medians of one row under one driver.
#[derive(Clone, Debug, Default, PartialEq)]
struct Figures {
    maps: u64,
    unmaps: u64,
    traps: u64,
    messages: u64,
    at_once: u64,
    milliseconds: u64,
    runs: usize,
}

/// Measures and writes docs/linux-figures.md; the problems found.
pub fn measure(sh: &Shell, kernel: &Kernel, modules: &Modules) -> Result<Vec<String>> {
    let machine = Machine::new(kernel, modules, 4);
    let drivers = cases::drivers(&machine);
    let mut problems = Vec::new();
    let mut table = Vec::new();
    for row in ROWS {
        let mut lines = Vec::new();
        for run in 0..RUNS {
            for driver in &drivers {
                let ours = if *driver == Driver::Ours { row.ours } else { "" };
                lines.push(
                    format!("bring_up run{run} {} {} {} {ours}", driver.word(), row.functions, row.host)
                        .trim_end()
                        .to_string(),
                );
            }
        }
        let log = machine.boot(sh, &lines.join("\n"))?;
        problems.extend(log.alarms());
        let cases = results::parse(&log.text);
        for driver in &drivers {
            let of_driver: Vec<&Case> =
                cases.iter().filter(|case| case.line.split(' ').nth(2) == Some(driver.word())).collect();
            for case in &of_driver {
                problems.extend(case.bad.iter().map(|bad| format!("`{}`: {bad}", case.line)));
            }
            let figures = medians(&of_driver);
            eprintln!("{} | {} | {figures:?}", row.title, driver.word());
            table.push((row, *driver, figures));
        }
    }
    let page = sh.current_dir().join("docs/linux-figures.md");
    fs::write(&page, write_page(sh, &machine, &table, modules)?).with_context(|| format!("{}", page.display()))?;
    Ok(problems)
}

fn medians(cases: &[&Case]) -> Figures {
    let column = |value: &dyn Fn(&Case) -> Option<u64>| median(cases.iter().filter_map(|case| value(case)).collect());
    let total = |key: &'static str| move |case: &Case| Some(case.moment("bound")?.total.number(key));
    let milliseconds = |case: &Case| {
        let bound = case.moment("bound")?;
        let last = bound.drivers.iter().map(|driver| driver.number("bound_ns")).max()?;
        Some(last.saturating_sub(bound.total.number("started_ns")) / 1_000_000)
    };
    Figures {
        maps: column(&total("maps")),
        unmaps: column(&total("unmaps")),
        traps: column(&total("traps")),
        messages: column(&total("messages")),
        at_once: column(&total("at_once")),
        milliseconds: column(&milliseconds),
        runs: cases.iter().filter(|case| case.moment("bound").is_some()).count(),
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn write_page(sh: &Shell, machine: &Machine, table: &[(&Row, Driver, Figures)], modules: &Modules) -> Result<String> {
    let mut page = String::new();
    writeln!(page, "<!-- made by `cargo xtask linux --figures`; do not edit -->")?;
    writeln!(page, "# hvpci.ko beside pci-hyperv.ko\n")?;
    writeln!(
        page,
        "Measured on Debian's unmodified {} with {} virtual processors in software emulation (QEMU TCG), a stand-in `hv_vmbus` with \
         the mock host inside, 128 GB BARs, one function per bus, four MSI-X vectors each. Medians of {RUNS} runs, both drivers in the same \
         boot. Counts are the host's, from the offer until the last driver is bound; milliseconds are the guest's clock and \
         say something only beside each other.\n",
        machine.kernel.release, machine.cpus
    )?;
    writeln!(
        page,
        "| case | driver | maps | unmaps | traps | traps per function | messages | maps at once | ms to all bound |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|---|---|")?;
    for (row, driver, figures) in table {
        let name = if *driver == Driver::Stock { "pci-hyperv" } else { "hvpci" };
        let per_function = figures.traps / u64::from(row.functions.max(1));
        writeln!(
            page,
            "| {} | {name} | {} | {} | {} | {per_function} | {} | {} | {} |",
            row.title,
            figures.maps,
            figures.unmaps,
            figures.traps,
            figures.messages,
            figures.at_once,
            figures.milliseconds
        )?;
    }
    writeln!(page)?;
    for (name, path) in [("pci-hyperv.ko", Some(&modules.stock)), ("hvpci.ko", modules.ours.as_ref())] {
        let Some(path) = path else { continue };
        // Of `size`: a line of names, a line of numbers, text first
        let said = cmd!(sh, "size {path}").quiet().read()?;
        let text = said.lines().nth(1).and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
        writeln!(page, "`{name}` has {} KiB of text.", text.unwrap_or_default() / 1024)?;
    }
    Ok(page)
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
        let log = "@@ case bring_up run0 ours 2 buses=2\n\
            @@ host bound total started_ns=1000000 maps=2 unmaps=0 traps=40 messages=9 at_once=1\n\
            @@ driver bound bound_ns=5000000\n@@ driver bound bound_ns=9000000\n";
        let cases = results::parse(log);
        let figures = medians(&cases.iter().collect::<Vec<_>>());
        let expected = Figures { maps: 2, unmaps: 0, traps: 40, messages: 9, at_once: 1, milliseconds: 8, runs: 1 };
        assert_eq!(figures, expected);
    }
}
