//! Hosts that are silent or hostile, and memory that is not there.

use std::time::Duration;

use hvpci_core::{Slot, Time};
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{Fault, FaultPlan, FaultRule, HostOptions, PacketKind, Trigger};

use crate::pnp::interface::BlockInterface;
use crate::scenario::Scenario;
use crate::scenario::machine::{check_the_end, check_the_guest, function};
use crate::scenario::steps::{Up, at_host, boot, down, start_children, try_up, up, within};
use crate::scenario::{blocks, power};
use crate::wdf::queue;
use crate::world::{Allocations, sleep, with};
use crate::{expect, pnp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "silent-from", about: "the host answers nothing from the n-th message on", steps: 7, run: silent },
    Scenario {
        name: "silent-then-gone",
        about: "the host is silent in mid start, then rescinds: nobody waits longer",
        steps: 1,
        run: silent_then_gone,
    },
    Scenario {
        name: "hostile",
        about: "one answer is wrong: 12 kinds of wrong at each of 7 messages",
        steps: 84,
        run: hostile,
    },
    Scenario { name: "garbage", about: "packets nobody asked for, of every length", steps: 1, run: garbage },
    Scenario {
        name: "silent-power",
        about: "the host never answers D0, answers late, or goes: the start ends at MapTimeoutSeconds, or at once",
        steps: 4,
        run: silent_power,
    },
    Scenario {
        name: "slow-host",
        about: "every answer comes just before its deadline: the bus's start ends within nine minutes",
        steps: 1,
        run: slow_host,
    },
    Scenario {
        name: "slow-map",
        about: "a map that takes 50 s delays its child, not the bus",
        steps: 1,
        run: slow_map,
    },
    Scenario {
        name: "leftover",
        about: "a previous kernel left decode on: off before any BAR is sent, also after a crash with the bus in D0",
        steps: 2,
        run: leftover,
    },
    Scenario {
        name: "allocation",
        about: "the n-th allocation fails, of a bus that starts and lives; run by `loader allocations`",
        steps: 0,
        run: allocation,
    },
];

/// One request at its deadline, and D0EXIT at its own of 10 s.
const START: u64 = 71;
/// The map at its deadline; or the map, and then an interrupt and D3 at theirs.
const CHILD_START: u64 = 122;
/// The host speaks again.
const REMOVAL: u64 = 1;

/// Tries to bring the bus up, whatever happens, and takes everything down again; each has its time and no more.
fn whatever(file: &str, plan: FaultPlan, strikes: bool) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    // The seventh message is the first CREATE_INTERRUPT.
    with(|world| world.pnp.arbitrates = true);
    with(|world| world.host.set_faults(buses[0], plan));
    let fdo = pnp::add_device(buses[0]).unwrap_or(0);
    let started = within("the start", START, || pnp::start_bus(buses[0], fdo));
    println!("the start: {started:x?}");
    // A function whose messages were lost does not come, or comes late.
    for pdo in pnp::child::await_children(fdo, 1, 200) {
        let started = within("the child's start", CHILD_START, || pnp::child::start_child(buses[0], pdo));
        println!("the child's start: {started:x?}");
    }
    sleep(1_000_000_000);
    let struck = with(|world| world.host.faults_struck(buses[0]));
    expect!((struck > 0) == strikes, "the fault struck {struck} times");
    with(|world| world.host.set_faults(buses[0], FaultPlan::default()));
    within("the removal", REMOVAL, || pnp::remove_bus(buses[0], false));
    machine.unload();
    check_the_guest();
}

fn silent(file: &str, step: u32) {
    let rule = FaultRule { trigger: Trigger::From(u64::from(step)), fault: Fault::LoseRequest };
    whatever(file, FaultPlan { rules: vec![rule] }, true);
}

fn silent_then_gone(file: &str, _step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let rule = FaultRule { trigger: Trigger::From(4), fault: Fault::LoseRequest };
    with(|world| world.host.set_faults(buses[0], FaultPlan { rules: vec![rule] }));
    let bus = buses[0];
    crate::world::spawn("an administrator", move || {
        sleep(5_000_000_000);
        at_host(|host, now| host.rescind(bus, now));
    });
    let began = with(|world| world.now());
    let _ = pnp::add_device(bus).and_then(|fdo| pnp::start_bus(bus, fdo));
    sleep(10_000_000_000);
    let gone = with(|world| !world.pnp.fdos.contains_key(&bus));
    let waited = with(|world| world.now() - began) / 1_000_000_000;
    expect!(gone && waited < 30, "the bus was gone: {gone}, {waited} s after the start");
    machine.unload();
    check_the_guest();
}

