//! What is not the guest's fault: of the host's notes, those that what went wrong explains. Everything else fails a cell.

use std::ops::RangeInclusive;
use std::time::Duration;

use hvpci_core::Slot;
use hvpci_core::bus::{Odd, Report};
use hvpci_core::decode::Policy;
use hvpci_mock::guest::GuestStyle;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::host::{Fault, LeakKind, Violation, ViolationKind};
use hvpci_mock::sim::{AnyReport, MockPlatform};
use hvpci_tests::bench::slot;

use super::cell::{Cell, Mishap, Phase};

/// The maps of one function under eager, from the bootstrap until Linux 6.12 has sized its BARs and its driver has it.
pub const EAGER_MAPS: i64 = 6;
/// The most accesses that Linux 6.12 makes of one function without waiting for anything.
const SCAN_TRAPS: i64 = 31;

/// Both sides of the channel no longer agree that there is one.
pub fn cuts_off(cell: &Cell) -> bool {
    matches!(cell.mishap, Mishap::Rescind | Mishap::Host(Fault::Rescind | Fault::CloseChannel))
}

/// The host has stopped acting on what it is sent.
pub fn falls_silent(cell: &Cell) -> bool {
    matches!(cell.mishap, Mishap::Silence | Mishap::Host(Fault::CloseChannel))
}

/// A function stops answering at a moment when the guest may be at its config space.
pub fn takes_away(cell: &Cell) -> bool {
    matches!(cell.mishap, Mishap::Remove | Mishap::Deaf | Mishap::Host(Fault::Remove(_) | Fault::DeviceGone(_)))
}

/// What the host answers is true, and comes in time: more than is wanted, twice, after something senseless, or a little late.
pub fn harmless(mishap: Mishap) -> bool {
    const LITTLE: Duration = Duration::from_secs(1);
    match mishap {
        Mishap::Host(Fault::Extend(_) | Fault::Duplicate | Fault::UnknownMessage) => true,
        Mishap::Host(Fault::Delay(by)) => by < LITTLE,
        _ => false,
    }
}

/// The host asks for a function.
pub fn ejects(cell: &Cell) -> bool {
    matches!(cell.mishap, Mishap::Eject | Mishap::Host(Fault::Eject(_)))
}

fn at(cell: &Cell, kind: MessageType) -> bool {
    cell.place.message() == Some(kind)
}

/// What the host still held when the channel was closed: excused where it did not act on the message that gives it back.
pub fn leak(cell: &Cell, leak: &LeakKind) -> bool {
    let ignored = matches!(cell.mishap, Mishap::Host(Fault::LoseRequest | Fault::Refuse(_)));
    let what = match leak {
        LeakKind::PowerUp => at(cell, MessageType::FDO_D0EXIT),
        LeakKind::Interrupt { .. } => at(cell, MessageType::RESOURCES_RELEASED),
        // D0EXIT takes these back too.
        LeakKind::Decode | LeakKind::Resources => false,
    };
    falls_silent(cell) || (ignored && what)
}

/// What the guest did wrong: excused where it could not know better.
pub fn violation(cell: &Cell, bus: &MockPlatform, violation: &Violation) -> bool {
    match violation.kind {
        // Sent before the guest was told.
        ViolationKind::ChannelGone => cuts_off(cell),
        ViolationKind::EjectTimedOut => eject_unheard(cell, bus),
        // D0ENTRY was lost: whether it was acted on is not known, so it is taken back.
        ViolationKind::OutOfOrder(MessageType::FDO_D0EXIT) => {
            at(cell, MessageType::FDO_D0ENTRY) && cell.mishap == Mishap::Host(Fault::LoseRequest)
        }
        _ => false,
    }
}

/// The host lost patience over an eject: it asked for a function, on its way up, before it had said that there is one, which is
/// to be ignored; or its question, the guest's answer, or what the guest asked to be able to answer was lost.
fn eject_unheard(cell: &Cell, bus: &MockPlatform) -> bool {
    let unknown = AnyReport::Bus(Report::Odd(Odd::UnknownSlot(slot(1))));
    let too_early = ejects(cell) && matches!(cell.phase, Phase::BringUp | Phase::HotAdd);
    if falls_silent(cell) || too_early && bus.reports().contains(&unknown) {
        return true;
    }
    let Mishap::Host(fault) = cell.mishap else { return false };
    match cell.place.message() {
        Some(MessageType::EJECT) => !harmless(cell.mishap) && fault != Fault::WrongTransactionId,
        Some(MessageType::EJECTION_COMPLETE) => fault == Fault::LoseRequest,
        // The driver waits for D3 for as long as the host waits for the function.
        Some(MessageType::DEVICE_POWER_STATE_CHANGE) => {
            let answered = matches!(fault, Fault::Refuse(_) | Fault::WrongStatus(_));
            cell.phase == Phase::Eject && !harmless(cell.mishap) && !answered
        }
        _ => false,
    }
}

