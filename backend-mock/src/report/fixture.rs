//! Made-up runs for the tests of tables and plots. Nothing here is measured, and nothing outside tests sees it.

use super::{Lane, Report, RunResult, Span, SpanKind};

/// A run in which each of `functions` is mapped `maps_each` times in `seconds` each, `parallel` at once.
pub(crate) fn run(guest: &str, policy: &str, functions: u32, maps_each: u32, parallel: u32, seconds: f64) -> RunResult {
    let mut timeline: Vec<Lane> =
        (0..functions).map(|i| Lane { name: format!("gpu {i}"), ..Lane::default() }).collect();
    let mut free = vec![0.02; parallel as usize];
    for (index, lane) in timeline.iter_mut().enumerate() {
        let host = &mut free[index % parallel as usize];
        lane.spans.push(Span { start_s: 0.0, end_s: 0.01, kind: SpanKind::BringUp });
        lane.spans.push(Span { start_s: 0.01, end_s: *host, kind: SpanKind::Scan });
        for _ in 0..maps_each {
            let kind = if policy == "prefetch" { SpanKind::Prefetch } else { SpanKind::Map };
            lane.spans.push(Span { start_s: *host, end_s: *host + seconds, kind });
            *host += seconds;
        }
        lane.ready_s = Some(*host);
    }
    let maps = u64::from(functions * maps_each);
    RunResult {
        guest: guest.into(),
        policy: policy.into(),
        functions,
        maps,
        unmaps: maps - u64::from(functions.min(functions * maps_each)),
        host_unmaps: 0,
        traps: maps * 30,
        messages: u64::from(functions) * 12,
        host_map_seconds: maps as f64 * seconds,
        ready_seconds: free.iter().copied().fold(0.0, f64::max),
        timeline,
    }
}

/// Something like the whole table.
pub(crate) fn azure() -> Report {
    let rows = [
        ("linux-5.18", "eager", 8),
        ("linux-batched", "eager", 3),
        ("linux-5.18", "deferred", 1),
        ("linux-6.1", "deferred", 1),
        ("linux-6.12", "deferred", 1),
        ("linux-6.12", "absorbing", 1),
        ("linux-6.12", "prefetch", 1),
        ("windows", "deferred", 1),
    ];
    let runs = rows.iter().map(|(guest, policy, maps)| run(guest, policy, 14, *maps, 1, 1.8)).collect();
    Report {
        scenario: "azure-14-gpu".into(),
        subtitle: "14 functions on 14 buses, 128 GiB of BARs each; the host maps one at a time, 1.8 s per 128 GiB"
            .into(),
        runs,
    }
}