fn hostile(file: &str, step: u32) {
    const KINDS: [Fault; 12] = [
        Fault::Drop,
        Fault::Refuse(0xC000_0001),
        Fault::Delay(Duration::from_secs(90)),
        Fault::Truncate(0),
        Fault::Truncate(3),
        Fault::Truncate(9),
        Fault::Extend(4096),
        Fault::WrongStatus(0xFFFF_FFFF),
        Fault::WrongTransactionId,
        Fault::Duplicate,
        Fault::UnknownMessage,
        Fault::Garbage,
    ];
    let (kind, message) = ((step - 1) % 12, (step - 1) / 12 + 1);
    let fault = KINDS[kind as usize];
    println!("{fault:?} at message {message}");
    // The third one is the host's own, the list of functions: there is nothing to refuse.
    let strikes = !(message == 3 && matches!(fault, Fault::Refuse(_)));
    whatever(file, FaultPlan::at_step(u64::from(message), fault), strikes);
}

fn garbage(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..3000_u64 {
        let bytes = usize::try_from(random() % 512).unwrap_or(0);
        let mut payload: Vec<u8> = (0..bytes).map(|_| random().to_le_bytes()[0]).collect();
        // A third are unknown, a third INVALIDATE_BLOCK and EJECT of odd slots, a third completions of odd transactions.
        if let Some(head) = payload.first_chunk_mut::<4>() {
            let kinds = [0x4249_0012_u32, 0x4249_000B, 0x4249_001C, 0x4249_0002];
            *head = if round % 3 == 1 { kinds[(random() % 4) as usize].to_le_bytes() } else { *head };
        }
        // Eject of the real function would be obeyed.
        if let Some(slot) = payload.get_mut(4..8) {
            slot[0] |= 1;
        }
        let kind = if round % 3 == 2 { PacketKind::Completion } else { PacketKind::InBand };
        with(|world| {
            let due = Time::from_nanos(world.now() + round * 1000);
            world.host.send_raw(buses[0], due, kind, random(), &payload);
            world.changed();
        });
    }
    sleep(100_000_000);
    let left = pnp::child::of(up.fdo);
    expect!(left == up.pdos, "garbage changed the children: {left:x?}");
    down(machine, &buses);
}

/// The child's start waits for the map's deadline and no longer; afterwards it can be started. 1: the default deadline. 2: a
/// set one. 3: the answer comes after the deadline. 4: the channel goes while the child waits.
fn silent_power(file: &str, step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 2);
    let wanted = if step == 2 { 5 } else { 120 };
    if step == 2 {
        with(|world| world.wdf.parameters.insert("MapTimeoutSeconds".to_owned(), 5));
    }
    let (bus, up) = (buses[0], up(buses[0], 2));
    let fault = if step == 3 { Fault::Delay(Duration::from_secs(150)) } else { Fault::LoseRequest };
    let plan = FaultPlan::at(MessageType::DEVICE_POWER_STATE_CHANGE, 1, fault);
    with(|world| world.host.set_faults(bus, plan));
    if step == 4 {
        crate::world::spawn("an administrator", move || {
            sleep(7_000_000_000);
            at_host(|host, now| host.rescind(bus, now));
        });
    }
    let began = with(|world| world.now());
    let started = pnp::child::start_child(bus, up.pdos[0]);
    let waited = (with(|world| world.now()) - began) / 1_000_000_000;
    println!("the start ended after {waited} s: {started:x?}");
    expect!(started.is_err(), "the child started without an answer of the host");
    if step == 4 {
        expect!(waited == 7, "the start went on for {waited} s, 7 s being what the channel lived");
        sleep(5_000_000_000);
        machine.unload();
        return check_the_guest();
    }
    expect!(waited == wanted, "the start ended after {waited} s, not {wanted}");
    let neighbour = pnp::child::start_child(bus, up.pdos[1]);
    expect!(neighbour.is_ok(), "the neighbour did not start: {neighbour:x?}");
    sleep(60_000_000_000);
    let again = pnp::child::start_child(bus, up.pdos[0]);
    expect!(again.is_ok(), "the second try failed: {again:x?}");
    let decodes = with(|world| world.host.function(bus, Slot::ZERO)).is_some_and(|function| function.decodes);
    expect!(decodes, "the function does not decode after the second try");
    down(machine, &buses);
}

fn slow_map(file: &str, _step: u32) {
    let mut options = HostOptions::default();
    options.cost.map_128_gib = Duration::from_secs(50);
    let (machine, buses) = boot(file, options, 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    down(machine, &buses);
}

/// Eight functions on one bus: no request is late, but all of them together are.
fn slow_host(file: &str, _step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 8);
    let rule = FaultRule { trigger: Trigger::From(1), fault: Fault::Delay(Duration::from_secs(59)) };
    with(|world| world.host.set_faults(buses[0], FaultPlan { rules: vec![rule] }));
    let fdo = pnp::add_device(buses[0]).unwrap_or(0);
    let began = with(|world| world.now());
    let started = pnp::start_bus(buses[0], fdo);
    let waited = with(|world| world.now() - began) / 1_000_000_000;
    println!("the start ended after {waited} s: {started:x?}");
    expect!(waited < 600, "the start took {waited} s: {started:x?}");
    pnp::remove_bus(buses[0], false);
    machine.unload();
    check_the_guest();
}

