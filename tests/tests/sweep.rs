//! Every fault at every step. Whatever the host does, nothing panics, every run ends within the deadlines, nothing stays
//! reserved or mapped, and no packet follows a rescind that the guest was told of.

use std::time::Duration;

use hvpci_core::bus::BusStatus;
use hvpci_core::decode::Policy;
use hvpci_core::{Time, driver};
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::device::BarSpec;
use hvpci_mock::host::{Fault, FaultPlan, FunctionSpec, HostOptions, Trigger};
use hvpci_tests::bench::{Bench, Bus, slot};

const GUESTS: [(GuestKind, Policy); 3] = [
    (GuestKind::Linux612, Policy::Deferred),
    (GuestKind::Linux612, Policy::Prefetch),
    (GuestKind::Windows, Policy::Deferred),
];

/// The longest a run may take: two maps that are never answered, ten minutes each, a few other requests that time out one
/// after the other, and the host's patience over an eject.
const BOUND: Time = Time::from_nanos(1800 * 1_000_000_000);

const UNSUCCESSFUL: u32 = 0xC000_0001;

fn faults() -> Vec<Fault> {
    let mut faults = vec![
        Fault::Drop,
        Fault::LoseRequest,
        Fault::Refuse(UNSUCCESSFUL),
        Fault::Delay(Duration::from_millis(50)),
        Fault::Delay(Duration::from_secs(90)),
        Fault::Extend(64),
        Fault::WrongStatus(UNSUCCESSFUL),
        Fault::WrongTransactionId,
        Fault::Duplicate,
        Fault::UnknownMessage,
        Fault::Garbage,
        Fault::Rescind,
        Fault::CloseChannel,
        Fault::DeviceGone(slot(1)),
    ];
    faults.extend([0, 3, 4, 7, 12, 20].map(Fault::Truncate));
    faults
}

fn small() -> FunctionSpec {
    FunctionSpec::gpu_with_bars(&[BarSpec::wide(0, 1 << 20)])
}

fn bench(guest: GuestKind, policy: Policy) -> Bench {
    Bench::on(HostOptions::default(), guest).with_policy(policy)
}

/// Runs a scenario that stops the bus in the end, and checks what must hold whatever happened.
fn run(
    what: &str,
    guest: GuestKind,
    policy: Policy,
    plan: FaultPlan,
    conduct: impl AsyncFnOnce(&Bus) + 'static,
) -> u64 {
    let mut bench = bench(guest, policy);
    let bus = bench.offer([small(), small()]);
    bus.on_host(|host, id, _| host.set_faults(id, plan));
    bench.start(&bus);
    let conducted = bus.clone();
    bench.machine.spawn(async move {
        conduct(&conducted).await;
        driver::stop(conducted.as_ref());
    });
    let ended = bench.run_out();
    let context = || format!("{what}, {guest} {policy}: {}", bench.troubles());
    assert_eq!(ended, Ok(()), "{}", context());
    assert!(bench.machine.clock().now() <= BOUND, "{}", context());
    assert!(matches!(bus.status(), BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone), "{}", context());
    let after = bus.violations_after_rescind();
    assert_eq!(after, [], "{}", context());
    let vm = bench.machine.vm();
    assert_eq!(vm.mmio().taken().count(), 0, "MMIO space not given back: {}", context());
    assert_eq!(bus.quarantined_bytes(), 0, "{}", context());
    let host = vm.host();
    for slot in host.slots(bus.id) {
        let function = host.function(bus.id, slot).expect("it was listed");
        assert!(!function.decodes && !function.assigned && function.interrupts.is_empty(), "{}", context());
    }
    let overlaps = host.violations().iter().filter(|v| format!("{:?}", v.kind).starts_with("Decode")).count();
    assert_eq!(overlaps, 0, "a map at a wrong place: {}", context());
    drop(host);
    bus.on_host(|host, id, _| host.bus_ledger(id)).messages
}

/// Waits for the bus to be up, or to be past that.
async fn up(bus: &Bus) {
    bus.booted().await;
}

fn over(bus: &hvpci_mock::sim::MockPlatform) -> bool {
    matches!(bus.status(), BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone)
}

#[test]
fn every_fault_at_every_step_of_a_life() {
    for (guest, policy) in GUESTS {
        let steps = run("no fault", guest, policy, FaultPlan::default(), async |bus| up(bus).await);
        for fault in faults() {
            for step in 1..=steps {
                let what = format!("{fault:?} at step {step}");
                run(&what, guest, policy, FaultPlan::at_step(step, fault), async |bus| up(bus).await);
            }
        }
    }
}

#[test]
fn a_host_that_falls_silent() {
    for (guest, policy) in GUESTS {
        for from in 1..60 {
            let silent = |plan: FaultPlan, step| plan.and(Trigger::Step(step), Fault::LoseRequest);
            let plan = (from..from + 200).fold(FaultPlan::default(), silent);
            run(&format!("silent from step {from}"), guest, policy, plan, async |bus| up(bus).await);
        }
    }
}

/// Suspend and resume, an eject and a hot add: all of it, with a fault at each step.
async fn whole_life(bus: &Bus) {
    up(bus).await;
    if over(bus) {
        return;
    }
    bus.suspend_functions().await;
    driver::suspend(bus.as_ref());
    bus.until(|bus| over(bus) || bus.status() == BusStatus::Suspended).await;
    driver::resume(bus.as_ref());
    bus.until(|bus| over(bus) || bus.status() == BusStatus::Running).await;
    bus.resume_functions().await;
    bus.on_host(|host, id, now| {
        host.eject(id, now, slot(1));
        host.add_function(id, now, small().at(slot(2)).with_serial(9))
    });
    let clock = bus.vm.clock.clone();
    clock.sleep_until(clock.now().after(Duration::from_secs(5))).await;
}

#[test]
fn a_fault_at_every_step_of_suspend_resume_eject_and_hot_add() {
    for (guest, policy) in GUESTS {
        let steps = run("no fault", guest, policy, FaultPlan::default(), whole_life);
        for fault in [Fault::Rescind, Fault::CloseChannel, Fault::Drop, Fault::Garbage, Fault::Refuse(UNSUCCESSFUL)] {
            for step in 1..=steps {
                let what = format!("{fault:?} at step {step}");
                run(&what, guest, policy, FaultPlan::at_step(step, fault), whole_life);
            }
        }
    }
}
