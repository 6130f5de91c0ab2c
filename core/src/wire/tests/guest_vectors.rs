//! Guest messages that the recordings lack, written by hand from `reference/protocol.md` section 5.

use super::*;

fn check(payload: &[u8], message: GuestMessage<'_>) {
    assert_eq!(GuestMessage::parse(payload), Ok(message));
    assert_eq!(encoded(|buf| message.encode(buf)), payload);
}

#[test]
fn negotiation_with_freebsds_reserved_word() {
    let message = GuestMessage::QueryProtocolVersion { version: Version::V1_1 };
    check(&hex("13004942 01000100"), message);
    assert_eq!(GuestMessage::parse(&hex("13004942 01000100 00000000")), Ok(message));
    let old = GuestMessage::QueryProtocolVersion { version: Version::V1_0 };
    assert_eq!(GuestMessage::parse(&hex("13004942 00000100")), Ok(old));
}

#[test]
fn messages_about_one_function() {
    check(&hex("05004942 43000000"), GuestMessage::QueryResourceRequirements { slot: slot() });
    check(&hex_to("06004942 43000000", 32), GuestMessage::GetResources { slot: slot() });
    check(&hex("11004942 43000000"), GuestMessage::ResourcesReleased { slot: slot() });
    check(&hex("1c004942 43000000"), GuestMessage::ResetDevice { slot: slot() });
    check(&hex("0f004942 43000000 00000000"), GuestMessage::EjectionComplete { slot: slot() });
    // OpenVMM's client leaves the status out.
    let short = hex("0f004942 43000000");
    assert_eq!(GuestMessage::parse(&short), Ok(GuestMessage::EjectionComplete { slot: slot() }));
    let states = [(PowerState::D0, 1), (PowerState::D1, 2), (PowerState::D2, 3), (PowerState::D3, 4)];
    for (state, number) in states {
        let text = format!("04004942 43000000 {number:02x}000000 00000000");
        check(&hex(&text), GuestMessage::PowerStateChange { slot: slot(), state });
    }
    check(
        &hex("1d004942 43000000 03000000 00000000 0a0b0c"),
        GuestMessage::TdispCommand { slot: slot(), data: &[0x0A, 0x0B, 0x0C] },
    );
}

#[test]
fn a_config_window_above_4_gib() {
    check(&hex("07004942 00000000 00200000 0f000000"), GuestMessage::D0Entry { window: 0xF_0000_2000 });
}

#[test]
fn blocks_name_the_block_before_the_slot() {
    check(&hex("09004942 07000000 43000000 80000000"), GuestMessage::ReadBlock { slot: slot(), block: 7, bytes: 128 });
    // Five bytes, then the four that hosts of 2018 want.
    check(
        &hex("0a004942 07000000 43000000 05000000 aabbccdd ee 00000000"),
        GuestMessage::WriteBlock { slot: slot(), block: 7, data: &[0xAA, 0xBB, 0xCC, 0xDD, 0xEE] },
    );
}

fn create(form: CreateForm, vector: u32, delivery: DeliveryMode, count: u16, vps: &[u16]) -> GuestMessage<'static> {
    let targets = VpSet::from_list(vps).unwrap();
    GuestMessage::CreateInterrupt { form, slot: slot(), vector, delivery, count, targets }
}

#[test]
fn interrupts_in_three_forms() {
    check(
        &hex("14004942 43000000 31 01 0100 00000000 01000000 00000080"),
        create(CreateForm::V1, 0x31, DeliveryMode::LOWEST_PRIORITY, 1, &[0, 63]),
    );
    check(
        &hex_to("17004942 43000000 20 00 0400 0200 0500 2c01", 80),
        create(CreateForm::V2, 0x20, DeliveryMode::FIXED, 4, &[5, 300]),
    );
    // An SPI of arm64, which has no room in 8 bits.
    check(
        &hex_to("1b004942 43000000 e7030000 00 00 0200 0100 0100", 84),
        create(CreateForm::V3, 999, DeliveryMode::FIXED, 2, &[1]),
    );
    // Linux leaves out the last reserved u16.
    for (form, length) in [(CreateForm::V2, 78), (CreateForm::V3, 82)] {
        let message = create(form, 0x20, DeliveryMode::FIXED, 1, &[31]);
        let bytes = encoded(|buf| message.encode(buf));
        assert_eq!(GuestMessage::parse(&bytes[..length]), Ok(message));
        assert!(GuestMessage::parse(&bytes[..length - 1]).is_err());
    }
}

#[test]
fn an_interrupt_is_deleted_exactly_as_it_came() {
    let entry = MsiEntry { address: 0x1_FEE0_0004, data: 0x1234_5678, message_count: 32, reserved: 0xABCD };
    check(
        &hex("15004942 43000000 cdab 2000 78563412 0400e0fe 01000000"),
        GuestMessage::DeleteInterrupt { slot: slot(), entry },
    );
}