/// 1: decode was left on, and the host lets the bus into D0. 2: a kernel died with the bus in D0 and its function running.
fn leftover(file: &str, step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let bus = buses[0];
    if step == 2 {
        let said: [&[u32]; 3] = [
            &[0x4249_0013, 0x0001_0004],
            &[0x4249_0007, 0, 0xEFFF_0000, 0],
            // RESOURCES_ASSIGNED2 without addresses.
            &[&[0x4249_0016][..], &[0; 51]].concat(),
        ];
        let opened = with(|world| world.host.open_channel(bus, world.time()));
        expect!(opened, "the first kernel could not open the channel");
        for (id, words) in (1..).zip(said) {
            let payload: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            with(|world| {
                let now = world.time();
                let sent = world.host.guest_packet(bus, now, PacketKind::InBand, true, id, &payload);
                expect!(sent.is_ok(), "the first kernel could not speak: {sent:?}");
            });
            sleep(1_000_000);
            while with(|world| world.host.next_packet(bus, world.time())).is_some() {}
        }
    }
    with(|world| {
        // Where the first kernel had it: space that this one's bus may well be given.
        world.host.set_leftover(bus, Slot::ZERO, true, &[(0, 0x20_0000_0000)]);
        if step == 2 {
            world.host.crash(bus);
        }
    });
    if step == 2 {
        let left = with(|world| world.host.function(bus, Slot::ZERO)).is_some_and(|f| f.assigned && f.decodes);
        expect!(left, "the first kernel left nothing");
    }
    let up = up(bus, 1);
    let decodes = || with(|world| world.host.function(bus, Slot::ZERO)).is_some_and(|function| function.decodes);
    expect!(!decodes(), "decode is still on when the function is shown");
    start_children(&up);
    expect!(decodes(), "the function does not decode though its driver runs");
    let ledger = with(|world| world.host.bus_ledger(bus));
    println!("{ledger:?}");
    expect!(ledger.maps == 1 && ledger.unmaps <= 1, "{} maps, {} unmaps", ledger.maps, ledger.unmaps);
    // The mock host counts a BAR that is sent while it decodes as a violation.
    down(machine, &buses);
}

/// What happens to a bus between its start and its end, as far as it goes: config blocks, idle D3, a function more, sleep,
/// a function less.
fn live(mut up: Up) {
    let (bus, Some(first)) = (up.bus, up.pdos.first().copied()) else { return };
    let place = vec![0_u8; 8];
    let told = queue::send(first, blocks::INVALIDATE, &place, &mut []).ok();
    if let Some(interface) = BlockInterface::query(first) {
        // Where there is no memory for a message it is tried again: what ends it is its deadline.
        println!("config blocks: {:#x}, {:x?}", interface.write(9, &[1, 2, 3]), interface.read(9, 3));
        interface.release();
    }
    at_host(|host, now| {
        host.invalidate_block(bus, now, Slot::ZERO, 5);
    });
    sleep(1_000_000_000);
    println!("told of changes: {:x?}", told.and_then(queue::outcome));
    pnp::power_down(first, pnp::D3);
    println!("D0 after D3: {:x?}", pnp::power_up(first, pnp::D3));
    at_host(|host, now| {
        if let Some(spec) = function(0, 1, 1 << 30) {
            host.add_function(bus, now, spec);
        }
    });
    up.pdos = pnp::child::await_children(up.fdo, 2, 200);
    for pdo in up.pdos.iter().filter(|pdo| **pdo != first) {
        println!("the added function: {:x?}", pnp::child::start_child(bus, *pdo));
    }
    up.pdos.retain(|pdo| pnp::power(*pdo).in_d0);
    power::system_down(&up, pnp::ACTION_SLEEP, pnp::D3);
    let exhausted = |allocations: Allocations| allocations.fail_from != 0 && allocations.count >= allocations.fail_from;
    if exhausted(with(|world| world.allocations)) {
        // A bus that wakes without any memory waits for some, for up to nine minutes: too long to be tried hundreds of times.
        return;
    }
    let back = power::try_system_up(&up, pnp::D3);
    println!("the wake: {back:x?}");
    if back.is_ok() {
        at_host(|host, now| {
            host.remove_function(bus, now, Slot::ZERO);
        });
        sleep(1_000_000_000);
    }
}

/// The parent has chosen the allocation that fails.
fn allocation(file: &str, _step: u32) {
    let mut machine = crate::scenario::machine::Machine::load(file);
    let buses = crate::scenario::machine::host(HostOptions::default(), 1, 1, 1 << 30);
    with(|world| {
        world.pnp.arbitrates = true;
        // What no memory comes for is given up after as long.
        world.wdf.parameters.insert("RequestTimeoutSeconds".to_owned(), 5);
    });
    if machine.enter().is_ok() {
        if let Ok(up) = try_up(buses[0], 1) {
            live(up);
        }
        sleep(1_000_000_000);
        pnp::remove_bus(buses[0], false);
        machine.unload();
    }
    println!("allocations: {}", with(|world| world.allocations.count));
    // Where nothing can be sent any more, the host is not told what the guest gives back.
    if with(|world| world.allocations.fail_from != 0 && world.kmcl.unsent) {
        check_the_guest()
    } else {
        check_the_end()
    }
}
