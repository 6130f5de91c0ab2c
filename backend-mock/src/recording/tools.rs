//! What the command calls.

use std::io::Write;

use hvpci_core::decode::Policy;

use super::{Recording, RecordingError};
use crate::cli::ToolError;
use crate::report::{ReplayReport, ReplaySection};
use crate::scenario::Diagnostic;

/// Writes a recording in words.
pub fn show_tool(file: &str, text: &str, out: &mut dyn Write) -> Result<(), ToolError> {
    let recording = Recording::parse(file, text.as_bytes()).map_err(unusable)?;
    Ok(super::show(&recording, out)?)
}

/// Replays a recording.
pub fn replay_tool(file: &str, text: &str, policy: Policy) -> Result<ReplayReport, ToolError> {
    let recording = Recording::parse(file, text.as_bytes()).map_err(unusable)?;
    let replay = super::replay(&recording, policy).map_err(|error| ToolError::Failed(error.to_string()))?;
    let sections = replay.sections.into_iter().map(|s| ReplaySection { name: s.name, counts: s.counts });
    Ok(ReplayReport::new(sections.collect()))
}

fn unusable(error: RecordingError) -> ToolError {
    ToolError::Input(Diagnostic::new(error.to_string()))
}
