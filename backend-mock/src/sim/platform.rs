//! One bus of the simulated guest: the mock's implementation of the platform traits.

mod traits;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};

use hvpci_core::backend::PlatformError;
use hvpci_core::bus::{Bus, BusStatus, Counters, FunctionInfo, Report};
use hvpci_core::config::{ConfigReport, ConfigSpace};
use hvpci_core::decode::Ledger;
use hvpci_core::{InstanceId, Slot, Time, driver};

use traits::either;

use super::executor::Clock;
use super::functions::{FunctionAccess, Progress};
use super::hook::{Hook, PlatformStep};
use super::interrupts::{Held, Vectors};
use super::mmio::MmioSpace;
use super::sync::{FairLock, Signal};
use crate::guest::{Guest, GuestError, GuestKind, InterruptStep, boot_function};
use crate::host::{BusId, Host, HypercallError, Violation};

/// What the buses of one VM share.
#[derive(Clone)]
pub struct Vm {
    /// The virtual clock.
    pub clock: Clock,
    /// The host.
    pub host: Arc<Mutex<Host>>,
    /// The guest's MMIO space.
    pub mmio: Arc<Mutex<MmioSpace>>,
    /// What a guest kernel holds while it scans a bus and binds drivers: Linux's `pci_rescan_remove_lock`, and Windows'
    /// PnP manager starting devices one after the other.
    pub enumeration: FairLock,
    /// The next interrupt vector and processor of the guest.
    pub vectors: Arc<Mutex<Vectors>>,
    /// The guest kernel.
    pub guest: GuestKind,
}

impl Vm {
    /// The host, locked.
    pub fn host(&self) -> MutexGuard<'_, Host> {
        lock(&self.host)
    }

    /// The MMIO space, locked.
    pub fn mmio(&self) -> MutexGuard<'_, MmioSpace> {
        lock(&self.mmio)
    }
}

/// Locks a mutex of this single-threaded simulation.
///
/// # Panics
/// If it is locked already: nobody could ever unlock it.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => panic!("locked twice by one thread"),
    }
}

/// One bus of the guest.
pub struct MockPlatform {
    /// The VM it belongs to.
    pub vm: Vm,
    /// The bus at the host.
    pub id: BusId,
    instance: InstanceId,
    bus: Mutex<Bus>,
    config: Mutex<ConfigSpace>,
    window: Mutex<Option<u64>>,
    /// Until when the config lock is held by somebody waiting in a trap.
    config_busy: Mutex<Time>,
    pump: Signal,
    publisher: Signal,
    /// Wakes whoever waits for the answer to a request about a function.
    callers: Mutex<BTreeMap<Slot, Arc<Signal>>>,
    /// Wakes the task that carries packets from the host.
    carrier: Signal,
    /// Wakes whoever waits for the boot to be done.
    milestone: Signal,
    over: AtomicBool,
    functions: Mutex<BTreeMap<Slot, FunctionRun>>,
    /// Everything both halves reported, oldest first.
    reports: Mutex<Vec<AnyReport>>,
    /// The interrupts of the functions' drivers.
    pub(super) held: Mutex<BTreeMap<Slot, Held>>,
    /// Hypercalls that failed.
    pub(super) hypercall_errors: Mutex<Vec<HypercallError>>,
    /// What a test does when the host has counted so many messages of this bus.
    interventions: Mutex<Vec<(u64, Intervention)>>,
    /// How many violations the host had noted when the rescind was told.
    violations_at_rescind: Mutex<Option<usize>>,
    hook: OnceLock<Arc<dyn Hook>>,
}

type Intervention = Box<dyn FnOnce(&MockPlatform) + Send>;

/// A report of either half.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyReport {
    /// Of the engine half.
    Bus(Report),
    /// Of the config half.
    Config(ConfigReport),
}

/// A function as the guest kernel has it.
#[derive(Default)]
struct FunctionRun {
    guest: Option<Guest>,
    progress: Progress,
}

