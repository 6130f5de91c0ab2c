//! Mistakes on purpose, on the debug kernel: a checker that does not report them would report none of ours either.

use std::time::Duration;

use crate::linux::machine::{Log, Machine};
use crate::linux::queue::{Job, Verdict};

/// A mistake (`tests/linux/standin/seeded.c` and `rust/src/seeded.rs`), and what a line of its report must contain.
struct Seed {
    kind: &'static str,
    report: &'static [&'static str],
}

/// lockdep goes first: it stops looking at the first report of anybody.
const SEEDS: &[Seed] = &[
    Seed { kind: "locks", report: &["possible circular locking dependency detected"] },
    Seed { kind: "atomic", report: &["BUG: sleeping function called from invalid context"] },
    Seed { kind: "timer", report: &["ODEBUG: free active"] },
    Seed { kind: "shift", report: &["UBSAN: shift-out-of-bounds in", "seeded.c"] },
    Seed { kind: "use-after-free", report: &["BUG: KASAN: slab-use-after-free in", "use_after_free"] },
    Seed { kind: "overrun", report: &["BUG: KASAN: slab-out-of-bounds in", "7overrun"] },
    Seed { kind: "stack-overrun", report: &["BUG: KASAN: stack-out-of-bounds in", "stack_overrun"] },
    // kmemleak's backtrace of the block
    Seed { kind: "leak", report: &["6seeded4leak"] },
];

/// A boot that makes every mistake; a problem for each that nobody reported.
pub fn job(machine: &Machine) -> Job {
    let kinds: Vec<&str> = SEEDS.iter().map(|seed| seed.kind).collect();
    let machine = machine
        .clone()
        .with_cpus(1)
        .named("seeded")
        .emulated(super::debug::EMULATOR)
        .with(Duration::from_secs(800), "kasan_multi_shot");
    let judge = |log: &Log| {
        let problems = missing(&log.text);
        let lines =
            if problems.is_empty() { vec![format!("all {} mistakes were reported", SEEDS.len())] } else { vec![] };
        Verdict { lines, problems }
    };
    Job { machine, lines: vec![format!("seeded {}", kinds.join(" "))], judge: Box::new(judge) }
}

fn missing(log: &str) -> Vec<String> {
    let reported = |seed: &Seed| log.lines().any(|line| seed.report.iter().all(|part| line.contains(part)));
    SEEDS
        .iter()
        .filter(|seed| !reported(seed))
        .map(|seed| format!("the mistake `{}` was not reported", seed.kind))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_that_nobody_reports_is_a_problem() {
        let log = |without: &str| -> String {
            let seeds = SEEDS.iter().filter(|seed| seed.kind != without);
            seeds.map(|seed| seed.report.join(" hvpci_standin ") + "\n").collect()
        };
        assert!(missing(&log("")).is_empty());
        for Seed { kind, .. } in SEEDS {
            assert_eq!(missing(&log(kind)), [format!("the mistake `{kind}` was not reported")]);
        }
        // the start of a case is not its report
        assert_eq!(missing("@@ case seeded locks atomic use-after-free leak").len(), SEEDS.len());
    }
}
