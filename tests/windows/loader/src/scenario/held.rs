//! What is still under way, or comes late, while what it uses goes.

use hvpci_core::Slot;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{BusId, Fault, FaultPlan, HostOptions};

use crate::nt::debug;
use crate::pnp::interface::BlockInterface;
use crate::scenario::Scenario;
use crate::scenario::machine::check_the_guest;
use crate::scenario::steps::{at_host, boot, start_children, up, within};
use crate::world::{sleep, spawn, with};
use crate::{expect, pnp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "closed-held",
        about: "EvtChannelClosed is held up after its n-th spin lock while the bus is stopped: its channel is cleaned up after it",
        steps: 2,
        run: closed,
    },
    Scenario {
        name: "enable-held",
        about: "the host closes the channel before VmbChannelEnable has returned; it does not return for 20 minutes",
        steps: 2,
        run: enable,
    },
    Scenario {
        name: "eject-held",
        about: "the publisher is held up after its n-th spin lock while it ejects a child, which is deleted meanwhile",
        steps: 16,
        run: eject,
    },
    Scenario {
        name: "blocks-late",
        about: "config blocks change when the child is deleted, and its driver still has an interface",
        steps: 1,
        run: blocks_late,
    },
    Scenario {
        name: "surprise-beside",
        about: "EvtDeviceSurpriseRemoval of the bus while it starts, while it stops, while its child starts",
        steps: 3,
        run: surprise,
    },
];

const SECOND: u64 = 1_000_000_000;

fn closed(file: &str, step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    start_children(&up(buses[0], 1));
    with(|world| world.kmcl.hold_closed = Some((step, 3 * SECOND)));
    at_host(|host, now| host.rescind(buses[0], now));
    sleep(SECOND);
    expect!(with(|world| world.kmcl.hold_closed.is_none()), "the driver was not told that its channel is closed");
    within("the removal", 3, || pnp::remove_bus(buses[0], false));
    machine.unload();
    check_the_guest();
}

fn enable(file: &str, step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    with(|world| match step {
        1 => world.kmcl.closes_in_enable = true,
        _ => world.kmcl.hold_enable = 1200 * SECOND,
    });
    if step == 2 {
        // Its callbacks are given up after nine minutes each, and what uses the device is waited for at last.
        debug::gives_up("did not come down");
    }
    let fdo = pnp::add_device(buses[0]).unwrap_or(0);
    let started = within("the start", if step == 1 { 1 } else { 1201 }, || pnp::start_bus(buses[0], fdo));
    expect!(started.is_err(), "a bus started without a channel");
    within("the removal", 1, || pnp::remove_bus(buses[0], false));
    machine.unload();
    check_the_guest();
}

fn eject(file: &str, step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    start_children(&up(buses[0], 1));
    // The bus's second work item is the publisher's.
    with(|world| world.wdf.hold_work = Some((1, step, 3 * SECOND)));
    at_host(|host, now| host.eject(buses[0], now, Slot::ZERO));
    sleep(SECOND);
    expect!(with(|world| world.wdf.hold_work.is_none()), "the publisher gives back fewer spin locks");
    within("the removal", 10, || pnp::remove_bus(buses[0], false));
    machine.unload();
    check_the_guest();
}

/// The queue in which requests wait has gone with the device, whose memory the interface keeps.
fn blocks_late(file: &str, _step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    let interface = BlockInterface::query(up.pdos[0]);
    expect!(interface.is_some(), "the child has no VPCI_INTERFACE_STANDARD");
    pnp::exclusively(buses[0], || pnp::child::take_away(up.pdos[0], false));
    expect!(with(|world| world.wdf.objects.is_deleted(up.pdos[0])), "the child was not deleted");
    at_host(|host, now| host.invalidate_block(buses[0], now, Slot::ZERO, 5));
    sleep(SECOND);
    pnp::remove_bus(buses[0], false);
    interface.into_iter().for_each(BlockInterface::release);
    machine.unload();
    check_the_guest();
}

/// KMDF may call it beside the device's other callbacks. The host does not answer these: what waits ends with it.
fn surprise(file: &str, step: u32) {
    let (mut machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let bus = buses[0];
    let lost = [MessageType::FDO_D0ENTRY, MessageType::FDO_D0EXIT, MessageType::DEVICE_POWER_STATE_CHANGE];
    let plan = FaultPlan::at(lost[step as usize - 1], 1, Fault::LoseRequest);
    with(|world| world.host.set_faults(bus, plan));
    if step == 1 {
        let fdo = pnp::add_device(bus).unwrap_or(0);
        aside(bus, SECOND);
        let started = within("the start", 2, || pnp::start_bus(bus, fdo));
        expect!(started.is_err(), "a bus started that is gone");
    } else {
        let up = up(bus, 1);
        if step == 2 {
            start_children(&up);
            aside(bus, 3 * SECOND);
        } else {
            aside(bus, SECOND);
            let started = within("the child's start", 2, || pnp::child::start_child(bus, up.pdos[0]));
            expect!(started.is_err(), "a child of a bus that is gone was started");
        }
    }
    within("the removal", 4, || pnp::remove_bus(bus, false));
    let struck = with(|world| world.host.faults_struck(bus));
    expect!(struck == 1, "the host answered");
    machine.unload();
    check_the_guest();
}

/// Calls the bus's EvtDeviceSurpriseRemoval in a while, in a thread of its own.
fn aside(bus: BusId, nanoseconds: u64) {
    spawn("VMBus", move || {
        sleep(nanoseconds);
        let fdo = with(|world| world.pnp.fdos.get(&bus).copied());
        expect!(fdo.is_some(), "the bus device has gone without waiting for its host");
        pnp::surprise_removal(fdo.unwrap_or(0));
    });
}
