//! Where things go.

use super::RunResult;
use super::axis::Axis;

/// Positions in pixels.
pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    pub margin: f64,
    /// The middle of the legend's line.
    pub legend: f64,
    /// The drawing area of all panels.
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    /// The height of a panel, and how many there are.
    pub panel: f64,
    pub panels: usize,
    /// Whether lanes are high enough to carry their names.
    pub lane_names: bool,
    pub axis: Axis,
}

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
/// Room for guest and policy.
const TITLES: f64 = 108.0;
/// Room for the names of lanes.
const NAMES: f64 = 76.0;
/// Room for the total beside the longest run.
const TOTALS: f64 = 92.0;
const TOP: f64 = 106.0;
const FOOT: f64 = 62.0;
const BETWEEN: f64 = 14.0;
/// What all panels together should about take.
const BODY: f64 = 480.0;
/// Three lines of text must fit.
const LEAST_PANEL: f64 = 48.0;
const MOST_PANEL: f64 = 480.0;
const MOST_LANE: f64 = 22.0;
const NAMED_LANE: f64 = 12.0;

impl Layout {
    pub(super) fn of(runs: &[RunResult]) -> Layout {
        let panels = runs.len();
        let lanes = runs.iter().map(|run| run.timeline.len()).max().unwrap_or(0).max(1) as f64;
        let lane = (BODY / panels.max(1) as f64 / lanes).min(MOST_LANE);
        let panel = (lane * lanes).clamp(LEAST_PANEL, MOST_PANEL);
        let lane_names = panel / lanes >= NAMED_LANE;
        let ends = runs.iter().flat_map(|run| {
            let spans = run.timeline.iter().flat_map(|lane| lane.spans.iter().map(|span| span.end_s));
            spans.chain([run.ready_seconds])
        });
        let largest = ends.filter(|end| end.is_finite()).fold(0.0, f64::max);
        let bottom = TOP + panels as f64 * (panel + BETWEEN) - BETWEEN;
        Layout {
            width: WIDTH,
            height: (bottom + FOOT).ceil(),
            margin: MARGIN,
            legend: 78.0,
            left: MARGIN + TITLES + if lane_names { NAMES } else { 0.0 },
            right: WIDTH - MARGIN - TOTALS,
            top: TOP,
            bottom,
            panel,
            panels,
            lane_names,
            axis: Axis::to(largest),
        }
    }

    pub(super) fn top_of(&self, panel: usize) -> f64 {
        self.top + panel as f64 * (self.panel + BETWEEN)
    }

    /// Where a time is.
    pub(super) fn x(&self, seconds: f64) -> f64 {
        let part = (seconds / self.axis.largest).clamp(0.0, 1.0);
        self.left + part * (self.right - self.left)
    }
}
