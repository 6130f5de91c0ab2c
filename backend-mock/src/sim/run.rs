//! One boot of a scenario, from the channel offers to the last driver, and the shutdown after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hvpci_core::backend::Platform;
use hvpci_core::bus::{BusStatus, NewBusError};
use hvpci_core::config::ConfigError;
use hvpci_core::decode::{Ledger, Policy};
use hvpci_core::{Time, driver};

use super::executor::Stall;
use super::platform::{MockPlatform, lock};
use super::vm::{build, check_pair};
use super::watch::{Watch, kind_of};
use crate::cli::ToolError;
use crate::guest::GuestKind;
use crate::host::Severity;
use crate::report::{Lane, Observer, RunResult, Span, SpanKind};
use crate::scenario::{Diagnostic, RunSpec, Scenario};

/// No boot takes longer than this in virtual time: a year.
const LIMIT: Time = Time::from_nanos(365 * 86_400 * 1_000_000_000);

/// Why a boot could not be run or is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The guest's style does not know the policy.
    #[error(
        "{guest} decides decode by message when a driver starts its function: only the deferred policy applies to it, \
         not {policy}"
    )]
    Pair {
        /// The guest.
        guest: GuestKind,
        /// The policy.
        policy: Policy,
    },
    /// The engine half could not be made.
    #[error("a bus could not be made: {0}")]
    NewBus(NewBusError),
    /// The config half could not be made.
    #[error("a config half could not be made: {0}")]
    NewConfigSpace(ConfigError),
    /// A bus or a function did not come up, or the run did not end.
    #[error("{0}")]
    Failed(String),
    /// The core and the host disagree on what happened, the guest broke the protocol, or something was left behind.
    #[error("{0}")]
    Inconsistent(String),
}

/// Boots the scenario with one guest under one policy, then shuts it down again. Fails if anything did not come up, if the guest
/// broke the protocol, if the core's count of maps is not the host's, or if anything is left mapped or reserved.
pub fn run(scenario: &Scenario, spec: RunSpec, observer: &mut dyn Observer) -> Result<RunResult, SimError> {
    let Ok(guest) = spec.guest.parse::<GuestKind>() else {
        return Err(SimError::Failed(format!("there is no guest {}", spec.guest)));
    };
    check_pair(guest, spec.policy)?;
    let (mut machine, platforms) = build(scenario, guest, spec.policy)?;
    let booted: Arc<Mutex<Option<Booted>>> = Arc::default();
    for platform in &platforms {
        machine.start(platform);
    }
    let (conducted, result, expected) = (platforms.clone(), booted.clone(), scenario.functions());
    machine.spawn(async move {
        wait_for_boot(&conducted, expected).await;
        *lock(&result) = Some(Booted::snapshot(&conducted, spec.policy));
        conducted.iter().for_each(|platform| driver::stop(platform.as_ref()));
    });
    let mut watch = Watch::new(&platforms, scenario, spec.policy);
    let ended = machine.run(LIMIT, |now| watch.advance(now, observer));
    watch.finish(observer);
    let booted = lock(&booted).take();
    match (ended, booted) {
        (Ok(()), Some(booted)) => {
            check(&platforms, &booted, spec)?;
            Ok(booted.result(scenario, spec))
        }
        (Err(Stall::TimeLimit), _) => Err(SimError::Failed("the boot did not end within a year".into())),
        _ => Err(SimError::Failed(format!("the boot came to a standstill: {}", troubles(&platforms)))),
    }
}

/// What the command calls.
pub fn boot_tool(scenario: &Scenario, spec: RunSpec, observer: &mut dyn Observer) -> Result<RunResult, ToolError> {
    run(scenario, spec, observer).map_err(|error| match error {
        SimError::Pair { .. } => ToolError::Input(Diagnostic::new(error.to_string())),
        _ => ToolError::Failed(error.to_string()),
    })
}

/// Waits until every function has been through its driver's probe, or cannot be any more.
async fn wait_for_boot(platforms: &[Arc<MockPlatform>], expected: u32) {
    for platform in platforms {
        platform.booted().await;
    }
    debug_assert!(platforms.iter().map(|p| p.progress().len()).sum::<usize>() <= expected as usize);
}

/// How things stood when the last driver was done.
struct Booted {
    ledger: Ledger,
    host_ledger: Ledger,
    lanes: Vec<Lane>,
    functions: u32,
    ready: Time,
    failures: Vec<String>,
}

