//! Buses on a simulated VM, and what must hold when they are done.

use std::sync::Arc;
use std::time::Duration;

use hvpci_core::backend::Platform;
use hvpci_core::bus::{BusOptions, BusStatus, Deadlines, FunctionInfo};
use hvpci_core::config::ConfigOptions;
use hvpci_core::decode::{Ledger, Policy};
use hvpci_core::interrupt::Architecture;
use hvpci_core::wire::Version;
use hvpci_core::{InstanceId, Slot, Time, driver};
use hvpci_mock::guest::GuestKind;
use hvpci_mock::host::{BusId, BusSpec, FunctionSpec, HostOptions, Severity, Violation};
use hvpci_mock::sim::executor::Stall;
use hvpci_mock::sim::{Machine, MockPlatform};

/// No test takes longer than this in virtual time: an hour.
pub const LIMIT: Time = Time::from_nanos(3600 * 1_000_000_000);

/// 1 GiB.
pub const GIB: u64 = 1 << 30;

/// A bus as the guest has it.
pub type Bus = Arc<MockPlatform>;

/// A VM, and how its buses are made.
pub struct Bench {
    /// The VM.
    pub machine: Machine,
    /// The decode policy of its buses.
    pub policy: Policy,
    /// The version its buses offer first.
    pub highest: Version,
    /// Room for functions on a bus.
    pub max_functions: u16,
    /// Whether the VM is an isolated one.
    pub isolated: bool,
    /// How long the buses wait for the answer to an ordinary request.
    pub patience: Duration,
    buses: Vec<Bus>,
}

impl Bench {
    /// A VM of this guest on a default host, under the deferred policy.
    pub fn new(guest: GuestKind) -> Bench {
        Bench::on(HostOptions::default(), guest)
    }

    /// A VM of this guest on this host, under the deferred policy.
    pub fn on(host: HostOptions, guest: GuestKind) -> Bench {
        Bench {
            machine: Machine::new(host, guest),
            policy: Policy::Deferred,
            highest: Version::V1_4,
            max_functions: 8,
            isolated: false,
            patience: Deadlines::default().request,
            buses: Vec::new(),
        }
    }

