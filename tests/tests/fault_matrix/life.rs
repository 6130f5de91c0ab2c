//! The life of a bus in which one thing goes wrong, up to an honest new start.

use std::sync::Arc;
use std::time::Duration;

use hvpci_core::backend::Platform;
use hvpci_core::bus::BusStatus;
use hvpci_core::wire::{FunctionDescription, Version};
use hvpci_core::{Time, driver};
use hvpci_mock::host::device::{BarSpec, Capability, Device};
use hvpci_mock::host::{ChannelState, Fault, FaultPlan, FunctionSpec, HostOptions, Trigger};
use hvpci_mock::sim::MockPlatform;
use hvpci_tests::bench::{Bench, Bus, slot};

use super::cell::{Combo, Mishap, Phase, Place};
use super::hand::{Defect, Hand};
use super::judge;

/// How long what goes wrong may hold a bus up: the longest wait for one answer (a map: ten minutes), what follows it, and
/// the host's patience over an eject.
pub const BOUND: Duration = Duration::from_secs(11 * 60);
/// The same where no map is waited for.
pub const SHORT_BOUND: Duration = Duration::from_secs(150);
/// The same with a host that has fallen silent: every question goes unanswered, one after the other.
pub const SILENT_BOUND: Duration = Duration::from_secs(30 * 60);
/// In this time a late answer has come, and a host that waits for a function has lost patience.
const AFTERWARDS: Duration = Duration::from_secs(100);
/// A stop, when all goes well.
const STOP_BOUND: Duration = Duration::from_secs(15);
/// A start, when all goes well.
const START_BOUND: Duration = Duration::from_secs(15);

/// A function with a BAR in each aperture and two MSI-X vectors.
fn function(n: u32) -> FunctionSpec {
    let description = FunctionDescription { serial: n + 1, ..FunctionSpec::gpu(1 << 20).description };
    let device = Device::new(&description)
        .with_bar(BarSpec::wide(0, 1 << 20))
        .with_bar(BarSpec::narrow(2, 1 << 12))
        .with_capability(&Capability::PowerManagement { no_soft_reset: true })
        .with_capability(&Capability::MsiX { vectors: 2, bar: 2, table: 0, pending: 0x800, function_mask: true });
    FunctionSpec::new(description, device).at(slot(n))
}

/// A bus that lives.
pub struct Life {
    pub bench: Bench,
    pub bus: Bus,
    pub hand: Arc<Hand>,
    pub phase: Phase,
    /// When the phase began.
    began: Time,
    /// Reports of the bus that are history.
    pub reports: usize,
}

impl Life {
    /// A bus that is where the phase begins.
    pub fn before(phase: Phase, combo: Combo, defect: Option<Defect>) -> Life {
        let Combo { guest, policy, isolated, version } = combo;
        let mut bench = Bench::on(HostOptions::default().with_versions(&[version]), guest).with_policy(policy);
        (bench.highest, bench.isolated, bench.max_functions) = (Version::V1_6, isolated, 4);
        if defect == Some(Defect::Patient) {
            bench.patience = Duration::from_secs(2 * 3600);
        }
        let functions = if phase == Phase::HotAdd { 1 } else { 2 };
        let bus = bench.offer((0..functions).map(function));
        let hand = Hand::in_platform(&bus, defect);
        if phase != Phase::BringUp {
            bench.start(&bus);
            bench.wait(&bus, async |bus| bus.booted().await);
        }
        if phase == Phase::Resume {
            bench.wait(&bus, suspend);
        }
        let began = bench.machine.clock().now();
        Life { bench, bus, hand, phase, began, reports: 0 }
    }

    /// Lets the phase begin, with this going wrong in it.
    pub fn begin(&mut self, plan: Option<(Place, Mishap)>) {
        // A rule that never strikes has the host count.
        let mut faults = FaultPlan::at_step(0, Fault::Drop);
        if let Some((Place::Message(at), mishap)) = plan {
            faults = match mishap {
                Mishap::Host(fault) => faults.and(Trigger::Message(at.kind, at.nth), fault),
                _ => faults.and(Trigger::From(at.step), Fault::LoseRequest),
            };
        }
        self.bus.on_host(|host, id, _| host.set_faults(id, faults));
        self.hand.arm(plan);
        self.began = self.bench.machine.clock().now();
        let bus = self.bus.clone();
        match self.phase {
            Phase::BringUp => self.bench.start(&bus),
            Phase::HotAdd => drop(bus.on_host(|host, id, now| host.add_function(id, now, function(1)))),
            Phase::Eject => bus.on_host(|host, id, now| host.eject(id, now, slot(1))),
            Phase::Surprise => drop(bus.on_host(|host, id, now| host.remove_function(id, now, slot(1)))),
            Phase::Suspend => self.bench.machine.spawn(async move { suspend(&bus).await }),
            Phase::Resume => self.bench.machine.spawn(async move { resume(&bus).await }),
            Phase::Teardown => driver::stop(bus.as_ref()),
        }
    }

