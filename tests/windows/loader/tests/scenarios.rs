//! Every scenario against the driver named by HVPCI_SYS, through the `loader` command: each runs in its own process.
//! `cargo xtask test` builds the driver and sets the variable; without it only the loader itself is tested.

use std::path::PathBuf;
use std::process::Command;

fn driver() -> Option<PathBuf> {
    std::env::var_os("HVPCI_SYS").map(PathBuf::from)
}

fn loader(arguments: &[&str]) -> bool {
    let Some(driver) = driver() else {
        eprintln!("HVPCI_SYS names no driver: not run");
        return true;
    };
    let driver = driver.to_string_lossy().into_owned();
    let words: Vec<&str> = arguments.iter().map(|word| if *word == "FILE" { driver.as_str() } else { word }).collect();
    Command::new(env!("CARGO_BIN_EXE_loader")).args(&words).status().is_ok_and(|status| status.success())
}

#[test]
fn every_scenario_passes() {
    assert!(loader(&["all", "FILE"]));
}

#[test]
fn every_allocation_may_fail() {
    assert!(loader(&["allocations", "FILE"]));
}

/// Drivers with a deliberate bug, built by the caller into a folder each: HVPCI_SEEDED/<seed>/hvpci.sys.
#[test]
fn seeded_bugs_are_caught() {
    let Some(folder) = std::env::var_os("HVPCI_SEEDED").map(PathBuf::from) else {
        eprintln!("HVPCI_SEEDED names no folder: not run");
        return;
    };
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
