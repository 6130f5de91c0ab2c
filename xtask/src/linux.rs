//! The kernel lanes: stock Debian kernels in software emulation, a stand-in hv_vmbus with the mock host inside, and the vPCI
//! driver under test on top: the distribution's pci-hyperv.ko or our hvpci.ko. `tests/linux/README.md` tells how it fits together.

mod build;
mod cases;
mod crc;
mod debug;
mod figures;
mod kernel;
mod machine;
mod package;
mod queue;
mod results;
mod wake;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use xshell::Shell;

use crate::apt;
use build::Modules;
use kernel::Kernel;
pub use kernel::Series;
use machine::{Clock, Machine};
use queue::{Job, Queue};

/// What the lanes install. Kernels are only downloaded and unpacked.
const PACKAGES: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-clippy",
    "gcc",
    "make",
    "binutils",
    "bc",
    "libelf1",
    "pahole",
    "qemu-system-x86",
    "busybox-static",
    "cpio",
    "gzip",
    "xz-utils",
    "dkms",
    "kmod",
    "openssl",
];

const ALL: [Series; 3] = [Series::Six12, Series::Six1, Series::Debug];

/// What a person can choose.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Kernels to run on.
    #[arg(long, value_enum, default_values_t = ALL)]
    kernel: Vec<Series>,
    /// The debug kernel alone, with sleep and allocations that fail one by one: about two hours of a processor.
    #[arg(long, conflicts_with = "kernel")]
    debug: bool,
    /// Virtual processors; when left out, 1 and 4 (on 6.1 with 4 then the lanes alone), and 4 on the debug kernel.
    #[arg(long)]
    cpus: Vec<u32>,
    /// Where the sources of our module are.
    #[arg(long, default_value = "backend-linux")]
    backend: PathBuf,
    /// Leave our module out and run the distribution's alone.
    #[arg(long)]
    stock_only: bool,
    /// Run these lines (functions of tests/linux/guest/case-*.sh) instead of the lanes, and print what the kernel says.
    #[arg(long)]
    run: Vec<String>,
    /// With --run: the guest's clock is the emulator's own, and does not count instructions.
    #[arg(long)]
    real_clock: bool,
    /// Check the built module and build it by DKMS; boot nothing.
    #[arg(long)]
    package: bool,
    /// Boot only the machines of these names, and check no module files (see `xtask/src/linux/cases/plan.rs`): lanes, power, ...
    #[arg(long, value_parser = PossibleValuesParser::new(cases::BOOTS))]
    only: Vec<String>,
    /// Measure both drivers and write docs/linux-figures.md.
    #[arg(long)]
    figures: bool,
}

impl Options {
    fn kernels(&self) -> &[Series] {
        if self.debug { &[Series::Debug] } else { &self.kernel }
    }

    /// The lanes, not something that a person looks at.
    fn lanes(&self) -> bool {
        self.run.is_empty() && !self.figures
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            kernel: ALL.to_vec(),
            debug: false,
            cpus: Vec::new(),
            backend: PathBuf::from("backend-linux"),
            stock_only: false,
            run: Vec::new(),
            real_clock: false,
            package: false,
            only: Vec::new(),
            figures: false,
        }
    }
}

/// With how many processors a kernel is run, each once. On the debug kernel each boot says that itself: one pass makes them all.
fn processors(series: Series, wanted: &[u32]) -> Vec<u32> {
    let mut processors = match series {
        Series::Debug => vec![4],
        _ if wanted.is_empty() => vec![1, 4],
        _ => wanted.to_vec(),
    };
    processors.sort_unstable();
    processors.dedup();
    processors
}

/// Why the lanes cannot run here, if they cannot.
pub fn missing(sh: &Shell, options: &Options) -> Option<String> {
    let debug = options.kernels().contains(&Series::Debug);
    let more = if debug { debug::PACKAGES } else { &[] };
    apt::ensure(sh, &[PACKAGES, more].concat()).err()
}

/// Runs what was asked for; the problems found, each in one line.
pub fn run(sh: &Shell, options: &Options) -> Result<Vec<String>> {
    queue::run(sh, |queue| prepare(sh, options, queue))
}

/// Builds for each kernel, and puts its boots in line: they run while the next kernel's modules are built, of which little keeps
/// more than one processor busy. The debug kernel goes first: its boots take longest. What goes wrong besides the boots, each in
/// one line.
fn prepare(sh: &Shell, options: &Options, queue: &Queue) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    let backend = sh.current_dir().join(&options.backend);
    let mut kernels = options.kernels().to_vec();
    kernels.sort_by_key(|series| !series.has_kasan());
    let linted = kernels.last().copied();
    for series in kernels {
        let kernel = kernel::fetch(sh, series).with_context(|| format!("getting the kernel {series}"))?;
        let object = build::standin_object(sh, series.has_kasan()).context("building the stand-in's Rust object")?;
        let mut modules = build::modules(sh, &kernel, &object).with_context(|| format!("building for {series}"))?;
        if !options.stock_only {
            modules.ours = build::ours(sh, &kernel, &backend)?;
        }
        if options.lanes() && options.only.is_empty() && modules.ours.is_some() && linted == Some(series) {
            build::clippy_ours(sh, &kernel, &backend)?;
        }
        if !options.run.is_empty() {
            problems.extend(looked_at(sh, options, &kernel, &modules)?);
            continue;
        }
        if options.figures {
            problems.extend(figures::measure(sh, &kernel, &modules)?);
            continue;
        }
        if !options.package {
            let jobs = boots(sh, options, &kernel, &modules)?;
            named.extend(jobs.iter().map(|job| job.machine.name().to_string()));
            queue.add(jobs);
        }
        // instrumented code is neither small nor frugal with its stack
        if !series.has_kasan() && options.only.is_empty() {
            problems.extend(package::check(sh, &kernel, &modules, &backend)?);
        }
    }
    for only in options.only.iter().filter(|only| !named.contains(*only)) {
        problems.push(format!("no machine that was asked for has a boot named {only}"));
    }
    Ok(problems)
}

/// The boots of a kernel.
fn boots(sh: &Shell, options: &Options, kernel: &Kernel, modules: &Modules) -> Result<Vec<Job>> {
    let more = match kernel.series {
        Series::Debug => options.debug,
        _ => !options.cpus.is_empty() || !options.only.is_empty(),
    };
    let mut jobs = Vec::new();
    for cpus in processors(kernel.series, &options.cpus) {
        jobs.extend(cases::jobs(sh, &Machine::new(kernel, modules, cpus), &options.only, more)?);
    }
    Ok(jobs)
}

/// A boot that a person looks at; the problems found, each in one line.
fn looked_at(sh: &Shell, options: &Options, kernel: &Kernel, modules: &Modules) -> Result<Vec<String>> {
    let machine = Machine::new(kernel, modules, options.cpus.first().copied().unwrap_or(1));
    let real = options.real_clock || !machine.can_count();
    let machine = if real { machine.clocked(Clock::Real) } else { machine };
    let log = machine.boot(sh, &options.run.join("\n"))?;
    println!("{}", log.text);
    let mut problems = log.alarms();
    problems.extend(results::parse(&log.text).into_iter().flat_map(|case| case.bad));
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_machine_is_made_twice() {
        assert_eq!(processors(Series::Six1, &[]), [1, 4]);
        assert_eq!(processors(Series::Six12, &[4, 1, 4]), [1, 4]);
        assert_eq!(processors(Series::Debug, &[1, 4]), [4]);
    }
}