    /// Runs until the bus has settled, and then on until nothing of the phase can come any more.
    ///
    /// # Errors
    /// If it has not settled in time, or not for good.
    pub fn settle(&mut self, bound: Duration) -> Result<Duration, String> {
        let (bus, phase, clock) = (self.bus.clone(), self.phase, self.bench.machine.clock());
        let limit = self.began.after(bound);
        let at = self.bench.machine.run_task(limit, async move {
            settled(&bus, phase).await;
            clock.now()
        });
        let at = at.map_err(|stall| format!("not settled after {bound:?}: {stall:?}: {}", self.bench.troubles()))?;
        let took = at.since(self.began);
        self.pass(AFTERWARDS);
        if !is_settled(&self.bus, self.phase) {
            // What came late may have begun something new, which is to settle too.
            let (bus, phase) = (self.bus.clone(), self.phase);
            let again = self.bench.machine.run_task(limit.after(AFTERWARDS), async move {
                settled(&bus, phase).await;
            });
            again.map_err(|stall| {
                format!("settled after {took:?}, not for good: {stall:?}: {}", self.bench.troubles())
            })?;
        }
        Ok(took)
    }

    /// Lets virtual time pass.
    pub fn pass(&mut self, time: Duration) {
        let clock = self.bench.machine.clock();
        let until = clock.now().after(time);
        let slept = self.bench.machine.run_task(until.after(time), async move { clock.sleep_until(until).await });
        slept.unwrap_or_else(|stall| panic!("{stall:?}: {}", self.bench.troubles()));
    }

    /// Runs until every task of the guest is done, which has to be soon.
    ///
    /// # Errors
    /// If they are not.
    pub fn end(&mut self) -> Result<(), String> {
        let limit = self.bench.machine.clock().now().after(STOP_BOUND);
        let ended = self.bench.machine.run(limit, |_| {});
        ended.map_err(|stall| format!("not over {STOP_BOUND:?} after the stop: {stall:?}: {}", self.bench.troubles()))
    }

    /// The bus is asleep: wakes it and its functions up.
    ///
    /// # Errors
    /// If that takes long.
    pub fn wake_up(&mut self) -> Result<(), String> {
        let bus = self.bus.clone();
        let limit = self.bench.machine.clock().now().after(START_BOUND);
        let awake = self.bench.machine.run_task(limit, async move { resume(&bus).await });
        awake.map_err(|stall| format!("not awake after {START_BOUND:?}: {stall:?}: {}", self.bench.troubles()))
    }

    /// The bus is over: offers it again where it is gone, and starts it as if nothing had happened.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_anew(&mut self) -> Result<(), String> {
        self.bus.on_host(|host, id, _| {
            host.set_faults(id, FaultPlan::default());
            host.set_gone(id, slot(1), false);
        });
        if self.bus.on_host(|host, id, _| host.channel(id)) == ChannelState::Rescinded {
            self.bus.on_host(|host, id, _| host.offer(id));
            self.bus = self.bench.offered_again(&self.bus);
        }
        let bus = self.bus.clone();
        self.reports = bus.reports().len();
        self.bench.start(&bus);
        let limit = self.bench.machine.clock().now().after(START_BOUND);
        let began = self.bench.machine.clock().now();
        let booted = self.bench.machine.run_task(limit, async move {
            bus.until(|bus| bus.status() == BusStatus::Running && judge::all_shown_since(bus, began)).await;
        });
        booted.map_err(|stall| {
            format!("not up {START_BOUND:?} after an honest start: {stall:?}: {}", self.bench.troubles())
        })
    }
}

/// Where everything has ended: nothing is open, nothing is under way.
pub fn is_over(bus: &MockPlatform) -> bool {
    matches!(bus.status(), BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone)
}

/// The bus is over; or it is where the phase wanted it, every function is with its driver or has been given up, and nobody
/// waits for anything.
fn is_settled(bus: &MockPlatform, phase: Phase) -> bool {
    let status = bus.status();
    let (mut waits, mut slots) = (true, Vec::new());
    bus.with_bus(&mut |bus, _| {
        waits = bus.poll_timeout().is_some() || bus.has_publish_work();
        hvpci_test_alloc::leave();
        slots = bus.slots().collect();
        hvpci_test_alloc::enter();
    });
    match status {
        _ if is_over(bus) => true,
        BusStatus::Suspended => phase == Phase::Suspend,
        BusStatus::Running if matches!(phase, Phase::Suspend | Phase::Teardown) => false,
        BusStatus::Running => !waits && slots.iter().all(|slot| judge::has_settled(bus, *slot)),
        _ => false,
    }
}

/// Waits until the bus has settled. It is looked at twice a second: one at a time can wait for what happens on a bus, and
/// that is the guest kernel.
async fn settled(bus: &Bus, phase: Phase) {
    let clock = bus.vm.clock.clone();
    while !is_settled(bus, phase) {
        clock.sleep_until(clock.now().after(Duration::from_millis(500))).await;
    }
}

/// The guest kernel sends its functions to sleep, then the bus.
async fn suspend(bus: &Bus) {
    bus.suspend_functions().await;
    driver::suspend(bus.as_ref());
    bus.until(|bus| is_over(bus) || bus.status() == BusStatus::Suspended).await;
}

/// The guest kernel wakes the bus, then its functions.
async fn resume(bus: &Bus) {
    driver::resume(bus.as_ref());
    bus.until(|bus| is_over(bus) || bus.status() == BusStatus::Running).await;
    if !is_over(bus) {
        bus.resume_functions().await;
    }
}
