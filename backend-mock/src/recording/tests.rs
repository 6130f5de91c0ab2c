//! The golden traces, and files that are no recordings.

use hvpci_core::backend::Width;
use proptest::prelude::*;

use super::*;

pub(super) const LINUX_6_12: &[u8] = include_bytes!("../../../tests/data/stock-pci-hyperv-on-openvmm.trace.txt");
pub(super) const LINUX_6_1: &[u8] = include_bytes!("../../../tests/data/stock-pci-hyperv-6.1-on-openvmm.trace.txt");

pub(super) fn parse(text: &str) -> Result<Recording, RecordingError> {
    Recording::parse("dir/some.trace.txt", text.as_bytes())
}

/// A recording of three channels interleaved, with lines of unknown kinds.
pub(super) const INTERLEAVED: &str = "\
# three buses come up at once
00001 0.000001 HV hypercall page at 0x1000 overlaid (was [0f]): true
00002 0.1 CHANNEL open 008091f6-5c79-8781-8549-40abcf2714df
00003 0.2 HVCALL POST_MESSAGE connection=1 type=1 : 00000000 01
00004 0.2 CHANNEL open 3f5ae738-5c79-8781-8549-40abcf2714df
00005 0.3 CHANNEL open 2c0a73e1-5c79-8781-8549-40abcf2714df
00006 0.4 [008091f6] CFG SLOT <- 0x0
00007 0.4 [3f5ae738] CFG SLOT <- 0x20
00008 0.5 [008091f6] CFG WR off=0x004 len=2 <- 0002
00009 0.5 [2c0a73e1] G->H desc(type=6 off8=2 len8=3 flags=1 txid=0x1) SOMETHING NEW len=8 : 77004942 00000000
00010 0.6 [3f5ae738] CFG WR off=0x004 len=4 <- 00000406
00011 0.7 [3f5ae738] CFG RD off=0x00e len=1 -> 80
00012 0.8 [008091f6] CFG WR off=0x004 len=1 <- 00
00013 0.9 [2c0a73e1] DEVICE does something new
00014 1.0 [3f5ae738] HOST set_power(mem-enable=false)
";

#[test]
fn the_6_12_recording_has_the_totals_of_its_header() {
    let recording = Recording::parse("x.trace.txt", LINUX_6_12).unwrap();
    // Name; reads, writes, selections, maps, unmaps, host unmaps (header lines A to D).
    let expected = [
        ("boot", [199, 40, 239, 1, 0, 0]),
        ("reload", [367, 80, 447, 2, 0, 1]),
        ("unbind", [400, 80, 480, 2, 0, 1]),
        ("remove", [398, 84, 482, 8, 7, 0]),
    ];
    assert_eq!(recording.sections.len(), expected.len());
    for (section, (name, counts)) in recording.sections.iter().zip(expected) {
        let totals = Totals::of(&section.events);
        let Totals { reads, writes, selections, maps, unmaps, host_unmaps, others, .. } = totals;
        assert_eq!((section.name.as_str(), [reads, writes, selections, maps, unmaps, host_unmaps]), (name, counts));
        assert_eq!(others, 0, "every line of {name} is of a known kind");
    }
}

#[test]
fn the_packets_of_the_6_12_recording_are_those_its_footer_counts() {
    let recording = Recording::parse("x.trace.txt", LINUX_6_12).unwrap();
    let footer = std::str::from_utf8(LINUX_6_12).unwrap();
    for section in &recording.sections {
        let heading = format!("# == {}.trace.txt", section.name);
        let block = footer.split(&heading).nth(1).and_then(|rest| rest.split("# ==").next()).unwrap();
        let mut kinds = 0;
        for line in block.lines().filter(|line| line.contains(" type=")) {
            let mut words = line.trim_start_matches('#').split_whitespace();
            let count: usize = words.next().unwrap().parse().unwrap();
            let direction = match words.next().unwrap() {
                "G->H" => Direction::GuestToHost,
                _ => Direction::HostToGuest,
            };
            let name = line.split_whitespace().last().unwrap();
            let found = section.events.iter().filter(
                |event| matches!(&event.kind, EventKind::Packet(p) if p.direction == direction && p.name == name),
            );
            assert_eq!(found.count(), count, "{} {line}", section.name);
            kinds += 1;
        }
        assert!(kinds >= 13, "the footer was found");
    }
}

