//! What comes just when it does harm: while a function starts, while a child is made, while a channel is closed, or while
//! there is no memory to send a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hvpci_core::Slot;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{BusId, Fault, FaultPlan, HostOptions};

use crate::nt::{debug, status};
use crate::scenario::Scenario;
use crate::scenario::machine::{GPU_BAR, check_the_guest, function, maps};
use crate::scenario::steps::{Up, at_host, boot, down, no_children, start_children, up, within};
use crate::wdf::resources::{MEMORY, Wanted};
use crate::world::{Step, World, sleep, spawn, wait, with};
use crate::{expect, pnp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "leaves-in-start",
        about: "a function whose start waits for its map is ejected by force; the next one takes its slot, or a rescind comes",
        steps: 2,
        run: leaves_in_start,
    },
    Scenario {
        name: "stale-child",
        about: "a function is replaced while the PnP manager is about to make its device",
        steps: 1,
        run: stale_child,
    },
    Scenario {
        name: "closed-by-both",
        about: "the host closes the channel when the driver has decided to",
        steps: 1,
        run: closed_by_both,
    },
    Scenario {
        name: "sends-refused",
        about: "no memory for messages that nobody answers: RESOURCES_RELEASED and EJECTION_COMPLETE, DELETE_INTERRUPT",
        steps: 2,
        run: sends_refused,
    },
    Scenario {
        name: "vmbus-lists",
        about: "VMBus asks for no resources in no list, or for some in several: it gets back what it listed",
        steps: 4,
        run: vmbus_lists,
    },
    Scenario {
        name: "abandoned",
        about: "work items stand still while a bus is stopped: its next start fails at once",
        steps: 1,
        run: abandoned,
    },
];

const SECOND: u64 = 1_000_000_000;
/// REQUEST_TIMEOUT, in seconds.
const SHORT: u64 = 5;

/// Starts a child on a thread of its own. Holds the seconds it took plus one when it is over.
fn start_aside(bus: BusId, pdo: usize) -> Arc<AtomicU64> {
    let over = Arc::new(AtomicU64::new(0));
    let mine = Arc::clone(&over);
    spawn("a function's start", move || {
        let began = with(|world| world.now());
        let started = pnp::child::start_child(bus, pdo);
        expect!(started.is_err(), "a function that left was started");
        mine.store((with(|world| world.now()) - began) / SECOND + 1, Ordering::SeqCst);
        with(World::changed);
    });
    over
}

fn add(bus: BusId, functions_before: u32) {
    at_host(|host, now| {
        if let Some(spec) = function(0, 0, GPU_BAR) {
            host.add_function(bus, now, spec.with_serial(0x100 + functions_before));
        }
    });
}

/// The eject is asked for at 1 s and taken as refused at 6 s; at 11 s the driver has had long enough. 1: another function
/// takes the slot. 2: the channel is rescinded at 8 s.
fn leaves_in_start(file: &str, step: u32) {
    let options = HostOptions { rescind_after_eject: false, ..HostOptions::default() };
    let (mut machine, buses) = boot(file, options, 1, 1);
    with(|world| world.wdf.parameters.insert("RequestTimeoutSeconds".to_owned(), SHORT as u32));
    let (bus, mut up) = (buses[0], up(buses[0], 1));
    let plan = FaultPlan::at(MessageType::DEVICE_POWER_STATE_CHANGE, 1, Fault::LoseRequest);
    with(|world| world.host.set_faults(bus, plan));
    let over = start_aside(bus, up.pdos[0]);
    sleep(SECOND);
    at_host(|host, now| host.eject(bus, now, Slot::ZERO));
    if step == 2 {
        sleep(7 * SECOND);
        at_host(|host, now| host.rescind(bus, now));
    }
    wait("the start", |_| if over.load(Ordering::SeqCst) != 0 { Step::Done(()) } else { Step::Sleep });
    let took = over.load(Ordering::SeqCst) - 1;
    let limit = if step == 2 { 8 } else { 1 + 2 * SHORT };
    expect!(took == limit, "the start went on for {took} s, not {limit}: MapTimeoutSeconds is 120");
    sleep(5 * SECOND);
    if step == 1 {
        no_children(up.fdo);
        add(bus, 1);
        up.pdos = pnp::child::await_children(up.fdo, 1, 200);
        expect!(up.pdos.len() == 1, "the added function is not shown");
        start_children(&up);
        expect!(maps(bus) == 1, "{} maps", maps(bus));
    }
    pnp::remove_bus(bus, false);
    machine.unload();
    // The host minds that its eject took so long.
    check_the_guest();
}

/// The PnP manager has the description of a function that has left when EvtChildListCreateDevice is called, and the slot is
/// another one's.
fn stale_child(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 0);
    let (bus, mut up) = (buses[0], up(buses[0], 0));
    with(|world| world.pnp.create_delay = 5 * SECOND);
    add(bus, 1);
    sleep(SECOND);
    at_host(|host, now| {
        host.remove_function(bus, now, Slot::ZERO);
    });
    sleep(SECOND);
    add(bus, 2);
    sleep(20 * SECOND);
    let refused = with(|world| world.pnp.not_created);
    expect!(refused == 1, "{refused} devices refused: the first description is of a function that has left");
    up.pdos = pnp::child::await_children(up.fdo, 1, 200);
    expect!(up.pdos.len() == 1, "{} children", up.pdos.len());
    start_children(&up);
    down(machine, &buses);
}

