//! Everything that can run for longer than CI has time: `cargo xtask prove`.
//!
//! What is run is what CI runs, over more cases and deeper; `docs/verification.md` says what each part shows and how long it
//! takes.

use std::fs;

use clap::{Args, ValueEnum};
use xshell::{Shell, cmd};

use crate::lanes::{Outcome, finished, report, timed};

/// Executions of each fuzz target, for a factor of 1.
const FUZZ_RUNS: u64 = 1_000_000;
/// The fuzz targets, what an input may be long, and the dictionary (`tests/fuzz/README.md`).
const TARGETS: [(&str, u32, Option<&str>); 5] = [
    ("wire", 512, None),
    ("bus", 512, None),
    ("config", 1024, None),
    ("recording", 4096, Some("dictionaries/recording.dict")),
    ("scenario", 2048, Some("dictionaries/scenario.dict")),
];

/// How long, and what.
#[derive(Args)]
pub struct Options {
    /// How many times as many generated cases and orders of threads as in CI, and how many million executions of each fuzz
    /// target.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    factor: u32,
    /// How many steps or disturbances the models have more than in CI, and threads preemptions. Each makes it ten times as long
    /// or more.
    #[arg(long, default_value_t = 1)]
    deeper: u32,
    /// Only this part; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

/// What there is to run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The properties: of the core, of the mock host, of the policies beside a plain device, of bad input.
    Cases,
    /// Every cell of the fault matrix.
    Matrix,
    /// Orders of threads, under loom and shuttle.
    Threads,
    /// The model checkers.
    Models,
    /// The fuzz targets, with cargo-fuzz.
    Fuzz,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Part::Cases => "cases: properties, with generated input",
            Part::Matrix => "matrix: every cell of the fault matrix",
            Part::Threads => "threads: loom and shuttle",
            Part::Models => "models: decode and bus, exhaustively",
            Part::Fuzz => "fuzz: every target",
        }
    }

    fn run(self, sh: &Shell, options: &Options) -> Outcome {
        let (factor, deeper) = (options.factor.to_string(), options.deeper.to_string());
        // CI's own build: it has overflow checks, and some optimisation.
        let test =
            |package: &str, what: &[&str]| cmd!(sh, "cargo test --locked --package {package} {what...} -- --nocapture");
        match self {
            Part::Cases => {
                let suites: [(&str, &[&str]); 3] = [
                    ("hvpci-core", &["--lib"]),
                    ("hvpci-mock", &["--lib"]),
                    ("hvpci-tests", &["--test", "differential", "--test", "bad_input"]),
                ];
                let run = |(package, what)| test(package, what).env("HVPCI_CASES", &factor).run();
                finished(suites.into_iter().try_for_each(run))
            }
            Part::Matrix => {
                finished(test("hvpci-tests", &["--test", "fault_matrix"]).env("HVPCI_MATRIX", "full").run())
            }
            Part::Threads => {
                let threads = test("hvpci-tests", &["--test", "sync_units", "--test", "sync_bus"]);
                finished(threads.env("HVPCI_PREEMPTIONS", deeper).env("HVPCI_SHUTTLE", factor).run())
            }
            Part::Models => {
                let models = test("hvpci-tests", &["--test", "model_decode", "--test", "model_bus"]);
                finished(models.env("HVPCI_MODEL_DEPTH", &deeper).env("HVPCI_MODEL_DISTURBANCES", &deeper).run())
            }
            Part::Fuzz => fuzz(sh, u64::from(options.factor).saturating_mul(FUZZ_RUNS)),
        }
    }
}

/// Runs the parts, one after the other, the short ones first; all of them, whatever becomes of one. True if none failed and
/// none was left out (in CI) for want of a tool.
pub fn run(sh: &Shell, options: &Options) -> bool {
    let wanted = |part: &Part| options.only.is_empty() || options.only.contains(part);
    let parts = [Part::Cases, Part::Matrix, Part::Threads, Part::Fuzz, Part::Models];
    let outcomes: Vec<_> =
        parts.into_iter().filter(wanted).map(|part| (part.name(), timed(|| part.run(sh, options)))).collect();
    report(&outcomes)
}

fn fuzz(sh: &Shell, runs: u64) -> Outcome {
    if cmd!(sh, "cargo fuzz --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        return Outcome::NotRun("`cargo install --locked cargo-fuzz`, and a C++ compiler".into());
    }
    let home = sh.current_dir().join("tests").join("fuzz");
    let _there = sh.push_dir(&home);
    // The code under test has no unsafe, so that no sanitizer is needed, and stable Rust will do.
    let plain = ["--sanitizer", "none", "--fuzz-dir", "."];
    for (target, longest, dictionary) in TARGETS {
        let corpus = format!("corpus/{target}");
        if let Err(error) = fs::create_dir_all(home.join(&corpus)) {
            return Outcome::Failed(format!("{corpus}: {error}"));
        }
        let dictionary = dictionary.map(|file| format!("-dict={file}"));
        let limits = [format!("-runs={runs}"), format!("-max_len={longest}")].into_iter().chain(dictionary);
        // Twice as fast; in `wire` the comparisons lead to the message codes.
        let compares = (target != "wire").then_some("--no-trace-compares");
        let outcome =
            cmd!(sh, "cargo fuzz run {plain...} {compares...} {target} {corpus} seeds/{target} -- {limits...}").run();
        if let Err(error) = outcome {
            return Outcome::Failed(format!("{error}; the input is in tests/fuzz/artifacts/{target}"));
        }
    }
    Outcome::Passed
}