#[test]
fn the_6_1_recording_is_one_section_with_the_totals_of_its_header() {
    let recording = Recording::parse("data/stock-6.1.trace.txt", LINUX_6_1).unwrap();
    let [section] = recording.sections.as_slice() else { panic!("{} sections", recording.sections.len()) };
    let Totals { reads, writes, selections, maps, unmaps, others, .. } = Totals::of(&section.events);
    assert_eq!((reads, writes, selections, maps, unmaps, others), (163, 40, 203, 1, 0, 0));
    assert_eq!(section.name, "stock-6.1");
}

#[test]
fn lines_become_the_events_they_say() {
    let recording = Recording::parse("x", LINUX_6_12).unwrap();
    let events = &recording.sections[0].events;
    let EventKind::ChannelOpen(id) = &events[1].kind else { panic!() };
    assert_eq!(id.to_string(), "3f5ae738-5c79-8781-8549-40abcf2714df");
    assert_eq!((events[1].line, events[1].number, events[1].time.as_micros()), (33, 2, 1_265_834));
    let EventKind::Packet(packet) = &events[7].kind else { panic!() };
    assert_eq!((packet.direction, packet.descriptor.transaction_id), (Direction::HostToGuest, 1));
    assert!(packet.descriptor.is_completion());
    assert_eq!((packet.payload.len(), packet.u32_at(4), packet.u32_at(24)), (28, Some(0xFFFF_000C), Some(0xFFFF_FFFF)));
    let channel = ChannelId(0x3F5A_E738);
    let had = |device_had, transition| Some(CommandNote { device_had, transition: Some(transition) });
    let write =
        |value, note| EventKind::ConfigWrite(ConfigWrite { channel, offset: 4, width: Width::Word, value, note });
    assert!(events.iter().any(|event| event.kind == write(0x0002, had(0, (false, true)))));
    assert!(events.iter().any(|event| event.kind == write(0x0406, had(0x0006, (true, true)))));
    let retarget = events.iter().find_map(|event| match &event.kind {
        EventKind::RetargetHypercall(call) => Some(call),
        _ => None,
    });
    let retarget = retarget.unwrap();
    assert_eq!((retarget.device_id, retarget.address, retarget.vector), (0x5C79_8780, 0xFEE0_0000, 0x23));
    assert_eq!((retarget.vps.as_slice(), retarget.result.as_deref()), ([0].as_slice(), Some("Ok(())")));
}

#[test]
fn interleaved_channels_keep_their_own_slots_and_decode() {
    let recording = parse(INTERLEAVED).unwrap();
    let section = &recording.sections[0];
    assert_eq!(section.name, "some");
    let channels = [ChannelId(0x0080_91F6), ChannelId(0x3F5A_E738), ChannelId(0x2C0A_73E1)];
    assert_eq!(section.channels(), channels);
    let of = |channel| Totals::of(section.events_of(channel).map(|(_, event)| event));
    let [a, b, c] = channels.map(of);
    assert_eq!((a.writes, a.maps, a.unmaps, a.host_unmaps), (2, 1, 1, 0));
    assert_eq!((b.reads, b.writes, b.maps, b.unmaps, b.host_unmaps), (1, 1, 1, 0, 1));
    assert_eq!((c.guest_packets, c.others), (1, 1));
    assert_eq!(Totals::of(&section.events).others, 2);
}

#[test]
fn line_ends_do_not_matter() {
    let unix = parse(INTERLEAVED).unwrap();
    assert_eq!(parse(&INTERLEAVED.replace('\n', "\r\n")).unwrap(), unix);
    assert_eq!(parse(INTERLEAVED.trim_end()).unwrap(), unix);
}

#[test]
fn sections_and_closing_blocks() {
    let text = "00001 0.1 HOST config space unmapped\n######## section a b\n00001 0.1 HOST config space mapped at 0x10\n\
                ######## section empty\n######## counts by message\n# 1 x\n";
    let recording = parse(text).unwrap();
    let names: Vec<_> = recording.sections.iter().map(|s| (s.name.as_str(), s.events.len())).collect();
    assert_eq!(names, [("some", 1), ("a b", 1), ("empty", 0)]);
    let error = parse(&format!("{text}00002 0.2 HOST config space unmapped\n")).unwrap_err();
    assert!(error.to_string().starts_with("dir/some.trace.txt:7: found `00002"), "{error}");
}

