//! One cell from beginning to end, and the fault-free runs that tell which cells there are.

use std::time::Duration;

use hvpci_core::backend::Platform;
use hvpci_core::bus::{BusError, BusStatus, Request};
use hvpci_core::wire::PowerState;
use hvpci_core::{Slot, driver};
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{ChannelState, Fault, Leak};
use hvpci_tests::bench::slot;

use super::cell::{Cell, Combo, Mishap, Phase, Place};
use super::excuse;
use super::expected;
use super::hand::Defect;
use super::judge::{self, Books};
use super::life::{Life, is_over};

/// How a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Up, with every function that the host has in use.
    Up,
    /// Up, with a function given up and said so.
    UpWithout,
    /// Suspended, and up after the resume.
    Asleep,
    /// Over, with nothing left.
    Gone,
    /// Up as far as the guest can know, on a channel that died without a word.
    Unheard,
}

/// The places of a phase, found by letting it go well.
///
/// # Errors
/// If it does not go well.
pub fn places(phase: Phase, combo: Combo) -> Result<Vec<Place>, String> {
    let mut life = Life::before(phase, combo, None);
    life.begin(None);
    life.settle(Duration::from_secs(15))?;
    let mut places: Vec<Place> =
        life.bus.on_host(|host, id, _| host.counted_messages(id).to_vec()).into_iter().map(Place::Message).collect();
    let (steps, allocations, _) = life.hand.disarm();
    places.extend(steps);
    places.extend((1..=allocations).map(Place::Allocation));
    let wanted = match phase {
        Phase::Suspend => BusStatus::Suspended,
        Phase::Teardown => BusStatus::Stopped,
        _ => BusStatus::Running,
    };
    if life.bus.status() != wanted {
        return Err(format!("it ended as {:?}", life.bus.status()));
    }
    let slots = life.bus.on_host(|host, id, _| host.slots(id));
    let expected = if matches!(phase, Phase::Eject | Phase::Surprise) { 1 } else { 2 };
    if slots.len() != expected {
        return Err(format!("the host has {slots:?}"));
    }
    for slot in slots.into_iter().filter(|_| wanted == BusStatus::Running) {
        judge::usable(&life.bus, slot)?;
        judge::same_interrupts(&life.bus, slot)?;
    }
    afterwards(&mut life, None)?;
    Ok(places)
}

/// Runs a cell.
///
/// # Errors
/// What does not hold.
pub fn run(cell: &Cell, defect: Option<Defect>) -> Result<End, String> {
    let mut life = Life::before(cell.phase, cell.combo, defect);
    life.begin(Some((cell.place, cell.mishap)));
    life.settle(bound(cell))?;
    let (_, _, struck) = life.hand.disarm();
    let struck = struck
        || match cell.place {
            Place::Message(at) => life
                .bus
                .on_host(|host, id, _| host.counted_messages(id).iter().any(|m| (m.kind, m.nth) == (at.kind, at.nth))),
            _ => false,
        };
    if !struck {
        return Err("it never came to where it was to go wrong".into());
    }
    afterwards(&mut life, Some(cell))
}

/// How long this may hold a bus up.
fn bound(cell: &Cell) -> Duration {
    if cell.mishap == Mishap::Silence || cell.mishap == Mishap::Host(Fault::CloseChannel) {
        return super::life::SILENT_BOUND;
    }
    match cell.place.message() {
        Some(MessageType::DEVICE_POWER_STATE_CHANGE) => super::life::BOUND,
        _ => super::life::SHORT_BOUND,
    }
}

/// What must hold after a phase, and that the bus has a future.
fn afterwards(life: &mut Life, cell: Option<&Cell>) -> Result<End, String> {
    let mut end = End::Gone;
    if !is_over(&life.bus) {
        end = still_there(life, cell)?;
        driver::stop(life.bus.as_ref());
    }
    if let Some(cell) = cell.filter(|cell| !expected::end(cell, end)) {
        return Err(format!(
            "it ended {end:?}, not {:?}: {}",
            expected::undisturbed(cell.phase),
            life.bench.troubles()
        ));
    }
    life.end()?;
    judge::nothing_left(life)?;
    leaks(life, cell)?;
    violations(life, cell)?;
    books(life, cell)?;
    life.bench.machine.vm().host().clear_violations();
    anew(life).map_err(|problem| format!("after an honest start: {problem}"))?;
    Ok(end)
}

/// The bus is up, or asleep. Every function is of use or was given up with a word; the word of a host that is honest again
/// puts right what was not known.
fn still_there(life: &mut Life, cell: Option<&Cell>) -> Result<End, String> {
    let asleep = life.bus.status() == BusStatus::Suspended;
    if life.bus.on_host(|host, id, _| host.channel(id)) == ChannelState::Dead {
        return unheard(life);
    }
    let deaf = cell.is_some_and(|cell| matches!(cell.mishap, Mishap::Deaf | Mishap::Host(Fault::DeviceGone(_))));
    let deaf = deaf.then(|| slot(1));
    if !asleep {
        let silenced = cell.is_some_and(|cell| matches!(cell.mishap, Mishap::Silence));
        let misheard = cell
            .and_then(|cell| cell.place.message())
            .is_some_and(|kind| matches!(kind, MessageType::BUS_RELATIONS | MessageType::BUS_RELATIONS2));
        functions(life, !silenced && !misheard, deaf)?;
    }
    life.bus.on_host(|host, id, now| {
        host.set_faults(id, Default::default());
        host.send_relations(id, now);
    });
    if asleep {
        life.wake_up()?;
    } else {
        life.pass(Duration::from_secs(5));
    }
    let given_up = functions(life, true, deaf)?;
    books_of_each(life, cell)?;
    if let Some(slot) = given_up.iter().find(|slot| !cell.is_some_and(|cell| expected::given_up(cell, **slot))) {
        return Err(format!("function {slot} was given up: {}", life.bench.troubles()));
    }
    match given_up.as_slice() {
        _ if asleep => Ok(End::Asleep),
        [] => Ok(End::Up),
        _ => Ok(End::UpWithout),
    }
}

