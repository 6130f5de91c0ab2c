//! The `hvpci` command, but for what does the work: that is given as [`Tools`].

mod args;
mod boot;
mod progress;
mod recordings;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use hvpci_core::decode::Policy;

use crate::report::{Observer, ReplayReport, RunResult};
use crate::scenario::{Diagnostic, RunSpec, Scenario};

/// What the subcommands run.
#[derive(Clone, Copy)]
pub struct Tools {
    /// Boots a scenario once.
    pub boot: fn(&Scenario, RunSpec, &mut dyn Observer) -> Result<RunResult, ToolError>,
    /// Writes a recording in words. The arguments are the file's name, its text and where to write.
    pub show: fn(&str, &str, &mut dyn Write) -> Result<(), ToolError>,
    /// Replays a recording. The arguments are the file's name, its text and the policy.
    pub replay: fn(&str, &str, Policy) -> Result<ReplayReport, ToolError>,
}

/// Why a subcommand gave up; decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The input cannot be used: exit code 2.
    #[error(transparent)]
    Input(#[from] Diagnostic),
    /// The input was fine, the run failed: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Writing failed: exit code 1, or 0 and silence if the reader has gone (`hvpci show ... | head`).
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// A run that failed.
const FAILED: u8 = 1;
/// Wrong usage or unusable input; clap uses the same.
const USAGE: u8 = 2;

/// Runs the command. `arguments` start with the command's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, tools: &Tools) -> ExitCode {
    let parsed = match args::Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version go to stdout and are no errors. A reader that has gone is none either.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let result = match &parsed.command {
        args::Command::Boot(arguments) => boot::run(arguments, tools),
        args::Command::Show(arguments) => recordings::show(arguments, tools),
        args::Command::Replay(arguments) => recordings::replay(arguments, tools),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(ToolError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(ToolError::Input(diagnostic)) => {
            complain(&diagnostic.to_string());
            ExitCode::from(USAGE)
        }
        Err(error) => {
            complain(&format!("error: {error}\n"));
            ExitCode::from(FAILED)
        }
    }
}

/// Writes to stderr; unlike `eprintln` it does not panic where stderr is closed.
fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes all of `text` to stdout.
fn print(text: &str) -> Result<(), ToolError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