#[test]
fn what_does_not_fit_the_form_is_refused() {
    let refuse = |message: GuestMessage<'_>| message.encode(&mut [0; 256]).unwrap_err();
    let fixed = DeliveryMode::FIXED;
    for form in [CreateForm::V1, CreateForm::V2] {
        assert_eq!(refuse(create(form, 256, fixed, 1, &[0])), EncodeError::Vector { vector: 256 });
    }
    assert_eq!(refuse(create(CreateForm::V1, 32, fixed, 1, &[64])), EncodeError::VpOutsideMask { vp: 64 });
    for form in [CreateForm::V2, CreateForm::V3] {
        let error = EncodeError::Count { what: "virtual processors", count: 33, limit: 32 };
        assert_eq!(refuse(create(form, 32, fixed, 1, &[0; 33])), error);
    }
    for count in [0, 129usize] {
        let error = EncodeError::Count { what: "bytes of a block", count, limit: 128 };
        let bytes = u32::try_from(count).unwrap();
        assert_eq!(refuse(GuestMessage::ReadBlock { slot: slot(), block: 0, bytes }), error);
        assert_eq!(refuse(GuestMessage::WriteBlock { slot: slot(), block: 0, data: &vec![0; count] }), error);
    }
    let mut room = [0; 72];
    let request = MessageRequest { vector: 32, delivery: fixed, count: 1, targets: VpSet::single(0) };
    let messages = MsiResources::build(AssignedForm::V2, &[request], &mut room).unwrap();
    let bars = MmioDescriptor::NONE;
    let mixed = GuestMessage::ResourcesAssigned { form: AssignedForm::V3, slot: slot(), bars, messages };
    assert_eq!(refuse(mixed), EncodeError::FormMismatch);
}

#[test]
fn resources_by_message() {
    let mut bars = MmioDescriptor::NONE;
    bars[0] = MmioDescriptor::Memory { address: 0x1_0000_0000, length: 0x1_0000 };
    bars[2] = MmioDescriptor::Memory { address: 0x20_0000_0000, length: 128 << 30 };
    let null = "00 00 0000 00000000 00000000 00000000 00000000";
    let plain = "03 00 0000 00000000 01000000 00000100 00000000";
    // 128 GiB in units of 256 bytes: large40.
    let large = "07 00 0002 00000000 20000000 00000020 00000000";
    let front = format!("16004942 43000000 {plain} {null} {large}");
    let messages = MsiResources::NONE;
    check(
        &hex_to(&front, 208),
        GuestMessage::ResourcesAssigned { form: AssignedForm::V2, slot: slot(), bars, messages },
    );
}

#[test]
fn resources_always_have_room_for_one_msi_resource() {
    for (form, code, length, least) in
        [(AssignedForm::V1, 0x10, 152, 148), (AssignedForm::V2, 0x16, 208, 202), (AssignedForm::V3, 0x1A, 216, 216)]
    {
        let payload = hex_to(&format!("{code:02x}004942 43000000"), length);
        let bars = MmioDescriptor::NONE;
        let message = GuestMessage::ResourcesAssigned { form, slot: slot(), bars, messages: MsiResources::NONE };
        check(&payload, message);
        assert_eq!(form.message_length(0), form.message_length(1));
        // What Linux sends is a little shorter.
        assert_eq!(GuestMessage::parse(&payload[..least]), Ok(message));
    }
}

#[test]
fn msi_resources_in_three_forms() {
    let vps = VpSet::from_list(&[2, 9]).unwrap();
    let request = MessageRequest { vector: 0x41, delivery: DeliveryMode::FIXED, count: 1, targets: vps };
    let cases = [
        (AssignedForm::V1, 0x10, "41 00 0100 00000000 04020000 00000000", 16),
        (AssignedForm::V2, 0x16, "41 00 0100 0200 0200 0900", 72),
        (AssignedForm::V3, 0x1A, "41000000 00 00 0100 0200 0200 0900", 80),
    ];
    for (form, code, resource, stride) in cases {
        let mut payload = hex_to(&format!("{code:02x}004942 43000000"), 128);
        payload.extend(hex("02000000 00000000"));
        payload.extend(hex_to(resource, stride));
        payload.extend(hex_to(resource, stride));
        let mut room = [0xA5; 160];
        let messages = MsiResources::build(form, &[request; 2], &mut room).unwrap();
        let bars = MmioDescriptor::NONE;
        check(&payload, GuestMessage::ResourcesAssigned { form, slot: slot(), bars, messages });
        let Ok(GuestMessage::ResourcesAssigned { messages, .. }) = GuestMessage::parse(&payload) else {
            panic!("no resources");
        };
        assert_eq!((messages.len(), messages.is_empty()), (2, false));
        assert_eq!(messages.iter().collect::<Vec<_>>(), [Ok(request); 2]);
    }
}

#[test]
fn unknown_codes_are_kept() {
    let message_type = MessageType::DELETE_INTERRUPT2;
    check(&hex("18004942 01020304"), GuestMessage::Unknown { message_type, payload: &[1, 2, 3, 4] });
    check(&hex("efbeadde"), GuestMessage::Unknown { message_type: MessageType(0xDEAD_BEEF), payload: &[] });
    // What only a host says is unknown from a guest.
    let message_type = MessageType::EJECT;
    check(&hex("0b004942 43000000"), GuestMessage::Unknown { message_type, payload: &[0x43, 0, 0, 0] });
}

#[test]
fn a_slot_that_cannot_exist_is_an_error() {
    for code in ["05", "06", "11", "1c", "0f", "04", "15", "1b", "17", "14", "16", "10", "1a", "1d"] {
        let payload = hex_to(&format!("{code}004942 00010000"), 216);
        assert_eq!(GuestMessage::parse(&payload), Err(ParseError::Slot(InvalidSlot(256))), "{code}");
    }
    for code in ["09", "0a"] {
        let payload = hex_to(&format!("{code}004942 00000000 00010000"), 216);
        assert_eq!(GuestMessage::parse(&payload), Err(ParseError::Slot(InvalidSlot(256))), "{code}");
    }
}
