//! `--realtime`: the virtual clock at wall speed, and what it looks like.

use core::time::Duration;
use std::time::Instant;

use hvpci_core::Time;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::complain;
use crate::report::{Event, EventKind, Observer, SpanKind};

/// How often bars move.
const FRAME: Duration = Duration::from_millis(50);
/// A bar counts thousandths of its step.
const FULL: u64 = 1000;

/// Holds a run's virtual clock to the wall clock and shows the functions' progress on stderr: bars on a terminal, plain
/// lines elsewhere.
pub(super) struct Realtime {
    started: Instant,
    functions: Vec<Function>,
    /// Keeps the bars together; `None`: plain lines.
    bars: Option<MultiProgress>,
}

struct Function {
    name: String,
    bar: Option<ProgressBar>,
    maps: u32,
    /// The running step: what, since when and for how long.
    step: Option<(SpanKind, Time, Duration)>,
}

impl Function {
    fn maps(&self) -> String {
        format!("{} map{}", self.maps, if self.maps == 1 { "" } else { "s" })
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("█▉▊▋▌▍▎▏ ")
}

impl Realtime {
    pub(super) fn new(title: &str, names: Vec<String>, terminal: bool) -> Realtime {
        let bars = terminal.then(MultiProgress::new);
        match &bars {
            Some(bars) => drop(bars.println(title)),
            None => complain(&format!("{title}\n")),
        }
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let functions = names
            .into_iter()
            .map(|name| {
                let bar = bars.as_ref().map(|bars| {
                    let bar = bars.add(ProgressBar::new(FULL));
                    bar.set_style(style("  {prefix} {bar:32} {msg}"));
                    bar.set_prefix(format!("{name:<width$}"));
                    bar.set_message("offered");
                    bar
                });
                Function { name, bar, maps: 0, step: None }
            })
            .collect();
        Realtime { started: Instant::now(), functions, bars }
    }

    /// Leaves the bars as they are and the cursor below them.
    pub(super) fn finish(&self) {
        for bar in self.functions.iter().filter_map(|function| function.bar.as_ref()) {
            bar.abandon();
        }
        if self.bars.is_some() {
            complain("\n\n");
        }
    }

    fn redraw(&self, now: Time) {
        for function in &self.functions {
            let (Some(bar), Some((kind, since, expected))) = (&function.bar, function.step) else { continue };
            let gone = now.since(since);
            if !expected.is_zero() {
                let part = (gone.as_secs_f64() / expected.as_secs_f64()).clamp(0.0, 1.0);
                bar.set_position((part * FULL as f64) as u64);
            }
            let step = match kind {
                SpanKind::Map => format!("map {}", function.maps),
                SpanKind::Prefetch => format!("map {} in the background", function.maps),
                other => other.name().into(),
            };
            bar.set_message(format!("{step}, {:.1} s", gone.as_secs_f64()));
        }
    }

    fn line(&self, now: Time, name: &str, what: &str) {
        let seconds = Duration::from_nanos(now.as_nanos()).as_secs_f64();
        complain(&format!("{seconds:9.3} s  {name}: {what}\n"));
    }
}

impl Observer for Realtime {
    fn advance(&mut self, now: Time) {
        let target = Duration::from_nanos(now.as_nanos());
        loop {
            let gone = self.started.elapsed();
            let Some(left) = target.checked_sub(gone).filter(|left| !left.is_zero()) else { break };
            if self.bars.is_some() {
                self.redraw(Time::ZERO.after(gone));
            }
            std::thread::sleep(left.min(FRAME));
        }
    }

    fn event(&mut self, event: &Event) {
        let Some(function) = usize::try_from(event.function).ok().and_then(|index| self.functions.get_mut(index))
        else {
            return;
        };
        let seconds = Duration::from_nanos(event.at.as_nanos()).as_secs_f64();
        let what = match event.kind {
            EventKind::Started(kind, expected) => {
                function.step = Some((kind, event.at, expected));
                if !matches!(kind, SpanKind::Map | SpanKind::Prefetch) {
                    return;
                }
                function.maps += 1;
                format!("map {} starts", function.maps)
            }
            EventKind::Ended(kind) => {
                if function.step.is_some_and(|(running, ..)| running == kind) {
                    function.step = None;
                }
                return;
            }
            EventKind::Ready => {
                function.step = None;
                if let Some(bar) = &function.bar {
                    bar.set_position(FULL);
                    bar.set_message(format!("ready after {seconds:.1} s, {}", function.maps()));
                }
                format!("ready, {}", function.maps())
            }
            EventKind::Failed => {
                function.step = None;
                if let Some(bar) = &function.bar {
                    bar.set_message(format!("failed after {seconds:.1} s"));
                }
                "failed".into()
            }
        };
        if self.bars.is_none()
            && let Some(function) = self.functions.get(usize::try_from(event.function).unwrap_or(usize::MAX))
        {
            self.line(event.at, &function.name, &what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_virtual_clock_is_held_to_the_wall_clock() {
        let mut watch = Realtime::new("test", vec!["gpu 0".into()], false);
        let start = Instant::now();
        watch.advance(Time::from_nanos(60_000_000));
        assert!(start.elapsed() >= Duration::from_millis(55));
        // What is past costs nothing.
        watch.advance(Time::from_nanos(10_000_000));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn events_are_counted_and_odd_ones_ignored() {
        let mut watch = Realtime::new("test", vec!["gpu 0".into()], false);
        let mut event = |function, kind| watch.event(&Event { at: Time::ZERO, function, kind });
        event(0, EventKind::Started(SpanKind::Map, Duration::from_secs(1)));
        event(0, EventKind::Ended(SpanKind::Scan));
        event(7, EventKind::Ready);
        assert!(watch.functions[0].step.is_some());
        let mut event = |function, kind| watch.event(&Event { at: Time::ZERO, function, kind });
        event(0, EventKind::Ended(SpanKind::Map));
        event(0, EventKind::Ready);
        assert_eq!((watch.functions[0].maps, watch.functions[0].step), (1, None));
        watch.finish();
    }
}
