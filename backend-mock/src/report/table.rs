//! The table.

use core::fmt::Write;

use super::{Report, RunResult};

/// Characters of the longest bar.
const BAR: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// Seconds or milliseconds for a whole column, so that its figures compare at a glance.
#[derive(Clone, Copy)]
pub(super) struct TimeUnit {
    factor: f64,
    decimals: usize,
    name: &'static str,
}

impl TimeUnit {
    /// The unit for figures of which `largest` is the largest, in seconds.
    pub(super) fn for_largest(largest: f64) -> TimeUnit {
        match largest {
            t if t >= 10.0 => TimeUnit { factor: 1.0, decimals: 1, name: "s" },
            t if t >= 1.0 => TimeUnit { factor: 1.0, decimals: 2, name: "s" },
            t if t >= 0.1 => TimeUnit { factor: 1e3, decimals: 0, name: "ms" },
            t if t >= 0.01 => TimeUnit { factor: 1e3, decimals: 1, name: "ms" },
            _ => TimeUnit { factor: 1e3, decimals: 2, name: "ms" },
        }
    }

    pub(super) fn show(self, seconds: f64) -> String {
        format!("{:.*} {}", self.decimals, seconds * self.factor, self.name)
    }
}

/// `12345` as `12,345`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How much sooner than the baseline, in words of at most twelve characters.
fn factor(baseline: f64, ready: f64) -> String {
    if baseline <= 0.0 || ready <= 0.0 {
        return String::new();
    }
    let factor = baseline / ready;
    match factor {
        f if f >= 99.5 => format!("{f:.0}x faster"),
        f if f >= 1.05 => format!("{f:.1}x faster"),
        f if f > 0.95 => "the same".into(),
        f => format!("{:.1}x slower", 1.0 / f),
    }
}

/// A bar of eighths of a character.
fn bar(value: f64, largest: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if largest <= 0.0 || value <= 0.0 {
        return String::new();
    }
    // Something took time, so something is shown.
    let eighths = ((value / largest * (BAR * 8) as f64).round() as usize).clamp(1, BAR * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", report.scenario);
    if !report.subtitle.is_empty() {
        let _ = writeln!(text, "{}", report.subtitle);
    }
    text.push('\n');

    let largest = |value: fn(&RunResult) -> f64| report.runs.iter().map(value).fold(0.0, f64::max);
    let slowest = largest(|run| run.ready_seconds);
    let host_time = TimeUnit::for_largest(largest(|run| run.host_map_seconds));
    let ready = TimeUnit::for_largest(slowest);
    let host_unmaps = report.runs.iter().any(|run| run.host_unmaps > 0);
    let several = report.runs.len() > 1;

    use Align::{Left, Right};
    let mut columns = vec![("guest", Left), ("policy", Left), ("maps", Right), ("unmaps", Right)];
    if host_unmaps {
        columns.push(("host unmaps", Right));
    }
    columns.extend([("traps", Right), ("host time", Right), ("ready", Right)]);
    if several {
        columns.push(("", Left));
    }
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(title, _)| (*title).to_string()).collect()];
    for (index, run) in report.runs.iter().enumerate() {
        let mut row = vec![run.guest.clone(), run.policy.clone(), thousands(run.maps), thousands(run.unmaps)];
        if host_unmaps {
            row.push(thousands(run.host_unmaps));
        }
        row.extend([thousands(run.traps), host_time.show(run.host_map_seconds), ready.show(run.ready_seconds)]);
        if several {
            let baseline = report.runs.first().map_or(0.0, |run| run.ready_seconds);
            let note = if index == 0 { "baseline".into() } else { factor(baseline, run.ready_seconds) };
            row.push(format!("{} {note}", bar(run.ready_seconds, slowest)).trim_start().to_string());
        }
        rows.push(row);
    }
    align(&mut text, &columns, &rows);
    text
}

fn align(text: &mut String, columns: &[(&str, Align)], rows: &[Vec<String>]) {
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), (_, side)) in row.iter().zip(&widths).zip(columns) {
            let _ = match side {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_table_reads_at_a_glance() {
        let text = render(&fixture::azure());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "azure-14-gpu");
        assert_eq!(lines[2], "");
        assert_eq!(lines[3], "guest          policy     maps  unmaps  traps  host time    ready");
        assert_eq!(
            lines[4],
            "linux-5.18     eager       112      98  3,360    201.6 s  201.6 s  ████████████████ baseline"
        );
        assert_eq!(lines[6], "linux-5.18     deferred     14       0    420     25.2 s   25.2 s  ██ 8.0x faster");
        assert_eq!(lines.len(), 4 + 8);
        assert!(lines[3..].iter().all(|line| line.chars().count() <= 92));
    }

    #[test]
    fn a_single_run_has_no_baseline_and_host_unmaps_are_shown_when_there_are_any() {
        let mut run = fixture::run("windows", "deferred", 2, 1, 1, 0.0004);
        run.host_unmaps = 2;
        let text = render(&Report { scenario: "s".into(), subtitle: String::new(), runs: vec![run] });
        assert!(text.contains("host unmaps") && !text.contains("baseline") && !text.contains('█'), "{text}");
        assert!(text.contains("0.80 ms"), "{text}");
    }

    #[test]
    fn factors_and_bars_have_no_odd_corners() {
        assert_eq!(factor(201.6, 1.8), "112x faster");
        assert_eq!(factor(10.0, 10.1), "the same");
        assert_eq!(factor(10.0, 20.0), "2.0x slower");
        assert_eq!((factor(0.0, 1.0), factor(1.0, 0.0)), (String::new(), String::new()));
        assert_eq!((bar(1.0, 1.0).chars().count(), bar(1e-9, 1.0).as_str(), bar(0.0, 0.0).as_str()), (BAR, "▏", ""));
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!((thousands(0), thousands(999), thousands(1000)), ("0".into(), "999".into(), "1,000".into()));
    }
}
