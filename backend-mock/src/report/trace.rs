//! The timeline in the trace format of Chrome and Perfetto: a process per run, a thread per function.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Report, SpanKind};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    display_time_unit: &'static str,
    trace_events: Vec<Value>,
}

/// The format counts microseconds; three digits after the point keep the nanoseconds.
fn microseconds(seconds: f64) -> f64 {
    (seconds * 1e9).round() / 1e3
}

/// Spans of one thread must nest. Background maps overlap the guest's own steps, so they get a thread of their own.
fn thread(lane: usize, kind: SpanKind) -> usize {
    2 * lane + if kind == SpanKind::Prefetch { 2 } else { 1 }
}

pub(super) fn render(report: &Report) -> Result<String, serde_json::Error> {
    let mut events = Vec::new();
    for (run_index, run) in report.runs.iter().enumerate() {
        let pid = run_index + 1;
        let name = format!("{} + {}", run.guest, run.policy);
        events.push(json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}));
        events.push(json!({"ph": "M", "name": "process_sort_index", "pid": pid, "args": {"sort_index": pid}}));
        for (lane_index, lane) in run.timeline.iter().enumerate() {
            let tid = thread(lane_index, SpanKind::Map);
            events.push(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": lane.name}}));
            events.push(
                json!({"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": {"sort_index": tid}}),
            );
            if lane.spans.iter().any(|span| span.kind == SpanKind::Prefetch) {
                let tid = thread(lane_index, SpanKind::Prefetch);
                let name = format!("{} (host, in the background)", lane.name);
                events.push(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}));
                events.push(
                    json!({"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": {"sort_index": tid}}),
                );
            }
            for span in &lane.spans {
                let (ts, end) = (microseconds(span.start_s), microseconds(span.end_s));
                events.push(json!({
                    "ph": "X", "name": span.kind.name(), "cat": "vpci", "pid": pid, "tid": thread(lane_index, span.kind),
                    "ts": ts, "dur": microseconds((end - ts).max(0.0) / 1e6)
                }));
            }
            if let Some(ready) = lane.ready_s {
                let ts = microseconds(ready);
                events.push(
                    json!({"ph": "i", "name": "ready", "cat": "vpci", "pid": pid, "tid": tid, "ts": ts, "s": "t"}),
                );
            }
        }
    }
    let mut text = serde_json::to_string(&Trace { display_time_unit: "ms", trace_events: events })?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_process_per_run_and_a_thread_per_function() {
        let report = fixture::azure();
        let trace: Value = serde_json::from_str(&report.to_trace().unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let named = |kind: &str| events.iter().filter(|event| event["name"] == kind).count();
        assert_eq!((named("process_name"), named("map"), named("ready")), (8, 14 * (8 + 3 + 5), 8 * 14));
        assert_eq!((named("background map"), named("thread_name")), (14, 8 * 14 + 14));
        let first = events.iter().find(|event| event["name"] == "map").unwrap();
        assert_eq!((&first["ts"], &first["dur"], &first["pid"]), (&json!(20000.0), &json!(1800000.0), &json!(1)));
        assert!(events.iter().all(|event| event["ph"] != "X" || event["dur"].as_f64().unwrap() >= 0.0));
    }
}
