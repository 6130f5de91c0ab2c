//! What must hold when something went wrong: the bus is up and of use, or cleanly gone; nothing has leaked; the host has
//! seen nothing that what went wrong does not explain; both sides count alike.

use hvpci_core::backend::Platform;
use hvpci_core::bus::{InterruptHandle, Report};
use hvpci_core::decode::{Ledger, Policy};
use hvpci_core::{Slot, Time, driver};
use hvpci_mock::host::{Severity, Violation, ViolationKind};
use hvpci_mock::sim::{AnyReport, MockPlatform};
use hvpci_tests::bench::{function, slot};

use super::life::Life;

/// Whether a function is with its driver, or is said to have failed.
pub fn has_settled(bus: &MockPlatform, slot: Slot) -> bool {
    bus.progress().contains_key(&slot) || has_failed(bus, slot, 0)
}

/// Whether the engine has reported a function as failed, in its reports from the given one on.
fn has_failed(bus: &MockPlatform, slot: Slot, since: usize) -> bool {
    let failed =
        |report: &AnyReport| matches!(report, AnyReport::Bus(Report::FunctionFailed { slot: of, .. }) if *of == slot);
    bus.reports().iter().skip(since).any(failed)
}

/// Whether a function is not of use and somebody was told: the engine has reported it, in its reports from the given one
/// on, or its driver has met an error.
pub fn given_up(bus: &MockPlatform, slot: Slot, since: usize) -> bool {
    has_failed(bus, slot, since) || bus.progress().get(&slot).is_some_and(|progress| progress.error.is_some())
}

/// Whether every function of the host was shown to the guest kernel since then.
pub fn all_shown_since(bus: &MockPlatform, since: Time) -> bool {
    let progress = bus.progress();
    let slots = bus.on_host(|host, id, _| host.slots(id));
    slots.iter().all(|slot| progress.get(slot).is_some_and(|progress| progress.started >= since))
}

/// What both sides have counted: the core, and the host.
#[derive(Clone, Copy)]
pub struct Books {
    core: Ledger,
    host: Ledger,
    miscounted: [i64; 5],
}

impl Books {
    pub fn of(life: &Life) -> Books {
        let host = life.bus.on_host(|host, id, _| host.bus_ledger(id));
        Books { core: life.bus.ledger(), host, miscounted: life.hand.miscounted() }
    }

    /// Maps, unmaps, host unmaps, traps, messages: what the core has counted beyond what the host has.
    pub fn difference(&self) -> [i64; 5] {
        let figures = |l: &Ledger| [l.maps, l.unmaps, l.host_unmaps, l.traps, l.messages].map(|n| n as i64);
        let (core, host) = (figures(&self.core), figures(&self.host));
        std::array::from_fn(|at| core[at] - host[at] + self.miscounted[at])
    }
}

/// Maps, unmaps and host unmaps of one function that the core has counted beyond what the host has; `None` where the config
/// half does not have it.
pub fn difference_of(life: &Life, of: Slot) -> Option<[i64; 3]> {
    let mut core = None;
    life.bus.with_config(&mut |config, _| core = config.ledger(of));
    let host = life.bus.on_host(|host, id, _| host.ledger(id, of));
    let figures = |l: &Ledger| [l.maps, l.unmaps, l.host_unmaps].map(|n| n as i64);
    let (core, host) = (figures(&core?), figures(&host));
    let miscounted = if of == slot(0) { life.hand.miscounted() } else { [0; 5] };
    Some(std::array::from_fn(|at| core[at] - host[at] + miscounted[at]))
}

