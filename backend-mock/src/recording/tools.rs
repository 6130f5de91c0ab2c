//! What the command calls.

use std::io::Write;

use hvpci_core::decode::Policy;

use super::{Mismatch, Recording, RecordingError, SectionReplay};
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
    let sections = replay.sections.into_iter().map(|section| ReplaySection {
        findings: findings(file, &section),
        name: section.name,
        counts: section.counts,
    });
    Ok(ReplayReport::new(sections.collect()))
}

/// What a section's replay found, in the order of the file.
fn findings(file: &str, section: &SectionReplay) -> Vec<String> {
    let values = section.mismatches.iter().map(|mismatch| {
        let Mismatch { line, offset, recorded, answered } = *mismatch;
        (line, format!("the guest read {recorded:#x} at {offset:#05x}, and would have read {answered:#x}"))
    });
    let mut findings: Vec<(usize, String)> = values.chain(section.message_errors.iter().cloned()).collect();
    findings.sort();
    findings.into_iter().map(|(line, text)| format!("{file}:{line}: {text}")).collect()
}

fn unusable(error: RecordingError) -> ToolError {
    ToolError::Input(Diagnostic::new(error.to_string()))
}
