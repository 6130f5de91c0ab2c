//! Message interrupts of a child, under the assumption that `pnp::arbiter::within` states: somebody arbitrates vectors for
//! the child, and the bus programs the function. A message arrives when the function's own table holds what the host gave.

use std::time::Duration;

use hvpci_core::Slot;
use hvpci_mock::host::device::{BarSpec, Capability, Device};
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{BusId, Fault, FaultPlan, FunctionSpec, HostOptions, Trigger};

use crate::pnp::interface::BusInterface;
use crate::pnp::{self, ACTION_SLEEP, D3};
use crate::scenario::Scenario;
use crate::scenario::machine::{GPU_BAR, Machine, check_the_guest, maps};
use crate::scenario::steps::{Up, boot, down, lose_function, start_children, up};
use crate::world::{sleep, with};
use crate::{expect, wdf};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "messages",
        about: "6 messages of MSI-X, each arrives; deleted at the stop",
        steps: 1,
        run: msi_x,
    },
    Scenario { name: "messages-msi", about: "4 messages of MSI, created as one, each arrives", steps: 1, run: msi },
    Scenario {
        name: "messages-none",
        about: "nobody arbitrates messages: the child starts without, nothing is created",
        steps: 1,
        run: none,
    },
    Scenario {
        name: "messages-refused",
        about: "the host refuses the n-th CREATE_INTERRUPT: that child fails, its neighbour and a second try do not",
        steps: 6,
        run: refused,
    },
    Scenario {
        name: "messages-late",
        about: "the n-th CREATE_INTERRUPT is answered after its deadline: deleted again",
        steps: 6,
        run: late,
    },
    Scenario {
        name: "messages-slow",
        about: "each CREATE_INTERRUPT is answered just before its deadline: one deadline for all of them",
        steps: 1,
        run: slow,
    },
    Scenario {
        name: "messages-rescind",
        about: "the channel is rescinded at the n-th CREATE_INTERRUPT",
        steps: 6,
        run: rescind,
    },
    Scenario { name: "messages-surprise", about: "the function goes with its messages", steps: 1, run: surprise },
    Scenario {
        name: "messages-idle",
        about: "idle D3 keeps messages; a sleep while idle creates them anew; removed while idle",
        steps: 1,
        run: idle,
    },
    Scenario {
        name: "messages-again",
        about: "started and stopped ten times: the records do not pile up",
        steps: 1,
        run: again,
    },
];

const VECTORS: u16 = 6;
const CREATE: [u32; 3] = [0x14, 0x17, 0x1B];
const DELETE: u32 = 0x15;

/// A machine whose PnP manager hands out messages, and a bus of `functions` GPUs that is up.
fn ready(file: &str, functions: u8) -> (Machine, BusId, Up) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, functions);
    with(|world| world.pnp.arbitrates = true);
    (machine, buses[0], up(buses[0], functions.into()))
}

/// CREATE_INTERRUPT and DELETE_INTERRUPT sent so far.
fn sent(bus: BusId) -> (usize, usize) {
    let sent = with(|world| world.kmcl.sent_on(bus));
    let count = |kinds: &[u32]| sent.iter().filter(|kind| kinds.contains(kind)).count();
    (count(&CREATE), count(&[DELETE]))
}

fn held(bus: BusId, slot: Slot) -> usize {
    with(|world| world.host.function(bus, slot)).map_or(0, |function| function.interrupts.len())
}

/// The function's driver sets bus master; then the function sends every message that it was assigned.
fn all_arrive(up: &Up) {
    let Some(interface) = BusInterface::query(up.pdos[0]) else {
        return expect!(false, "the child has no BUS_INTERFACE_STANDARD");
    };
    let command = interface.read(4, 2);
    interface.write(4, &[command[0] | 4, command[1]]);
    interface.release();
    let assigned = with(|world| world.pnp.assigned.get(&up.pdos[0]).cloned()).unwrap_or_default().messages;
    let wanted = assigned.iter().flat_map(|messages| {
        let processor = u16::try_from(messages.affinity.trailing_zeros()).unwrap_or(u16::MAX);
        (0..u32::from(messages.count)).map(move |n| (messages.vector + n, processor))
    });
    let wanted: Vec<(u32, u16)> = wanted.collect();
    expect!(!wanted.is_empty(), "no message was assigned");
    for (index, (vector, processor)) in (0_u16..).zip(wanted) {
        let arrived = with(|world| world.host.deliver(up.bus, Slot::ZERO, index));
        let as_wanted = arrived.as_ref().is_ok_and(|a| a.vector == vector && a.processors == [processor]);
        expect!(as_wanted, "message {index}, for vector {vector:#x} of processor {processor}: {arrived:?}");
    }
    let beyond = with(|world| world.host.deliver(up.bus, Slot::ZERO, 100));
    expect!(beyond.is_err(), "message 100 of a function that has none such: {beyond:?}");
}

