//! The rebuilt device against the recordings it was rebuilt from, and against what they do not show.

use super::super::tests::{INTERLEAVED, LINUX_6_1, LINUX_6_12, parse};
use super::super::{EventKind, Recording};
use super::*;

const NVME: ChannelId = ChannelId(0x3F5A_E738);

fn both() -> [Recording; 2] {
    [Recording::parse("6.12", LINUX_6_12).unwrap(), Recording::parse("6.1", LINUX_6_1).unwrap()]
}

fn inferred(device: &ReplayDevice) -> Vec<ScheduledChange> {
    device.schedule().iter().copied().filter(ScheduledChange::is_inferred).collect()
}

/// A recording of one channel from the text of its events.
fn device(events: &str) -> (Section, ReplayDevice) {
    let lines = events.lines().enumerate().map(|(index, event)| format!("{index} 0.1 [3f5ae738] {}\n", event.trim()));
    let recording = parse(&lines.collect::<String>()).unwrap();
    let section = recording.sections.into_iter().next().unwrap();
    let device = ReplayDevice::learn(&section, NVME);
    (section, device)
}

#[test]
fn its_own_accesses_read_as_recorded_and_nothing_is_merely_looked_up() {
    for recording in both() {
        for section in &recording.sections {
            let device = ReplayDevice::learn(section, NVME);
            assert_eq!(device.differences(section, NVME), [], "{} {}", recording.file, section.name);
            assert_eq!(inferred(&device), [], "{} {}", recording.file, section.name);
        }
    }
}

#[test]
fn its_own_accesses_cost_what_was_recorded() {
    for recording in both() {
        for section in &recording.sections {
            let mut device = ReplayDevice::learn(section, NVME);
            for (index, event) in section.events.iter().enumerate() {
                device.advance_to(index);
                match &event.kind {
                    EventKind::Select { value, .. } => device.select_raw(*value),
                    EventKind::ConfigRead(read) => drop(device.read(read.offset, read.width)),
                    EventKind::ConfigWrite(write) => device.write(write.offset, write.width, write.value),
                    _ => {}
                }
            }
            let recorded = Totals::of(&section.events);
            let counts = |t: &Totals| [t.reads, t.writes, t.selections, t.maps, t.unmaps, t.host_maps, t.host_unmaps];
            assert_eq!(counts(device.counts()), counts(&recorded), "{}", section.name);
            assert_eq!((device.blocked_bar_writes(), device.unknown_reads()), (0, 0));
        }
    }
}

#[test]
fn fewer_accesses_get_the_answers_of_the_same_device() {
    let [recording, _] = both();
    let remove = recording.sections.iter().find(|section| section.name == "remove").unwrap();
    let mut device = ReplayDevice::learn(remove, NVME);
    device.advance_to(usize::MAX);
    // No write of the recording was made: the BARs hold zero, the masks and the identity are those of the device.
    device.select(Slot::ZERO).unwrap();
    assert_eq!(device.function(0).unwrap().bars(), [0xC, 0, 0, 0, 0xC, 0]);
    for (offset, expected) in [(0x10, 0xFFFF_000C), (0x14, 0xFFFF_FFFF), (0x18, 0), (0x20, 0xFFFF_F00C)] {
        device.write(offset, Width::Dword, 0xFFFF_FFFF);
        assert_eq!(device.read(offset, Width::Dword), expected);
    }
    assert_eq!(device.read(0, Width::Dword), 0xC03E_1414);
    assert_eq!(device.read(8, Width::Dword), 0x0108_0200);
    // MSI-X: enable is kept, the function mask is not, as recorded.
    device.write(0x42, Width::Word, 0xC03F);
    assert_eq!(device.read(0x42, Width::Word), 0x803F);
    // Decode on: BARs are locked. An enable that is on already is no map.
    device.write(0x04, Width::Word, 0x0006);
    device.write(0x04, Width::Dword, 0xFFFF_0406);
    assert_eq!(device.read(0x04, Width::Dword), 0x0010_0406);
    device.write(0x14, Width::Dword, 1);
    assert_eq!(device.read(0x14, Width::Dword), 0xFFFF_FFFF);
    assert_eq!((device.counts().maps, device.blocked_bar_writes()), (1, 1));
    device.write(0x05, Width::Byte, 0);
    device.write(0x04, Width::Byte, 0);
    assert_eq!((device.counts().unmaps, device.read(0x04, Width::Word)), (1, 0));
}

