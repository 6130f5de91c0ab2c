//! The figures the project is measured by. Run in debug and in release.

use hvpci_core::Slot;
use hvpci_core::decode::Policy;
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::{FunctionSpec, HostOptions};
use hvpci_mock::recording::{Recording, replay};
use hvpci_mock::report::{RunResult, Silent};
use hvpci_mock::scenario::{RunSpec, Scenario};
use hvpci_mock::sim;
use hvpci_tests::bench::{Bench, function};

const RECORDING: &str = include_str!("../data/stock-pci-hyperv-on-openvmm.trace.txt");

fn azure(host_parallel: u32) -> Scenario {
    let mut scenario = Scenario::load("azure-14-gpu").expect("the preset is sound");
    scenario.host.parallel = host_parallel;
    scenario
}

fn run(guest: &'static str, policy: Policy, host_parallel: u32) -> RunResult {
    sim::run(&azure(host_parallel), RunSpec { guest, policy }, &mut Silent).expect("the run succeeds")
}

fn costs(result: &RunResult) -> (u64, u64, u64) {
    // Tenths of seconds, rounded.
    (result.maps, result.unmaps, (result.host_map_seconds * 10.0).round() as u64)
}

#[test]
fn linux_5_18_eager_maps_each_gpu_eight_times() {
    let result = run("linux-5.18", Policy::Eager, 1);
    assert_eq!(costs(&result), (112, 98, 2016));
    assert_eq!(result.functions, 14);
    assert!(result.ready_seconds >= 201.6);
}

#[test]
fn linux_6_12_deferred_maps_each_gpu_once() {
    let result = run("linux-6.12", Policy::Deferred, 1);
    assert_eq!(costs(&result), (14, 0, 252));
    assert_eq!(result.functions, 14);
    assert!((25.2..25.3).contains(&result.ready_seconds), "{}", result.ready_seconds);
}

#[test]
fn prefetch_is_ready_in_the_time_of_one_map_if_the_host_maps_in_parallel() {
    let result = run("linux-6.12", Policy::Prefetch, 14);
    assert_eq!(costs(&result), (14, 0, 252));
    assert!((1.8..=1.9).contains(&result.ready_seconds), "{}", result.ready_seconds);
}

/// Boots the recorded function, takes it away by PCI remove with its decode on, and rescans. Returns the further maps.
fn remove_and_rescan(policy: Policy) -> u64 {
    let mut bench = Bench::on(HostOptions::openvmm(), GuestKind::Linux612).with_policy(policy);
    let bus = bench.boot([FunctionSpec::nvme()]);
    let before = bus.ledger();
    let seen = function(&bus, Slot::ZERO).expect("it is on the bus");
    let rescanned = bench.wait(&bus, async move |bus| bus.remove_and_rescan(&seen).await);
    assert_eq!(rescanned, Ok(()));
    let after = bus.ledger();
    assert_eq!(function(&bus, Slot::ZERO), Some(seen), "the BARs landed where they were");
    bench.shut_down();
    after.maps - before.maps
}

#[test]
fn a_rescan_costs_nothing_when_absorbed() {
    assert_eq!(remove_and_rescan(Policy::Absorbing), 0);
}

#[test]
fn a_rescan_costs_what_was_recorded_when_deferred() {
    assert_eq!(remove_and_rescan(Policy::Deferred), 7);
}

#[test]
fn the_recording_replays() {
    let recording = Recording::parse("recording", RECORDING.as_bytes()).expect("it is sound");
    let replayed = replay(&recording, Policy::Deferred).expect("it replays").counts;
    assert_eq!((replayed.maps_recorded, replayed.unmaps_recorded), (13, 7));
    assert_eq!((replayed.mismatches, replayed.message_errors), (0, 0));
    assert!(replayed.traps * 4 <= replayed.traps_recorded, "{} of {}", replayed.traps, replayed.traps_recorded);
    assert!(replayed.maps <= replayed.maps_recorded && replayed.unmaps <= replayed.unmaps_recorded);
}

#[test]
fn the_whole_table_takes_well_under_a_second() {
    let scenario = azure(1);
    let start = std::time::Instant::now();
    for spec in &scenario.compare {
        sim::run(&scenario, *spec, &mut Silent).expect("the run succeeds");
    }
    let took = start.elapsed();
    assert!(cfg!(debug_assertions) || took.as_secs_f64() < 1.0, "{took:?}");
}
