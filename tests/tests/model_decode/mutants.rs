//! Defects put between the core and the host, or between the guest and the core: one at least for each invariant. The
//! model checker must find every one of them, or it would not find such a mistake in the core either.

use hvpci_core::decode::Policy;

use super::device::Broken;
use super::explore::finds;
use super::{Guest, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// A COMMAND write that sets Memory arrives without the bit.
    SetLost,
    /// A COMMAND write that clears Memory arrives with the bit.
    ClearLost,
    /// Every set arrives as a set, a clear and a set.
    MappedTwice,
    /// A function that was mapped in the background is unmapped and mapped again as it is enabled.
    MappedAfresh,
    /// A set that changes nothing does not arrive.
    EqualSetSuppressed,
    /// Writes of the upper half of a BAR do not arrive.
    UpperHalfLost,
    /// What the guest writes to a BAR goes to the host as well, at once.
    BarForwarded,
    /// A range that is not the bus's own is claimed.
    ForeignWindow,
    /// COMMAND is read from the host as it is.
    CommandFromHost,
    /// A function whose host will not unmap is detached as if it would.
    DetachedAsGone,
    /// The core is not told of a loss of state.
    LossUntold,
    /// The core is not told that it was resumed.
    ResumeUntold,
    /// The guest's restore finds the values from before the reset.
    RestoreSkipped,
    /// The answer to a liveness test is remembered.
    AliveFromCache,
    /// Power goes on although the core refuses it.
    RefusalIgnored,
    /// A background map is started although the core refuses it.
    PrefetchForced,
    /// A config access does not wait for a background map that was asked for before it.
    MapOvertaken,
    /// A background map is made although the function was reset after it was asked for.
    MapOutlivesReset,
    /// POWER_STATE_CHANGE to D3 is left out of a move.
    PowerOffLeftOut,
}

fn guest(policy: Policy, kind: Kind) -> Guest {
    super::guest(policy, kind, 2)
}

fn messages(policy: Policy) -> Guest {
    guest(policy, Kind::Messages)
}

#[test]
fn i1_a_set_that_gets_lost() {
    finds(guest(Policy::Deferred, Kind::Moves), Mutant::SetLost, Broken::I1);
}

#[test]
fn i1_half_an_address() {
    finds(guest(Policy::Deferred, Kind::Swaps), Mutant::UpperHalfLost, Broken::I1);
}

#[test]
fn i2_a_bar_write_passed_on() {
    finds(guest(Policy::Deferred, Kind::Moves), Mutant::BarForwarded, Broken::I2);
}

#[test]
fn i2_a_lingering_clear_that_gets_lost() {
    finds(guest(Policy::Absorbing, Kind::Moves), Mutant::ClearLost, Broken::I2);
}

#[test]
fn i2_a_message_guest_that_moves_without_power_off() {
    finds(messages(Policy::Absorbing), Mutant::PowerOffLeftOut, Broken::I2);
}

#[test]
fn i3_a_foreign_window() {
    finds(guest(Policy::Deferred, Kind::Moves), Mutant::ForeignWindow, Broken::I3);
}

#[test]
fn i3_a_neighbour_that_is_not_unmapped_first() {
    finds(guest(Policy::Absorbing, Kind::Swaps), Mutant::ClearLost, Broken::I3);
}

#[test]
fn i3_power_in_spite_of_a_refusal() {
    finds(messages(Policy::Deferred), Mutant::RefusalIgnored, Broken::I3);
}

#[test]
fn i3_a_background_map_in_spite_of_a_refusal() {
    finds(guest(Policy::Prefetch, Kind::Swaps), Mutant::PrefetchForced, Broken::I3);
}

#[test]
fn i3_a_background_map_that_a_clear_overtakes() {
    finds(guest(Policy::Prefetch, Kind::Resets), Mutant::MapOvertaken, Broken::I3);
}

#[test]
fn i3_a_background_map_that_outlives_a_reset() {
    finds(guest(Policy::Prefetch, Kind::Resets), Mutant::MapOutlivesReset, Broken::I3);
}

#[test]
fn i7_an_eager_isolated_vm_and_a_resume_that_nobody_tells() {
    let isolated = Guest { isolated: true, ..guest(Policy::Eager, Kind::Resets) };
    finds(isolated, Mutant::ResumeUntold, Broken::I7);
}

#[test]
fn i4_command_as_the_host_has_it() {
    finds(guest(Policy::Absorbing, Kind::Moves), Mutant::CommandFromHost, Broken::I4);
}

#[test]
fn i5_a_function_left_mapped() {
    finds(guest(Policy::Deferred, Kind::Moves), Mutant::DetachedAsGone, Broken::I5);
}

#[test]
fn i6_a_map_too_many() {
    finds(guest(Policy::Deferred, Kind::Moves), Mutant::MappedTwice, Broken::I6);
}

#[test]
fn i6_a_map_too_many_under_prefetch() {
    finds(guest(Policy::Prefetch, Kind::Swaps), Mutant::MappedTwice, Broken::I6);
}

#[test]
fn i6_a_background_map_for_nothing() {
    finds(guest(Policy::Prefetch, Kind::Swaps), Mutant::MappedAfresh, Broken::I6);
}

#[test]
fn i7_a_loss_that_nobody_tells() {
    finds(guest(Policy::Deferred, Kind::Moves), Mutant::LossUntold, Broken::I7);
}

#[test]
fn i7_a_resume_that_nobody_tells() {
    finds(guest(Policy::Deferred, Kind::Resets), Mutant::ResumeUntold, Broken::I7);
}

#[test]
fn i7_a_set_saved() {
    finds(guest(Policy::Deferred, Kind::Moves), Mutant::EqualSetSuppressed, Broken::I7);
}

#[test]
fn i7_a_restore_that_compares_with_old_values() {
    finds(guest(Policy::Deferred, Kind::Resets), Mutant::RestoreSkipped, Broken::I7);
}

#[test]
fn i8_a_falling_edge_held_back() {
    let isolated = Guest { isolated: true, ..guest(Policy::Deferred, Kind::Moves) };
    finds(isolated, Mutant::ClearLost, Broken::I8);
}

#[test]
fn i9_a_liveness_test_from_memory() {
    finds(guest(Policy::Deferred, Kind::Resets), Mutant::AliveFromCache, Broken::I9);
}
