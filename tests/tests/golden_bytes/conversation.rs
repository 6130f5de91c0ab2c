//! The mock host's side of every version, byte for byte: what it answers and says by itself, as section 5 of the protocol has
//! it. The requests are bytes too; the core has no part in this.

use hvpci_core::wire::Version;
use hvpci_core::{InstanceId, Time};
use hvpci_mock::host::device::{BarSpec, Device};
use hvpci_mock::host::{BusId, BusSpec, CostModel, FunctionSpec, Host, HostOptions, PacketKind};

use super::host::gpu;
use super::{hex, hex_to, odd_slot};

struct Talk {
    host: Host,
    bus: BusId,
    next: u64,
}

impl Talk {
    fn new() -> Talk {
        let device = Device::new(&gpu())
            .with_bar(BarSpec::wide(0, 64 << 10))
            .with_bar(BarSpec::wide(2, 128 << 30))
            .with_bar(BarSpec::narrow(4, 4 << 10));
        let function = FunctionSpec::new(gpu(), device).with_block(7, &[0xB1, 0xB2, 0xB3, 0xB4, 0xB5]);
        let mut host = Host::new(HostOptions::default().with_cost(CostModel::FREE));
        let instance = InstanceId::from_bytes([7; 16]);
        let bus = host.add_bus(BusSpec { instance, functions: vec![function] });
        assert!(host.open_channel(bus, Time::ZERO));
        Talk { host, bus, next: 1 }
    }

    /// Sends a request and expects this completion, after these messages.
    #[track_caller]
    fn asks(&mut self, request: &[u8], messages: &[Vec<u8>], answer: &[u8]) {
        let id = self.next;
        self.next += 1;
        self.host.guest_packet(self.bus, Time::ZERO, PacketKind::InBand, true, id, request).expect("there is room");
        messages.iter().for_each(|message| self.says(message));
        let packet = self.host.next_packet(self.bus, Time::ZERO).expect("an answer");
        assert_eq!((packet.kind, packet.transaction_id), (PacketKind::Completion, id));
        assert_eq!(packet.payload, answer);
    }

    /// Expects this message.
    #[track_caller]
    fn says(&mut self, message: &[u8]) {
        let packet = self.host.next_packet(self.bus, Time::ZERO).expect("a message");
        assert_eq!((packet.kind, packet.transaction_id), (PacketKind::InBand, 0));
        assert_eq!(packet.payload, message);
    }
}

const ASSIGNED: &str = "03 00 0000 0000000001000000 00000100 00000000";
const LARGE: &str = "07 00 0002 0000000020000000 00000020 00000000";
const SMALL: &str = "03 00 0000 00f0ff7f00000000 00100000 00000000";
const NULL: &str = "00 00 0000 0000000000000000 00000000 00000000";
const DONE: [u8; 4] = [0; 4];