#[test]
fn malformed_lines_are_refused_with_file_line_found_and_allowed() {
    let cases = [
        ("hello", "a line number, seconds and an event"),
        ("00001", "a line number"),
        ("00001 0.1", "a line number"),
        ("x 0.1 CHANNEL open 3f5ae738-5c79-8781-8549-40abcf2714df", "a line number"),
        ("00001 -0.1 HOST config space unmapped", "a line number"),
        ("00001 0.1 CHANNEL open 3f5ae738", "a GUID"),
        ("00001 0.1 CFG SLOT <- 0x0", "a channel column"),
        ("00001 0.1 [3f5ae7] CFG SLOT <- 0x0", "eight hex digits"),
        ("00001 0.1 [3f5ae738 CFG SLOT <- 0x0", "eight hex digits"),
        ("00001 0.1 [3f5ae738] CFG SLOT <- 0x100000000", "a 32-bit number"),
        ("00001 0.1 [3f5ae738] CFG RD off=0x1000 len=2 -> 0000", "an offset from 0x000 to 0xfff"),
        ("00001 0.1 [3f5ae738] CFG RD off=0xfff len=2 -> 0000", "stays within the config page"),
        ("00001 0.1 [3f5ae738] CFG RD off=zz len=2 -> 0000", "an offset"),
        ("00001 0.1 [3f5ae738] CFG RD off=0x004 len=3 -> 0000", "`len=4`"),
        ("00001 0.1 [3f5ae738] CFG RD off=0x004 len=2 <- 0000", "`->` and a value of 4 hex digits"),
        ("00001 0.1 [3f5ae738] CFG RD off=0x004 len=2 -> 10000", "`->` and a value of 4 hex digits"),
        ("00001 0.1 [3f5ae738] CFG WR off=0x004 len=2 <-", "`<-` and a value"),
        ("00001 0.1 [3f5ae738] CFG WR off=0x004 len=2 <- 0000  COMMAND device-had=x", "device-had"),
        ("00001 0.1 [3f5ae738] CFG WR off=0x004 len=2 <- 0  COMMAND device-had=0x0 mem 0->2", "0->1"),
        ("00001 0.1 [3f5ae738] G->H desc(type=6 flags=0) X len=0 :", "txid=0x1"),
        ("00001 0.1 [3f5ae738] G->H desc(type=6 flags=0 txid=0x1) X len=8 : 13004942", "as many as `len=8` says"),
        ("00001 0.1 [3f5ae738] G->H desc(type=6 flags=0 txid=0x1) X len=4 : 1300494", "pairs of hex digits"),
        ("00001 0.1 [3f5ae738] G->H desc(type=6 flags=0 txid=0x1) X len=4 : 130049zz", "pairs of hex digits"),
        ("00001 0.1 [3f5ae738] HOST set_bars [0, 0]", "six BAR registers"),
        ("00001 0.1 [3f5ae738] HOST set_bars [0, 0, 0, 0, 0, 0, 0]", "six BAR registers"),
        ("00001 0.1 [3f5ae738] HOST set_power(mem-enable=maybe)", "mem-enable=true"),
        ("00001 0.1 HVCALL RETARGET_INTERRUPT devid=0x1", "vps=[0]"),
        ("00001 0.1 HOST config space mapped at nowhere", "an address"),
        ("00001 0.1 HV hypercall page at \u{7}", "printable text"),
    ];
    for (line, allowed) in cases {
        let text = format!("# comment\n00001 0.0 HOST config space unmapped\n{line}\n");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with("dir/some.trace.txt:3: found "), "{line}: {error}");
        assert!(error.contains(allowed), "{line}: {error}");
        assert!(error.len() < 400 && !error.contains('\n'), "one line, bounded: {error}");
    }
}

#[test]
fn what_is_no_recording_is_refused() {
    for text in ["", "\n\n", "# only a comment\n", "######## section a\n", "00001 0.1 lunch is served\n"] {
        assert!(matches!(parse(text), Err(RecordingError::NoEvents { .. })), "{text}");
    }
    let binary: Vec<u8> = (0..=255).cycle().take(4096).collect();
    assert!(matches!(Recording::parse("x", &binary), Err(RecordingError::Malformed { .. })));
    let endless = vec![b'7'; MAX_LINE_BYTES + 1];
    let error = Recording::parse("x", &endless).unwrap_err().to_string();
    assert!(error.contains("a line of 262145 bytes"), "{error}");
    let error = Recording::load(std::path::Path::new("/nonexistent/x.trace.txt")).unwrap_err();
    assert!(matches!(error, RecordingError::Io { .. }) && error.to_string().starts_with("/nonexistent/x.trace.txt: "));
}

