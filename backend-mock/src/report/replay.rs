//! What a replay gives.

use core::fmt::Write;

use serde::Serialize;

/// The counts of a replay, for a section or summed over a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayCounts {
    /// Config reads the recorded guest made.
    pub guest_reads: u64,
    /// Config writes the recorded guest made.
    pub guest_writes: u64,
    /// Reads whose value differs from the recording.
    pub mismatches: u64,
    /// Traps in the recording.
    pub traps_recorded: u64,
    /// Traps ours would have made.
    pub traps: u64,
    /// Maps in the recording.
    pub maps_recorded: u64,
    /// Maps ours would have made.
    pub maps: u64,
    /// Unmaps in the recording.
    pub unmaps_recorded: u64,
    /// Unmaps ours would have made.
    pub unmaps: u64,
    /// Unmaps the host did by itself.
    pub host_unmaps: u64,
    /// Messages in both directions.
    pub messages: u64,
    /// Messages that do not parse or match.
    pub message_errors: u64,
}

/// One section of a recording: one VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplaySection {
    /// What the recording calls it.
    pub name: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: ReplayCounts,
    /// The first of the mismatches and message errors, each with its place in the file. Not in the JSON.
    #[serde(skip)]
    pub findings: Vec<String>,
}

/// Findings that the text shows of all sections together.
const SHOWN_FINDINGS: usize = 12;

/// A whole replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Summed over the file.
    #[serde(flatten)]
    pub total: ReplayCounts,
    /// Section by section.
    pub sections: Vec<ReplaySection>,
}

impl core::ops::AddAssign for ReplayCounts {
    fn add_assign(&mut self, other: ReplayCounts) {
        self.guest_reads += other.guest_reads;
        self.guest_writes += other.guest_writes;
        self.mismatches += other.mismatches;
        self.traps_recorded += other.traps_recorded;
        self.traps += other.traps;
        self.maps_recorded += other.maps_recorded;
        self.maps += other.maps;
        self.unmaps_recorded += other.unmaps_recorded;
        self.unmaps += other.unmaps;
        self.host_unmaps += other.host_unmaps;
        self.messages += other.messages;
        self.message_errors += other.message_errors;
    }
}

impl ReplayReport {
    /// A report with its total summed up.
    pub fn new(sections: Vec<ReplaySection>) -> ReplayReport {
        let mut total = ReplayCounts::default();
        for section in &sections {
            total += section.counts;
        }
        ReplayReport { total, sections }
    }

    /// The one JSON object, with a line feed.
    ///
    /// # Errors
    /// None that these types can cause.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// A table of the sections, recorded -> ours, and a sentence.
    pub fn to_text(&self) -> String {
        let name = |name: &str| name.chars().take(28).collect::<String>();
        let width =
            self.sections.iter().map(|section| name(&section.name).chars().count()).chain([7]).max().unwrap_or(7);
        let mut text = String::new();
        let mut line = |cells: [String; 7]| {
            let [section, traps, maps, unmaps, mismatches, messages, errors] = cells;
            let row = format!(
                "{section:width$}  {traps:>15}  {maps:>11}  {unmaps:>11}  {mismatches:>10}  {messages:>8}  {errors:>6}"
            );
            let _ = writeln!(text, "{}", row.trim_end());
        };
        line(["section", "traps", "maps", "unmaps", "mismatches", "messages", "errors"].map(String::from));
        let mut row = |name: String, counts: &ReplayCounts| {
            let arrow = |recorded: u64, ours: u64| format!("{recorded} -> {ours}");
            line([
                name,
                arrow(counts.traps_recorded, counts.traps),
                arrow(counts.maps_recorded, counts.maps),
                arrow(counts.unmaps_recorded, counts.unmaps),
                counts.mismatches.to_string(),
                counts.messages.to_string(),
                counts.message_errors.to_string(),
            ]);
        };
        for section in &self.sections {
            row(name(&section.name), &section.counts);
        }
        if self.sections.len() > 1 {
            row("total".into(), &self.total);
        }
        text.push_str(&self.findings());
        let _ = writeln!(text, "\n{}", self.meaning());
        text
    }

