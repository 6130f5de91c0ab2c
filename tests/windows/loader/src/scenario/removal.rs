//! Functions and buses that go, in order and not.

use hvpci_core::Slot;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{CountedMessage, Fault, FaultPlan, HostOptions};

use crate::scenario::Scenario;
use crate::scenario::machine::{GPU_BAR, check_the_guest, function};
use crate::scenario::steps::{at_host, boot, down, lose_function, no_children, start_children, try_up, up, within};
use crate::world::{sleep, with};
use crate::{expect, pnp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "eject",
        about: "the host ejects a function whose driver runs",
        steps: 1,
        run: |f, _| eject(f, true),
    },
    Scenario {
        name: "eject-idle",
        about: "the host ejects a function that was never started",
        steps: 1,
        run: |f, _| eject(f, false),
    },
    Scenario { name: "eject-again", about: "the host asks three times", steps: 1, run: eject_again },
    Scenario {
        name: "surprise",
        about: "the host takes a running function away",
        steps: 1,
        run: |f, _| surprise(f, true),
    },
    Scenario {
        name: "surprise-idle",
        about: "the host takes a function away that was never started",
        steps: 1,
        run: |f, _| surprise(f, false),
    },
    Scenario {
        name: "eject-at",
        about: "the host asks for the function back at the n-th message of its start",
        steps: 12,
        run: |f, step| leaves_at(f, step, Fault::Eject(Slot::ZERO)),
    },
    Scenario {
        name: "surprise-at",
        about: "the host takes the function away at the n-th message of its start",
        steps: 12,
        run: |f, step| leaves_at(f, step, Fault::Remove(Slot::ZERO)),
    },
    Scenario { name: "hot-add", about: "a function comes, goes and comes again", steps: 1, run: hot_add },
    Scenario {
        name: "rescind",
        about: "the channel is rescinded while the function runs: KMCL tells of it, or only PnP does",
        steps: 2,
        run: rescind,
    },
    Scenario { name: "rescind-at", about: "the channel is rescinded at the n-th message", steps: 12, run: rescind_at },
    Scenario {
        name: "channel-dies-at",
        about: "the channel dies without a rescind at the n-th message",
        steps: 8,
        run: dies_at,
    },
];

fn eject(file: &str, started: bool) {
    // The bus stays: what is left is seen at the end.
    let options = HostOptions { rescind_after_eject: false, ..HostOptions::default() };
    let (machine, buses) = boot(file, options, 1, 1);
    let up = up(buses[0], 1);
    if started {
        start_children(&up);
    }
    at_host(|host, now| host.eject(buses[0], now, Slot::ZERO));
    no_children(up.fdo);
    sleep(1_000_000_000);
    let left = with(|world| world.host.slots(buses[0]).len());
    expect!(left == 0, "the function is still there: EJECTION_COMPLETE was not sent");
    down(machine, &buses);
}

fn eject_again(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    for _ in 0..3 {
        at_host(|host, now| host.eject(buses[0], now, Slot::ZERO));
    }
    sleep(70_000_000_000);
    // Emptying the bus rescinds it: PnP has removed it by now.
    let gone = with(|world| !world.pnp.fdos.contains_key(&buses[0]));
    expect!(gone, "the bus is still there after its rescind");
    down(machine, &buses);
}

fn surprise(file: &str, started: bool) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    if started {
        start_children(&up);
    }
    lose_function(&up);
    down(machine, &buses);
}

fn hot_add(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 0);
    with(|world| world.wdf.parameters.insert("HighMmioMegabytes".to_owned(), 512 * 1024));
    let mut up = up(buses[0], 0);
    for _ in 0..3 {
        at_host(|host, now| {
            if let Some(spec) = function(0, 0, GPU_BAR) {
                host.add_function(buses[0], now, spec);
            }
        });
        up.pdos = pnp::child::await_children(up.fdo, 1, 200);
        expect!(up.pdos.len() == 1, "the added function is not shown");
        start_children(&up);
        lose_function(&up);
    }
    down(machine, &buses);
}

/// Version, D0ENTRY, the list of functions, requirements, ASSIGNED2, POWER_STATE_CHANGE and six CREATE_INTERRUPT: at any of
/// them the function may go. Its bus starts all the same, and nothing of it is left, at the host neither.
fn leaves_at(file: &str, step: u32, fault: Fault) {
    let options = HostOptions { rescind_after_eject: false, ..HostOptions::default() };
    let (mut machine, buses) = boot(file, options, 1, 1);
    with(|world| world.pnp.arbitrates = true);
    with(|world| world.host.set_faults(buses[0], FaultPlan::at_step(u64::from(step), fault)));
    let fdo = pnp::add_device(buses[0]).unwrap_or(0);
    let started = pnp::start_bus(buses[0], fdo);
    expect!(started.is_ok(), "the bus did not start without its function: {started:x?}");
    for pdo in pnp::child::await_children(fdo, 1, 200) {
        println!("the child's start: {:x?}", pnp::child::start_child(buses[0], pdo));
    }
    let counted = with(|world| world.host.counted_messages(buses[0]).to_vec());
    expect!(counted.iter().any(|message| message.step == u64::from(step)), "there was no message {step}: {counted:?}");
    no_children(fdo);
    sleep(1_000_000_000);
    let left = with(|world| world.host.slots(buses[0]).len());
    expect!(left == 0, "the function is still there");
    let listed = |message: &CountedMessage| message.from_host && message.kind == MessageType::BUS_RELATIONS2;
    let known = counted.iter().any(|message| listed(message) && message.step < u64::from(step));
    if fault == Fault::Remove(Slot::ZERO) || known {
        down(machine, &buses);
        return;
    }
    // EJECT of a function that was not listed yet means nothing to the guest: the host has taken it when its patience ended,
    // which it minds.
    pnp::remove_bus(buses[0], false);
    machine.unload();
    check_the_guest();
}

/// 1: KMCL tells the driver, and nothing waits. 2: only PnP does, which takes the children first: the function's D3 waits
/// for its deadline.
fn rescind(file: &str, step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    with(|world| world.kmcl.refuses_state_changes = step == 2);
    let up = up(buses[0], 1);
    start_children(&up);
    at_host(|host, now| host.rescind(buses[0], now));
    let limit = if step == 2 { 65 } else { 5 };
    sleep(limit * 1_000_000_000);
    let gone = with(|world| !world.pnp.fdos.contains_key(&buses[0]));
    expect!(gone, "the bus is still there {limit} s after its rescind: {}", crate::world::waiting());
    down(machine, &buses);
}

/// A channel that goes ends every wait at once: what is left is one map of 1.8 s.
const INTERRUPTED: u64 = 2;

/// Whatever the bus does with it, everything has to be given back in the end.
fn interrupted(file: &str, step: u32, fault: Fault) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    with(|world| world.host.set_faults(buses[0], FaultPlan::at_step(u64::from(step), fault)));
    with(|world| world.pnp.arbitrates = true);
    let _ = within("the start", INTERRUPTED, || try_up(buses[0], 1));
    sleep(1_000_000_000);
    let struck = with(|world| world.host.faults_struck(buses[0]));
    expect!(struck == 1, "the fault struck {struck} times");
    within("the removal", INTERRUPTED, || pnp::remove_bus(buses[0], false));
    machine.unload();
    check_the_guest();
}

fn rescind_at(file: &str, step: u32) {
    interrupted(file, step, Fault::Rescind);
}

fn dies_at(file: &str, step: u32) {
    interrupted(file, step, Fault::CloseChannel);
}
