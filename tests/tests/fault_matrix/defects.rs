//! The matrix can fail: each of these defects of a guest is found, in cells that are sound without it; and what is excused
//! is excused no further than it is written.

use hvpci_core::decode::Policy;
use hvpci_mock::guest::GuestStyle;
use hvpci_mock::host::Fault;
use hvpci_mock::host::packet::MessageType;

use super::cell::{Cell, Mishap, Phase};
use super::hand::Defect;
use super::{SHOWN, cells, excuse, run_all, sample};

/// The defect is found in these cells, for this reason.
fn finds(cells: &[Cell], defect: Defect, sign: &str) {
    let (_, problems) = run_all(cells, Some(defect));
    let found = problems.iter().filter(|problem| problem.contains(sign)).count();
    println!("{defect:?}: {} of {} cells, {found} of them with \"{sign}\"", problems.len(), cells.len());
    assert!(found > 0, "{defect:?} is not found: {:#?}", problems.iter().take(SHOWN).collect::<Vec<_>>());
}

#[test]
fn seeded_defects_are_found() {
    let defects = [
        (Defect::LeaksWindows, "MMIO space not given back"),
        (Defect::LeaksConfigWindow, "MMIO space not given back"),
        (Defect::NoEjectionComplete, "EjectTimedOut"),
        (Defect::NoGoodbye, "left at the host"),
        (Defect::Patient, "not settled after"),
        (Defect::Swallows(MessageType::RESOURCES_ASSIGNED2), "the core counts"),
        (Defect::Swallows(MessageType::DELETE_INTERRUPT), "the core counts"),
    ];
    let few: Vec<Cell> = sample(cells()).into_iter().step_by(23).collect();
    assert_eq!(run_all(&few, None).1, Vec::<String>::new(), "without a defect");
    for (defect, sign) in defects {
        finds(&few, defect, sign);
    }
}

fn in_config_space(cell: &Cell) -> bool {
    cell.combo.guest.style() == GuestStyle::ConfigSpace
}

fn is_done_to_second(cell: &Cell) -> bool {
    excuse::takes_away(cell) || excuse::ejects(cell)
}

fn is_lost_at(cell: &Cell, kind: MessageType) -> bool {
    cell.place.message() == Some(kind) && cell.mishap == Mishap::Host(Fault::LoseRequest)
}

/// The narrowest defect that each excuse does not cover, in the cells that it is for.
#[test]
fn an_excuse_goes_no_further() {
    let all = sample(cells());
    let few = |which: &dyn Fn(&Cell) -> bool| {
        let of: Vec<Cell> = all.iter().filter(|cell| which(cell)).copied().collect();
        let step = of.len().div_ceil(40).max(1);
        of.into_iter().step_by(step).collect::<Vec<_>>()
    };
    let counts = "the core counts";
    // So many maps, and host unmaps with them.
    let maps = |n| Defect::Miscounts([n, 0, n, 0, 0]);
    let traps = |n| Defect::Miscounts([0, 0, 0, n, 0]);
    let messages = |n| Defect::Miscounts([0, 0, 0, 0, n]);

    let harmless = few(&|cell| excuse::harmless(cell.mishap));
    finds(&harmless, maps(1), counts);
    finds(&harmless, traps(1), counts);
    finds(&few(&|cell| cell.mishap == Mishap::Host(Fault::Duplicate)), messages(2), counts);
    finds(&few(&|cell| cell.mishap == Mishap::Host(Fault::Drop)), messages(2), counts);

    // What no device was there to take; each policy for itself.
    for policy in Policy::ALL {
        let of = |cell: &Cell| cell.combo.policy == policy && in_config_space(cell) && !excuse::falls_silent(cell);
        let taken = few(&|cell| of(cell) && excuse::takes_away(cell));
        finds(&taken, maps(excuse::unseen_maps(&taken[0]) + 1), counts);
        let cut = few(&|cell| of(cell) && excuse::cuts_off(cell));
        finds(&cut, maps(excuse::unseen_maps(&cut[0]) + 1), counts);
    }
    let cut = few(&|cell| excuse::cuts_off(cell));
    finds(&cut, traps(excuse::unseen_traps(&cut[0]) + 1), counts);
    finds(&cut, messages(1), counts);
    finds(&few(&|cell| excuse::takes_away(cell)), traps(1), counts);

    // What the guest has to guess: nothing, the end of one map, those of two.
    for guessed in 0..=2 {
        let of = |cell: &Cell| excuse::guessed_maps(cell) == guessed && excuse::unseen_maps(cell) == 0;
        finds(&few(&of), maps(guessed + 1), counts);
    }
    // One map too many of the first function, where something was done to the second.
    let done = few(&|cell| is_done_to_second(cell) && excuse::guessed_maps(cell) + excuse::unseen_maps(cell) > 0);
    finds(&done, maps(1), "maps, unmaps, host unmaps of 00.0");

    // A function that left has left its interrupts.
    let ejected = few(&|cell| cell.phase == Phase::Eject && excuse::harmless(cell.mishap));
    finds(&ejected, Defect::KeepsInterrupts, "a driver of 01.0 still holds");

    // D0EXIT that was lost excuses nothing that RESOURCES_RELEASED would have given back.
    let lost = few(&|cell| is_lost_at(cell, MessageType::FDO_D0EXIT));
    finds(&lost, Defect::Swallows(MessageType::RESOURCES_RELEASED), "left at the host");
}

/// Where what goes wrong leaves no choice, a cell does not end otherwise.
#[test]
fn a_cell_ends_as_it_must() {
    let all = sample(cells());
    let up = |which: &dyn Fn(&Cell) -> bool| {
        let of: Vec<Cell> = all.iter().filter(|cell| cell.phase == Phase::BringUp && which(cell)).copied().collect();
        let step = of.len().div_ceil(40).max(1);
        of.into_iter().step_by(step).collect::<Vec<_>>()
    };
    // No function comes up: that of which nothing went wrong, and the first where something is done to the second.
    finds(&up(&|cell| excuse::harmless(cell.mishap)), Defect::RefusesFunctions, "00.0 was given up");
    finds(&up(&|cell| is_done_to_second(cell)), Defect::RefusesFunctions, "00.0 was given up");
    // The bus fails after something harmless at its first message.
    let first = |cell: &Cell| cell.place.message() == Some(MessageType::QUERY_PROTOCOL_VERSION);
    let harmless = up(&|cell| excuse::harmless(cell.mishap) && first(cell));
    finds(&harmless, Defect::Swallows(MessageType::FDO_D0ENTRY), "it ended Gone, not Up");
    // The channel is dead, and the guest does not notice when it speaks.
    let dead = |cell: &&Cell| cell.mishap == Mishap::Host(Fault::CloseChannel) && in_config_space(cell);
    let dead: Vec<Cell> = all.iter().filter(dead).copied().collect();
    finds(&dead, Defect::Swallows(MessageType::DEVICE_POWER_STATE_CHANGE), "the channel is dead");
}
