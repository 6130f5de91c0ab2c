//! What must come out of a case.

use super::plan::{Check, Driver};
use crate::linux::machine::Clock;
use crate::linux::results::Case;

/// A problem per line. On a clock that others' load drives on, it is not judged how many maps `prefetch` has under way at once
/// nor how long it took.
pub fn judge(check: &Check, case: &Case, clock: Clock) -> Vec<String> {
    let mut problems: Vec<String> = case.bad.clone();
    let mut must = |good: bool, what: String| {
        if !good {
            problems.push(what);
        }
    };
    if check.line.starts_with("bring_up") {
        let Some(bound) = case.moment("bound") else {
            problems.push("nothing was written down".to_string());
            return problems.into_iter().map(|problem| format!("`{}`: {problem}", check.line)).collect();
        };
        let total = |key| bound.total.number(key);
        must(total("maps") == check.functions, format!("{} maps for {} functions", total("maps"), check.functions));
        let unmaps = if check.leftover { check.functions } else { 0 };
        must(total("unmaps") <= unmaps, format!("{} unmaps, at most {unmaps}", total("unmaps")));
        match case.moment("fired") {
            Some(fired) => {
                let drivers = fired.drivers.len();
                must(
                    drivers as u64 == check.functions,
                    format!("interrupts of {drivers} of {} functions", check.functions),
                );
            }
            None => must(false, "no interrupts were counted".to_string()),
        }
        if check.line.contains("policy=prefetch") && clock != Clock::Real {
            let at_once = total("at_once");
            must(at_once == check.functions, format!("{at_once} maps at once of {}", check.functions));
            let (took, maps) = (bound.microseconds(), total("map_us"));
            must(took.saturating_mul(3) <= maps, format!("bound after {took} us: maps one by one take {maps}"));
        }
    }
    if let Some((_, rescan)) = case.results.iter().find(|(name, _)| name == "rescan") {
        // linux-6.12: what a plain guest pays for sizing and assigning again with decode left on
        let most = if check.line.contains("absorbing") { 0 } else { 7 };
        must(rescan.number("maps") <= most, format!("{} maps for remove and rescan", rescan.number("maps")));
    }
    for fired in case.moments("fired") {
        for driver in &fired.drivers {
            let counts = driver.numbers("counts");
            let good = !counts.is_empty() && counts.iter().all(|count| *count == 1);
            must(good, format!("{}: interrupts counted {counts:?}, one each was sent", driver.text("pci")));
        }
    }
    for (name, moment) in &case.moments {
        let errors = moment.total.number("errors");
        must(errors == 0, format!("{name}: {errors} violations, such as {:?}", moment.violations.first()));
        must(moment.leaks.is_empty(), format!("{name}: leaks, such as {:?}", moment.leaks.first()));
    }
    must(case.moment("unloaded").is_some(), "it did not come to its end".to_string());
    for end in case.moments("unloaded") {
        must(end.mmio_held == 0, format!("{} MMIO ranges held after unload", end.mmio_held));
    }
    problems.into_iter().map(|problem| format!("`{}`: {problem}", check.line)).collect()
}

