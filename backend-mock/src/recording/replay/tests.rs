//! The golden traces through both halves.

use super::super::tests::{INTERLEAVED, LINUX_6_1, LINUX_6_12, parse};
use super::*;

mod edited;
mod made;

fn text(golden: &[u8]) -> String {
    std::str::from_utf8(golden).unwrap().to_owned()
}

fn replayed(text: &str, policy: Policy) -> Replay {
    replay(&parse(text).unwrap(), policy).unwrap()
}

/// The counts, and all that was found.
#[track_caller]
fn assert_as_recorded(text: &str, policy: Policy) -> ReplayCounts {
    let replayed = replayed(text, policy);
    for section in &replayed.sections {
        assert_eq!((section.mismatches.as_slice(), section.message_errors.as_slice()), ([].as_slice(), [].as_slice()));
    }
    assert_eq!((replayed.counts.mismatches, replayed.counts.message_errors), (0, 0));
    replayed.counts
}

/// Traps, maps and unmaps by policy.
type Expected = [(Policy, [u64; 4]); 4];

#[track_caller]
fn assert_costs(golden: &[u8], expected: Expected) {
    for (policy, [traps, maps, unmaps, host_unmaps]) in expected {
        let counts = assert_as_recorded(&text(golden), policy);
        let found = [counts.traps, counts.maps, counts.unmaps, counts.host_unmaps];
        assert_eq!(found, [traps, maps, unmaps, host_unmaps], "{policy}");
    }
}

#[test]
fn the_6_12_recording_under_every_policy() {
    assert_costs(
        LINUX_6_12,
        [
            (Policy::Eager, [698, 13, 7, 2]),
            (Policy::Deferred, [556, 13, 7, 2]),
            (Policy::Absorbing, [549, 6, 0, 2]),
            (Policy::Prefetch, [556, 13, 7, 2]),
        ],
    );
    let counts = assert_as_recorded(&text(LINUX_6_12), Policy::Deferred);
    assert_eq!((counts.guest_reads, counts.guest_writes, counts.messages), (1364, 284, 196));
    assert_eq!((counts.maps_recorded, counts.unmaps_recorded, counts.traps_recorded), (13, 7, 3296));
    assert!(counts.traps * 4 <= counts.traps_recorded);
}

#[test]
fn the_6_1_recording_under_every_policy() {
    assert_costs(
        LINUX_6_1,
        [
            (Policy::Eager, [92, 1, 0, 0]),
            (Policy::Deferred, [71, 1, 0, 0]),
            (Policy::Absorbing, [71, 1, 0, 0]),
            (Policy::Prefetch, [71, 1, 0, 0]),
        ],
    );
}

#[test]
fn maps_section_by_section() {
    let by_section = |policy| {
        let replayed = replayed(&text(LINUX_6_12), policy);
        replayed.sections.iter().map(|s| (s.name.clone(), s.counts.maps, s.counts.unmaps)).collect::<Vec<_>>()
    };
    let expected = |remove: (u64, u64)| {
        [("boot", (1, 0)), ("reload", (2, 0)), ("unbind", (2, 0)), ("remove", remove)]
            .map(|(name, (maps, unmaps))| (name.to_owned(), maps, unmaps))
            .to_vec()
    };
    assert_eq!(by_section(Policy::Eager), expected((8, 7)));
    assert_eq!(by_section(Policy::Deferred), expected((8, 7)));
    assert_eq!(by_section(Policy::Absorbing), expected((1, 0)));
    assert_eq!(by_section(Policy::Prefetch), expected((8, 7)));
}

/// The background map begins with the scan, long before the guest sets Memory.
#[test]
fn prefetch_maps_when_the_scan_begins() {
    let recording = parse(&text(LINUX_6_1)).unwrap();
    let section = &recording.sections[0];
    let is_scan = |kind: &EventKind| matches!(kind, EventKind::ConfigRead(read) if read.offset == 0x0E);
    let scan = section.events.iter().position(|event| is_scan(&event.kind)).unwrap();
    for (policy, maps) in [(Policy::Prefetch, 1), (Policy::Eager, 0), (Policy::Deferred, 0), (Policy::Absorbing, 0)] {
        let mut lane = Lane::new(section, section.channels()[0], policy).unwrap();
        for index in 0..scan {
            lane.take(index);
        }
        assert_eq!(lane.device_counts().maps, 0, "{policy}");
        lane.take(scan);
        assert_eq!(lane.device_counts().maps, maps, "{policy}");
    }
}

/// What was cut off at the end is no error, wherever the end is.
#[test]
fn any_beginning_of_a_recording_is_as_recorded() {
    let text = text(LINUX_6_1);
    let lines: Vec<&str> = text.lines().collect();
    for end in (4..lines.len()).filter(|end| lines[end - 1].contains("desc(") || end % 37 == 0) {
        assert_as_recorded(&lines[..end].join("\n"), Policy::Deferred);
    }
}

#[test]
fn line_ends_of_another_system_change_nothing() {
    for golden in [LINUX_6_1, LINUX_6_12] {
        let text = text(golden);
        assert_eq!(replayed(&text.replace('\n', "\r\n"), Policy::Deferred), replayed(&text, Policy::Deferred));
    }
}