#[test]
fn show_explains_the_6_12_recording() {
    let text = shown(&Recording::parse("x", LINUX_6_12).unwrap());
    for line in [
        "guest -> QUERY_PROTOCOL_VERSION: version 1.4?",
        "host  -> BUS_RELATIONS2: 1 function(s); slot 00.0 is 1414:c03e class 010802 serial 0x3f5ae738",
        "host  -> reply to QUERY_RESOURCE_REQUIREMENTS: success, BARs probe as \
         ffff000c ffffffff 00000000 00000000 fffff00c ffffffff",
        "guest -> FDO_D0ENTRY: config window at 0xf8000000",
        "guest -> CREATE_INTERRUPT3: slot 00.0, vector 0xef, 1 message(s), VP 0",
        "reply to CREATE_INTERRUPT3: success, address 0xfee00000, data 0x0, 1 message(s)",
        "write COMMAND                          0402  Memory, INTx Disable",
        ">>> MAP 8 (memory decode 0->1)",
        "<<< UNMAP 7 (memory decode 1->0)",
        "write MSI-X Message Control            c03f  enabled, all masked, table of 64",
        "read  PCIe Device Capabilities     00008000  max payload 128 bytes, no function-level reset",
        "398 reads + 84 writes + 482 slot selections = 964 traps",
        "1364 reads + 284 writes + 1648 slot selections = 3296 traps",
        "13 maps, 7 unmaps by guest writes",
    ] {
        assert!(text.contains(line), "missing: {line}");
    }
    assert!(!text.contains("not decoded"), "everything in this recording is decoded");
}

#[test]
fn show_copes_with_what_it_does_not_know() {
    let text = shown(&parse(INTERLEAVED).unwrap());
    for line in
        ["message 0x42490077: 8 bytes, fields not decoded", "(not decoded) DEVICE does something new", "slot 00.1"]
    {
        assert!(text.contains(line), "missing {line} in\n{text}");
    }
    assert!(text.contains("of which channel 2c0a73e1"));
}

fn shown(recording: &Recording) -> String {
    let mut out = Vec::new();
    show(recording, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Lines that are nearly events.
fn any_line() -> impl Strategy<Value = String> {
    let lines: Vec<String> =
        INTERLEAVED.lines().chain(std::str::from_utf8(LINUX_6_1).unwrap().lines()).map(str::to_owned).collect();
    let line = proptest::sample::select(lines);
    // Mostly whole; now and then with a character replaced, or cut short.
    prop_oneof![
        8 => line.clone(),
        1 => (line.clone(), any::<prop::sample::Index>(), "[ -~]").prop_map(|(line, at, new)| {
            let mut chars: Vec<char> = line.chars().collect();
            if !chars.is_empty() {
                let at = at.index(chars.len());
                chars[at] = new.chars().next().unwrap_or(' ');
            }
            chars.into_iter().collect()
        }),
        1 => (line, any::<prop::sample::Index>()).prop_map(|(line, at)| line.chars().take(at.index(line.len() + 1)).collect()),
        1 => (0u32..512, 0u16..0x1000, prop::sample::select(vec![1, 2, 4]), any::<u32>(), any::<bool>()).prop_map(
            |(slot, offset, len, value, write)| {
                let value = value >> (32 - 8 * len);
                let (verb, arrow) = if write { ("WR", "<-") } else { ("RD", "->") };
                let access = format!("1 0.1 [3f5ae738] CFG {verb} off={offset:#x} len={len} {arrow} {value:x}");
                if slot < 256 { format!("1 0.1 [3f5ae738] CFG SLOT <- {slot:#x}\n{access}") } else { access }
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(200)))]

    #[test]
    fn bytes_of_any_kind_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Err(error) = Recording::parse("x", &bytes) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn what_parses_can_be_shown_and_rebuilt(lines in prop::collection::vec(any_line(), 1..40)) {
        let good: Vec<&str> = lines.iter().map(String::as_str).filter(|line| parse(line).is_ok()).collect();
        let Ok(recording) = parse(&good.join("\n")) else { return Ok(()) };
        shown(&recording);
        for policy in hvpci_core::decode::Policy::ALL {
            let counts = replay(&recording, policy).unwrap().counts;
            prop_assert!(counts.mismatches <= counts.guest_reads && counts.message_errors <= counts.messages);
        }
        for section in &recording.sections {
            for channel in section.channels() {
                let device = ReplayDevice::learn(section, channel);
                prop_assert_eq!(device.differences(section, channel), vec![]);
            }
        }
    }
}