/// Nothing of a stopped child's messages is left.
fn none_left(bus: BusId) {
    sleep(1_000_000);
    expect!(held(bus, Slot::ZERO) == 0, "{} interrupts are left at the host", held(bus, Slot::ZERO));
    let arrived = with(|world| world.host.deliver(bus, Slot::ZERO, 0));
    expect!(arrived.is_err(), "a message of a stopped function arrives: {arrived:?}");
}

fn stop(up: &Up) {
    pnp::power_down(up.pdos[0], pnp::D3_FINAL);
    pnp::release(up.pdos[0]);
}

fn msi_x(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file, 1);
    expect!(sent(bus) == (0, 0), "interrupts were created before the driver started");
    start_children(&up);
    expect!(sent(bus) == (VECTORS.into(), 0), "{:?} created and deleted", sent(bus));
    all_arrive(&up);
    stop(&up);
    none_left(bus);
    expect!(sent(bus) == (VECTORS.into(), VECTORS.into()), "{:?} created and deleted", sent(bus));
    down(machine, &[bus]);
}

fn msi(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 0);
    let bus = buses[0];
    with(|world| {
        world.pnp.arbitrates = true;
        let now = world.time();
        let description = FunctionSpec::gpu(GPU_BAR).description;
        let device = Device::new(&description)
            .with_bar(BarSpec::wide(0, GPU_BAR))
            .with_capability(&Capability::Msi { messages_log2: 2, is_64bit: true });
        world.host.add_function(bus, now, FunctionSpec::new(description, device));
    });
    let up = up(bus, 1);
    start_children(&up);
    expect!(sent(bus) == (1, 0), "{:?} created and deleted: all of MSI are one", sent(bus));
    expect!(held(bus, Slot::ZERO) == 1, "{} interrupts at the host", held(bus, Slot::ZERO));
    all_arrive(&up);
    stop(&up);
    none_left(bus);
    down(machine, &[bus]);
}

fn none(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file, 1);
    with(|world| world.pnp.arbitrates = false);
    start_children(&up);
    expect!(sent(bus) == (0, 0), "{:?} created and deleted without any assigned", sent(bus));
    expect!(maps(bus) == 1, "{} maps", maps(bus));
    down(machine, &[bus]);
}

fn create_faults(bus: BusId, step: u32, fault: Fault) {
    // The host of the loader speaks 1.4.
    let plan = FaultPlan::at(MessageType::CREATE_INTERRUPT3, step, fault);
    with(|world| world.host.set_faults(bus, plan));
}

fn refused(file: &str, step: u32) {
    let (machine, bus, up) = ready(file, 2);
    create_faults(bus, step, Fault::Refuse(0xC000_0001));
    let started = pnp::child::start_child(bus, up.pdos[0]);
    expect!(started.is_err(), "the child started without its interrupts");
    sleep(1_000_000);
    let (created, deleted) = sent(bus);
    expect!(created == step as usize && deleted + 1 == created, "{created} created, {deleted} deleted");
    none_left(bus);
    let decodes = with(|world| world.host.function(bus, Slot::ZERO)).is_some_and(|function| function.decodes);
    expect!(!decodes, "the failed child is still mapped");
    let neighbour = pnp::child::start_child(bus, up.pdos[1]);
    expect!(neighbour.is_ok(), "the neighbour did not start: {neighbour:x?}");
    let again = pnp::child::start_child(bus, up.pdos[0]);
    expect!(again.is_ok(), "the second try failed: {again:x?}");
    all_arrive(&up);
    down(machine, &[bus]);
}

fn late(file: &str, step: u32) {
    let (machine, bus, up) = ready(file, 1);
    create_faults(bus, step, Fault::Delay(Duration::from_secs(90)));
    let began = with(|world| world.now());
    let started = pnp::child::start_child(bus, up.pdos[0]);
    let waited = with(|world| world.now() - began) / 1_000_000_000;
    expect!(started.is_err() && waited < 70, "the start took {waited} s: {started:x?}");
    sleep(60_000_000_000);
    none_left(bus);
    start_children(&up);
    all_arrive(&up);
    down(machine, &[bus]);
}

