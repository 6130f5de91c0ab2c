//! The golden traces through our config half.

use super::super::tests::{INTERLEAVED, LINUX_6_1, LINUX_6_12, parse};
use super::*;

fn linux_6_12(policy: Policy) -> Replay {
    replay(&Recording::parse("6.12", LINUX_6_12).unwrap(), policy).unwrap()
}

#[test]
fn deferred_reads_as_recorded_for_a_quarter_of_the_traps() {
    let replayed = linux_6_12(Policy::Deferred);
    for section in &replayed.sections {
        assert_eq!((section.mismatches.as_slice(), section.message_errors.as_slice()), ([].as_slice(), [].as_slice()));
    }
    let counts = replayed.counts;
    assert_eq!((counts.guest_reads, counts.guest_writes, counts.mismatches), (1364, 284, 0));
    assert_eq!((counts.maps_recorded, counts.unmaps_recorded, counts.traps_recorded), (13, 7, 3296));
    assert_eq!((counts.maps, counts.unmaps, counts.host_unmaps), (13, 7, 2));
    assert!(counts.traps * 4 <= counts.traps_recorded, "{counts:?}");
    assert_eq!((counts.messages, counts.message_errors), (196, 0));
}

#[test]
fn absorbing_saves_the_pairs_of_a_remove_and_rescan() {
    let replayed = linux_6_12(Policy::Absorbing);
    let remove = replayed.sections.iter().find(|section| section.name == "remove").unwrap();
    assert_eq!((remove.counts.maps_recorded, remove.counts.maps, remove.counts.unmaps), (8, 1, 0), "{remove:?}");
    assert_eq!(remove.counts.mismatches, 0, "{remove:?}");
}

#[test]
fn prefetch_maps_once_per_start() {
    let replayed = linux_6_12(Policy::Prefetch);
    let maps: Vec<u64> = replayed.sections.iter().map(|section| section.counts.maps).collect();
    assert_eq!((maps, replayed.counts.mismatches), (vec![1, 2, 2, 8], 0), "{replayed:?}");
}

#[test]
fn the_6_1_guest_reads_as_recorded() {
    let replayed = replay(&Recording::parse("6.1", LINUX_6_1).unwrap(), Policy::Deferred).unwrap();
    assert_eq!((replayed.counts.mismatches, replayed.counts.message_errors), (0, 0), "{replayed:?}");
    assert_eq!((replayed.counts.maps, replayed.counts.unmaps), (1, 0));
    assert!(replayed.counts.traps * 4 <= replayed.counts.traps_recorded, "{replayed:?}");
}

#[test]
fn channels_of_one_section_are_replayed_apart() {
    let replayed = replay(&parse(INTERLEAVED).unwrap(), Policy::Deferred).unwrap();
    // The one message of a kind that nobody knows.
    assert_eq!((replayed.counts.message_errors, replayed.counts.guest_writes), (1, 3));
}

#[test]
fn two_channels_interleaved_cost_twice_one() {
    let one = std::str::from_utf8(LINUX_6_1).unwrap();
    let twice: String = one.lines().map(|line| format!("{line}\n{}\n", line.replace("3f5ae738", "008091f6"))).collect();
    let [one, two] = [one, &twice].map(|text| replay(&parse(text).unwrap(), Policy::Deferred).unwrap().counts);
    let mut doubled = one;
    doubled += one;
    assert_eq!(two, doubled);
}

#[test]
fn a_function_that_vanishes_is_seen_to_be_gone() {
    let mut text = std::str::from_utf8(LINUX_6_1).unwrap().to_owned();
    text.push_str(
        "\n00443 4.0 [3f5ae738] CFG SLOT <- 0x0\n00444 4.0 [3f5ae738] CFG RD off=0x000 len=2 -> ffff\n\
         00445 4.1 [3f5ae738] H->G desc(type=6/inband flags=0 txid=0x0) BUS_RELATIONS2 len=8 : 19004942 00000000\n\
         00446 4.2 [3f5ae738] CFG RD off=0x004 len=2 -> ffff\n",
    );
    let counts = replay(&parse(&text).unwrap(), Policy::Deferred).unwrap().counts;
    assert_eq!((counts.mismatches, counts.message_errors, counts.host_unmaps), (0, 0, 1));
}