#[test]
fn the_host_takes_its_lines_out_on_a_device_that_stands_otherwise() {
    let [recording, _] = both();
    let reload = recording.sections.iter().find(|section| section.name == "reload").unwrap();
    let mut device = ReplayDevice::learn(reload, NVME);
    let close = reload.events.iter().position(|event| matches!(event.kind, EventKind::ChannelClose(_))).unwrap();
    device.advance_to(close);
    device.select(Slot::ZERO).unwrap();
    device.write(0x10, Width::Dword, 0x0012_0000);
    device.write(0x04, Width::Word, 0x0002);
    assert!(device.function(0).unwrap().memory_decode());
    device.advance_to(close + 3);
    assert!(!device.function(0).unwrap().memory_decode());
    assert_eq!(device.read(0x10, Width::Dword), 0xC);
    assert_eq!((device.counts().maps, device.counts().unmaps, device.counts().host_unmaps), (1, 0, 1));
}

#[test]
fn slots_that_nobody_described_are_empty() {
    let [_, recording] = both();
    let mut device = ReplayDevice::learn(&recording.sections[0], NVME);
    for wslot in [1, 0x20, 255, 256, u32::MAX] {
        device.select_raw(wslot);
        device.write(4, Width::Word, 2);
        assert_eq!((device.read(0, Width::Dword), device.read(4, Width::Byte)), (u32::MAX, 0xFF));
    }
    assert_eq!(device.counts().maps, 0);
    device.select_raw(0);
    assert_eq!(device.read(0xFFE, Width::Dword), u32::MAX, "no access crosses the end of the page");
    assert_eq!((device.unknown_reads(), device.read(0x200, Width::Dword), device.unknown_reads()), (0, 0, 1));
}

#[test]
fn what_no_write_explains_is_scheduled_where_it_shows() {
    let (section, mut device) = device(
        "CFG SLOT <- 0x0
        CFG RD off=0x006 len=2 -> 0010
        CFG RD off=0x006 len=2 -> 2010
        CFG WR off=0x006 len=2 <- 2000
        CFG RD off=0x006 len=2 -> 0010",
    );
    assert_eq!(device.differences(&section, NVME), []);
    // The error bit rises by itself; that writing one clears it is a rule, not a second change.
    let rise = Change::Bits { offset: 6, mask: 0x2000, value: 0x2010 };
    assert_eq!(inferred(&device), [ScheduledChange { index: 2, slot: Some(0), change: rise }]);
    assert_eq!(device.read(6, Width::Word), 0x0010);
    device.advance_to(4);
    assert_eq!(device.read(6, Width::Word), 0x2010, "nobody cleared it");
}

#[test]
fn a_function_that_vanishes_reads_all_ones_and_comes_back_afresh() {
    let (section, mut device) = device(
        "CFG SLOT <- 0x0
        CFG RD off=0x000 len=2 -> 1414
        CFG RD off=0x004 len=2 -> 0000
        CFG WR off=0x004 len=2 <- 0002  COMMAND device-had=0x0000 new-low-byte=0x02 mem 0->1
        CFG RD off=0x004 len=2 -> 0002
        CFG RD off=0x042 len=2 -> ffff
        CFG RD off=0x000 len=2 -> ffff
        CFG WR off=0x004 len=2 <- 0000
        CFG RD off=0x000 len=2 -> 1414
        CFG RD off=0x004 len=2 -> 0000",
    );
    assert_eq!(device.differences(&section, NVME), []);
    let presence = |index, present| ScheduledChange { index, slot: Some(0), change: Change::Presence(present) };
    assert_eq!(device.schedule(), [presence(5, false), presence(8, true)]);
    device.write(4, Width::Word, 2);
    device.advance_to(5);
    assert_eq!((device.counts().host_unmaps, device.read(0x10, Width::Dword)), (1, u32::MAX));
    device.advance_to(8);
    assert_eq!((device.read(0, Width::Word), device.read(4, Width::Word)), (0x1414, 0));
}