fn closed_by_both(file: &str, _step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    with(|world| world.kmcl.closes_first = true);
    within("the removal", 1, || pnp::remove_bus(buses[0], false));
    expect!(!with(|world| world.kmcl.closes_first), "the channel was not closed");
    machine.unload();
    check_the_guest();
}

/// 1: an eject. 2: a function with message interrupts stops. No other packet is under way, and nothing else happens.
fn sends_refused(file: &str, step: u32) {
    const TIMES: u32 = 3;
    let options = HostOptions { rescind_after_eject: false, ..HostOptions::default() };
    let (machine, buses) = boot(file, options, 1, 1);
    with(|world| world.pnp.arbitrates = step == 2);
    let (bus, up) = (buses[0], up(buses[0], 1));
    start_children(&up);
    let kinds: &[MessageType] = match step {
        1 => &[MessageType::RESOURCES_RELEASED, MessageType::EJECTION_COMPLETE],
        _ => &[MessageType::DELETE_INTERRUPT],
    };
    with(|world| world.kmcl.refused = kinds.iter().map(|kind| (kind.0, TIMES)).collect());
    if step == 1 {
        at_host(|host, now| host.eject(bus, now, Slot::ZERO));
        no_children(up.fdo);
    } else {
        pnp::power_down(up.pdos[0], pnp::D3_FINAL);
    }
    sleep(2 * SECOND);
    let left = with(|world| world.kmcl.refused.clone());
    expect!(left.values().all(|left| *left == 0), "not tried {TIMES} times and once more within 2 s: {left:x?}");
    if step == 1 {
        expect!(with(|world| world.host.slots(bus).is_empty()), "EJECTION_COMPLETE did not come");
    } else {
        let held = with(|world| world.host.function(bus, Slot::ZERO)).map_or(0, |function| function.interrupts.len());
        expect!(held == 0, "{held} interrupts are left at the host");
    }
    down(machine, &buses);
}

/// 1: no list at all. 2: two lists of one and of two things. 3: the first list cannot be met. 4: more than the bus can use.
fn vmbus_lists(file: &str, step: u32) {
    let memory = |option, minimum, maximum| Wanted {
        option,
        kind: MEMORY,
        flags: 0,
        length: 0x1000,
        alignment: 0x1000,
        minimum,
        maximum,
    };
    let (low, nowhere) = (memory(0, 0, u64::from(u32::MAX)), memory(0, 0x1000, 0x1FFF));
    let either = [nowhere, Wanted { option: 8, ..low }];
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    with(|world| {
        world.pnp.listed = match step {
            1 => Vec::new(),
            2 => vec![vec![low], vec![low, low]],
            3 => vec![vec![nowhere], [&either[..], &[low]].concat()],
            _ => vec![vec![low; 20]],
        };
    });
    if step == 4 {
        too_many_ranges(buses[0]);
        down(machine, &buses);
        return;
    }
    let up = up(buses[0], 1);
    let given = with(|world| world.pnp.assigned.get(&up.fdo).cloned()).unwrap_or_default();
    let listed = [0, 1, 2][step as usize - 1];
    expect!(given.listed == listed, "{} resources are VMBus's, not {listed}", given.listed);
    expect!(given.ranges.len() == listed + 2, "PrepareHardware gets {:x?}", given.ranges);
    start_children(&up);
    down(machine, &buses);
}

/// The space that the bus asked for comes behind twenty pages, of which it notes eight.
fn too_many_ranges(bus: BusId) {
    let fdo = pnp::add_device(bus).unwrap_or(0);
    let started = pnp::start_bus(bus, fdo);
    expect!(started.is_err(), "a bus without space for its config window was started");
    let said =
        debug::events().iter().filter_map(|event| event.text()).filter(|text| text.contains("are not used")).count();
    expect!(said == 14, "the driver says of {said} ranges that it does not use them, not of 14");
}

/// A bug that nobody knows, or a system that stands still: what matters is that it is not waited for again.
fn abandoned(file: &str, _step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up: Up = up(buses[0], 1);
    start_children(&up);
    pnp::power_down(up.pdos[0], pnp::D3_FINAL);
    with(|world| world.wdf.work_held_until = world.now() + 1000 * SECOND);
    debug::gives_up("did not come down");
    within("the stop", 541, || pnp::power_down(up.fdo, pnp::D3_FINAL));
    let again = within("the next start", 1, || pnp::power_up(up.fdo, pnp::D3_FINAL));
    expect!(again == Err(status::DEVICE_NOT_READY), "an abandoned bus was started: {again:x?}");
    let said = |words| debug::events().iter().filter_map(|event| event.text()).any(|text| text.contains(words));
    expect!(said("starts no more"), "the driver does not say why");
    // What uses the device is waited for before that is deleted: KMDF would, too.
    within("the removal", 460, || pnp::remove_bus(buses[0], false));
    machine.unload();
    check_the_guest();
}
