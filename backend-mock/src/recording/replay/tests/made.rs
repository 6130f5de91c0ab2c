//! Recordings made from the golden ones: several channels, several functions, other beginnings.

use super::*;

fn renamed(text: &str, channel: &str) -> String {
    text.replace("3f5ae738", channel)
        .replace("38e75a3f", &format!("{}{}{}{}", &channel[6..], &channel[4..6], &channel[2..4], &channel[..2]))
}

/// The lines of several channels in turn.
fn interleaved(texts: &[String]) -> String {
    let all: Vec<Vec<&str>> = texts.iter().map(|text| text.lines().collect()).collect();
    let longest = all.iter().map(Vec::len).max().unwrap();
    let turns = (0..longest).flat_map(|at| all.iter().filter_map(move |lines| lines.get(at).copied()));
    turns.collect::<Vec<_>>().join("\n")
}

/// One section of the 6.12 recording.
fn section(name: &str) -> String {
    let text = text(LINUX_6_12);
    let rest = text.split_once(&format!("######## section {name}\n")).unwrap().1;
    rest.split("########").next().unwrap().to_owned()
}

fn sum(all: &[ReplayCounts]) -> ReplayCounts {
    let mut sum = ReplayCounts::default();
    all.iter().for_each(|counts| sum += *counts);
    sum
}

#[test]
fn interleaved_channels_cost_what_they_cost_apart() {
    let names = ["3f5ae738", "008091f6", "2c0a73e1"];
    let parts = [section("reload"), section("remove"), text(LINUX_6_1)];
    for policy in Policy::ALL {
        let apart = parts.each_ref().map(|text| assert_as_recorded(text, policy));
        let texts: Vec<String> = parts.iter().zip(names).map(|(text, name)| renamed(text, name)).collect();
        for some in [2, 3] {
            assert_eq!(assert_as_recorded(&interleaved(&texts[..some]), policy), sum(&apart[..some]), "{policy}");
        }
        let same: Vec<String> = names.iter().map(|name| renamed(&parts[0], name)).collect();
        assert_eq!(assert_as_recorded(&interleaved(&same), policy), sum(&[apart[0]; 3]), "{policy}");
    }
}

#[test]
fn channels_of_one_section_are_replayed_apart() {
    let counts = replayed(INTERLEAVED, Policy::Deferred).counts;
    // The one message of a kind that nobody knows.
    assert_eq!((counts.message_errors, counts.guest_writes), (1, 3));
}

#[test]
fn a_function_that_vanishes_is_seen_to_be_gone() {
    let mut text = text(LINUX_6_1);
    text.push_str(
        "\n00443 4.0 [3f5ae738] CFG SLOT <- 0x0\n00444 4.0 [3f5ae738] CFG RD off=0x000 len=2 -> ffff\n\
         00445 4.1 [3f5ae738] H->G desc(type=6/inband flags=0 txid=0x0) BUS_RELATIONS2 len=8 : 19004942 00000000\n\
         00446 4.2 [3f5ae738] CFG RD off=0x004 len=2 -> ffff\n",
    );
    assert_eq!(assert_as_recorded(&text, Policy::Deferred).host_unmaps, 1);
}

const ONE: &str = "14143ec0 00020801 00000000 00000000 38e75a3f 00000000 00000000";
const OTHER: &str = "14143ec0 00020801 00000000 01000000 38e75a3f 00000000 00000000";

/// A second function comes to the live bus: the host lists both, the guest asks for its BARs, and, as the stock driver
/// does, goes on without an assignment.
fn hot_add() -> String {
    let mut text = text(LINUX_6_1);
    text.push_str(&format!(
        "\n1 5.0 [3f5ae738] H->G desc(type=6/inband flags=0 txid=0x0) BUS_RELATIONS2 len=64 : 19004942 02000000 {ONE} {OTHER}\n\
         2 5.1 [3f5ae738] G->H desc(type=6 off8=2 len8=3 flags=1 txid=0x1) CURRENT_RESOURCE_REQUIREMENTS len=8 : 05004942 01000000\n\
         3 5.2 [3f5ae738] H->G desc(type=11/completion flags=0 txid=0x1) QueryResourceRequirementsReply len=28 : 00000000 \
         0c00ffff ffffffff 00000000 00000000 0cf0ffff ffffffff\n"
    ));
    for access in [
        "SLOT <- 0x1",
        "RD off=0x004 len=2 -> 0000",
        "RD off=0x00e len=1 -> 00",
        "WR off=0x010 len=4 <- 00100000",
        "WR off=0x014 len=4 <- 00000001",
        "WR off=0x020 len=4 <- 00110000",
        "WR off=0x024 len=4 <- 00000001",
        "WR off=0x004 len=2 <- 0006",
        "RD off=0x004 len=2 -> 0006",
        "RD off=0x010 len=4 -> 0010000c",
        "SLOT <- 0x0",
        "RD off=0x004 len=2 -> 0002",
    ] {
        text.push_str(&format!("4 5.3 [3f5ae738] CFG {access}\n"));
    }
    text
}