    /// Whether everything came out as recorded.
    pub fn agrees(&self) -> bool {
        self.total.mismatches == 0 && self.total.message_errors == 0
    }

    /// The first findings, and how many more there are.
    fn findings(&self) -> String {
        let mut text = String::new();
        let all = || self.sections.iter().flat_map(|section| &section.findings);
        let shown = all().take(SHOWN_FINDINGS).count() as u64;
        if shown > 0 {
            text.push('\n');
        }
        for finding in all().take(SHOWN_FINDINGS) {
            let _ = writeln!(text, "{finding}");
        }
        let more = (self.total.mismatches + self.total.message_errors).saturating_sub(shown);
        if shown > 0 && more > 0 {
            let _ = writeln!(text, "... and {more} more");
        }
        text
    }

    fn meaning(&self) -> String {
        let counts = &self.total;
        let fewer = if counts.traps > 0 && counts.traps_recorded > counts.traps {
            format!(
                ", {:.1} times fewer than the {} recorded",
                counts.traps_recorded as f64 / counts.traps as f64,
                counts.traps_recorded
            )
        } else {
            format!(" ({} recorded)", counts.traps_recorded)
        };
        let reads = match counts.mismatches {
            0 => format!("The guest would have read the same {} values", counts.guest_reads),
            n => format!("The guest would have read {n} of {} values DIFFERENTLY", counts.guest_reads),
        };
        let messages = match counts.message_errors {
            0 => format!("all {} messages were understood", counts.messages),
            n => format!("{n} of {} messages were NOT understood", counts.messages),
        };
        format!("{reads} at the price of {} traps{fewer}; {messages}.", counts.traps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ReplayReport {
        let boot = ReplayCounts {
            guest_reads: 200,
            guest_writes: 40,
            traps_recorded: 478,
            traps: 100,
            maps_recorded: 1,
            maps: 1,
            messages: 30,
            ..ReplayCounts::default()
        };
        let rescan = ReplayCounts { maps_recorded: 8, unmaps_recorded: 7, maps: 1, traps_recorded: 22, ..boot };
        ReplayReport::new(vec![
            ReplaySection { name: "boot".into(), counts: boot, findings: Vec::new() },
            ReplaySection { name: "remove and rescan".into(), counts: rescan, findings: Vec::new() },
        ])
    }

    #[test]
    fn the_json_is_flat_sums_then_sections() {
        let text = report().to_json().unwrap();
        let keys: Vec<&str> =
            text.lines().filter(|l| l.starts_with("  \"")).filter_map(|l| l.split('"').nth(1)).collect();
        assert_eq!(
            keys,
            [
                "guest_reads",
                "guest_writes",
                "mismatches",
                "traps_recorded",
                "traps",
                "maps_recorded",
                "maps",
                "unmaps_recorded",
                "unmaps",
                "host_unmaps",
                "messages",
                "message_errors",
                "sections"
            ]
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["maps_recorded"], &value["sections"][1]["maps_recorded"]), (&9.into(), &8.into()));
    }

    #[test]
    fn the_text_is_aligned_and_says_what_it_means() {
        let text = report().to_text();
        assert!(
            text.contains("The guest would have read the same 400 values at the price of 200 traps, 2.5 times fewer"),
            "{text}"
        );
        assert!(text.contains("all 60 messages were understood."), "{text}");
        let rows: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    }

    #[test]
    fn the_first_findings_are_shown_and_the_rest_counted() {
        let counts = ReplayCounts { mismatches: 20, message_errors: 1, ..ReplayCounts::default() };
        let findings: Vec<String> = (1..=16).map(|line| format!("a.trace.txt:{line}: something")).collect();
        let report = ReplayReport::new(vec![ReplaySection { name: "boot".into(), counts, findings }]);
        assert!(!report.agrees());
        let text = report.to_text();
        assert_eq!(text.lines().filter(|line| line.starts_with("a.trace.txt:")).count(), 12, "{text}");
        assert!(text.contains("\n... and 9 more\n"), "{text}");
        assert!(!report.to_json().unwrap().contains("something"));
    }
}