/// Ours pays at most a quarter of the distribution's traps from the offer to the bound driver, in the same boot.
pub fn fewer_traps(cases: &[Case]) -> Option<String> {
    let traps = |driver: Driver| {
        let case = cases.iter().find(|case| case.line.starts_with(&format!("bring_up fourteen {} ", driver.word())))?;
        Some(case.moment("bound")?.total.number("traps"))
    };
    let (stock, ours) = (traps(Driver::Stock)?, traps(Driver::Ours)?);
    (ours.saturating_mul(4) > stock).then(|| format!("{ours} traps, pci-hyperv paid {stock}: more than a quarter"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::results;

    fn log(counts: &str, maps: u64, held: u64) -> String {
        format!(
            "@@ case bring_up one stock 1 buses=1\n\
             @@ host bound mmio held=2\n@@ host bound total started_ns=1 errors=0 maps={maps} unmaps=0 traps=400\n\
             @@ driver bound pci=1001:00:00.0 bound_ns=9 counts=0,0\n\
             @@ host fired total errors=0\n@@ driver fired pci=1001:00:00.0 counts={counts}\n\
             @@ host unloaded mmio held={held}\n@@ host unloaded total errors=0\n"
        )
    }

    fn problems(log: &str) -> Vec<String> {
        let check = Check::new(1, "bring_up one stock 1 buses=1".to_string());
        judge(&check, &results::parse(log)[0], Clock::USUAL)
    }

    #[test]
    fn a_good_bring_up_has_no_problem() {
        assert_eq!(problems(&log("1,1", 1, 0)), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_goes_wrong_is_seen() {
        for (log, what) in [
            (log("1,0", 1, 0), "interrupts"),
            (log("", 1, 0), "interrupts"),
            (log("1,1", 8, 0), "8 maps"),
            (log("1,1", 1, 2), "MMIO ranges"),
            (log("1,1", 1, 0).replace("fired total errors=0", "fired total errors=3"), "3 violations"),
            (
                log("1,1", 1, 0)
                    .replace("@@ host unloaded total", "@@ host unloaded leak bus=0 x\n@@ host unloaded total"),
                "leaks",
            ),
            (log("1,1", 1, 0) + "@@ bad rmmod pci_hyperv\n", "rmmod"),
            (log("1,1", 1, 0).replace("@@ driver fired", "@@ other"), "interrupts of 0 of 1 functions"),
            (log("1,1", 1, 0).replace(" fired ", " other "), "no interrupts were counted"),
            ("@@ case bring_up one stock 1 buses=1\n".to_string(), "nothing was written down"),
        ] {
            let found = problems(&log);
            assert!(found.iter().any(|problem| problem.contains(what)), "{what}: {found:?}");
        }
    }

    #[test]
    fn every_moment_of_a_case_that_starts_over_is_judged() {
        let log = |count: u64, held: u64| {
            let round = |count: u64, held: u64| {
                format!(
                    "@@ host fired total errors=0\n@@ driver fired pci=1001:00:00.0 counts=1,{count}\n\
                     @@ host unloaded mmio held={held}\n@@ host unloaded total errors=0\n"
                )
            };
            format!("@@ case versions\n{}{}", round(count, held), round(1, 0))
        };
        let problems = |log: String| {
            let check = Check::new(1, "versions".to_string());
            judge(&check, &results::parse(&log)[0], Clock::USUAL)
        };
        assert_eq!(problems(log(1, 0)), Vec::<String>::new());
        for (log, what) in [(log(0, 0), "interrupts counted [1, 0]"), (log(1, 2), "2 MMIO ranges")] {
            let found = problems(log);
            assert!(found.len() == 1 && found[0].contains(what), "{what}: {found:?}");
        }
    }

    #[test]
    fn prefetch_maps_side_by_side_and_is_quick() {
        let count = |clock, at_once: u64, bound_ns: u64| {
            let fired = "@@ driver fired counts=1\n".repeat(14);
            let line = "bring_up prefetch ours 14 buses=14 policy=prefetch";
            let log = format!(
                "@@ case {line}\n\
                 @@ host bound total started_ns=0 errors=0 maps=14 unmaps=0 at_once={at_once} map_us=2800000\n\
                 @@ driver bound bound_ns={bound_ns}\n{fired}@@ host fired total errors=0\n\
                 @@ host unloaded mmio held=0\n@@ host unloaded total errors=0\n"
            );
            judge(&Check::new(14, line.to_string()), &results::parse(&log)[0], clock).len()
        };
        assert_eq!(count(Clock::USUAL, 14, 933_000_000), 0);
        assert_eq!(count(Clock::USUAL, 13, 933_000_000), 1);
        assert_eq!(count(Clock::USUAL, 14, 934_000_000), 1);
        assert_eq!(count(Clock::Real, 1, 9_000_000_000), 0);
    }

    #[test]
    fn more_than_a_quarter_of_the_traps_is_a_problem() {
        let of = |driver: &str, traps: u64| {
            format!("@@ case bring_up fourteen {driver} 14 buses=14\n@@ host bound total traps={traps}\n")
        };
        let both = |ours| results::parse(&(of("stock", 400) + &of("ours", ours)));
        assert_eq!(fewer_traps(&both(100)), None);
        assert!(fewer_traps(&both(101)).is_some());
        assert_eq!(fewer_traps(&results::parse(&of("stock", 400))), None);
    }
}