#[test]
fn a_hot_added_function_is_brought_up_beside_the_first() {
    for policy in Policy::ALL {
        let counts = assert_as_recorded(&hot_add(), policy);
        assert_eq!((counts.maps_recorded, counts.maps, counts.unmaps), (2, 2, 0), "{policy}");
    }
}

#[test]
fn an_ejected_function_is_there_until_the_guest_gives_it_back() {
    let mut text = text(LINUX_6_1);
    text.push_str(
        "\n1 6.0 [3f5ae738] H->G desc(type=6/inband flags=0 txid=0x0) EJECT len=8 : 0b004942 00000000\n\
         2 6.1 [3f5ae738] CFG RD off=0x004 len=2 -> 0002\n\
         3 6.2 [3f5ae738] G->H desc(type=6 off8=2 len8=3 flags=0 txid=0x0) EJECTION_COMPLETE len=8 : 0f004942 00000000\n",
    );
    assert_as_recorded(&text, Policy::Deferred);
}

#[test]
fn an_ejection_that_nobody_asked_for_is_one_error() {
    let mut text = text(LINUX_6_1);
    text.push_str("\n1 6.2 [3f5ae738] G->H desc(type=6 off8=2 len8=3 flags=0 txid=0x0) EJECTION_COMPLETE len=8 : 0f004942 00000000\n1 6.3 [3f5ae738] G->H desc(type=6 off8=2 len8=3 flags=1 txid=0x1) FDO_D0_EXIT len=8 : 08004942 00000000\n1 6.4 [3f5ae738] H->G desc(type=11/completion flags=0 txid=0x1) SUCCESS len=4 : 00000000\n");
    let replayed = replayed(&text, Policy::Deferred);
    let errors = &replayed.sections[0].message_errors;
    assert!(matches!(errors.as_slice(), [(_, text)] if text.contains("sends no EJECTION_COMPLETE")), "{errors:?}");
}

/// A section that begins anywhere in the bring-up.
#[test]
fn a_recording_may_start_midway() {
    let text = text(LINUX_6_1);
    let lines: Vec<&str> = text.lines().collect();
    // Behind the opening, the version query, its answer, the query for functions.
    for start in [3, 4, 5, 6, 7] {
        if start > 4 && !lines[start].contains("[3f5ae738]") {
            continue;
        }
        assert_as_recorded(&lines[start..].join("\n"), Policy::Deferred);
    }
    // Behind all lists: nothing is known of the function, which is said once, and it reads all ones.
    let late = replayed(&lines[300..].join("\n"), Policy::Deferred);
    assert_eq!(late.counts.message_errors, 1, "{:?}", late.sections[0].message_errors);
    // All but the liveness polls that ours leaves out.
    assert_eq!((late.counts.mismatches, late.counts.guest_reads), (47, 55));
}

/// The recorded driver asks every 100 µs whether the function is there; ours every 10 ms. What changes is always seen.
#[test]
fn a_burst_of_liveness_polls_costs_a_trap_in_ten_milliseconds() {
    let golden = text(LINUX_6_1);
    let poll = golden.lines().position(|line| line.contains("off=0x000")).unwrap();
    let with_polls = |values: &[&str]| {
        let mut lines: Vec<String> = golden.lines().map(str::to_owned).collect();
        for (n, value) in values.iter().enumerate().rev() {
            let time = 1.443_264 + 0.0001 * n as f64;
            lines.insert(poll + 1, format!("00279 {time:12.6} [3f5ae738] CFG RD off=0x000 len=2 -> {value}"));
        }
        lines.join("\n")
    };
    let before = assert_as_recorded(&golden, Policy::Deferred);
    // 15 ms of polls, then a function that is gone and comes back within a millisecond.
    let after = assert_as_recorded(&with_polls(&["1414"; 150]), Policy::Deferred);
    assert_eq!((after.traps - before.traps, after.guest_reads - before.guest_reads), (1, 150));
    let gone = assert_as_recorded(&with_polls(&["1414", "ffff", "ffff", "1414", "1414"]), Policy::Deferred);
    assert!(gone.traps - before.traps >= 2);
}

/// The same functions' life twice over one channel that is closed without D0 exit.
#[test]
fn a_channel_that_closes_without_d0_exit_starts_again() {
    let one = text(LINUX_6_1);
    let close = "1 9.0 CHANNEL close 3f5ae738-5c79-8781-8549-40abcf2714df\n\
                 1 9.0 [3f5ae738] HOST set_power(mem-enable=false)\n\
                 1 9.0 [3f5ae738] HOST set_bars [00000000, 00000000, 00000000, 00000000, 00000000, 00000000]";
    for between in [close, "1 9.0 CHANNEL close 3f5ae738-5c79-8781-8549-40abcf2714df"] {
        let counts = replayed(&format!("{one}\n{between}\n{one}"), Policy::Deferred);
        assert_eq!(counts.sections[0].message_errors, []);
    }
    let counts = assert_as_recorded(&format!("{one}\n{close}\n{one}"), Policy::Deferred);
    assert_eq!((counts.maps, counts.host_unmaps), (2, 1));
}