impl Booted {
    fn snapshot(platforms: &[Arc<MockPlatform>], policy: Policy) -> Booted {
        let mut booted = Booted {
            ledger: Ledger::default(),
            host_ledger: Ledger::default(),
            lanes: Vec::new(),
            functions: 0,
            ready: Time::ZERO,
            failures: Vec::new(),
        };
        for platform in platforms {
            booted.ledger += platform.ledger();
            booted.host_ledger += platform.vm.host().bus_ledger(platform.id);
            for (slot, progress) in platform.progress() {
                let mut spans = vec![span(Time::ZERO, progress.started, SpanKind::BringUp)];
                spans.push(span(progress.started, progress.ended, SpanKind::Scan));
                let host = platform.vm.host();
                for map in host.timeline().iter().filter(|map| map.bus == platform.id && map.slot == slot) {
                    spans.push(span(map.start, map.end, kind_of(map, policy)));
                }
                drop(host);
                booted.functions += u32::from(progress.ready.is_some());
                booted.ready = booted.ready.max(progress.ready.unwrap_or_default());
                booted.lanes.push(Lane { name: String::new(), spans, ready_s: progress.ready.map(seconds) });
                if let Some(error) = progress.error {
                    booted.failures.push(format!("bus {} function {slot}: {error}", platform.instance()));
                }
            }
        }
        booted
    }

    fn result(self, scenario: &Scenario, spec: RunSpec) -> RunResult {
        let mut timeline = self.lanes;
        for (lane, name) in timeline.iter_mut().zip(scenario.function_names()) {
            lane.name = name;
        }
        RunResult {
            guest: spec.guest.into(),
            policy: spec.policy.name().into(),
            functions: self.functions,
            maps: self.ledger.maps,
            unmaps: self.ledger.unmaps,
            host_unmaps: self.ledger.host_unmaps,
            traps: self.ledger.traps,
            messages: self.ledger.messages,
            host_map_seconds: self.host_ledger.host_map_time.as_secs_f64(),
            ready_seconds: seconds(self.ready),
            timeline,
        }
    }
}

/// What must be true for the numbers to be believed.
fn check(platforms: &[Arc<MockPlatform>], booted: &Booted, spec: RunSpec) -> Result<(), SimError> {
    let (core, host) = (&booted.ledger, &booted.host_ledger);
    let figures = |l: &Ledger| (l.maps, l.unmaps, l.host_unmaps, l.traps, l.messages);
    // A function that failed says more than the numbers do: of a request that was given up the core does not know what it
    // cost, and the host does.
    if let Some(failure) = booted.failures.first() {
        return Err(SimError::Failed(format!("{failure}; {}", troubles(platforms))));
    }
    if figures(core) != figures(host) {
        return Err(SimError::Inconsistent(format!(
            "the core counted (maps, unmaps, host unmaps, traps, messages) {:?}, the host {:?}",
            figures(core),
            figures(host)
        )));
    }
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for platform in platforms {
        if platform.status() != BusStatus::Stopped {
            wrong.entry("buses not stopped").or_default().push(format!("{:?}", platform.status()));
        }
    }
    let Some(first) = platforms.first() else { return Ok(()) };
    let vm = &first.vm;
    // Eager is the plain write-through baseline: what it does wrong is counted, not held against it.
    if spec.policy != Policy::Eager {
        let host = vm.host();
        let bad = host.violations().iter().filter(|v| v.severity() == Severity::Error);
        wrong.entry("protocol violations").or_default().extend(bad.map(ToString::to_string));
    }
    wrong.entry("left at the host").or_default().extend(vm.host().leaks().iter().map(|leak| format!("{leak:?}")));
    let left = vm.mmio().taken().map(|(base, end)| format!("{base:#x}-{end:#x}")).collect();
    wrong.insert("MMIO not given back", left);
    wrong.retain(|_, items| !items.is_empty());
    if wrong.is_empty() { Ok(()) } else { Err(SimError::Inconsistent(format!("{wrong:?}"))) }
}

/// What the buses reported and where they stand, for an error message.
fn troubles(platforms: &[Arc<MockPlatform>]) -> String {
    let mut lines = Vec::new();
    for platform in platforms.iter().filter(|p| !matches!(p.status(), BusStatus::Stopped)).take(4) {
        let reports = platform.reports();
        let last = reports.iter().rev().take(3).collect::<Vec<_>>();
        lines.push(format!("bus {} is {:?}, last reports {last:?}", platform.instance(), platform.status()));
    }
    lines.join("; ")
}

fn span(start: Time, end: Time, kind: SpanKind) -> Span {
    Span { start_s: seconds(start), end_s: seconds(end).max(seconds(start)), kind }
}

fn seconds(time: Time) -> f64 {
    time.since(Time::ZERO).as_secs_f64()
}
