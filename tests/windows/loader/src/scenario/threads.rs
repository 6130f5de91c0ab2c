//! Several threads at once: they really run at once, only the clock is virtual.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hvpci_core::Slot;
use hvpci_mock::host::{CostModel, HostOptions};

use crate::expect;
use crate::pnp::interface::BusInterface;
use crate::pnp::{self, D3};
use crate::scenario::Scenario;
use crate::scenario::steps::{boot, down, start_children, up};
use crate::world::{Step, World, sleep, spawn, wait, with};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "threads-config",
        about: "four threads read and write config space while power and the host change",
        steps: 4,
        run: config,
    },
    Scenario {
        name: "threads-children",
        about: "eight functions of one bus are powered up and down at once, with their interrupts",
        steps: 2,
        run: children_at_once,
    },
    Scenario { name: "threads-buses", about: "six buses are brought up at once", steps: 2, run: buses_at_once },
];

fn join(running: &Arc<AtomicU32>) {
    wait("the other threads", |_| if running.load(Ordering::SeqCst) == 0 { Step::Done(()) } else { Step::Sleep });
}

fn beside(name: &str, running: &Arc<AtomicU32>, body: impl FnOnce() + Send + 'static) {
    running.fetch_add(1, Ordering::SeqCst);
    let running = Arc::clone(running);
    spawn(name, move || {
        body();
        running.fetch_sub(1, Ordering::SeqCst);
        with(World::changed);
    });
}

fn config(file: &str, step: u32) {
    let (machine, buses) = boot(file, HostOptions::default().with_cost(CostModel::FREE), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    let pdo = up.pdos[0];
    let running = Arc::new(AtomicU32::new(0));
    for thread in 0..4_u32 {
        beside("a function's driver", &running, move || {
            let Some(interface) = BusInterface::query(pdo) else { return };
            for round in 0..300_u32 {
                let offset = (round * 7 + thread * 13 + step) % 60 * 4;
                let read = interface.read(offset, 4);
                expect!(read.len() == 4, "GetBusData moved {} bytes", read.len());
                if offset == 0 {
                    expect!(read == [0xDE, 0x10, 0xB5, 0x20], "ids {read:02x?} from another function's registers");
                }
                interface.write(0x3C, &[thread as u8]);
            }
            interface.release();
        });
    }
    beside("the host", &running, move || {
        for mask in 0..50 {
            with(|world| {
                let now = world.time();
                world.host.invalidate_block(up.bus, now, Slot::ZERO, mask);
                world.host.send_relations(up.bus, now);
                world.changed();
            });
            sleep(10_000);
        }
    });
    for _ in 0..20 {
        pnp::power_down(pdo, D3);
        let back = pnp::power_up(pdo, D3);
        expect!(back.is_ok(), "D0 failed: {back:x?}");
    }
    join(&running);
    down(machine, &buses);
}

/// 1: the host answers at once. 2: each answer takes a while, so that more requests are under way.
fn children_at_once(file: &str, step: u32) {
    let mut options = HostOptions::default().with_cost(CostModel::FREE);
    if step == 2 {
        options.cost.message = Duration::from_millis(3);
    }
    let (machine, buses) = boot(file, options, 1, 8);
    with(|world| {
        world.pnp.arbitrates = true;
        world.wdf.parameters.insert("KeepMappedInD3".to_owned(), 0)
    });
    let up = up(buses[0], 8);
    start_children(&up);
    let running = Arc::new(AtomicU32::new(0));
    for pdo in up.pdos.clone() {
        beside("the power manager", &running, move || {
            for round in 0..15 {
                pnp::power_down(pdo, D3);
                let back = pnp::power_up(pdo, D3);
                expect!(back.is_ok(), "round {round}: D0 failed: {back:x?}");
            }
        });
    }
    join(&running);
    let decodes = |world: &World, slot| world.host.function(buses[0], slot).is_some_and(|function| function.decodes);
    let decoding = with(|world| world.host.slots(buses[0]).into_iter().filter(|slot| decodes(world, *slot)).count());
    expect!(decoding == 8, "{decoding} of 8 functions decode");
    let maps = with(|world| world.host.bus_ledger(buses[0]).maps);
    expect!(maps == 8 * 16, "{maps} maps for 16 starts of 8 functions");
    down(machine, &buses);
}

fn buses_at_once(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 6, 1);
    let fdos: Vec<_> = buses.iter().filter_map(|bus| pnp::add_device(*bus).ok().map(|fdo| (*bus, fdo))).collect();
    expect!(fdos.len() == 6, "{} of 6 buses were added", fdos.len());
    let running = Arc::new(AtomicU32::new(0));
    for (bus, fdo) in fdos {
        beside("a bus", &running, move || {
            let started = pnp::start_bus(bus, fdo);
            expect!(started.is_ok(), "bus {} did not start: {started:x?}", bus.0);
            let pdos = pnp::child::await_children(fdo, 1, 200);
            expect!(pdos.len() == 1, "bus {} shows {} children", bus.0, pdos.len());
            let started = pnp::child::start_child(bus, pdos[0]);
            expect!(started.is_ok(), "the child of bus {} did not start: {started:x?}", bus.0);
        });
    }
    join(&running);
    down(machine, &buses);
}
