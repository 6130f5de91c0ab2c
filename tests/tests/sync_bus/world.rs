//! One life of a bus, on all its threads.

use std::pin::pin;
use std::time::Duration;

use hvpci_core::bus::{Bus, BusOptions, BusStatus, Request};
use hvpci_core::config::{ConfigOptions, ConfigSpace};
use hvpci_core::decode::GuestStyle;
use hvpci_core::interrupt::Architecture;
use hvpci_core::{InstanceId, Slot, Time, driver};
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{
    BusSpec, ChannelState, CostModel, Fault, FaultPlan, FunctionSpec, Host, HostOptions, Severity, Trigger,
    ViolationKind,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::thread;

use crate::board::{Attending, NEVER, attend, hurry, now, spawn};
use crate::defect::Defect;
use crate::platform::{COMMAND, MEMORY, TestBus};
use crate::task::{PUBLISHER, PUMP};

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// The kind of guest.
    pub style: GuestStyle,
    /// Whether a work item may run on two threads at once.
    pub overlap: bool,
    /// Whether the host is silent when it is asked for config blocks, and that is all that happens: several wait, and the
    /// clock comes to their deadlines while they are at it.
    pub silent: bool,
    /// What is wrong with the platform.
    pub defect: Option<Defect>,
}

const FUNCTIONS: u32 = 2;
/// More than all messages of a life take, and far less than any deadline of the engine.
const LIFE: Duration = Duration::from_secs(1);

fn slot(n: u32) -> Slot {
    Slot::from_wire(n).expect("a small number")
}

impl World {
    fn bus(&self) -> TestBus {
        let cost = CostModel { message: Duration::from_micros(200), ..CostModel::FREE };
        let mut host = Host::new(HostOptions::default().with_cost(cost));
        let function = |n| FunctionSpec::gpu(1 << 20).at(slot(n)).with_serial(n + 1).with_block(0, &[7; 16]);
        let functions = (0..FUNCTIONS).map(function).collect();
        let instance = InstanceId::from_bytes([1; 16]);
        let id = host.add_bus(BusSpec { instance, functions });
        if self.silent {
            let lost = Trigger::Every(MessageType::READ_BLOCK);
            host.set_faults(id, FaultPlan::default().and(lost, Fault::LoseRequest));
        }
        let mut options = BusOptions::new(self.style, Architecture::X86);
        options.max_functions = 4;
        options.outstanding = 8;
        let bus = Bus::new(instance, options).expect("sound options");
        let config = ConfigOptions { style: self.style, capacity: 4, ..ConfigOptions::default() };
        let config = ConfigSpace::new(config).expect("sound options");
        TestBus::new(host, id, bus, config, self.overlap, self.defect)
    }

    /// Brings the bus up, lets everybody loose on it, and brings it down.
    pub fn live(self) {
        let bus = Arc::new(self.bus());
        let life = Life { over: AtomicBool::new(false), told: AtomicUsize::new(usize::MAX) };
        let life = Arc::new(life);
        let _here = attend();
        let mut threads = Vec::new();
        for worker in 0..2 {
            let bus = bus.clone();
            threads.push(spawn(move || bus.workers.work(worker, || bus.lifecycle.wake())));
        }
        let timers = bus.clone();
        threads.push(spawn(move || timers.workers.time()));
        let (carrier, seen) = (bus.clone(), life.clone());
        threads.push(spawn(move || {
            let told = || seen.told.store(carrier.violations(), Ordering::SeqCst);
            carrier.carry(|| seen.over.load(Ordering::SeqCst), told);
        }));
        driver::start(bus.as_ref());
        let (pump, publisher) = (bus.clone(), bus.clone());
        bus.workers.start(PUMP, async move { driver::pump(pump.as_ref()).await });
        bus.workers.start(PUBLISHER, async move { driver::publisher(publisher.as_ref()).await });
        // The host may act before the bus is up.
        let (host, mishap) = (bus.clone(), if self.silent { Mishap::Nothing } else { Mishap::any() });
        threads.push(spawn(move || mishap.happen(&host)));
        // Now and then deadlines come while what they are there for is on its way.
        let early = self.silent || thread_rng().gen_bool(0.3);
        let hurries = if early { 3 } else { 0 };
        threads.push(spawn(move || (0..hurries).for_each(|_| hurry())));
        bus.wait_for(|bus| bus.shown() == FUNCTIONS as usize || is_settled(bus.status()));
        let mut users = Vec::new();
        let functions = if self.silent { 0 } else { FUNCTIONS };
        for n in 0..functions {
            let (bus, style) = (bus.clone(), self.style);
            users.push(spawn(move || access(&bus, slot(n), style)));
        }
        for patient in if self.silent { [true, true] } else { [true, false] } {
            let bus = bus.clone();
            users.push(spawn(move || ask(&bus, patient)));
        }
        // The bus goes down while they are at it, or when they are through.
        let hurried = !self.silent && thread_rng().gen_bool(0.5);
        if !hurried {
            users.drain(..).for_each(Attending::join);
        }
        driver::stop(bus.as_ref());
        let alive = |bus: &TestBus| [PUMP, PUBLISHER].into_iter().any(|task| bus.workers.task(task).is_alive());
        bus.wait_for(|bus| is_over(bus.status()) && !alive(bus));
        users.into_iter().for_each(Attending::join);
        life.over.store(true, Ordering::SeqCst);
        bus.workers.end();
        bus.end_carrier();
        threads.into_iter().for_each(Attending::join);
        let quiet = mishap == Mishap::Nothing && !hurried && !early;
        self.judge(&bus, &life, quiet, early);
    }

