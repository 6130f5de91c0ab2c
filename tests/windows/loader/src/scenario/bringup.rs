//! From DriverEntry to running children and back.

use std::time::Duration;

use hvpci_core::wire::Version;
use hvpci_mock::host::{CostModel, HostOptions};

use crate::scenario::Scenario;
use crate::scenario::machine::maps;
use crate::scenario::steps::{boot, down, start_children, up};
use crate::world::with;
use crate::{expect, pnp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lifecycle",
        about: "one bus up and down, the cheapest of 32 times: less than 10 ms of processor time",
        steps: 1,
        run: lifecycle,
    },
    Scenario {
        name: "bare",
        about: "load, start and stop a bus device, unload: no children expected",
        steps: 1,
        run: bare,
    },
    Scenario {
        name: "bring-up-1",
        about: "1 function of 128 GiB: no map before its driver starts, one then",
        steps: 1,
        run: |f, _| bring_up(f, 1),
    },
    Scenario {
        name: "bring-up-14",
        about: "14 buses of one function of 128 GiB each: 0 maps, then 14",
        steps: 1,
        run: |f, _| bring_up(f, 14),
    },
    Scenario { name: "one-bus-8", about: "8 functions on one bus", steps: 1, run: one_bus },
    Scenario {
        name: "many-buses",
        about: "64 buses with the default settings are added; the last one runs",
        steps: 1,
        run: many_buses,
    },
    Scenario {
        name: "twice",
        about: "a bus stopped and started again; the driver loaded for two buses",
        steps: 1,
        run: twice,
    },
    Scenario { name: "versions", about: "hosts of 1.1, 1.2, 1.3, 1.4 alone, and OpenVMM", steps: 5, run: versions },
    Scenario {
        name: "late-relations",
        about: "relations after the completion of D0ENTRY",
        steps: 1,
        run: late_relations,
    },
];

/// The bound of issue 4 for one bus up and down.
const LIFECYCLE: Duration = Duration::from_millis(10);
/// Rounds of which the cheapest counts: the first ones pay for pages and caches.
const ROUNDS: u32 = 32;

/// The processor time of this process so far, in all threads. It stands still while the machine does other things.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes to a timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    expect!(result == 0, "the system does not count processor time");
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Host without costs: what is left is the driver's own time, and that of the fakes, which is most of it.
fn lifecycle(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default().with_cost(CostModel::FREE), 1, 1);
    let round = |_| {
        let began = processor_time();
        start_children(&up(buses[0], 1));
        pnp::remove_bus(buses[0], false);
        processor_time() - began
    };
    let times: Vec<Duration> = (0..ROUNDS).map(round).collect();
    let least = times.iter().min().copied().unwrap_or(Duration::MAX);
    let most = times.iter().max().copied().unwrap_or_default();
    println!("lifecycle without host cost: {least:?} of processor time, the least of {ROUNDS} (most: {most:?})");
    println!("most pool at once: {} bytes; allocations: {}", with(|w| w.nt.pool.most), with(|w| w.allocations.count));
    expect!(least < LIFECYCLE, "one bus up and down takes {least:?} of processor time, not less than {LIFECYCLE:?}");
    down(machine, &buses);
}

/// For drivers that enumerate nothing.
fn bare(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let fdo = pnp::add_device(buses[0]);
    expect!(fdo.is_ok(), "EvtDriverDeviceAdd failed: {fdo:x?}");
    let started = pnp::start_bus(buses[0], fdo.unwrap_or(0));
    expect!(started.is_ok(), "the bus did not start: {started:x?}");
    crate::world::sleep(1_000_000_000);
    down(machine, &buses);
}

fn bring_up(file: &str, count: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), count, 1);
    let began = with(|world| world.now());
    let ups: Vec<_> = buses.iter().map(|bus| up(*bus, 1)).collect();
    let total: u64 = buses.iter().map(|bus| maps(*bus)).sum();
    expect!(total == 0, "{total} map(s) before any function's driver started");
    let messages = |bus| with(|world| world.kmcl.sent_on(bus));
    let shown = messages(buses[0]).len();
    for up in &ups {
        start_children(up);
        expect!(maps(up.bus) == 1, "bus {}: {} maps when its function runs, not 1", up.bus.0, maps(up.bus));
    }
    let started = messages(buses[0]);
    let total: u64 = buses.iter().map(|bus| maps(*bus)).sum();
    expect!(total == u64::from(count), "{total} maps for {count} functions");
    let seconds = with(|world| world.now() - began) as f64 / 1e9;
    println!(
        "{count} function(s): 0 maps before their drivers started, {total} after; {seconds:.3} s of the host's time"
    );
    println!("messages of one bus: {shown} until its child was shown, then {:02x?}", &started[shown..]);
    // Version, D0ENTRY, requirements, ASSIGNED2, POWER_STATE_CHANGE: protocol.md section 6, the message guest.
    expect!(started.len() <= 5, "{started:02x?}: the message guest needs 5 messages to bring a function up");
    println!("traps of one bus: {}", with(|world| world.host.bus_ledger(buses[0])).traps);
    down(machine, &buses);
}

fn one_bus(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 8);
    let up = up(buses[0], 8);
    expect!(maps(buses[0]) == 0, "{} maps before any driver started", maps(buses[0]));
    start_children(&up);
    expect!(maps(buses[0]) == 8, "{} maps for 8 functions", maps(buses[0]));
    down(machine, &buses);
}

/// What a bus puts aside is its own: no bus takes anything from the next.
fn many_buses(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 64, 1);
    with(|world| world.wdf.parameters.remove("MaxFunctions"));
    let (last, others) = (buses[63], &buses[..63]);
    for bus in others {
        let added = pnp::add_device(*bus);
        expect!(added.is_ok(), "bus {} was not added: {added:x?}", bus.0);
    }
    start_children(&up(last, 1));
    expect!(maps(last) == 1, "{} maps when the function of the last bus runs", maps(last));
    down(machine, &buses);
}

fn twice(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 2, 1);
    for _ in 0..2 {
        let first = up(buses[0], 1);
        start_children(&first);
        let second = up(buses[1], 1);
        pnp::remove_bus(buses[0], false);
        start_children(&second);
        pnp::remove_bus(buses[1], false);
    }
    down(machine, &buses);
}

/// Hosts that offer one version alone, and one that answers as OpenVMM does.
fn versions(file: &str, step: u32) {
    let alone = |version| HostOptions::default().with_versions(&[version]);
    let options = match step {
        1 => alone(Version::V1_1),
        2 => alone(Version::V1_2),
        3 => alone(Version::V1_3),
        4 => alone(Version::V1_4),
        _ => HostOptions::openvmm(),
    };
    let (machine, buses) = boot(file, options, 1, 1);
    let up = up(buses[0], 1);
    expect!(maps(buses[0]) == 0, "{} maps before the driver started", maps(buses[0]));
    start_children(&up);
    expect!(maps(buses[0]) == 1, "{} maps when the function runs", maps(buses[0]));
    down(machine, &buses);
}

/// The relations come after the completion of D0ENTRY.
fn late_relations(file: &str, _step: u32) {
    let options = HostOptions { relations_before_d0: false, ..HostOptions::default() };
    let (machine, buses) = boot(file, options, 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    expect!(maps(buses[0]) == 1, "{} maps when the function runs", maps(buses[0]));
    down(machine, &buses);
}