impl MockPlatform {
    /// A bus that is offered and not yet started.
    pub fn new(vm: Vm, id: BusId, instance: InstanceId, bus: Bus, config: ConfigSpace) -> MockPlatform {
        MockPlatform {
            vm,
            id,
            instance,
            bus: Mutex::new(bus),
            config: Mutex::new(config),
            window: Mutex::default(),
            config_busy: Mutex::default(),
            pump: Signal::default(),
            publisher: Signal::default(),
            callers: Mutex::default(),
            carrier: Signal::default(),
            milestone: Signal::default(),
            over: AtomicBool::new(false),
            functions: Mutex::default(),
            reports: Mutex::default(),
            held: Mutex::default(),
            hypercall_errors: Mutex::default(),
            interventions: Mutex::default(),
            violations_at_rescind: Mutex::default(),
            hook: OnceLock::new(),
        }
    }

    /// Puts a test's hand into the platform. The first one stays.
    pub fn set_hook(&self, hook: Arc<dyn Hook>) {
        let _ = self.hook.set(hook);
    }

    /// What the test says to what is about to be done.
    pub(super) fn step(&self, step: PlatformStep) -> Result<(), PlatformError> {
        self.hook.get().map_or(Ok(()), |hook| hook.step(step))
    }

    /// Does something to this bus at the host, and lets the guest notice.
    pub fn on_host<R>(&self, f: impl FnOnce(&mut Host, BusId, Time) -> R) -> R {
        let now = self.vm.clock.now();
        let result = f(&mut self.vm.host(), self.id, now);
        self.carrier.set();
        result
    }

    /// Has `f` done as soon as the host has counted `messages` messages of this bus, both directions together.
    pub fn at_message(&self, messages: u64, f: impl FnOnce(&MockPlatform) + Send + 'static) {
        lock(&self.interventions).push((messages, Box::new(f)));
        self.carrier.set();
    }

    /// Waits until `condition` holds. It is looked at whenever something happened on this bus.
    pub async fn until(&self, condition: impl Fn(&MockPlatform) -> bool) {
        while !condition(self) {
            self.milestone.wait().await;
        }
    }

    /// The host's violations since the guest was told that the channel is rescinded; none while it was not.
    pub fn violations_after_rescind(&self) -> Vec<Violation> {
        let seen = *lock(&self.violations_at_rescind);
        let host = self.vm.host();
        let after = seen.and_then(|seen| host.violations().get(seen..)).unwrap_or_default();
        after.iter().filter(|violation| violation.bus == self.id).copied().collect()
    }

    /// Retarget hypercalls that the host refused.
    pub fn hypercall_errors(&self) -> Vec<HypercallError> {
        lock(&self.hypercall_errors).clone()
    }

    /// Bytes of MMIO space that the engine keeps out of use.
    pub fn quarantined_bytes(&self) -> u64 {
        lock(&self.bus).quarantined_bytes()
    }

    /// What went over the channel, as the engine counts it.
    pub fn counters(&self) -> Counters {
        *lock(&self.bus).counters()
    }

    /// Puts every function to sleep, as the guest kernel does before it suspends the bus. A function that does not answer
    /// is skipped.
    pub async fn suspend_functions(&self) {
        self.for_each_guest(async |guest, access| guest.suspend(access).await).await;
    }

    /// Wakes every function up, as the guest kernel does after it resumed the bus.
    pub async fn resume_functions(&self) {
        self.for_each_guest(async |guest, access| guest.resume(access).await).await;
    }

    async fn for_each_guest(&self, step: impl AsyncFn(&mut Guest, &mut FunctionAccess<'_>) -> Result<(), GuestError>) {
        let slots: Vec<Slot> = lock(&self.functions).keys().copied().collect();
        for slot in slots {
            let guest = lock(&self.functions).get_mut(&slot).and_then(|run| run.guest.take());
            let Some(mut guest) = guest else { continue };
            let mut access = FunctionAccess::new(self, slot);
            let error = step(&mut guest, &mut access).await.err();
            if let Some(run) = lock(&self.functions).get_mut(&slot) {
                run.guest = Some(guest);
                run.progress.error = run.progress.error.or(error);
            }
        }
    }

    /// Before the pump starts.
    pub(super) fn begin(&self) {
        self.over.store(false, Ordering::Relaxed);
    }

    /// Does what tests want done by now.
    pub(super) fn intervene(&self) {
        let messages = self.vm.host().bus_ledger(self.id).messages;
        let due: Vec<_> = lock(&self.interventions).extract_if(.., |(at, _)| *at <= messages).collect();
        for (_, intervention) in due {
            intervention(self);
        }
    }

    /// The host took the channel away.
    pub(super) fn rescinded(&self) {
        let seen = self.vm.host().violations().len();
        lock(&self.violations_at_rescind).get_or_insert(seen);
        driver::channel_rescinded(self);
    }

    /// Where the bus stands.
    pub fn status(&self) -> BusStatus {
        lock(&self.bus).status()
    }

    /// What became of each function that was ever published.
    pub fn progress(&self) -> BTreeMap<Slot, Progress> {
        lock(&self.functions).iter().map(|(slot, run)| (*slot, run.progress)).collect()
    }

    /// What the bus has cost so far, as the core counts it.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = lock(&self.config).total_ledger();
        let counters = *lock(&self.bus).counters();
        ledger.messages = counters.sent.saturating_add(counters.received);
        ledger
    }