/// The function is of use: it answers, its driver has it, its BARs are mapped where the guest has them, and its interrupts
/// are those the host knows of.
pub fn usable(bus: &MockPlatform, slot: Slot) -> Result<(), String> {
    let progress = bus.progress().get(&slot).copied().ok_or("never shown")?;
    if progress.ready.is_none() || progress.error.is_some() {
        return Err(format!("its driver does not have it: {progress:?}"));
    }
    let info = function(bus, slot).ok_or("the engine does not know it")?;
    let vendor = driver::config_read(bus, slot, 0, 2);
    if vendor != u32::from(info.description.vendor) {
        return Err(format!("its vendor id reads {vendor:#x}"));
    }
    let command = driver::config_read(bus, slot, 4, 2);
    if command & 2 == 0 {
        return Err(format!("COMMAND reads {command:#x}"));
    }
    bus.on_host(|host, id, now| {
        let state = host.function(id, slot).ok_or("the host does not have it")?;
        if !state.decodes || state.command & 2 == 0 {
            return Err(format!("it does not decode at the host: {state:x?}"));
        }
        let bars: Vec<u64> = info.bars.iter().flatten().copied().collect();
        if bars.len() != info.layout.iter().count() || bars.is_empty() {
            return Err(format!("not every BAR has a place: {bars:x?}"));
        }
        match bars.iter().find(|bar| !host.memory_write(now, **bar + 0x10, 0)) {
            Some(bar) => Err(format!("nothing is mapped at {bar:#x}")),
            None => Ok(()),
        }
    })
}

fn lost_interrupt(report: &AnyReport) -> Option<InterruptHandle> {
    match report {
        AnyReport::Bus(Report::InterruptLost(handle)) => Some(*handle),
        _ => None,
    }
}

/// The host and the guest's driver know of the same interrupts, but for those that the engine has reported as not made again:
/// of them the host may know or not, and the driver does not use them.
pub fn same_interrupts(bus: &MockPlatform, slot: Slot) -> Result<(), String> {
    let lost: Vec<_> = bus.reports().iter().filter_map(lost_interrupt).collect();
    let held = bus.interrupts(slot);
    let some_lost = held.iter().any(|interrupt| lost.contains(&interrupt.handle));
    let in_use = held.iter().filter(|interrupt| !lost.contains(&interrupt.handle));
    let mut held: Vec<_> = in_use.map(|i| (i.entry.address, i.entry.data)).collect();
    let state = bus.on_host(|host, id, _| host.function(id, slot));
    let mut known: Vec<_> = state.iter().flat_map(|s| &s.interrupts).map(|i| (i.address, i.data)).collect();
    held.sort_unstable();
    known.sort_unstable();
    if some_lost {
        known.retain(|interrupt| held.contains(interrupt));
    }
    if held == known { Ok(()) } else { Err(format!("the driver holds {held:x?}, the host {known:x?}")) }
}

/// Nothing is mapped, assigned or reserved any more.
pub fn nothing_left(life: &Life) -> Result<(), String> {
    let (vm, bus) = (life.bench.machine.vm(), &life.bus);
    let taken: Vec<_> = vm.mmio().taken().collect();
    if !taken.is_empty() {
        return Err(format!("MMIO space not given back: {taken:x?}"));
    }
    if bus.quarantined_bytes() != 0 {
        return Err(format!("{} bytes still quarantined", bus.quarantined_bytes()));
    }
    for slot in bus.on_host(|host, id, _| host.slots(id)) {
        let state = bus.on_host(|host, id, _| host.function(id, slot)).ok_or("it was listed")?;
        if state.decodes || state.assigned || !state.interrupts.is_empty() {
            return Err(format!("the host still holds {state:x?}"));
        }
    }
    // Of a function that left, too, which the host does not list any more.
    for slot in [slot(0), slot(1)] {
        if !bus.interrupts(slot).is_empty() {
            return Err(format!("a driver of {slot} still holds {:x?}", bus.interrupts(slot)));
        }
    }
    Ok(())
}

/// The violations that a correct guest never causes. Eager is the plain write-through baseline: what it lets the host see
/// of BARs (invariants I2 and I3) is counted, not held against it.
pub fn errors(life: &Life) -> Vec<Violation> {
    let of_bars = |kind: &ViolationKind| {
        matches!(
            kind,
            ViolationKind::BarWriteWhileDecoding { .. }
                | ViolationKind::DecodeAtZero { .. }
                | ViolationKind::DecodeOverlap { .. }
                | ViolationKind::DecodeOutsideAperture { .. }
        )
    };
    let eager = life.bench.policy == Policy::Eager;
    let host = life.bench.machine.vm().host();
    let errors = host.violations().iter().filter(|v| v.severity() == Severity::Error);
    errors.filter(|v| !(eager && of_bars(&v.kind))).copied().collect()
}