    /// The same under another policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Bench {
        self.policy = policy;
        self
    }

    /// Offers a bus with these functions, at the slots 0, 1, 2 and so on; it is not started.
    pub fn offer(&mut self, functions: impl IntoIterator<Item = FunctionSpec>) -> Bus {
        let functions = functions.into_iter().zip(0..).map(|(function, n)| function.at(slot(n)).with_serial(n + 1));
        let spec = BusSpec { instance: instance(self.buses.len()), functions: functions.collect() };
        let (bus, config) = self.options();
        let platform = self.machine.add_bus(spec, bus, config).expect("the options are sound");
        self.buses.push(platform.clone());
        platform
    }

    /// The guest's side of a bus that was offered again.
    pub fn offered_again(&mut self, before: &Bus) -> Bus {
        let (bus, config) = self.options();
        let platform = self.machine.guest_side(before.id, bus, config).expect("the options are sound");
        self.buses.push(platform.clone());
        platform
    }

    /// The kernel that takes over when the first has died: the same VM, nothing of the first kernel.
    pub fn second_kernel(first: Bench, guest: GuestKind) -> Bench {
        Bench { machine: first.machine.next_kernel(guest), buses: Vec::new(), ..first }
    }

    /// Brings a bus up that an earlier kernel had.
    pub fn boot_again(&mut self, id: BusId) -> Bus {
        let (bus, config) = self.options();
        let platform = self.machine.guest_side(id, bus, config).expect("the options are sound");
        self.buses.push(platform.clone());
        self.start(&platform);
        self.wait(&platform, async |bus| bus.booted().await);
        platform
    }

    fn options(&self) -> (BusOptions, ConfigOptions) {
        let style = self.machine.vm().guest.style();
        let mut bus = BusOptions::new(style, Architecture::X86);
        (bus.policy, bus.highest, bus.max_functions) = (self.policy, self.highest, self.max_functions);
        bus.deadlines.request = self.patience;
        let (policy, capacity, isolated) = (self.policy, self.max_functions, self.isolated);
        (bus, ConfigOptions { policy, style, capacity, isolated, ..ConfigOptions::default() })
    }

    /// Offers a bus, starts it and waits until its drivers are bound.
    pub fn boot(&mut self, functions: impl IntoIterator<Item = FunctionSpec>) -> Bus {
        let bus = self.offer(functions);
        self.start(&bus);
        self.wait(&bus, async |bus| bus.booted().await);
        bus
    }

    /// Starts a bus.
    pub fn start(&mut self, bus: &Bus) {
        self.machine.start(bus);
    }

    /// Runs until the guest's `task` on a bus is done.
    #[track_caller]
    pub fn wait<T: 'static>(&mut self, bus: &Bus, task: impl AsyncFnOnce(&Bus) -> T + 'static) -> T {
        let bus = bus.clone();
        let result = self.machine.run_task(LIMIT, async move { task(&bus).await });
        result.unwrap_or_else(|stall| panic!("{stall:?}: {}", self.troubles()))
    }

    /// Runs until a bus is in this state.
    #[track_caller]
    pub fn wait_for(&mut self, bus: &Bus, status: BusStatus) {
        self.wait(bus, async move |bus| bus.until(|bus| bus.status() == status).await);
    }

    /// Runs until `condition` holds.
    #[track_caller]
    pub fn wait_until(&mut self, bus: &Bus, condition: impl Fn(&MockPlatform) -> bool + 'static) {
        self.wait(bus, async move |bus| bus.until(condition).await);
    }

    /// Lets virtual time pass.
    #[track_caller]
    pub fn pass(&mut self, seconds: u64) {
        let clock = self.machine.clock();
        let until = clock.now().after(Duration::from_secs(seconds));
        let slept = self.machine.run_task(LIMIT, async move { clock.sleep_until(until).await });
        assert_eq!(slept, Ok(()), "{}", self.troubles());
    }

    /// Stops all buses that are not over and runs until they are. Then nothing may be left anywhere.
    #[track_caller]
    pub fn shut_down(&mut self) {
        self.stop_all();
        self.assert_clean();
    }

    /// Stops all buses and runs until they are over.
    #[track_caller]
    pub fn stop_all(&mut self) {
        self.buses.iter().for_each(|bus| driver::stop(bus.as_ref()));
        let ended = self.run_out();
        assert_eq!(ended, Ok(()), "{}", self.troubles());
    }

    /// Runs until every bus is over by itself.
    pub fn run_out(&mut self) -> Result<(), Stall> {
        self.machine.run(LIMIT, |_| {})
    }

    /// Nothing is left at the host or in the guest, the host saw no error, and both sides count alike.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(self.errors(), [], "violations");
        self.assert_nothing_left();
        for bus in &self.buses {
            assert_eq!(bus.hypercall_errors(), [], "hypercalls of {:?}", bus.id);
        }
        let mut ids: Vec<_> = self.buses.iter().map(|bus| bus.id).collect();
        ids.dedup();
        for id in ids {
            let mut core = Ledger::default();
            self.buses.iter().filter(|bus| bus.id == id).for_each(|bus| core += bus.ledger());
            let host = self.machine.vm().host().bus_ledger(id);
            let figures = |l: &Ledger| (l.maps, l.unmaps, l.host_unmaps, l.traps, l.messages);
            assert_eq!(figures(&core), figures(&host), "maps, unmaps, host unmaps, traps, messages of {id:?}");
        }
    }

    /// Nothing is mapped, assigned or reserved any more.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let vm = self.machine.vm();
        assert_eq!(vm.host().leaks(), [], "left at the host");
        assert_eq!(vm.mmio().taken().collect::<Vec<_>>(), [], "MMIO space not given back");
        for bus in &self.buses {
            assert_eq!(bus.quarantined_bytes(), 0, "{:?}", bus.id);
            let host = vm.host();
            for slot in host.slots(bus.id) {
                let function = host.function(bus.id, slot).expect("it was listed");
                assert!(!function.decodes, "{:?} function {slot} is mapped", bus.id);
                assert!(!function.assigned, "{:?} function {slot} is assigned", bus.id);
                assert_eq!(function.interrupts, [], "{:?} function {slot}", bus.id);
            }
        }
    }

    /// The violations that a correct guest never causes.
    pub fn errors(&self) -> Vec<Violation> {
        let host = self.machine.vm().host();
        host.violations().iter().filter(|violation| violation.severity() == Severity::Error).copied().collect()
    }

    /// Where everything stands, for the message of a failed test.
    pub fn troubles(&self) -> String {
        let mut text = format!("at {:?}", self.machine.clock().now());
        for bus in &self.buses {
            let reports = bus.reports();
            let last: Vec<_> = reports.iter().rev().take(4).collect();
            text += &format!("; {:?} is {:?}, {:?}, last reports {last:?}", bus.id, bus.status(), bus.progress());
        }
        text
    }
}

/// The n-th slot.
pub fn slot(n: u32) -> Slot {
    Slot::from_wire(n).expect("slots go to 255")
}

/// The instance GUID of the n-th bus.
pub fn instance(n: usize) -> InstanceId {
    let [a, b, ..] = (n + 1).to_le_bytes();
    InstanceId::from_bytes([a, b, 0, 0, a, b, 0x81, 0x87, 0x85, 0x49, 0x40, 0xAB, 0xCF, 0x27, 0x14, 0xDF])
}

/// What the engine knows of a function.
pub fn function(bus: &MockPlatform, slot: Slot) -> Option<FunctionInfo> {
    let mut function = None;
    bus.with_bus(&mut |bus, _| function = bus.function(slot));
    function
}

/// A function that is ready to be used by its driver.
pub fn is_ready(bus: &MockPlatform, slot: Slot) -> bool {
    let has_bars = function(bus, slot).is_some_and(|function| function.layout.iter().next().is_some());
    let decodes = bus.on_host(|host, id, _| host.function(id, slot).is_some_and(|function| function.decodes));
    bus.progress().get(&slot).is_some_and(|progress| progress.ready.is_some()) && (decodes || !has_bars)
}