#[test]
fn a_function_level_reset_puts_the_function_back() {
    let (section, mut device) = device(
        "CFG SLOT <- 0x0
        CFG RD off=0x034 len=1 -> 40
        CFG RD off=0x040 len=2 -> 0010
        CFG RD off=0x044 len=4 -> 10008000
        CFG RD off=0x004 len=2 -> 0000
        CFG RD off=0x010 len=4 -> 00000000
        CFG WR off=0x010 len=4 <- ffffffff
        CFG RD off=0x010 len=4 -> fffff000
        CFG WR off=0x010 len=4 <- 10000000
        CFG WR off=0x004 len=2 <- 0006
        CFG RD off=0x004 len=2 -> 0006
        CFG RD off=0x010 len=4 -> 10000000
        CFG WR off=0x048 len=2 <- a810
        CFG RD off=0x004 len=2 -> 0000
        CFG RD off=0x010 len=4 -> 00000000",
    );
    assert_eq!((device.differences(&section, NVME), inferred(&device)), (vec![], vec![]));
    device.write(4, Width::Word, 6);
    device.write(0x48, Width::Word, 0x8000);
    assert_eq!((device.counts().unmaps, device.counts().host_unmaps, device.read(4, Width::Word)), (0, 1, 0));
}

#[test]
fn a_host_that_does_not_lock_bars_is_recognised() {
    let (section, device) = device(
        "CFG SLOT <- 0x0
        CFG RD off=0x004 len=2 -> 0002
        CFG RD off=0x010 len=4 -> 00000000
        CFG WR off=0x010 len=4 <- 10000000
        CFG RD off=0x010 len=4 -> 10000000
        CFG WR off=0x004 len=2 <- 0000
        CFG WR off=0x010 len=4 <- ffffffff
        CFG RD off=0x010 len=4 -> fffff000
        CFG WR off=0x010 len=4 <- 20000000
        CFG WR off=0x004 len=2 <- 0002
        CFG WR off=0x010 len=4 <- 30000000
        CFG RD off=0x010 len=4 -> 30000000",
    );
    assert_eq!((device.differences(&section, NVME), inferred(&device)), (vec![], vec![]));
}

#[test]
fn functions_of_one_channel_are_apart_and_absent_ones_stay_absent() {
    let (section, mut device) = device(
        "CFG SLOT <- 0x0
        CFG RD off=0x000 len=4 -> c03e1414
        CFG WR off=0x004 len=2 <- 0002
        CFG RD off=0x004 len=2 -> 0002
        CFG SLOT <- 0x20
        CFG RD off=0x000 len=4 -> 00011414
        CFG RD off=0x004 len=2 -> 0000
        CFG SLOT <- 0x40
        CFG RD off=0x000 len=4 -> ffffffff",
    );
    assert_eq!((device.differences(&section, NVME), device.schedule()), (vec![], [].as_slice()));
    device.select(Slot::new(0, 1).unwrap()).unwrap();
    device.write(4, Width::Word, 2);
    assert_eq!(device.function(0).map(FunctionModel::memory_decode), Some(false));
    assert_eq!(device.function(0x20).map(FunctionModel::memory_decode), Some(true));
    assert_eq!(device.function(0x40).map(FunctionModel::is_present), Some(false));
}

#[test]
fn interleaved_channels_have_devices_of_their_own() {
    let recording = parse(INTERLEAVED).unwrap();
    let section = &recording.sections[0];
    for channel in section.channels() {
        let device = ReplayDevice::learn(section, channel);
        assert_eq!(device.differences(section, channel), []);
        assert!(inferred(&device).is_empty());
    }
}

#[test]
fn host_lines_are_about_the_function_whose_request_is_under_way() {
    let (section, mut device) = device(
        "CFG SLOT <- 0x0
        CFG RD off=0x000 len=4 -> c03e1414
        CFG SLOT <- 0x20
        CFG RD off=0x000 len=4 -> 00011414
        G->H desc(type=6 flags=1 txid=0x1) POWER len=12 : 04004942 20000000 01000000
        HOST set_power(mem-enable=true)
        H->G desc(type=11/completion flags=0 txid=0x1) SUCCESS len=4 : 00000000
        G->H desc(type=6 flags=1 txid=0x1) FDO_D0_EXIT len=8 : 08004942 00000000
        HOST set_power(mem-enable=false)",
    );
    device.advance_to(5);
    let decode =
        |device: &ReplayDevice| [0, 0x20].map(|slot| device.function(slot).is_some_and(FunctionModel::memory_decode));
    assert_eq!(decode(&device), [false, true]);
    device.advance_to(8);
    assert_eq!(decode(&device), [false, false]);
    let totals = Totals::of(&section.events);
    assert_eq!((totals.host_maps, totals.host_unmaps), (1, 1));
    assert_eq!((device.counts().host_maps, device.counts().host_unmaps), (1, 1));
}