/// One life of a function in the forms of a version.
fn life(version: Version, minor: u8, low_assigned: u8, stride: usize, answered: usize, low_create: u8) {
    let mut talk = Talk::new();
    talk.asks(&hex("13004942 07000100"), &[], &hex("590000c0 06000100"));
    talk.asks(&hex(&format!("13004942 {minor:02x}000100")), &[], &hex("00000000 06000100"));

    let entry = "de10 b220 a1 01 02 03 3412 7856 43000000 efcdab89";
    let list = match minor {
        1 | 2 => hex(&format!("00004942 01000000 {entry}")),
        _ => hex(&format!("19004942 01000000 {entry} 01000000 0300 0000")),
    };
    // The completion that nobody defines is empty.
    talk.asks(&hex("01004942"), std::slice::from_ref(&list), &[]);
    let probed = hex("00000000 0c00ffff ffffffff 0c000000 e0ffffff 00f0ffff 00000000");
    talk.asks(&hex("05004942 43000000"), &[], &probed);
    talk.asks(&hex("07004942 00000000 000000f8 00000000"), &[list], &DONE);

    let descriptors = format!("{ASSIGNED} {NULL} {LARGE} {NULL} {SMALL} {NULL}");
    let interrupt = match low_assigned {
        0x10 => "41 00 0100 00000000 0400000000000000",
        0x16 => "41 00 0100 0100 0200",
        _ => "41000000 00 00 0100 0100 0200",
    };
    let mut request = hex(&format!("{low_assigned:02x}004942 43000000 {descriptors} 01000000 00000000"));
    request.extend(hex_to(interrupt, stride));
    let mut answer = hex(&format!("00000000 43000000 {descriptors} 01000000 00000000"));
    answer.extend(hex_to("0000 0100 00000000 0000e0fe 00000000", answered));
    talk.asks(&request, &[], &answer);
    talk.asks(&hex_to("06004942 43000000", 32), &[], &hex(&format!("0100 0100 06000000 {descriptors}")));

    let create = match low_create {
        0x14 => hex("14004942 43000000 30 00 0400 00000000 02000000 00000000"),
        0x17 => hex_to("17004942 43000000 30 00 0400 0100 0100", 80),
        _ => hex_to("1b004942 43000000 30000000 00 00 0400 0100 0100", 84),
    };
    talk.asks(&create, &[], &hex("00000000 00000000 0000 0400 00000000 0400e0fe 00000000"));
    talk.asks(&hex("15004942 43000000 0000 0400 00000000 0400e0fe 00000000"), &[], &DONE);
    let power = |state: &str| hex(&format!("43000000 {state} 00000000"));
    for state in ["01000000", "04000000"] {
        let mut request = hex("04004942");
        request.extend(power(state));
        let mut answer = DONE.to_vec();
        answer.extend(power(state));
        talk.asks(&request, &[], &answer);
    }
    talk.asks(&hex("09004942 07000000 43000000 80000000"), &[], &hex("00000000 b1b2b3b4 b5"));
    talk.asks(&hex("0a004942 07000000 43000000 02000000 a1a2 00000000"), &[], &DONE);
    talk.asks(&hex("09004942 07000000 43000000 80000000"), &[], &hex("00000000 a1a2"));
    talk.asks(&hex("1d004942 43000000 02000000 00000000 0a0b"), &[], &hex("bb0000c0"));
    if version >= Version::V1_5 {
        talk.asks(&hex("1c004942 43000000"), &[], &DONE);
    }
    let (bus, slot) = (talk.bus, odd_slot());
    talk.host.invalidate_block(bus, Time::ZERO, slot, 1 << 63 | 5);
    talk.says(&hex("12004942 43000000 05000000 00000080"));
    talk.asks(&hex("11004942 43000000"), &[], &DONE);
    talk.asks(&hex("08004942"), &[], &DONE);
    assert_eq!(talk.host.violations(), [], "{version}");

    let mut talk = Talk::new();
    talk.asks(&hex(&format!("13004942 {minor:02x}000100")), &[], &hex("00000000 06000100"));
    talk.host.eject(bus, Time::ZERO, slot);
    talk.says(&hex("0b004942 43000000"));
    let empty =
        talk.host.guest_packet(bus, Time::ZERO, PacketKind::InBand, false, 0, &hex("0f004942 43000000 00000000"));
    assert_eq!((empty, talk.host.slots(bus), talk.host.violations()), (Ok(()), vec![], &[][..]));
}

#[test]
fn the_mock_host_speaks_every_version_to_the_byte() {
    life(Version::V1_1, 1, 0x10, 16, 16, 0x14);
    life(Version::V1_2, 2, 0x16, 72, 72, 0x17);
    life(Version::V1_3, 3, 0x16, 72, 72, 0x17);
    life(Version::V1_4, 4, 0x16, 72, 72, 0x1B);
    life(Version::V1_4, 4, 0x1A, 80, 72, 0x1B);
    life(Version::V1_5, 5, 0x16, 72, 72, 0x1B);
    life(Version::V1_6, 6, 0x1A, 80, 72, 0x1B);
}
