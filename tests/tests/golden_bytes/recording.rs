//! The recordings of a real guest on a real vPCI host: where they and the vectors written by hand meet, and that both codecs
//! understand all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hvpci_core::wire::{GuestMessage, HostMessage, PacketDescriptor};
use hvpci_mock::host::packet::Request;

use super::replies::{Kind, kind_of, through_the_core};
use super::{code, encoded, guest, hex, host, padded};

/// A packet as a recording has it.
struct Packet {
    /// The line of the file, counted from 1.
    line: usize,
    from_guest: bool,
    completion: bool,
    transaction: u64,
    /// offset8, len8 and flags of the ring descriptor, where they were recorded.
    descriptor: Option<[u16; 3]>,
    payload: Vec<u8>,
}

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const FILES: [&str; 2] = ["stock-pci-hyperv-on-openvmm.trace.txt", "stock-pci-hyperv-6.1-on-openvmm.trace.txt"];

fn number(line: &str, name: &str) -> Option<u64> {
    let value = line.split_once(&format!("{name}="))?.1;
    let value: &str = value.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

fn packets(file: &str) -> Vec<Packet> {
    let packet = |(at, line): (usize, &str)| {
        let from_guest = line.contains("] G->H desc(");
        if line.starts_with('#') || !(from_guest || line.contains("] H->G desc(")) {
            return None;
        }
        let of = |name| number(line, name).and_then(|value| u16::try_from(value).ok());
        let descriptor =
            of("off8").zip(of("len8")).zip(of("flags")).map(|((offset, length), flags)| [offset, length, flags]);
        Some(Packet {
            line: at + 1,
            from_guest,
            completion: number(line, "type") == Some(11),
            transaction: number(line, "txid").expect("every packet has one"),
            descriptor: descriptor.filter(|_| from_guest),
            payload: hex(line.split_once(" : ").expect("every packet has a payload").1),
        })
    };
    text(file).lines().enumerate().filter_map(packet).collect()
}

/// The payload in a line of the first recording.
pub fn payload(line: usize) -> Vec<u8> {
    packets(FILES[0]).into_iter().find(|packet| packet.line == line).expect("a packet is in this line").payload
}

#[test]
fn hand_and_recording_agree() {
    let mut agreed = 0;
    for vector in guest::vectors() {
        if let Some(line) = vector.recorded {
            assert_eq!(payload(line), padded(vector.bytes), "line {line}");
            agreed += 1;
        }
    }
    for vector in host::vectors() {
        if let Some(line) = vector.recorded {
            assert_eq!(payload(line), vector.bytes, "line {line}");
            agreed += 1;
        }
    }
    assert!(agreed >= 10, "{agreed}");
}

/// Every packet of both recordings goes through the core unchanged, and means something to the mock's packet layer; what the
/// guest sent by then is what the vectors say was recorded.
#[test]
fn both_sides_understand_every_packet() {
    let mut codes = BTreeSet::new();
    let mut seen = 0;
    for file in FILES {
        let mut asked: BTreeMap<u64, Kind> = BTreeMap::new();
        for packet in packets(file) {
            let (line, bytes) = (packet.line, &packet.payload);
            seen += 1;
            if packet.from_guest {
                let message = GuestMessage::parse(bytes).unwrap_or_else(|error| panic!("{file}, line {line}: {error}"));
                assert_eq!(padded(encoded(|buf| message.encode(buf))), *bytes, "{file}, line {line}");
                assert!(Request::parse(bytes).is_ok(), "{file}, line {line}");
                asked.extend(kind_of(&message).map(|kind| (packet.transaction, kind)));
                codes.insert(code(bytes));
                check_descriptor(&packet);
            } else if packet.completion {
                let kind = asked[&packet.transaction];
                assert_eq!(through_the_core(kind, bytes).1, *bytes, "{file}, line {line}: {kind:?}");
            } else {
                let message = HostMessage::parse(bytes).unwrap_or_else(|error| panic!("{file}, line {line}: {error}"));
                assert_eq!(encoded(|buf| message.encode(buf)), *bytes, "{file}, line {line}");
            }
        }
    }
    let recorded = guest::vectors().into_iter().filter(|vector| vector.recorded.is_some());
    assert_eq!(codes, recorded.map(|vector| code(&vector.bytes)).collect());
    println!("{seen} recorded packets, {} codes of the guest", codes.len());
    assert!(seen > 100, "{seen}");
}

/// The 16 bytes in front of a payload in the ring (section 1), put together by hand.
fn check_descriptor(packet: &Packet) {
    let [offset8, len8, flags] = packet.descriptor.expect("the guest's are recorded");
    let mut bytes = Vec::new();
    for field in [6, offset8, len8, flags] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(packet.transaction.to_le_bytes());
    bytes.extend(&packet.payload);
    let descriptor = PacketDescriptor::parse(&bytes).unwrap_or_else(|error| panic!("line {}: {error}", packet.line));
    assert_eq!(encoded(|buf| descriptor.encode(buf)), bytes[..16], "line {}", packet.line);
    assert_eq!(descriptor.payload(&bytes), Ok(&packet.payload[..]), "line {}", packet.line);
    let ours = PacketDescriptor::for_payload(
        descriptor.packet_type,
        descriptor.flags,
        packet.transaction,
        packet.payload.len(),
    );
    assert_eq!(ours, Ok(descriptor), "line {}", packet.line);
}
