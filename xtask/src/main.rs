//! The project's chores. `cargo xtask test` is the one command that passes or fails the whole project.

mod apt;
mod coverage;
mod lanes;
mod linux;
mod miri;
mod prove;
mod windows;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xshell::Shell;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "hvpci's chores", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test this machine can run; say loudly which lanes it cannot run and what they need.
    ///
    /// Needed Debian packages are installed with apt-get (as root, or through sudo without a password). With CI set in the
    /// environment a lane that cannot run is a failure.
    Test,
    /// The Windows lane alone: hvpci.sys built with the stand-ins and with the genuine wdk crates, static checks, stack use, INX
    /// lint, test signing, scenarios in the loader, layout checks.
    Windows,
    /// What a reviewer would complain about first: formatting, clippy, rustdoc, all with warnings denied.
    Lint,
    /// Which of the core's lines the tests run; fails below the floor.
    Coverage {
        /// Name every line that is not run.
        #[arg(long)]
        list: bool,
    },
    /// Miri over the unit tests of core and mock host, where a nightly toolchain has it; says what is missing where not. Not
    /// part of `test`.
    Miri,
    /// What can run for longer than CI has time: properties, fault matrix, orders of threads, fuzzing, models. Hours, as it
    /// stands.
    Prove(prove::Options),
    /// The kernel lanes alone: Debian's kernels in QEMU, with the stand-in host, under pci-hyperv.ko and hvpci.ko.
    Linux(linux::Options),
}

fn main() -> ExitCode {
    if let Some(code) = coverage::wrap() {
        return code;
    }
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<bool> {
    let sh = Shell::new()?;
    sh.change_dir(lanes::workspace_root());
    match command {
        Command::Test => lanes::test(&sh),
        Command::Windows => lanes::windows(&sh),
        Command::Lint => lanes::lint(&sh),
        Command::Coverage { list } => lanes::coverage(&sh, list),
        Command::Miri => lanes::miri(&sh),
        Command::Prove(options) => Ok(prove::run(&sh, &options)),
        Command::Linux(options) => lanes::linux(&sh, &options),
    }
}
