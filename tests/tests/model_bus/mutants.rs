//! Defects put between the engine and what surrounds it: one for each property. The model checker must find every one of
//! them, or it would not find such a mistake in the engine either.

use std::collections::BTreeSet;

use hvpci_core::decode::{GuestStyle, Policy};
use stateright::{Checker, HasDiscoveries, Model};

use super::Bounds;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The engine is not told that the channel was rescinded.
    RescindUntold,
    /// The channel is said to be open before it is.
    OpenedEarly,
    /// A transaction id is used again.
    IdRepeated,
    /// D0 entry is taken for done although the host did nothing.
    D0Assumed,
    /// A window is taken for claimed although it is not.
    ClaimForgotten,
    /// An eject is completed at once.
    EjectHurried,
    /// RESOURCES_RELEASED, D0EXIT and the end of the channel do not reach the host.
    LeftOpen,
    /// With every step a hundred messages come that make no sense.
    Chatter,
    /// A window is not given back.
    WindowKept,
    /// The windows go when the channel is closed for a suspend.
    WindowsDropped,
    /// A range goes into quarantine and nobody is told.
    QuarantineUnsaid,
    /// The platform never says that the channel is open.
    ActionSwallowed,
    /// The OS never lets go of a function.
    PublisherStuck,
    /// Deadlines pass unnoticed.
    DeadlinesIgnored,
    /// The list that tells of a new function gets lost.
    HotAddLost,
    /// After a rescind and an offer the host takes the version of before for agreed on.
    OldVersionKept,
    /// A background map is said to be done as soon as it was asked for.
    MapDoneEarly,
    /// The config half is not told that a background map is over.
    PrefetchEndLost,
    /// The second function's background map is taken for asked for, and nothing was sent.
    PrefetchUnsent,
}

/// As large as the defects need, whatever `HVPCI_MODEL_DISTURBANCES` says.
fn config_space(disturbances: u32) -> Bounds {
    let (style, policy) = (GuestStyle::ConfigSpace, Policy::Deferred);
    Bounds { style, policy, functions: 1, disturbances, sample: 1, mutant: None }
}

fn messages(disturbances: u32) -> Bounds {
    Bounds { style: GuestStyle::Messages, ..config_space(disturbances) }
}

fn prefetch() -> Bounds {
    Bounds { policy: Policy::Prefetch, functions: 2, ..config_space(0) }
}

/// The checker must find that `property` does not hold of the model with the defect.
fn finds(bounds: Bounds, mutant: Mutant, property: &'static str) {
    let mutated = Bounds { mutant: Some(mutant), ..bounds };
    let checker = mutated
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])))
        // Enough for the longest of them, and an end where one is not found.
        .target_state_count(400_000)
        .spawn_bfs()
        .join();
    let Some(path) = checker.discovery(property) else {
        panic!("{mutant:?} was not found in {} states", checker.unique_state_count());
    };
    let events = path.into_actions();
    println!("{mutant:?}: found after {} states: {events:?}", checker.unique_state_count());
}

#[test]
fn a_rescind_that_nobody_tells() {
    finds(config_space(1), Mutant::RescindUntold, "nothing is sent after a rescind");
}

#[test]
fn a_channel_used_too_early() {
    finds(config_space(0), Mutant::OpenedEarly, "nothing is sent on a closed channel");
}

#[test]
fn an_id_used_twice() {
    finds(config_space(0), Mutant::IdRepeated, "ids are never 0 and never used twice");
}

#[test]
fn resources_assigned_without_d0() {
    finds(config_space(0), Mutant::D0Assumed, "no message out of place");
}

#[test]
fn a_function_attached_outside_the_windows() {
    finds(config_space(0), Mutant::ClaimForgotten, "no action out of place");
}

#[test]
fn an_eject_completed_at_once() {
    finds(config_space(1), Mutant::EjectHurried, "ejects are completed after the function is unused");
}

#[test]
fn a_window_given_back_while_it_is_mapped() {
    finds(config_space(1), Mutant::LeftOpen, "no range is given away that may be mapped");
}

#[test]
fn more_reports_than_there_is_room_for() {
    finds(config_space(0), Mutant::Chatter, "reports are bounded");
}

#[test]
fn a_window_kept_for_ever() {
    finds(config_space(1), Mutant::WindowKept, "nothing is held when it is over");
}

#[test]
fn a_suspend_that_drops_the_windows() {
    finds(config_space(1), Mutant::WindowsDropped, "a suspended bus keeps its functions and windows");
}

#[test]
fn a_quarantine_without_a_word() {
    finds(messages(2), Mutant::QuarantineUnsaid, "what is in quarantine was reported");
}

#[test]
fn a_bus_that_nobody_wakes() {
    finds(config_space(0), Mutant::ActionSwallowed, "there is a way on");
}

#[test]
fn a_stop_that_waits_for_the_publisher() {
    finds(config_space(0), Mutant::PublisherStuck, "a stop ends well with a host that answers");
}

#[test]
fn a_stop_that_waits_for_a_silent_host() {
    finds(config_space(0), Mutant::DeadlinesIgnored, "a stop ends well with a silent host");
}

#[test]
fn a_request_without_an_end() {
    finds(config_space(1), Mutant::DeadlinesIgnored, "every request ends");
}

#[test]
fn an_offer_to_a_bus_that_had_been_agreed_with() {
    finds(config_space(1), Mutant::OldVersionKept, "no message out of place");
}

#[test]
fn a_function_that_is_never_shown() {
    finds(config_space(1), Mutant::HotAddLost, "left alone, the bus comes to rest");
}

#[test]
fn a_function_that_is_shown_while_it_is_mapped() {
    finds(prefetch(), Mutant::MapDoneEarly, "nothing is shown before its background map");
}

#[test]
fn a_function_that_is_shown_before_the_config_half_knows() {
    finds(prefetch(), Mutant::PrefetchEndLost, "nothing is shown before its background map");
}

#[test]
fn a_function_that_is_shown_before_all_maps_are_asked_for() {
    finds(prefetch(), Mutant::PrefetchUnsent, "nothing is shown before its background map");
}
