//! How a cell has to end, where what goes wrong leaves no choice.

use hvpci_core::Slot;
use hvpci_mock::host::Fault;
use hvpci_tests::bench::slot;

use super::cell::{Cell, Mishap, Phase};
use super::excuse;
use super::run::End;

/// How a phase ends when nothing goes wrong.
pub fn undisturbed(phase: Phase) -> End {
    match phase {
        Phase::Suspend => End::Asleep,
        Phase::Teardown => End::Gone,
        _ => End::Up,
    }
}

/// Whether a cell may end like this.
pub fn end(cell: &Cell, end: End) -> bool {
    let as_ever = end == undisturbed(cell.phase);
    match cell.mishap {
        // Nothing that the guest was told is wrong.
        mishap if excuse::harmless(mishap) => as_ever,
        Mishap::Rescind | Mishap::Host(Fault::Rescind) => end == End::Gone,
        Mishap::Host(Fault::CloseChannel) => end != End::Up,
        // It costs no more than the function that it is about.
        _ if excuse::takes_away(cell) || excuse::ejects(cell) => as_ever || end == End::UpWithout,
        _ => end != End::Unheard,
    }
}

/// Whether a function may have been given up.
pub fn given_up(cell: &Cell, of: Slot) -> bool {
    let about_second = excuse::takes_away(cell) || excuse::ejects(cell);
    !excuse::harmless(cell.mishap) && (of == slot(1) || !about_second)
}
