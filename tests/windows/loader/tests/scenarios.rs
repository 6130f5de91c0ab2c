//! Every scenario against the driver named by HVPCI_SYS, through the `loader` command: each runs in its own process.
//!
//! They need a driver, which `cargo xtask windows` builds. `cargo test` alone says that they are ignored; asked for with
//! `--include-ignored` and without a driver they fail.

use std::path::PathBuf;
use std::process::Command;

/// What the caller has built.
fn built(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => panic!("{variable} is not set: run `cargo xtask windows`, which builds what it names"),
    }
}

fn loader(arguments: &[&str]) -> bool {
    let driver = built("HVPCI_SYS").to_string_lossy().into_owned();
    let words: Vec<&str> = arguments.iter().map(|word| if *word == "FILE" { driver.as_str() } else { word }).collect();
    Command::new(env!("CARGO_BIN_EXE_loader")).args(&words).status().is_ok_and(|status| status.success())
}

#[test]
#[ignore = "needs a driver in HVPCI_SYS"]
fn every_scenario_passes() {
    assert!(loader(&["all", "FILE"]));
}

#[test]
#[ignore = "needs a driver in HVPCI_SYS"]
fn every_allocation_may_fail() {
    assert!(loader(&["allocations", "FILE"]));
}

/// What several threads do at once, in ten other orders each.
#[test]
#[ignore = "needs a driver in HVPCI_SYS"]
fn threads_may_come_in_any_order() {
    assert!(loader(&["jitter", "FILE", "10", "threads", "blocks-threads", "blocks-rescind"]));
}

/// Drivers with a deliberate bug, built by the caller into a folder each: HVPCI_SEEDED/<seed>/hvpci.sys.
#[test]
#[ignore = "needs drivers in HVPCI_SEEDED"]
fn seeded_bugs_are_caught() {
    let folder = built("HVPCI_SEEDED");
    for (seed, verdict) in [("panic", "Bugcheck"), ("overrun", "Fault"), ("leak", "Leak"), ("irql", "Rule")] {
        let driver = folder.join(seed).join("hvpci.sys");
        let driver = driver.to_string_lossy().into_owned();
        let caught = Command::new(env!("CARGO_BIN_EXE_loader"))
            .args(["expect", &driver, "bring-up-1", verdict])
            .status()
            .is_ok_and(|status| status.success());
        assert!(caught, "the seeded bug {seed:?} was not caught as {verdict}");
    }
}
