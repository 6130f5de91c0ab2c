//! The lanes of the test command.

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{apt, coverage, linux, miri, windows};

const WINDOWS: &str =
    "windows: hvpci.sys of stand-ins and of the genuine wdk crates, checked, signed, run by the loader; layouts";

/// How a lane ended.
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed; the text says at what.
    Failed(String),
    /// The machine cannot run it; the text says what is missing.
    NotRun(String),
}

/// The top of the checkout.
pub fn workspace_root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// Formatting, clippy and rustdoc, with warnings denied.
pub fn lint(sh: &Shell) -> Result<bool> {
    Ok(report(&[
        ("fmt", timed(|| finished(cmd!(sh, "cargo fmt --all --check").run()))),
        (
            "clippy",
            timed(|| finished(cmd!(sh, "cargo clippy --workspace --all-targets --locked -- -D warnings").run())),
        ),
        ("clippy: fuzz targets", timed(|| fuzz_targets(sh))),
        (
            "rustdoc",
            timed(|| {
                let doc = cmd!(sh, "cargo doc --workspace --no-deps --document-private-items --locked");
                finished(doc.env("RUSTDOCFLAGS", "-D warnings").run())
            }),
        ),
    ]))
}

/// The fuzz targets are a workspace of their own, which no test compiles.
fn fuzz_targets(sh: &Shell) -> Outcome {
    let target = sh.current_dir().join("target");
    let clippy = cmd!(
        sh,
        "cargo clippy --manifest-path tests/fuzz/Cargo.toml --target-dir {target} --all-targets --locked -- -D warnings"
    );
    // Nothing is linked, so that libFuzzer need not be compiled.
    finished(clippy.env("CUSTOM_LIBFUZZER_PATH", target.join("not-linked").join("libFuzzer.a")).run())
}

/// The portable suite, then the lanes that need more of the machine.
pub fn test(sh: &Shell) -> Result<bool> {
    Ok(report(&[
        ("portable: core, mock host, guests, command (debug, overflow checks)", timed(|| portable(sh))),
        ("figures: the numbers of the README (release)", timed(|| figures(sh))),
        ("bare target: core, sync and mock host without std (x86_64-unknown-none)", timed(|| bare_target(sh))),
        ("coverage: the floor under the core's lines", timed(|| covered(sh, false))),
        (
            "kernels: pci-hyperv.ko and hvpci.ko on Debian's 6.12 and 6.1 and on a debug kernel, in emulation",
            timed(|| in_kernels(sh, &linux::Options::default())),
        ),
        (WINDOWS, timed(|| windows::lane(sh))),
    ]))
}

/// The coverage lane alone.
pub fn coverage(sh: &Shell, list: bool) -> Result<bool> {
    Ok(report(&[("coverage: the floor under the core's lines", timed(|| covered(sh, list)))]))
}

fn covered(sh: &Shell, list: bool) -> Outcome {
    if let Some(missing) = coverage::missing(sh) {
        return Outcome::NotRun(missing);
    }
    match coverage::run(sh, list) {
        Ok(None) => Outcome::Passed,
        Ok(Some(problem)) => Outcome::Failed(problem),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// The Windows lane alone.
pub fn windows(sh: &Shell) -> Result<bool> {
    Ok(report(&[(WINDOWS, timed(|| windows::lane(sh)))]))
}

/// Miri alone: no lane of `test`, because a lane that cannot run fails in CI.
pub fn miri(sh: &Shell) -> Result<bool> {
    let lane = || miri::missing(sh).map_or_else(|| finished(miri::run(sh)), Outcome::NotRun);
    Ok(report(&[("miri: unit tests of core and mock host", timed(lane))]))
}

/// The kernel lanes alone.
pub fn linux(sh: &Shell, options: &linux::Options) -> Result<bool> {
    Ok(report(&[("linux: Debian's kernels in emulation", timed(|| in_kernels(sh, options)))]))
}

fn in_kernels(sh: &Shell, options: &linux::Options) -> Outcome {
    if let Some(missing) = linux::missing(sh, options) {
        return Outcome::NotRun(missing);
    }
    match linux::run(sh, options) {
        Ok(problems) if problems.is_empty() => Outcome::Passed,
        Ok(problems) => Outcome::Failed(problems.join("\n           ")),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn portable(sh: &Shell) -> Outcome {
    let mut tests = cmd!(sh, "cargo test --workspace --locked");
    if in_ci() {
        // People explore with a new seed each time; CI must not fail a change for a case that main has too.
        tests = tests.env("PROPTEST_RNG_SEED", env::var("PROPTEST_RNG_SEED").unwrap_or_else(|_| "1".into()));
    }
    finished(tests.run())
}

fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false")
}

fn figures(sh: &Shell) -> Outcome {
    finished(cmd!(sh, "cargo test --release --locked --package hvpci-tests --test figures").run())
}

/// Builds what has to run in kernels for a target that has no operating system. rustup's prebuilt target is used where it
/// is installed; otherwise Debian's Rust and its sources build the standard library's core and alloc.
fn bare_target(sh: &Shell) -> Outcome {
    const TARGET: &str = "x86_64-unknown-none";
    let crates = ["--package", "hvpci-core", "--package", "hvpci-sync", "--package", "hvpci-mock"];
    let build: Vec<&str> = ["build", "--locked", "--no-default-features"].into_iter().chain(crates).collect();
    let directory = sh.current_dir().join("target").join("bare");
    let rustup = cmd!(sh, "rustup target list --installed").quiet().ignore_stderr().read();
    if rustup.is_ok_and(|targets| targets.lines().any(|t| t == TARGET)) {
        return finished(cmd!(sh, "cargo {build...} --target {TARGET} --target-dir {directory}").run());
    }
    if let Err(why) = apt::ensure(sh, &["rustc-web", "cargo-web", "rust-web-src"]) {
        return Outcome::NotRun(format!("run `rustup target add {TARGET}`, or {why}"));
    }
    let path = format!("/usr/bin:{}", env::var("PATH").unwrap_or_default());
    let debian =
        cmd!(sh, "/usr/bin/cargo {build...} -Zbuild-std=core,alloc --target {TARGET} --target-dir {directory}");
    finished(
        debian
            .env("PATH", path)
            .env("RUSTC", "/usr/bin/rustc")
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO")
            .run(),
    )
}

/// What became of a command.
pub fn finished(result: xshell::Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Runs a lane; how long it took, in seconds.
pub fn timed(lane: impl FnOnce() -> Outcome) -> (Outcome, f64) {
    let start = Instant::now();
    (lane(), start.elapsed().as_secs_f64())
}

/// Prints what became of each lane; true if the command may succeed.
pub fn report(lanes: &[(&str, (Outcome, f64))]) -> bool {
    let mut good = true;
    eprintln!();
    for (name, (outcome, seconds)) in lanes {
        match outcome {
            Outcome::Passed => eprintln!("  passed   {name}  ({seconds:.0} s)"),
            Outcome::Failed(why) => {
                good = false;
                eprintln!("  FAILED   {name}  ({seconds:.0} s)\n           {why}");
            }
            Outcome::NotRun(why) => {
                good &= !in_ci();
                eprintln!("  NOT RUN  {name}\n           this machine cannot run it: {why}");
                if in_ci() {
                    eprintln!("           in CI a lane that does not run is a failure");
                }
            }
        }
    }
    good
}
