//! What the views, the ledger and the names hold by themselves; the policies are tested through the config half.

use core::time::Duration;

use super::plan::{Edge, Step, Why};
use super::{DecodeState, GuestStyle, HostView, Ledger, MEMORY, Policy};
use crate::config::BarLayout;
use crate::wire::ProbedBars;

/// A 64-bit BAR 0 and a 32-bit BAR 2.
fn layout() -> BarLayout {
    BarLayout::from_probed(&ProbedBars([0xFFFF_000C, 0xFFFF_FFFF, 0xFFFF_F000, 0, 0, 0])).0
}

fn state(policy: Policy) -> DecodeState {
    DecodeState::new(policy, layout(), &[Some(1 << 40), None, Some(0xE000_0000), None, None, None])
}

#[test]
fn the_host_has_a_64_bit_bar_when_both_halves_are_known() {
    let mut host = HostView::default();
    host.set_register(0, 0x1234_0000);
    assert_eq!((host.register(0), host.register(1), host.register(2)), (Some(0x1234_0000), None, None));
    assert_eq!(host.addresses(&layout()), [None; 6]);
    host.set_register(1, 1);
    assert_eq!(host.addresses(&layout()), [Some(0x1_1234_0000), None, None, None, None, None]);
    host.set_register(2, 0xE000_0000);
    assert_eq!(host.addresses(&layout()), [Some(0x1_1234_0000), None, Some(0xE000_0000), None, None, None]);
    host.forget_bars();
    assert_eq!(host.addresses(&layout()), [None; 6]);
    assert_eq!(layout().get(0).map(|bar| host.last_address(bar)), Some(0x1_1234_0000), "kept as a guess");
}

#[test]
fn a_host_that_unmaps_by_itself_ends_the_map_that_there_was() {
    let mut state = state(Policy::Deferred);
    assert_eq!(state.host_decode_becomes(true), Edge::Map);
    assert!(state.host_unmapped());
    assert!(!state.host().may_be_mapped() && !state.host_unmapped());
}

#[test]
fn a_map_that_is_not_known_to_be_there_may_be_there() {
    let mut state = state(Policy::Deferred);
    state.host_decode_becomes(true);
    state.host_decode_unknown();
    assert!(state.host().may_be_mapped() && !state.host().is_mapped());
    assert_eq!(state.host_decode_becomes(true), Edge::Map);
}

#[test]
fn eager_starts_with_memory_on_whatever_was_read() {
    for read in [0x0004, 0x0004 | MEMORY] {
        let plan = state(Policy::Eager).plan_start(read);
        assert_eq!(plan.last(), Some(&Step::WriteCommand { value: 0x0004 | MEMORY, why: Why::Set }));
    }
}

#[test]
fn every_count_of_a_ledger_is_added() {
    let one = Ledger {
        maps: 1,
        unmaps: 2,
        host_unmaps: 3,
        traps: 4,
        messages: 5,
        reads_served: 6,
        writes_absorbed: 7,
        refused_enables: 8,
        stale_bars: 9,
        wasted_prefetches: 10,
        host_map_time: Duration::from_secs(11),
    };
    let two = Ledger {
        maps: 2,
        unmaps: 4,
        host_unmaps: 6,
        traps: 8,
        messages: 10,
        reads_served: 12,
        writes_absorbed: 14,
        refused_enables: 16,
        stale_bars: 18,
        wasted_prefetches: 20,
        host_map_time: Duration::from_secs(22),
    };
    let mut sum = one;
    sum += one;
    assert_eq!(sum, two);
}

#[test]
fn styles_have_the_names_of_options_and_reports() {
    assert_eq!(GuestStyle::ConfigSpace.to_string(), "config-space");
    assert_eq!(format!("{:>9}", GuestStyle::Messages), " messages");
}
