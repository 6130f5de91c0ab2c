//! The one sentence that says what the figures mean.

use super::RunResult;
use super::table::{TimeUnit, thousands};

/// Runs whose times differ by less than this part are called equally fast.
const SAME: f64 = 0.03;

pub(super) fn meaning(runs: &[RunResult]) -> Option<String> {
    let (baseline, others) = runs.split_first()?;
    let slowest = runs.iter().map(|run| run.ready_seconds).fold(0.0, f64::max);
    let time = TimeUnit::for_largest(slowest);
    if others.is_empty() {
        return Some(format!(
            "{} makes the host map {} ({} of host time); the last function is ready after {}.",
            pair(baseline),
            each(baseline),
            TimeUnit::for_largest(baseline.host_map_seconds).show(baseline.host_map_seconds),
            time.show(baseline.ready_seconds)
        ));
    }
    let fastest = least(others.iter())?;
    let saved = |run: &RunResult| baseline.ready_seconds - run.ready_seconds;
    if saved(fastest) < SAME * baseline.ready_seconds {
        return Some(level(baseline, runs, time));
    }
    // The fairest comparison changes the policy alone; only without one is the fastest of other guests taken.
    let same_guest = least(others.iter().filter(|run| run.guest == baseline.guest));
    let better = same_guest.filter(|run| saved(run) >= SAME * baseline.ready_seconds).unwrap_or(fastest);
    let mut sentence = format!(
        "With {} the host maps {} and the last function is ready after {}; {} needs {} and {}: {} sooner, {:.1} times as fast",
        pair(baseline),
        each(baseline),
        time.show(baseline.ready_seconds),
        pair(better),
        maps_each(better),
        time.show(better.ready_seconds),
        time.show(saved(better)),
        baseline.ready_seconds / better.ready_seconds
    );
    if better.ready_seconds - fastest.ready_seconds >= 0.1 * better.ready_seconds {
        sentence.push_str(&format!(
            "; fastest of all is {}, ready after {}",
            pair(fastest),
            time.show(fastest.ready_seconds)
        ));
    }
    sentence.push('.');
    Some(sentence)
}

/// All are about as fast as the baseline, or slower.
fn level(baseline: &RunResult, runs: &[RunResult], time: TimeUnit) -> String {
    let traps = runs.iter().map(|run| run.traps);
    format!(
        "No other run is ready noticeably sooner than {} ({}); the runs differ in maps, from {} to {}, and in traps, from {} to {}.",
        pair(baseline),
        time.show(baseline.ready_seconds),
        thousands(runs.iter().map(|run| run.maps).min().unwrap_or(0)),
        thousands(runs.iter().map(|run| run.maps).max().unwrap_or(0)),
        thousands(traps.clone().min().unwrap_or(0)),
        thousands(traps.max().unwrap_or(0)),
    )
}

fn least<'a>(runs: impl Iterator<Item = &'a RunResult>) -> Option<&'a RunResult> {
    runs.min_by(|a, b| a.ready_seconds.total_cmp(&b.ready_seconds).then(a.maps.cmp(&b.maps)))
}

fn pair(run: &RunResult) -> String {
    format!("{} + {}", run.guest, run.policy)
}

/// How often a function is mapped, or how many maps there are if that is no whole number.
fn each(run: &RunResult) -> String {
    let functions = u64::from(run.functions);
    match run.maps.checked_div(functions) {
        Some(1) if run.maps == functions => "each function once".into(),
        Some(times) if times > 0 && run.maps == times * functions => format!("each function {times} times"),
        _ => format!("{} times for {} functions", thousands(run.maps), functions),
    }
}

/// The same as a number of maps.
fn maps_each(run: &RunResult) -> String {
    let functions = u64::from(run.functions);
    match run.maps.checked_div(functions) {
        Some(1) if run.maps == functions => "1 map each".into(),
        Some(times) if times > 0 && run.maps == times * functions => format!("{times} maps each"),
        _ => format!("{} maps", thousands(run.maps)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn it_compares_policies_of_one_guest_first() {
        let mut runs = fixture::azure().runs;
        assert_eq!(
            meaning(&runs).unwrap(),
            "With linux-5.18 + eager the host maps each function 8 times and the last function is ready after 201.6 s; \
             linux-5.18 + deferred needs 1 map each and 25.2 s: 176.4 s sooner, 8.0 times as fast."
        );
        runs[6] = fixture::run("linux-6.12", "prefetch", 14, 1, 14, 1.8);
        let sentence = meaning(&runs).unwrap();
        assert!(sentence.ends_with("; fastest of all is linux-6.12 + prefetch, ready after 1.8 s."), "{sentence}");
    }

    #[test]
    fn it_says_so_when_nothing_is_gained() {
        let same = fixture::run("linux-6.12", "deferred", 8, 1, 1, 0.001);
        let slower = fixture::run("windows", "deferred", 8, 2, 1, 0.001);
        let sentence = meaning(&[same, slower]).unwrap();
        assert!(
            sentence.starts_with("No other run is ready noticeably sooner than linux-6.12 + deferred"),
            "{sentence}"
        );
        assert!(sentence.contains("maps, from 8 to 16"), "{sentence}");
    }

    #[test]
    fn one_run_is_described_and_none_is_not() {
        let run = fixture::run("linux-6.12", "deferred", 14, 1, 1, 1.8);
        assert_eq!(
            meaning(&[run]).unwrap(),
            "linux-6.12 + deferred makes the host map each function once (25.2 s of host time); the last function is \
             ready after 25.2 s."
        );
        assert_eq!(meaning(&[]), None);
        let mut odd = fixture::run("windows", "deferred", 3, 1, 1, 1.0);
        odd.maps = 4;
        assert!(meaning(&[odd]).unwrap().contains("map 4 times for 3 functions"));
    }
}
