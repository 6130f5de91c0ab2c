//! Steps that scenarios have in common.

use hvpci_core::{Slot, Time};
use hvpci_mock::host::{BusId, Host, HostOptions};

use crate::scenario::machine::{GPU_BAR, Machine, check_the_end, host};
use crate::world::with;
use crate::{expect, pnp};

/// The longest a bus may take to show its children: three requests at their deadline.
const PATIENCE: u64 = 200;

/// A bus that is up: its FDO and its PDOs.
pub struct Up {
    /// The bus.
    pub bus: BusId,
    /// Its function device object.
    pub fdo: usize,
    /// Its children, in the order they were created.
    pub pdos: Vec<usize>,
}

/// Loads the driver and makes a host of GPUs.
pub fn boot(file: &str, options: HostOptions, buses: u32, functions: u8) -> (Machine, Vec<BusId>) {
    let mut machine = Machine::load(file);
    let ids = host(options, buses, functions, if functions > 4 { 16 << 20 } else { GPU_BAR });
    if buses > 1 || functions > 1 {
        with(|world| world.wdf.parameters.insert("MaxFunctions".to_owned(), u32::from(functions).max(1)));
    }
    let entered = machine.enter();
    expect!(entered.is_ok(), "DriverEntry failed: {entered:x?}");
    (machine, ids)
}

/// Brings a bus up to its children, which are not started.
pub fn up(bus: BusId, children: usize) -> Up {
    let fdo = pnp::add_device(bus);
    expect!(fdo.is_ok(), "EvtDriverDeviceAdd failed: {fdo:x?}");
    let fdo = fdo.unwrap_or(0);
    let started = pnp::start_bus(bus, fdo);
    expect!(started.is_ok(), "bus {} did not start: {started:x?}", bus.0);
    let pdos = pnp::child::await_children(fdo, children, PATIENCE);
    expect!(pdos.len() == children, "bus {} shows {} children, not {children}", bus.0, pdos.len());
    Up { bus, fdo, pdos }
}

/// Starts every child of a bus.
pub fn start_children(up: &Up) {
    for pdo in &up.pdos {
        let started = pnp::child::start_child(up.bus, *pdo);
        expect!(started.is_ok(), "a child of bus {} did not start: {started:x?}", up.bus.0);
    }
}

/// Does something at the host, now, that the driver may notice.
pub fn at_host(f: impl FnOnce(&mut Host, Time)) {
    with(|world| {
        let now = world.time();
        f(&mut world.host, now);
        world.changed();
    });
}

/// The host takes the bus's first function away, and its child goes.
pub fn lose_function(up: &Up) {
    at_host(|host, now| {
        host.remove_function(up.bus, now, Slot::ZERO);
    });
    no_children(up.fdo);
}

/// Does something that may take `seconds` of the machine's time at the most.
pub fn within<R>(what: &str, seconds: u64, f: impl FnOnce() -> R) -> R {
    let began = with(|world| world.now());
    let result = f();
    let took = with(|world| world.now()) - began;
    let shown = took as f64 / 1e9;
    println!("{what} took {shown:.3} s");
    expect!(took <= seconds * 1_000_000_000, "{what} took {shown:.3} s, more than {seconds}");
    result
}

/// Waits until a bus shows no child.
pub fn no_children(fdo: usize) {
    let left = pnp::child::await_children(fdo, 0, PATIENCE);
    expect!(left.is_empty(), "the function is gone and its child is not: {}", crate::world::waiting());
}

/// Takes every bus down in order, unloads the driver, and looks for what is left.
pub fn down(mut machine: Machine, buses: &[BusId]) {
    for bus in buses {
        pnp::remove_bus(*bus, false);
    }
    machine.unload();
    check_the_end();
}

/// As far as it goes: tries to bring a bus up and to start its children, whatever fails on the way.
pub fn try_up(bus: BusId, children: usize) -> Result<Up, i32> {
    let fdo = pnp::add_device(bus)?;
    if let Err(error) = pnp::start_bus(bus, fdo) {
        pnp::remove_bus(bus, false);
        return Err(error);
    }
    let pdos = pnp::child::await_children(fdo, children, PATIENCE);
    let mut result = Ok(());
    for pdo in &pdos {
        result = result.and(pnp::child::start_child(bus, *pdo));
    }
    result.map(|()| Up { bus, fdo, pdos })
}
