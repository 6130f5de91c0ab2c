//! The host answers a recorded guest byte for byte as the recorded host did.

use alloc::vec::Vec;

use hvpci_core::{Slot, Time};

use super::guest::instance;
use crate::host::packet::Writer;
use crate::host::{BusSpec, CostModel, FunctionSpec, Host, HostOptions, PacketKind, Severity};

const BOOT: &str = include_str!("boot.txt");

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

/// The text between `before` and the next delimiter.
fn field<'a>(line: &'a str, before: &str) -> &'a str {
    let from = line.find(before).unwrap() + before.len();
    line[from..].split([' ', ')']).next().unwrap()
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn value(text: &str) -> u32 {
    u32::from_str_radix(text.trim(), 16).unwrap()
}

/// Feeds what the guest did to a fresh host and compares what comes back.
fn replay(text: &str, selections_left_out: bool) -> Host {
    let mut host = Host::new(HostOptions::openvmm().with_cost(CostModel::FREE));
    let bus = host.add_bus(BusSpec::single(instance(), FunctionSpec::nvme()));
    let now = Time::ZERO;
    for (number_of_line, line) in text.lines().enumerate() {
        let here = format!("line {}: {line}", number_of_line + 1);
        if line.starts_with('#') {
            continue;
        }
        if line.contains("CHANNEL open") {
            assert!(host.open_channel(bus, now), "{here}");
        } else if line.contains("CHANNEL close") {
            host.close_channel(bus, now);
        } else if line.contains("G->H desc(") {
            let payload = hex(line.rsplit(" : ").next().unwrap());
            let asks = field(line, "flags=") == "1";
            host.guest_packet(bus, now, PacketKind::InBand, asks, number(field(line, "txid=")), &payload).unwrap();
        } else if line.contains("H->G desc(") {
            let packet = host.next_packet(bus, now).expect(&here);
            let kind = if line.contains("type=11") { PacketKind::Completion } else { PacketKind::InBand };
            assert_eq!((packet.kind, packet.transaction_id), (kind, number(field(line, "txid="))), "{here}");
            assert_eq!(packet.payload, hex(line.rsplit(" : ").next().unwrap()), "{here}");
        } else if line.contains("CFG SLOT") {
            let slot = number(line.rsplit(' ').next().unwrap());
            host.window_select(bus, now, u32::try_from(slot).unwrap());
        } else if line.contains("CFG RD") || line.contains("CFG WR") {
            if selections_left_out {
                host.window_select(bus, now, 0);
            }
            let offset = 0x1000 + u32::try_from(number(field(line, "off="))).unwrap();
            let bytes = u32::try_from(number(field(line, "len="))).unwrap();
            if line.contains("CFG RD") {
                let wanted = value(line.rsplit("-> ").next().unwrap());
                assert_eq!(host.window_page_load(bus, now, offset, bytes).0, wanted, "{here}");
            } else {
                host.window_page_store(bus, now, offset, bytes, value(field(line, "<- ")));
            }
        } else if line.contains("HVCALL RETARGET") {
            let input = Writer::new()
                .u64(u64::MAX)
                .u64(number(field(line, "devid=")))
                .u32(1)
                .u32(0)
                .u32(u32::try_from(number(field(line, "addr="))).unwrap())
                .u32(u32::try_from(number(field(line, "data="))).unwrap())
                .u64(0)
                .u32(u32::try_from(number(field(line, "vector="))).unwrap())
                .u32(2)
                .u64(0)
                .u64(1)
                .u64(1)
                .finish();
            assert_eq!(host.retarget(&input, 2), Ok(bus), "{here}");
        }
    }
    assert_eq!(host.next_packet(bus, now), None);
    let errors: Vec<_> = host.violations().iter().filter(|found| found.severity() == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    host
}

#[test]
fn the_recorded_boot() {
    let host = replay(BOOT, true);
    let bus = host.buses().next().unwrap();
    let ledger = host.ledger(bus, Slot::ZERO);
    // The recording's own totals: 199 reads, 40 writes, 239 selections, one 0->1.
    assert_eq!((ledger.traps, ledger.maps, ledger.unmaps, ledger.host_unmaps), (478, 1, 0, 0));
    let state = host.function(bus, Slot::ZERO).unwrap();
    assert_eq!(state.bars, [0x0000_000C, 0x1, 0, 0, 0x0001_000C, 0x1]);
    assert!(state.assigned && state.decodes);
}