/// 59 s for each of six: no request is late, but the power callback must not take 354 s.
fn slow(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file, 1);
    let slow = |plan: FaultPlan, nth| {
        let trigger = Trigger::Message(MessageType::CREATE_INTERRUPT3, nth);
        plan.and(trigger, Fault::Delay(Duration::from_secs(59)))
    };
    with(|world| world.host.set_faults(bus, (1..=VECTORS.into()).fold(FaultPlan::default(), slow)));
    crate::nt::debug::gives_up("has waited long enough");
    let began = with(|world| world.now());
    let started = pnp::child::start_child(bus, up.pdos[0]);
    let waited = with(|world| world.now() - began) / 1_000_000_000;
    expect!(started.is_err() && waited == 300, "the start ended after {waited} s, not 300: {started:x?}");
    sleep(120_000_000_000);
    none_left(bus);
    let decodes = with(|world| world.host.function(bus, Slot::ZERO)).is_some_and(|function| function.decodes);
    expect!(!decodes, "the failed child is still mapped");
    with(|world| world.host.set_faults(bus, FaultPlan::default()));
    start_children(&up);
    all_arrive(&up);
    down(machine, &[bus]);
}

fn rescind(file: &str, step: u32) {
    let (mut machine, bus, up) = ready(file, 1);
    create_faults(bus, step, Fault::Rescind);
    let started = pnp::child::start_child(bus, up.pdos[0]);
    expect!(started.is_err(), "the child of a rescinded bus started");
    sleep(5_000_000_000);
    expect!(with(|world| !world.pnp.fdos.contains_key(&bus)), "the bus is still there 5 s after its rescind");
    machine.unload();
    check_the_guest();
}

fn surprise(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file, 1);
    start_children(&up);
    all_arrive(&up);
    lose_function(&up);
    expect!(sent(bus).1 == 0, "{} interrupts of a function that is gone were deleted", sent(bus).1);
    down(machine, &[bus]);
}

fn idle(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file, 1);
    start_children(&up);
    for _ in 0..3 {
        pnp::power_down(up.pdos[0], D3);
        let back = pnp::power_up(up.pdos[0], D3);
        expect!(back.is_ok(), "D0 failed: {back:x?}");
    }
    expect!(sent(bus) == (VECTORS.into(), 0), "{:?} created and deleted over idle D3", sent(bus));
    all_arrive(&up);
    // The system sleeps while the function idles: KMDF tells the bus device alone, the function is in D3 already.
    pnp::power_down(up.pdos[0], D3);
    let action = |action| {
        with(|world| {
            let device: Option<&mut wdf::device::Device> = world.wdf.devices.get_mut(&up.fdo);
            device.into_iter().for_each(|device| device.power_action = action);
        });
    };
    action(ACTION_SLEEP);
    pnp::power_down(up.fdo, D3);
    let back = pnp::power_up(up.fdo, D3);
    expect!(back.is_ok(), "the bus did not wake: {back:x?}");
    action(0);
    let back = pnp::power_up(up.pdos[0], D3);
    expect!(back.is_ok(), "D0 after the sleep failed: {back:x?}");
    expect!(held(bus, Slot::ZERO) == usize::from(VECTORS), "{} interrupts", held(bus, Slot::ZERO));
    all_arrive(&up);
    // Removed while idle: EvtDeviceD0Exit does not come again, ReleaseHardware does.
    pnp::power_down(up.pdos[0], D3);
    pnp::release(up.pdos[0]);
    none_left(bus);
    let decodes = with(|world| world.host.function(bus, Slot::ZERO)).is_some_and(|function| function.decodes);
    expect!(!decodes, "a function without a driver is still mapped");
    down(machine, &[bus]);
}

fn again(file: &str, _step: u32) {
    let (machine, bus, up) = ready(file, 1);
    let before = with(|world| world.nt.pool.live());
    for _ in 0..10 {
        with(|world| world.pnp.restart_vectors());
        start_children(&up);
        stop(&up);
    }
    sleep(1_000_000);
    let grown = with(|world| world.nt.pool.live()).saturating_sub(before);
    expect!(grown < 8192, "ten starts left {grown} bytes of pool in use");
    down(machine, &[bus]);
}
