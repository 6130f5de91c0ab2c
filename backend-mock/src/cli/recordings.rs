//! `hvpci show` and `hvpci replay`.

use std::io::{BufWriter, Write};

use super::args::{ReplayArguments, ShowArguments};
use super::{ToolError, Tools, print};
use crate::scenario::read_text;

/// The largest recording read. The one in the reference data is under a megabyte.
const MAX_RECORDING: u64 = 256 << 20;
const WHAT: &str = "a recording is a text file in the *.trace.txt format, in UTF-8";

pub(super) fn show(arguments: &ShowArguments, tools: &Tools) -> Result<(), ToolError> {
    let text = read_text(&arguments.file, MAX_RECORDING, WHAT)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    (tools.show)(&arguments.file, &text, &mut out)?;
    Ok(out.flush()?)
}

pub(super) fn replay(arguments: &ReplayArguments, tools: &Tools) -> Result<(), ToolError> {
    let text = read_text(&arguments.file, MAX_RECORDING, WHAT)?;
    let report = (tools.replay)(&arguments.file, &text, arguments.policy)?;
    if arguments.json {
        print(&report.to_json().map_err(|error| ToolError::Failed(error.to_string()))?)?;
    } else {
        print(&report.to_text())?;
    }
    if report.agrees() {
        return Ok(());
    }
    let (mismatches, errors) = (report.total.mismatches, report.total.message_errors);
    Err(ToolError::Failed(format!("not as recorded: mismatches {mismatches}, message errors {errors}")))
}
