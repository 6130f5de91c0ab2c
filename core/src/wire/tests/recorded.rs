//! Every kind of packet in the recordings of Debian's 6.12 and 6.1 guests on OpenVMM's vPCI host, byte for byte.
//! What the guest sent has the ring's padding; what the host sent was recorded without.

use super::*;

/// Pads as the ring does.
fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(PACKET_ALIGNMENT), 0);
    bytes
}

/// A packet of the guest: `len8` and `flags` of its recorded descriptor, its payload, and what it means.
fn guest(len8: u16, flags: u16, text: &str, length: usize, expected: GuestMessage<'_>) {
    let payload = hex_to(text, length);
    assert_eq!(GuestMessage::parse(&payload), Ok(expected));
    let ours = encoded(|buf| expected.encode(buf));
    let flags = PacketFlags::from_bits_retain(flags);
    let descriptor = PacketDescriptor::for_payload(PacketType::IN_BAND, flags, 1, ours.len()).unwrap();
    assert_eq!((descriptor.offset8, descriptor.len8), (2, len8));
    assert_eq!(padded(ours), payload);
}

#[test]
fn bring_up_and_shutdown_of_the_guest() {
    guest(3, 1, "13004942 04000100", 8, GuestMessage::QueryProtocolVersion { version: Version::V1_4 });
    guest(3, 0, "01004942 00000000", 8, GuestMessage::QueryBusRelations);
    let requirements = GuestMessage::QueryResourceRequirements { slot: Slot::ZERO };
    guest(3, 1, "05004942 00000000", 8, requirements);
    guest(4, 1, "07004942 00000000 000000f8 00000000", 16, GuestMessage::D0Entry { window: 0xF800_0000 });
    guest(3, 1, "08004942 00000000", 8, GuestMessage::D0Exit);
    let assigned = GuestMessage::ResourcesAssigned {
        form: AssignedForm::V2,
        slot: Slot::ZERO,
        bars: MmioDescriptor::NONE,
        messages: MsiResources::NONE,
    };
    guest(28, 1, "16004942 00000000", 208, assigned);
}

#[test]
fn interrupts_of_the_guest() {
    for vector in [0xEF, 0x23, 0x24, 0x25u32] {
        let create = GuestMessage::CreateInterrupt {
            form: CreateForm::V3,
            slot: Slot::ZERO,
            vector,
            delivery: DeliveryMode::FIXED,
            count: 1,
            targets: VpSet::single(0),
        };
        guest(13, 1, &format!("1b004942 00000000 {vector:02x}000000 00000100 01000000"), 88, create);
    }
    for (address, text) in [(0xFEE0_0000, "0000e0fe"), (0xFEE0_0004, "0400e0fe")] {
        let entry = MsiEntry::new(address, 0, 1);
        let delete = GuestMessage::DeleteInterrupt { slot: Slot::ZERO, entry };
        guest(5, 0, &format!("15004942 00000000 00000100 00000000 {text} 00000000"), 24, delete);

        let payload = hex(&format!("00000000 00000000 00000100 00000000 {text} 00000000"));
        let reply = CreateInterruptReply { status: Status::SUCCESS, entry };
        assert_eq!(CreateInterruptReply::parse(&payload), Ok(reply));
        assert_eq!(encoded(|buf| reply.encode(buf)), payload);
    }
}

#[test]
fn the_list_of_functions() {
    let payload = hex("19004942 01000000 14143ec0 00020801 00000000 00000000 38e75a3f 00000000 00000000");
    let function = FunctionDescription {
        slot: Slot::ZERO,
        vendor: 0x1414,
        device: 0xC03E,
        revision: 0,
        prog_if: 0x02,
        sub_class: 0x08,
        base_class: 0x01,
        subsystem_vendor: 0,
        subsystem: 0,
        serial: 0x3F5A_E738,
        numa_node: None,
    };
    let Ok(message @ HostMessage::BusRelations(relations)) = HostMessage::parse(&payload) else {
        panic!("no list");
    };
    assert_eq!((relations.form(), relations.len()), (RelationsForm::V2, 1));
    assert_eq!(relations.iter().collect::<Vec<_>>(), [Ok(function)]);
    assert_eq!(encoded(|buf| message.encode(buf)), payload);
    assert_eq!(encoded(|buf| Relations::encode_list(RelationsForm::V2, &[function], buf)), payload);
}

#[test]
fn replies_of_the_host() {
    let payload = hex("00000000 03000100");
    let reply = QueryProtocolVersionReply { status: Status::SUCCESS, version: Version::V1_3 };
    assert_eq!(QueryProtocolVersionReply::parse(&payload), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), payload);

    let payload = hex("00000000 0c00ffff ffffffff 00000000 00000000 0cf0ffff ffffffff");
    let bars = ProbedBars([0xFFFF_000C, 0xFFFF_FFFF, 0, 0, 0xFFFF_F00C, 0xFFFF_FFFF]);
    let reply = ResourceRequirementsReply { status: Status::SUCCESS, bars };
    assert_eq!(ResourceRequirementsReply::parse(&payload), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), payload);

    let payload = hex("00000000");
    let reply = StatusReply { status: Status::SUCCESS };
    assert_eq!(StatusReply::parse(&payload), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), payload);

    let payload = hex_to("", 136);
    let reply = ResourcesAssignedReply {
        status: Status::SUCCESS,
        slot: 0,
        bars: MmioDescriptor::NONE,
        translated: TranslatedMessages::NONE,
    };
    assert_eq!(encoded(|buf| reply.encode(buf)), payload);
    let parsed = ResourcesAssignedReply::parse(AssignedForm::V2, &payload).unwrap();
    assert_eq!((parsed.status, parsed.slot, parsed.bars), (reply.status, reply.slot, reply.bars));
    assert!(parsed.translated.is_empty());
}

/// desc(type=6 off8=2 len8=3 flags=1 txid=0x1) and the completion that answers it, as they lie in the ring.
#[test]
fn packet_descriptors() {
    let packet = hex("0600 0200 0300 0100 0100000000000000  13004942 04000100");
    let descriptor = PacketDescriptor {
        packet_type: PacketType::IN_BAND,
        offset8: 2,
        len8: 3,
        flags: PacketFlags::COMPLETION_REQUESTED,
        transaction_id: 1,
    };
    assert_eq!(PacketDescriptor::parse(&packet), Ok(descriptor));
    assert_eq!(encoded(|buf| descriptor.encode(buf)), packet[..16]);
    assert_eq!(descriptor.payload(&packet), Ok(&packet[16..]));

    let packet = hex("0b00 0200 0300 0000 0100000000000000  00000000 00000000");
    let descriptor = PacketDescriptor::parse(&packet).unwrap();
    assert_eq!((descriptor.packet_type, descriptor.flags), (PacketType::COMPLETION, PacketFlags::empty()));
    // A status of 4 bytes arrives as 8.
    let ours = PacketDescriptor::for_payload(PacketType::COMPLETION, PacketFlags::empty(), 1, 4);
    assert_eq!(ours, Ok(descriptor));
    assert_eq!(StatusReply::parse(descriptor.payload(&packet).unwrap()).unwrap().status, Status::SUCCESS);
}