    /// Looks at what is left. `quiet`: nothing came in between. `early`: deadlines came before their time.
    fn judge(&self, bus: &TestBus, life: &Life, quiet: bool, early: bool) {
        assert!(bus.left().is_none(), "left behind: {:?}", bus.left());
        let counters = bus.counters();
        assert!(early || now() < Time::ZERO.after(LIFE), "time passed that nobody had reason to wait for");

        let odd = counters.malformed
            + counters.malformed_completions
            + counters.unknown_messages
            + counters.unknown_completions
            + counters.duplicate_completions
            + counters.unexpected_actions;
        assert!(odd == 0, "an answer to something else: {counters:?}");
        let host = bus.host.lock().unwrap();
        let (told, rescinded) = (life.told.load(Ordering::SeqCst), host.channel(bus.id) == ChannelState::Rescinded);
        for (at, violation) in host.violations().iter().enumerate() {
            // Until the guest is told that the channel is gone it cannot know.
            let unaware = violation.kind == ViolationKind::ChannelGone && rescinded && at < told;
            let excused = unaware || (early && violation.kind == ViolationKind::EjectTimedOut);
            assert!(violation.severity() == Severity::Info || excused, "a violation at the host: {violation:?}");
        }
        // A D0EXIT that is not answered in time leaves the host in D0.
        assert!(early || host.leaks().is_empty(), "leaks at the host: {:?}", host.leaks());
        // In message style a function may go while the answer to its power change is on its way: the guest cannot know then.
        let slack = if self.style == GuestStyle::ConfigSpace || quiet { 0 } else { u64::from(FUNCTIONS) };
        let (ours, theirs) = (bus.ledger(), host.bus_ledger(bus.id));
        let apart = ours.maps.abs_diff(theirs.maps).max(ours.unmaps.abs_diff(theirs.unmaps));
        assert!(apart <= slack, "the two sides count differently: {ours:?} and {theirs:?}");
    }
}

struct Life {
    over: AtomicBool,
    /// How many violations the host had noted when the guest was told of the rescind.
    told: AtomicUsize,
}

fn is_over(status: BusStatus) -> bool {
    matches!(status, BusStatus::Stopped | BusStatus::Failed(_) | BusStatus::Gone)
}

fn is_settled(status: BusStatus) -> bool {
    is_over(status) || status == BusStatus::Running
}

/// What the host does by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Nothing,
    Eject,
    Remove,
    Rescind,
}

impl Mishap {
    fn any() -> Mishap {
        const ALL: [Mishap; 4] = [Mishap::Nothing, Mishap::Eject, Mishap::Remove, Mishap::Rescind];
        ALL[thread_rng().gen_range(0..ALL.len())]
    }

    /// Sooner or later.
    fn happen(self, bus: &TestBus) {
        for _ in 0..thread_rng().gen_range(0..40) {
            thread::yield_now();
        }
        bus.on_host(|host, id, now| match self {
            Mishap::Nothing => {}
            Mishap::Eject => host.eject(id, now, slot(1)),
            Mishap::Remove => {
                host.remove_function(id, now, slot(1));
            }
            Mishap::Rescind => host.rescind(id, now),
        });
    }
}

/// A function's driver: turns memory on and off, in between reads what must not change.
fn access(bus: &TestBus, slot: Slot, style: GuestStyle) {
    for _ in 0..4 {
        if !bus.is_shown(slot) {
            return;
        }
        let id = driver::config_read(bus, slot, 0, 4);
        assert!(id == 0x20B5_10DE || id == u32::MAX, "read {id:#x} where the vendor and device id are");
        match style {
            GuestStyle::ConfigSpace => {
                driver::config_write(bus, slot, COMMAND, 2, MEMORY);
                let on = driver::config_read(bus, slot, COMMAND, 2);
                let gone = on == 0xFFFF || bus.status() != BusStatus::Running;
                assert!(on & MEMORY != 0 || gone, "memory is off after it was turned on");
                driver::config_write(bus, slot, COMMAND, 2, 0);
            }
            GuestStyle::Messages => bus.power(slot),
        }
    }
}

/// Somebody who wants a config block. `patient` or not: then the request is given up, early or late.
fn ask(bus: &TestBus, patient: bool) {
    let request = Request::ReadBlock { slot: slot(0), block: 0, bytes: 16 };
    bus.with_caller(|caller| {
        let Ok(ticket) = driver::submit(bus, request) else { return };
        let answer = driver::answer(bus, ticket, |deadline| caller.block.point.wait(deadline));
        let limit = if patient { NEVER } else { now().after(Duration::from_micros(100)) };
        let answered = caller.block.block_on(pin!(answer), limit);
        assert!(answered.is_some() || !patient, "a call that waits for ever returned without an answer");
    });
}
