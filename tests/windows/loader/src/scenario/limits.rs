//! What hardly ever happens: every packet under way, a bus that does not fall asleep, an eject in the middle of a start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hvpci_core::Slot;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{BusId, HostOptions};

use crate::kmcl::{self, packet};
use crate::nt::debug;
use crate::pnp::interface::BusInterface;
use crate::scenario::Scenario;
use crate::scenario::machine::{GPU_BAR, check_the_guest, function};
use crate::scenario::steps::{at_host, boot, down, no_children, start_children, up, within};
use crate::world::{Step, World, sleep, spawn, wait, with};
use crate::{expect, pnp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "packets-under-way",
        about: "the host reads nothing until all 128 packets are under way: what found none free is sent after all",
        steps: 1,
        run: packets_under_way,
    },
    Scenario {
        name: "not-asleep",
        about: "work items stand still while the system goes to sleep: the channel is closed all the same",
        steps: 2,
        run: not_asleep,
    },
    Scenario {
        name: "kept-on-the-list",
        about: "no memory to report a function missing: the bus goes on, and sleeps; the next function of the slot is shown when there is some",
        steps: 3,
        run: kept_on_the_list,
    },
    Scenario {
        name: "eject-in-start",
        about: "the host asks for a function between its driver's resources and its power, while its map runs, or while its interrupts are created",
        steps: 3,
        run: eject_in_start,
    },
];

const SECOND: u64 = 1_000_000_000;
/// Send slots of a channel.
const PACKETS: usize = 128;

fn interrupts(bus: BusId) -> usize {
    with(|world| {
        let slots = world.host.slots(bus);
        slots.iter().filter_map(|slot| world.host.function(bus, *slot)).map(|function| function.interrupts.len()).sum()
    })
}

/// Functions stop at once, each with six messages to delete, which nobody answers, and D3 to be answered.
fn packets_under_way(file: &str, _step: u32) {
    const FUNCTIONS: u8 = 24;
    let (machine, buses) = boot(file, HostOptions::default(), 1, FUNCTIONS);
    with(|world| world.pnp.arbitrates = true);
    let (bus, up) = (buses[0], up(buses[0], FUNCTIONS.into()));
    start_children(&up);
    let (created, before) = (interrupts(bus), with(|world| world.kmcl.most_outstanding));
    expect!(created > PACKETS && before < PACKETS, "{created} interrupts; {before} packets under way before");
    with(|world| world.kmcl.stuck = true);
    let (running, began) = (Arc::new(AtomicU32::new(u32::from(FUNCTIONS))), with(|world| world.now()));
    for pdo in up.pdos.clone() {
        let running = Arc::clone(&running);
        spawn("the power manager", move || {
            pnp::power_down(pdo, pnp::D3_FINAL);
            running.fetch_sub(1, Ordering::SeqCst);
            with(World::changed);
        });
    }
    sleep(SECOND);
    let under_way = with(|world| world.kmcl.outstanding());
    expect!(under_way == PACKETS, "{under_way} packets under way, not {PACKETS}");
    with(packet::unstick);
    wait("the functions", |_| if running.load(Ordering::SeqCst) == 0 { Step::Done(()) } else { Step::Sleep });
    sleep(SECOND / 10);
    let took = (with(|world| world.now()) - began) / SECOND;
    expect!(took < 5, "the functions stopped after {took} s: something was not sent when it could be");
    expect!(interrupts(bus) == 0, "{} interrupts are left at the host", interrupts(bus));
    let most = with(|world| world.kmcl.most_outstanding);
    expect!(most == PACKETS, "{most} packets under way at once");
    down(machine, &buses);
}

/// 1: the work items go on a second after the driver has stopped waiting for them, and the bus is removed. 2: they go on, and
/// the system wakes.
fn not_asleep(file: &str, step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let (bus, up) = (buses[0], up(buses[0], 1));
    start_children(&up);
    pnp::power_down(up.pdos[0], pnp::D3);
    with(|world| world.wdf.work_held_until = world.now() + 541 * SECOND);
    debug::gives_up("did not fall asleep");
    within("the way to sleep", 541, || pnp::power_down(up.fdo, pnp::D3));
    expect!(!with(|world| kmcl::is_open(world, bus)), "the channel is open while the system sleeps");
    sleep(10 * SECOND);
    expect!(!with(|world| kmcl::is_open(world, bus)), "the channel was opened while the system sleeps");
    if step == 2 {
        let back = within("the wake", 60, || pnp::power_up(up.fdo, pnp::D3));
        println!("the wake: {back:x?}");
        expect!(back.is_ok(), "the bus did not wake: {back:x?}");
    }
    within("the removal", 60, || pnp::remove_bus(bus, false));
    machine.unload();
    check_the_guest();
}