    /// What was reported so far.
    pub fn reports(&self) -> Vec<AnyReport> {
        lock(&self.reports).clone()
    }

    /// Waits until nobody is held in a trap of this bus's window: what the config lock does to a second CPU.
    pub(super) async fn config_free(&self) {
        let until = *lock(&self.config_busy);
        self.vm.clock.sleep_until(until).await;
    }

    /// The pump has ended: the bus is over.
    pub(super) fn over(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.carrier.set();
        self.milestone.set();
    }

    /// Whether the pump has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Waits until the host may have a packet, which it will at `due`.
    pub(super) async fn carrier_wait(&self, due: Option<Time>) {
        match due {
            None => self.carrier.wait().await,
            Some(due) => either(self.carrier.wait(), self.vm.clock.sleep_until(due)).await,
        }
    }

    /// Waits until every function the host listed has been through its driver's probe, or the bus is over.
    pub async fn booted(&self) {
        loop {
            let (running, slots) = {
                let bus = lock(&self.bus);
                (bus.status() == BusStatus::Running, bus.slots().collect::<Vec<_>>())
            };
            let done = |slot: &Slot| lock(&self.functions).contains_key(slot) || self.has_failed(*slot);
            if self.is_over() || (running && slots.iter().all(done)) {
                return;
            }
            self.milestone.wait().await;
        }
    }

    /// Whether the engine reported that a function is of no use.
    fn has_failed(&self, slot: Slot) -> bool {
        let failed = |report: &AnyReport| matches!(report, AnyReport::Bus(Report::FunctionFailed { slot: of, .. }) if *of == slot);
        lock(&self.reports).iter().any(failed)
    }

    /// The guest kernel takes a PCI function away by itself and scans the bus again (`remove` and `rescan` in sysfs):
    /// no message crosses the channel.
    pub async fn remove_and_rescan(&self, function: &FunctionInfo) -> Result<(), PlatformError> {
        let _enumeration = self.vm.enumeration.lock().await;
        self.forget(function.description.slot).await;
        self.boot(function).await
    }

    /// Scans the function and binds its driver.
    async fn boot(&self, function: &FunctionInfo) -> Result<(), PlatformError> {
        let slot = function.description.slot;
        let started = self.vm.clock.now();
        let mut access = FunctionAccess::new(self, slot);
        let booted = boot_function(self.vm.guest, &mut access, &function.layout, &function.bars).await;
        let mut progress = access.progress(started);
        let guest = match booted {
            Ok(guest) => {
                progress.booted();
                Some(guest)
            }
            Err(error) => {
                self.let_go(slot).await;
                progress.error = Some(error);
                None
            }
        };
        let result = progress.error.map_or(Ok(()), |_| Err(PlatformError::Refused));
        lock(&self.functions).insert(slot, FunctionRun { guest, progress });
        self.milestone.set();
        result
    }

    /// Unbinds the driver and forgets the function.
    async fn forget(&self, slot: Slot) {
        let run = lock(&self.functions).get_mut(&slot).and_then(|run| run.guest.take());
        if let Some(guest) = run {
            let mut access = FunctionAccess::new(self, slot);
            // A driver that finds its device gone says so and lets go all the same.
            let _ = guest.remove(&mut access).await;
        }
        self.let_go(slot).await;
    }

    /// What is left when a driver is gone, in whatever way.
    async fn let_go(&self, slot: Slot) {
        let _ = self.interrupt_step(slot, InterruptStep::Free).await;
        driver::function_bound(self, slot, false);
    }
}
