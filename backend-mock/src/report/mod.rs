//! What runs give, and the forms it is shown in.

mod json;
mod observer;
mod plot;
mod replay;
mod sentence;
mod table;
mod trace;

use serde::Serialize;

pub use observer::{Event, EventKind, Observer, Silent};
pub use replay::{ReplayCounts, ReplayReport, ReplaySection};

/// What one run of a scenario cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunResult {
    /// The guest model.
    pub guest: String,
    /// The decode policy.
    pub policy: String,
    /// How many functions booted.
    pub functions: u32,
    /// Host decode 0->1 because of a guest or policy action.
    pub maps: u64,
    /// Host decode 1->0 because of a guest or policy action.
    pub unmaps: u64,
    /// Host decode 1->0 that the host did by itself.
    pub host_unmaps: u64,
    /// Accesses to either page of the config windows.
    pub traps: u64,
    /// Messages in both directions.
    pub messages: u64,
    /// Seconds the host spent mapping, summed over maps.
    #[serde(serialize_with = "json::nanosecond_precision")]
    pub host_map_seconds: f64,
    /// Virtual seconds from the channel offer until the enabling COMMAND write of the last function has completed.
    #[serde(serialize_with = "json::nanosecond_precision")]
    pub ready_seconds: f64,
    /// What happened when: a lane per function, in the order of the scenario.
    #[serde(skip)]
    pub timeline: Vec<Lane>,
}

/// What happened to one function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// The function's name.
    pub name: String,
    /// In any order; spans of one lane may overlap.
    pub spans: Vec<Span>,
    /// When its driver could use it, in seconds; `None` if it never could.
    pub ready_s: Option<f64>,
}

/// A stretch of time in a lane, in virtual seconds since the offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Where it starts.
    pub start_s: f64,
    /// Where it ends, not before `start_s`.
    pub end_s: f64,
    /// What was going on.
    pub kind: SpanKind,
}

/// What a span shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanKind {
    /// From the offer until the function is known and has its resources.
    BringUp,
    /// The guest's PCI core works on it.
    Scan,
    /// The host maps it in the background.
    Prefetch,
    /// The host maps it while the guest waits.
    Map,
}

impl SpanKind {
    /// All kinds, from background to foreground.
    pub const ALL: [SpanKind; 4] = [SpanKind::BringUp, SpanKind::Scan, SpanKind::Prefetch, SpanKind::Map];

    /// The name legends and traces use.
    pub const fn name(self) -> &'static str {
        match self {
            SpanKind::BringUp => "bring-up",
            SpanKind::Scan => "scan",
            SpanKind::Prefetch => "background map",
            SpanKind::Map => "map",
        }
    }
}

/// A scenario's runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// One line on what was booted; only people read it.
    #[serde(skip)]
    pub subtitle: String,
    /// The runs, in the scenario's order; the first is the baseline.
    pub runs: Vec<RunResult>,
}

impl Report {
    /// The table and the sentence that says what it means.
    pub fn to_text(&self) -> String {
        let mut text = table::render(self);
        if let Some(sentence) = sentence::meaning(&self.runs) {
            text.push('\n');
            text.push_str(&sentence);
            text.push('\n');
        }
        text
    }

    /// The one JSON object, with a line feed.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        json::render(self)
    }

    /// The timeline as an SVG picture.
    pub fn to_svg(&self) -> String {
        plot::render(self)
    }

    /// The timeline as a Chrome trace, which Perfetto opens.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn to_trace(&self) -> Result<String, serde_json::Error> {
        trace::render(self)
    }
}

#[cfg(test)]
pub(crate) mod fixture;