/// A guest that offers a version which the host refuses, then the next.
#[test]
fn the_versions_that_the_guest_tried_are_tried() {
    let golden = text(LINUX_6_1);
    let query = golden.lines().position(|line| line.contains("QUERY_PROTOCOL_VERSION")).unwrap();
    let refused = "1 1.16 [3f5ae738] G->H desc(type=6 off8=2 len8=3 flags=1 txid=0x1) QUERY_PROTOCOL_VERSION len=8 : 13004942 06000100\n\
                   1 1.17 [3f5ae738] H->G desc(type=11/completion flags=0 txid=0x1) QueryProtocolVersionReply len=8 : 590000c0 04000100";
    let mut lines: Vec<&str> = golden.lines().collect();
    // 1.5 is left out by this guest.
    lines.insert(query, refused);
    let counts = assert_as_recorded(&lines.join("\n"), Policy::Deferred);
    assert_eq!(counts.messages, assert_as_recorded(&golden, Policy::Deferred).messages + 2);
}

/// A guest of message style: D0 entry first, BARs named, decode by power state.
#[test]
fn a_guest_of_message_style_is_replayed_as_one() {
    let zeros = |count: usize| "00000000 ".repeat(count);
    let bar = |low: &str, length: &str| format!("03000000 {low} 01000000 {length} 00000000 ");
    let bars = format!("{}{}{}", bar("00000000", "00000100"), zeros(15), bar("00000100", "00100000"));
    let assigned = format!("16004942 00000000 {bars}{}", zeros(5 + 20));
    let assigned = assigned.trim_end();
    let bytes = assigned.split(' ').count() * 4;
    let guest = |name: &str, payload: &str| {
        let bytes = payload.split(' ').count() * 4;
        format!("1 1.0 [3f5ae738] G->H desc(type=6 off8=2 len8=3 flags=1 txid=0x1) {name} len={bytes} : {payload}\n")
    };
    let host = |payload: &str| {
        let bytes = payload.split(' ').count() * 4;
        format!("1 1.0 [3f5ae738] H->G desc(type=11/completion flags=0 txid=0x1) REPLY len={bytes} : {payload}\n")
    };
    assert!(bytes > 128);
    let text = [
        "1 0.1 CHANNEL open 3f5ae738-5c79-8781-8549-40abcf2714df\n".to_owned(),
        guest("VERSION", "13004942 04000100"),
        host("00000000 04000100"),
        guest("D0", "07004942 00000000 000000f8 00000000"),
        format!("1 1.0 [3f5ae738] H->G desc(type=6/inband flags=0 txid=0x0) LIST len=36 : 19004942 01000000 {ONE}\n"),
        host("00000000"),
        guest("REQUIREMENTS", "05004942 00000000"),
        host("00000000 0c00ffff ffffffff 00000000 00000000 0cf0ffff ffffffff"),
        guest("ASSIGNED", assigned),
        host(zeros(34).trim_end()),
        guest("POWER", "04004942 00000000 01000000"),
        "1 1.0 [3f5ae738] HOST set_power(mem-enable=true)\n".to_owned(),
        host("00000000 00000000 01000000"),
        "1 1.0 [3f5ae738] CFG SLOT <- 0x0\n1 1.0 [3f5ae738] CFG RD off=0x004 len=2 -> 0002\n".to_owned(),
        guest("CREATE", &format!("1b004942 00000000 30000000 00000100 01000000 {}", zeros(17).trim_end())),
        host("00000000 00000000 00000100 00000000 0000e0fe 00000000"),
        guest("POWER", "04004942 00000000 04000000"),
        host("00000000 00000000 04000000"),
    ]
    .concat();
    let counts = assert_as_recorded(&text, Policy::Deferred);
    assert_eq!((counts.maps_recorded, counts.maps, counts.unmaps_recorded, counts.unmaps), (1, 1, 1, 1));
}

/// A function that the host never lists is not there, and that is said once.
#[test]
fn functions_of_a_channel_without_a_list_are_one_error() {
    let text: String =
        text(LINUX_6_1).lines().filter(|line| !line.contains("BUS_RELATIONS2")).map(|l| format!("{l}\n")).collect();
    let replayed = replayed(&text, Policy::Deferred);
    let errors = &replayed.sections[0].message_errors;
    assert!(matches!(errors.as_slice(), [(_, text)] if text.contains("never listed any")), "{errors:?}");
}