/// Nobody has told the guest that the channel is dead, and nobody can; but the first word that it wants to say does.
fn unheard(life: &mut Life) -> Result<End, String> {
    let status = life.bus.status();
    if status != BusStatus::Running {
        return Err(format!("the channel is dead, and the bus {status:?}"));
    }
    let mut known = Vec::new();
    life.bus.with_bus(&mut |bus, _| known = bus.slots().collect());
    let in_use = known.iter().find(|slot| !judge::given_up(&life.bus, **slot, life.reports));
    if let Some(slot) = in_use {
        let word = Request::PowerState { slot: *slot, state: PowerState::D0 };
        driver::submit(life.bus.as_ref(), word).map_err(|error| format!("the channel is dead: {error:?}"))?;
        life.end().map_err(|problem| format!("the channel is dead, the guest has spoken: {problem}"))?;
        let status = life.bus.status();
        if status != BusStatus::Failed(BusError::ChannelClosed) {
            return Err(format!("the channel is dead, the guest has spoken, and the bus is {status:?}"));
        }
    }
    Ok(End::Unheard)
}

/// Looks at every function; gives those that were given up. `informed`: the guest has been told which there are. Of one that
/// does not answer nothing is expected.
fn functions(life: &Life, informed: bool, deaf: Option<Slot>) -> Result<Vec<Slot>, String> {
    let bus = &life.bus;
    if bus.status() != BusStatus::Running {
        return Err(format!("the bus is {:?}", bus.status()));
    }
    let mut known = Vec::new();
    bus.with_bus(&mut |bus, _| known = bus.slots().collect());
    let there = bus.on_host(|host, id, _| host.slots(id));
    if informed && known != there {
        return Err(format!("the guest knows of {known:?}, the host of {there:?}"));
    }
    let mut given_up = Vec::new();
    for slot in known.into_iter().filter(|slot| there.contains(slot) && deaf != Some(*slot)) {
        if judge::given_up(bus, slot, life.reports) {
            given_up.push(slot);
            continue;
        }
        judge::usable(bus, slot).map_err(|problem| format!("function {slot}: {problem}: {}", life.bench.troubles()))?;
        if informed {
            judge::same_interrupts(bus, slot).map_err(|problem| format!("function {slot}: {problem}"))?;
        }
    }
    Ok(given_up)
}

/// What the host still held when the channel was closed.
fn leaks(life: &Life, cell: Option<&Cell>) -> Result<(), String> {
    let host = life.bench.machine.vm().host();
    let inexcusable = |leak: &&Leak| !cell.is_some_and(|cell| excuse::leak(cell, &leak.kind));
    // One message that the host did not act on is about one function.
    let mut of: Vec<_> = host.leaks().iter().map(|leak| leak.slot).collect();
    of.dedup();
    let one = of.len() <= 1 || cell.is_some_and(excuse::falls_silent);
    match host.leaks().iter().find(inexcusable) {
        None if one => Ok(()),
        _ => Err(format!("left at the host when the channel was closed: {:?}", host.leaks())),
    }
}

/// What the guest did wrong, as far as what went wrong does not explain it.
fn violations(life: &Life, cell: Option<&Cell>) -> Result<(), String> {
    let after = life.bus.violations_after_rescind();
    let errors = judge::errors(life);
    let left: Vec<_> =
        errors.iter().filter(|v| !cell.is_some_and(|cell| excuse::violation(cell, &life.bus, v))).collect();
    if left.is_empty() && after.is_empty() {
        Ok(())
    } else {
        Err(format!("violations: {left:?}, after the rescind {after:?}"))
    }
}

/// A function to which nothing was done is counted alike at both sides.
fn books_of_each(life: &Life, cell: Option<&Cell>) -> Result<(), String> {
    for slot in [slot(0), slot(1)] {
        let Some(found) = judge::difference_of(life, slot) else { continue };
        if found != [0; 3] && !cell.is_some_and(|cell| excuse::may_differ(cell, slot)) {
            return Err(format!("maps, unmaps, host unmaps of {slot}: the core counts {found:?} more than the host"));
        }
    }
    Ok(())
}

/// Both sides count alike, as far as what went wrong lets them.
fn books(life: &Life, cell: Option<&Cell>) -> Result<(), String> {
    let difference = Books::of(life).difference();
    if difference == [0; 5] || cell.is_some_and(|cell| excuse::difference(cell, &difference)) {
        return Ok(());
    }
    Err(format!("maps, unmaps, host unmaps, traps, messages: the core counts {difference:?} more than the host"))
}

/// An honest start: everything is there and of use, and goes again without a trace.
fn anew(life: &mut Life) -> Result<(), String> {
    life.start_anew()?;
    let before = Books::of(life).difference();
    if !functions(life, true, None)?.is_empty() {
        return Err("a function was given up".into());
    }
    for slot in life.bus.on_host(|host, id, _| host.slots(id)) {
        judge::same_interrupts(&life.bus, slot)?;
    }
    driver::stop(life.bus.as_ref());
    life.end()?;
    judge::nothing_left(life)?;
    violations(life, None)?;
    let after = Books::of(life).difference();
    if before == after { Ok(()) } else { Err(format!("both sides count differently: {before:?} became {after:?}")) }
}
