//! The timeline as an SVG: a panel per run, a lane per function, one time axis for all, so that lengths compare.

mod axis;
mod canvas;
mod layout;
mod theme;

use canvas::{Anchor, Canvas};
use layout::Layout;
use theme::Ink;

use super::table::{TimeUnit, thousands};
use super::{Lane, Report, RunResult, Span, SpanKind};

/// The narrowest span, in pixels: whatever took time is seen.
const MIN_SPAN: f64 = 0.75;
/// Taken off the end of wide spans, so that neighbours stay apart.
const GAP: f64 = 0.75;

pub(super) fn render(report: &Report) -> String {
    let layout = Layout::of(&report.runs);
    let mut canvas = Canvas::new(layout.width, layout.height);
    header(&mut canvas, &layout, report);
    grid(&mut canvas, &layout);
    for (index, run) in report.runs.iter().enumerate() {
        panel(&mut canvas, &layout, index, run, report.runs.first());
    }
    canvas.finish(&format!("{}: timeline of {} runs", report.scenario, report.runs.len()))
}

fn header(canvas: &mut Canvas, layout: &Layout, report: &Report) {
    let left = layout.margin;
    let title = format!("{}: from the channel offer to the last ready function", report.scenario);
    canvas.text(&title, left, 30.0, 17.0, true, Ink::Text, Anchor::Left);
    canvas.text(&report.subtitle, left, 50.0, 12.0, false, Ink::Muted, Anchor::Left);
    let mut x = left;
    let y = layout.legend;
    for kind in SpanKind::ALL.into_iter().rev() {
        let seen = |run: &RunResult| run.timeline.iter().any(|lane| lane.spans.iter().any(|span| span.kind == kind));
        if !report.runs.iter().any(seen) {
            continue;
        }
        canvas.rect(x, y - 5.0, 18.0, 10.0, ink(kind));
        let label = legend(kind);
        canvas.text(label, x + 24.0, y, 12.0, false, Ink::Text, Anchor::Left);
        x += 24.0 + canvas::width(label, 12.0) + 22.0;
    }
    canvas.rect(x + 1.0, y - 6.0, 1.5, 12.0, Ink::Text);
    canvas.text("function ready", x + 9.0, y, 12.0, false, Ink::Text, Anchor::Left);
}

fn legend(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Map => "host maps, guest waits",
        SpanKind::Prefetch => "host maps in the background",
        SpanKind::Scan => "guest's PCI scan",
        SpanKind::BringUp => "bring-up",
    }
}

fn ink(kind: SpanKind) -> Ink {
    match kind {
        SpanKind::Map => Ink::Map,
        SpanKind::Prefetch => Ink::Prefetch,
        SpanKind::Scan => Ink::Scan,
        SpanKind::BringUp => Ink::BringUp,
    }
}

fn grid(canvas: &mut Canvas, layout: &Layout) {
    for index in 0..layout.panels {
        canvas.rect(layout.left, layout.top_of(index), layout.right - layout.left, layout.panel, Ink::Lane);
    }
    for tick in &layout.axis.ticks {
        let x = layout.x(tick.seconds);
        canvas.rect(x - 0.5, layout.top - 6.0, 1.0, layout.bottom - layout.top + 12.0, Ink::Grid);
        canvas.text(&tick.label, x, layout.bottom + 18.0, 12.0, false, Ink::Muted, Anchor::Middle);
    }
    let middle = f64::midpoint(layout.left, layout.right);
    canvas.text(layout.axis.title, middle, layout.bottom + 38.0, 12.0, false, Ink::Muted, Anchor::Middle);
}

fn panel(canvas: &mut Canvas, layout: &Layout, index: usize, run: &RunResult, baseline: Option<&RunResult>) {
    let top = layout.top_of(index);
    let middle = top + layout.panel / 2.0;
    let left = layout.margin;
    canvas.text(&run.guest, left, middle - 15.0, 13.0, true, Ink::Text, Anchor::Left);
    canvas.text(&run.policy, left, middle, 12.0, false, Ink::Text, Anchor::Left);
    let maps = format!("{} map{}", thousands(run.maps), if run.maps == 1 { "" } else { "s" });
    canvas.text(&maps, left, middle + 14.0, 11.0, false, Ink::Muted, Anchor::Left);

    let lane_height = layout.panel / run.timeline.len().max(1) as f64;
    for (number, lane) in run.timeline.iter().enumerate() {
        let lane_top = top + lane_height * number as f64;
        if layout.lane_names {
            let y = lane_top + lane_height / 2.0;
            canvas.text(&lane.name, layout.left - 8.0, y, 10.0, false, Ink::Muted, Anchor::Right);
        }
        draw_lane(canvas, layout, lane, lane_top, lane_height);
    }

    let end = run.timeline.iter().filter_map(|lane| lane.ready_s).fold(run.ready_seconds, f64::max);
    let x = layout.x(end) + 9.0;
    let ready = TimeUnit::for_largest(layout.axis.largest).show(run.ready_seconds);
    let factor = baseline
        .filter(|baseline| index > 0 && run.ready_seconds > 0.0 && baseline.ready_seconds > 1.05 * run.ready_seconds)
        .map(|baseline| format!("{:.1}x faster", baseline.ready_seconds / run.ready_seconds));
    let y = if factor.is_some() { middle - 8.0 } else { middle };
    canvas.text(&ready, x, y, 15.0, true, Ink::Text, Anchor::Left);
    if let Some(factor) = factor {
        canvas.text(&factor, x, middle + 9.0, 11.0, false, Ink::Muted, Anchor::Left);
    }
}

fn draw_lane(canvas: &mut Canvas, layout: &Layout, lane: &Lane, top: f64, height: f64) {
    let inset = if height >= 3.0 { (height * 0.12).min(2.0) } else { 0.0 };
    let mut spans: Vec<&Span> = lane.spans.iter().filter(|span| span.end_s >= span.start_s).collect();
    // Foreground last.
    spans.sort_by_key(|span| span.kind);
    for span in spans {
        let (from, to) = (layout.x(span.start_s), layout.x(span.end_s));
        let wide = to - from;
        let width = if wide > 4.0 * GAP { wide - GAP } else { wide.max(MIN_SPAN) };
        // Phases without a map are thinner: the eye is to find the maps.
        let thin = match span.kind {
            SpanKind::Map | SpanKind::Prefetch => 0.0,
            SpanKind::Scan | SpanKind::BringUp => (height - 2.0 * inset) * 0.3,
        };
        canvas.rect(from, top + inset + thin, width, height - 2.0 * (inset + thin), ink(span.kind));
    }
    if let Some(ready) = lane.ready_s
        && height >= 2.0
    {
        canvas.rect(layout.x(ready) - GAP, top, 1.5, height, Ink::Text);
    }
}

#[cfg(test)]
mod tests;
