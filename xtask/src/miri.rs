//! Undefined behaviour: Miri where a toolchain has it.

use xshell::{Shell, cmd};

/// What is left out, because it takes hours in an interpreter: generated cases and sweeps over all steps.
const SKIP: [&str; 6] = ["--skip", "properties", "--skip", "sweep", "--skip", "lifecycle"];

/// What the machine lacks, if anything.
pub fn missing(sh: &Shell) -> Option<String> {
    let there = cmd!(sh, "cargo +nightly miri --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    (!there)
        .then(|| "`rustup toolchain install nightly --component miri rust-src`; stable toolchains have no Miri".into())
}

/// Runs the unit tests of the core and of the mock host, which need no operating system.
pub fn run(sh: &Shell) -> xshell::Result<()> {
    // Miri interprets one thread at a time and isolates the program: no clock, no files. Proptest keeps failures in files.
    let flags = "-Zmiri-disable-isolation -Zmiri-strict-provenance";
    let miri = |arguments: &[&str], skip: &[&str]| {
        cmd!(sh, "cargo +nightly miri test --locked {arguments...} --lib -- {skip...}").env("MIRIFLAGS", flags).run()
    };
    miri(&["--package", "hvpci-core"], &SKIP)?;
    miri(&["--package", "hvpci-mock", "--no-default-features"], &[])
}