/// 1: the same function comes back, first without memory and then with some. 2: the system sleeps and wakes meanwhile. 3: no
/// function comes: memory does.
fn kept_on_the_list(file: &str, step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let (bus, mut up) = (buses[0], up(buses[0], 1));
    start_children(&up);
    let first = up.pdos[0];
    let interface = BusInterface::query(first);
    with(|world| world.wdf.keeps_children = true);
    at_host(|host, now| {
        host.remove_function(bus, now, Slot::ZERO);
    });
    sleep(SECOND / 2);
    let read = interface.map(|interface| {
        let read = interface.read(0, 4);
        interface.release();
        read
    });
    expect!(read.as_deref() == Some(&[0xFF; 4]), "a function that has left reads {read:x?}");
    if step == 3 {
        sleep(20 * SECOND);
    } else if step == 2 {
        within("the way to sleep", 12, || {
            pnp::power_down(first, pnp::D3);
            pnp::power_down(up.fdo, pnp::D3);
        });
        let back = within("the wake", 5, || pnp::power_up(up.fdo, pnp::D3));
        expect!(back.is_ok(), "the bus did not wake: {back:x?}");
    } else {
        sleep(20 * SECOND);
        add(bus);
        sleep(5 * SECOND);
        expect!(pnp::child::of(up.fdo) == [first], "a second child of the slot beside the first");
        at_host(|host, now| {
            host.remove_function(bus, now, Slot::ZERO);
        });
        sleep(20 * SECOND);
    }
    with(|world| world.wdf.keeps_children = false);
    if step == 3 {
        sleep(SECOND);
        expect!(
            pnp::child::of(up.fdo).is_empty(),
            "the child of a function that has left is there though there is memory"
        );
    }
    add(bus);
    sleep(5 * SECOND);
    up.pdos = pnp::child::await_children(up.fdo, 1, 200);
    expect!(up.pdos.len() == 1 && up.pdos[0] != first, "the function that came is not shown: {:x?}", up.pdos);
    start_children(&up);
    down(machine, &buses);
}

fn add(bus: BusId) {
    at_host(|host, now| {
        if let Some(spec) = function(0, 0, GPU_BAR) {
            host.add_function(bus, now, spec);
        }
    });
}

/// The start goes on to its end, and then the function goes, in order: its driver is asked, stopped, and the host told.
fn eject_in_start(file: &str, step: u32) {
    let mut options = HostOptions { rescind_after_eject: false, ..HostOptions::default() };
    options.cost.map_128_gib = Duration::from_secs(3);
    if step == 3 {
        options.cost.map_128_gib = Duration::ZERO;
        options.cost.message = Duration::from_secs(1);
    }
    let (machine, buses) = boot(file, options, 1, 1);
    with(|world| world.pnp.arbitrates = true);
    let (bus, up) = (buses[0], up(buses[0], 1));
    with(|world| world.pnp.start_delay = if step == 1 { 2 * SECOND } else { 0 });
    let over = Arc::new(AtomicU32::new(0));
    let (mine, pdo) = (Arc::clone(&over), up.pdos[0]);
    spawn("a function's start", move || {
        let started = pnp::child::start_child(bus, pdo);
        expect!(started.is_ok(), "the start was not let go on to its end: {started:x?}");
        mine.store(1, Ordering::SeqCst);
        with(World::changed);
    });
    sleep(if step == 3 { 3 * SECOND } else { SECOND });
    let state = with(|world| world.host.function(bus, Slot::ZERO));
    let created = interrupts(bus);
    let there = match step {
        1 => pnp::power(pdo).prepared && state.is_some_and(|function| !function.decodes),
        2 => !pnp::power(pdo).in_d0,
        _ => created > 0 && created < 6,
    };
    expect!(there, "this is not the moment: {created} interrupts");
    at_host(|host, now| host.eject(bus, now, Slot::ZERO));
    sleep(SECOND / 2);
    let asked = with(|world| world.wdf.devices.get(&pdo).is_some_and(|device| device.eject_requested));
    expect!(asked || step == 3, "the PnP manager was not asked to eject the device");
    expect!(over.load(Ordering::SeqCst) == 0, "the start was over before the eject");
    wait("the start", |_| if over.load(Ordering::SeqCst) != 0 { Step::Done(()) } else { Step::Sleep });
    no_children(up.fdo);
    sleep(10 * SECOND);
    let (left, ledger) = with(|world| (world.host.slots(bus).len(), world.host.bus_ledger(bus)));
    expect!(left == 0, "the function is still there: EJECTION_COMPLETE was not sent");
    expect!(ledger.maps == 1 && ledger.unmaps == 1, "{} maps, {} unmaps", ledger.maps, ledger.unmaps);
    let sent = with(|world| world.kmcl.sent_on(bus));
    let count = |kind: MessageType| sent.iter().filter(|sent| **sent == kind.0 & 0xFFFF).count();
    let (on_off, complete) = (count(MessageType::DEVICE_POWER_STATE_CHANGE), count(MessageType::EJECTION_COMPLETE));
    expect!((on_off, complete) == (2, 1), "{on_off} changes of power, {complete} EJECTION_COMPLETE");
    down(machine, &buses);
}
