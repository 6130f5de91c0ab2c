//! Power: functions idled and woken, sleep, hibernation.

use hvpci_core::Slot;
use hvpci_mock::host::HostOptions;

use crate::expect;
use crate::nt::debug;
use crate::pnp::{self, ACTION_HIBERNATE, ACTION_SLEEP, D3, PREPARE_FOR_HIBERNATION};
use crate::scenario::Scenario;
use crate::scenario::machine::maps;
use crate::scenario::steps::{Up, at_host, boot, down, no_children, start_children, up};
use crate::world::with;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "idle-kept",
        about: "D3 and D0 of a function five times: kept mapped, no further map",
        steps: 1,
        run: |f, _| idle(f, true),
    },
    Scenario {
        name: "idle-unmapped",
        about: "the same with KeepMappedInD3 = 0: a map each",
        steps: 1,
        run: |f, _| idle(f, false),
    },
    Scenario {
        name: "sleep",
        about: "the system sleeps and wakes twice with a function running",
        steps: 1,
        run: sleep,
    },
    Scenario {
        name: "sleep-gone",
        about: "while the system sleeps the host takes the function away, or the channel",
        steps: 2,
        run: sleep_gone,
    },
    Scenario {
        name: "hibernate",
        about: "hibernation: the host has forgotten the device when the system wakes",
        steps: 1,
        run: hibernate,
    },
    Scenario {
        name: "events",
        about: "the ledger as ETW shows it, over start, stop and removal; query-remove is granted",
        steps: 1,
        run: events,
    },
    Scenario {
        name: "wake-fails",
        about: "the host refuses D0 of a function: its start fails, the bus lives on",
        steps: 1,
        run: wake_fails,
    },
];

fn idle(file: &str, kept: bool) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    with(|world| world.wdf.parameters.insert("KeepMappedInD3".to_owned(), u32::from(kept)));
    let up = up(buses[0], 1);
    start_children(&up);
    let sent = || with(|world| world.kmcl.sent_on(buses[0])).len();
    let (began, sent_before) = (with(|world| world.now()), sent());
    for round in 1..=5 {
        pnp::power_down(up.pdos[0], D3);
        let back = pnp::power_up(up.pdos[0], D3);
        expect!(back.is_ok(), "round {round}: D0 failed: {back:x?}");
    }
    let expected = if kept { 1 } else { 6 };
    expect!(maps(buses[0]) == expected, "{} maps, not {expected}", maps(buses[0]));
    expect!(!kept || sent() == sent_before, "{} messages for a function that idles", sent() - sent_before);
    println!("5 rounds of D3 and D0: {:.3} s", with(|world| world.now() - began) as f64 / 1e9);
    down(machine, &buses);
}

/// The system goes to sleep.
pub(super) fn system_down(up: &Up, action: i32, state: u32) {
    with(|world| {
        for device in up.pdos.iter().chain([&up.fdo]) {
            if let Some(device) = world.wdf.devices.get_mut(device) {
                device.power_action = action;
            }
        }
    });
    for pdo in &up.pdos {
        pnp::power_down(*pdo, state);
    }
    pnp::power_down(up.fdo, state);
}

fn system_up(up: &Up, state: u32) {
    let back = try_system_up(up, state);
    expect!(back.is_ok(), "the bus or its function did not wake: {back:x?}");
}

/// The system wakes, as far as that goes.
pub(super) fn try_system_up(up: &Up, state: u32) -> Result<(), i32> {
    let bus = pnp::power_up(up.fdo, state);
    let back = bus.and_then(|()| up.pdos.iter().try_for_each(|pdo| pnp::power_up(*pdo, state)));
    with(|world| {
        for device in world.wdf.devices.values_mut() {
            device.power_action = 0;
        }
    });
    back
}

fn decodes(up: &Up) -> bool {
    with(|world| world.host.function(up.bus, Slot::ZERO)).is_some_and(|function| function.decodes)
}