/// Maps, unmaps, host unmaps, traps, messages that the core counts beyond the host.
pub fn difference(cell: &Cell, difference: &[i64; 5]) -> bool {
    let [maps, unmaps, host_unmaps, traps, messages] = *difference;
    let within = |most: i64| [maps, unmaps, host_unmaps].iter().all(|n| n.abs() <= most);
    let unseen = (0..=unseen_maps(cell)).contains(&maps) && maps == unmaps + host_unmaps;
    let of_maps = within(guessed_maps(cell)) || unseen;
    of_maps && (0..=unseen_traps(cell)).contains(&traps) && messages_lost(cell).contains(&messages)
}

/// Whether the guest maps this function in the background: its map's end is known by a message alone.
fn in_background(cell: &Cell) -> bool {
    cell.combo.policy == Policy::Prefetch && cell.combo.guest.style() == GuestStyle::ConfigSpace
}

fn by_message(cell: &Cell) -> bool {
    in_background(cell) || cell.combo.guest.style() == GuestStyle::Messages
}

/// How many maps, unmaps and host unmaps the guest may have guessed wrong: of a map whose answer is lost, false, or given up
/// with its function it cannot know.
pub fn guessed_maps(cell: &Cell) -> i64 {
    let at_power = at(cell, MessageType::DEVICE_POWER_STATE_CHANGE);
    let lied = at_power && matches!(cell.mishap, Mishap::Host(_)) && !harmless(cell.mishap);
    // What the platform refuses ends a function whose map may be under way; in message style none is before it is published.
    let refused = cell.mishap == Mishap::Refuse && in_background(cell);
    let gone = takes_away(cell) || ejects(cell) || cuts_off(cell);
    if falls_silent(cell) {
        // Of both functions. A config access is a map when it is made, whatever the host sends.
        if by_message(cell) { 2 } else { 0 }
    } else {
        i64::from(lied || refused || by_message(cell) && gone)
    }
}

/// How many maps the guest may have made that no device was there to take, the unmaps with them: at most those that the policy
/// has of one function until its driver has it, as the guest kernel sees to one function after the other.
pub fn unseen_maps(cell: &Cell) -> i64 {
    let at_window = cell.combo.guest.style() == GuestStyle::ConfigSpace && (cuts_off(cell) || takes_away(cell));
    match cell.combo.policy {
        _ if !at_window => 0,
        Policy::Eager => EAGER_MAPS,
        Policy::Deferred | Policy::Absorbing => 1,
        // All maps are asked for at once.
        Policy::Prefetch if cuts_off(cell) => 2,
        Policy::Prefetch => 1,
    }
}

/// How many accesses the guest may have made on a window that nothing is behind any more, until it is told.
pub fn unseen_traps(cell: &Cell) -> i64 {
    if cuts_off(cell) { SCAN_TRAPS } else { 0 }
}

/// Whether the maps, unmaps and host unmaps of this function may differ at all. What is done to the second function is no excuse
/// for the first.
pub fn may_differ(cell: &Cell, of: Slot) -> bool {
    of == slot(1) || !(takes_away(cell) || ejects(cell))
}

/// Messages that were counted at one end only.
pub fn messages_lost(cell: &Cell) -> RangeInclusive<i64> {
    match cell.mishap {
        _ if cuts_off(cell) => -2..=0,
        // What the host says while the guest closes the channel is lost.
        _ if (takes_away(cell) || ejects(cell)) && matches!(cell.phase, Phase::Suspend | Phase::Teardown) => -1..=0,
        Mishap::Host(Fault::Drop) => -1..=-1,
        Mishap::Host(Fault::Delay(_)) => -1..=0,
        Mishap::Host(Fault::Duplicate | Fault::UnknownMessage) => 0..=1,
        _ => 0..=0,
    }
}