fn sleep(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    for _ in 0..2 {
        system_down(&up, ACTION_SLEEP, D3);
        crate::world::sleep(3_600_000_000_000);
        system_up(&up, D3);
        expect!(decodes(&up), "the function does not decode after the wake");
    }
    expect!(maps(buses[0]) == 3, "{} maps for a start and two sleeps", maps(buses[0]));
    down(machine, &buses);
}

/// 1: the function. 2: the channel.
fn sleep_gone(file: &str, step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    system_down(&up, ACTION_SLEEP, D3);
    at_host(|host, now| {
        if step == 1 {
            host.remove_function(buses[0], now, Slot::ZERO);
        } else {
            host.rescind(buses[0], now);
        }
    });
    crate::world::sleep(5_000_000_000);
    if step == 1 {
        let back = pnp::power_up(up.fdo, D3);
        expect!(back.is_ok(), "the bus did not wake: {back:x?}");
        no_children(up.fdo);
    } else {
        let gone = with(|world| !world.pnp.fdos.contains_key(&buses[0]));
        expect!(gone, "the bus is still there 5 s after its rescind: {}", crate::world::waiting());
    }
    down(machine, &buses);
}

fn hibernate(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    system_down(&up, ACTION_HIBERNATE, PREPARE_FOR_HIBERNATION);
    // The host that resumes the image has fresh devices.
    with(|world| {
        if let Some(device) = world.host.device_mut(buses[0], Slot::ZERO) {
            device.reset();
        }
    });
    system_up(&up, PREPARE_FOR_HIBERNATION);
    expect!(decodes(&up), "the function does not decode after hibernation");
    expect!(maps(buses[0]) == 2, "{} maps for a start and a hibernation", maps(buses[0]));
    down(machine, &buses);
}

fn wake_fails(file: &str, _step: u32) {
    use hvpci_mock::host::packet::MessageType;
    use hvpci_mock::host::{Fault, FaultPlan};
    let (machine, buses) = boot(file, HostOptions::default(), 1, 2);
    let up = up(buses[0], 2);
    let refuse = FaultPlan::at(MessageType::DEVICE_POWER_STATE_CHANGE, 1, Fault::Refuse(0xC000_0001));
    with(|world| world.host.set_faults(buses[0], refuse));
    let first = pnp::child::start_child(buses[0], up.pdos[0]);
    expect!(first.is_err(), "the child started though the host refused D0");
    let second = pnp::child::start_child(buses[0], up.pdos[1]);
    expect!(second.is_ok(), "the other child did not start: {second:x?}");
    let again = pnp::child::start_child(buses[0], up.pdos[0]);
    expect!(again.is_ok(), "the child did not start at the second try: {again:x?}");
    down(machine, &buses);
}

fn events(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    let last = || debug::events().into_iter().rfind(|event| event.name == "Ledger");
    expect!(last().is_none(), "a ledger before anything was started: {:?}", last());
    let check = |maps: u64, unmaps: u64| {
        let Some(event) = last() else { return expect!(false, "no event Ledger") };
        let host = with(|world| world.host.ledger(buses[0], Slot::ZERO));
        let number = |field| event.number(field);
        expect!(event.provider == "hvpci", "provider {:?}", event.provider);
        expect!((number("Maps"), number("Unmaps")) == (Some(maps), Some(unmaps)), "{event:?}");
        expect!((number("Maps"), number("Traps")) == (Some(host.maps), Some(host.traps)), "{event:?}, host {host:?}");
        expect!(number("Slot") == Some(0) && number("HostMapNanoseconds").is_some(), "{event:?}");
    };
    start_children(&up);
    check(1, 0);
    expect!(pnp::query_remove(up.pdos[0]).is_ok() && pnp::query_remove(up.fdo).is_ok(), "query-remove was refused");
    pnp::power_down(up.pdos[0], pnp::D3_FINAL);
    check(1, 1);
    let back = pnp::power_up(up.pdos[0], pnp::D3_FINAL);
    expect!(back.is_ok(), "D0 failed: {back:x?}");
    check(2, 1);
    let said = debug::events().into_iter().filter(|event| event.name == "Message").count();
    expect!(said > 0, "no event Message");
    down(machine, &buses);
}
