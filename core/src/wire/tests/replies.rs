//! Replies that the recordings lack, written by hand from `reference/protocol.md` section 5.

use super::*;

#[test]
fn the_sign_bit_alone_makes_a_failure() {
    for (code, success) in [(0, true), (0x103, true), (0x4000_0000, true), (0x8000_0000, false), (0xC000_0059, false)] {
        assert_eq!(Status(code).is_success(), success, "{code:#x}");
    }
    let named = [
        ("590000c0", Status::REVISION_MISMATCH, "REVISION_MISMATCH"),
        ("0b0900c0", Status::BAD_DATA, "BAD_DATA"),
        ("bb0000c0", Status::NOT_SUPPORTED, "NOT_SUPPORTED"),
    ];
    for (text, status, name) in named {
        assert_eq!(StatusReply::parse(&hex(text)), Ok(StatusReply { status }));
        assert_eq!((status.to_string().as_str(), status.is_success()), (name, false));
    }
    assert_eq!(Status(0xC000_0001).to_string(), "0xc0000001");
}

#[test]
fn a_failed_reply_may_end_after_its_status() {
    let payload = hex("0b0900c0");
    let status = Status::BAD_DATA;
    let version = Version(0);
    assert_eq!(QueryProtocolVersionReply::parse(&payload), Ok(QueryProtocolVersionReply { status, version }));
    let bars = ProbedBars::default();
    assert_eq!(ResourceRequirementsReply::parse(&payload), Ok(ResourceRequirementsReply { status, bars }));
    let entry = MsiEntry::default();
    assert_eq!(CreateInterruptReply::parse(&payload), Ok(CreateInterruptReply { status, entry }));
    assert_eq!(GetResourcesReply::parse(&payload), Ok(GetResourcesReply::Failed(status)));
    assert_eq!(encoded(|buf| GetResourcesReply::Failed(status).encode(buf)), payload);
    assert_eq!(TdispReply::parse(&payload), Ok(TdispReply { status, slot: 0, data: &[] }));
    assert_eq!(PowerStateReply::parse(&payload), Ok(PowerStateReply { status, result: None }));
    let assigned = ResourcesAssignedReply::parse(AssignedForm::V1, &payload).unwrap();
    assert_eq!((assigned.status, assigned.bars, assigned.translated.len()), (status, MmioDescriptor::NONE, 0));
    // And the padding behind it is no data.
    let padded = hex("0b0900c0 ffffffff");
    assert_eq!(ReadBlockReply::parse(&padded, 4), Ok(ReadBlockReply { status, data: &[] }));
    assert_eq!(ResourceRequirementsReply::parse(&padded).unwrap().bars, bars);
    assert_eq!(CreateInterruptReply::parse(&padded).unwrap().entry, entry);
}

#[test]
fn a_successful_reply_may_not_be_cut_short() {
    let short = |what, need| ParseError::TooShort { what, need, have: 4 };
    let payload = hex("00000000");
    assert_eq!(QueryProtocolVersionReply::parse(&payload), Err(short("reply to QUERY_PROTOCOL_VERSION", 8)));
    assert_eq!(ResourceRequirementsReply::parse(&payload), Err(short("reply to QUERY_RESOURCE_REQUIREMENTS", 28)));
    assert_eq!(CreateInterruptReply::parse(&payload), Err(short("reply to CREATE_INTERRUPT", 24)));
    assert_eq!(GetResourcesReply::parse(&payload), Err(short("reply to GET_RESOURCES", 128)));
    assert_eq!(TdispReply::parse(&payload), Err(short("reply to TDISP_COMMAND", 16)));
}

#[test]
fn resources_a_function_has() {
    let null = "00 00 0000 00000000 00000000 00000000 00000000";
    let port = "01 01 0100 00c00000 00000000 08000000 00000000";
    let plain = "03 00 0000 000000fe 00000000 00100000 00000000";
    let payload = hex(&format!("0100 0100 06000000 {plain} {null} {null} {null} {null} {port}"));
    let mut bars = MmioDescriptor::NONE;
    bars[0] = MmioDescriptor::Memory { address: 0xFE00_0000, length: 0x1000 };
    bars[5] = MmioDescriptor::Other { kind: 1, share: 1, flags: 1, address: 0xC000, length: 8 };
    let reply = GetResourcesReply::Resources(bars);
    assert_eq!(GetResourcesReply::parse(&payload), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), payload);

    let mut fewer = payload.clone();
    fewer[4] = 1;
    bars[5] = MmioDescriptor::Null;
    assert_eq!(GetResourcesReply::parse(&fewer), Ok(GetResourcesReply::Resources(bars)));
    let mut more = payload;
    more[4] = 7;
    let error = ParseError::TooMany { what: "reply to GET_RESOURCES", count: 7, limit: 6 };
    assert_eq!(GetResourcesReply::parse(&more), Err(error));
}

#[test]
fn power_states_come_back_with_or_without_the_result() {
    let payload = hex("00000000 43000000 04000000 00000000");
    let reply = PowerStateReply { status: Status::SUCCESS, result: Some((0x43, PowerState::D3)) };
    assert_eq!(PowerStateReply::parse(&payload), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), payload);
    // OpenVMM's 4 bytes, padded to 8 by the ring.
    let reply = PowerStateReply { status: Status::SUCCESS, result: None };
    assert_eq!(PowerStateReply::parse(&hex("00000000 ffffffff")), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), hex("00000000"));
}

#[test]
fn a_block_is_clipped_to_what_was_asked_for() {
    let payload = hex("00000000 01020304 05 a5a5a5a5 a5a5a5");
    let reply = ReadBlockReply { status: Status::SUCCESS, data: &[1, 2, 3, 4, 5] };
    assert_eq!(ReadBlockReply::parse(&payload, 5), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), payload[..9]);
    // A host may have less than was asked for.
    assert_eq!(ReadBlockReply::parse(&payload[..9], 128), Ok(reply));
    assert_eq!(ReadBlockReply::parse(&payload[..9], u32::MAX), Ok(reply));
    assert_eq!(ReadBlockReply::parse(&payload[..4], 8).unwrap().data, []);
}

#[test]
fn tdisp_data_has_a_length() {
    let payload = hex("00000000 43000000 02000000 00000000 aabb");
    let reply = TdispReply { status: Status::SUCCESS, slot: 0x43, data: &[0xAA, 0xBB] };
    assert_eq!(TdispReply::parse(&payload), Ok(reply));
    assert_eq!(encoded(|buf| reply.encode(buf)), payload);
    let long = hex("00000000 43000000 03000000 00000000 aabb");
    let error = ParseError::CountDoesNotFit { what: "reply to TDISP_COMMAND", count: 3, bytes: 2 };
    assert_eq!(TdispReply::parse(&long), Err(error));
    let huge = hex("00000000 43000000 ffffffff ffffffff aabb");
    let error = ParseError::CountDoesNotFit { what: "reply to TDISP_COMMAND", count: u64::MAX, bytes: 2 };
    assert_eq!(TdispReply::parse(&huge), Err(error));
}

#[test]
fn translated_messages_have_the_size_of_the_form() {
    let entry = MsiEntry { address: 0xFEE0_1000, data: 0x41, message_count: 1, reserved: 0 };
    let raw = "0000 0100 41000000 0010e0fe 00000000";
    // The third form is answered with entries of the second's size.
    for (form, stride) in [(AssignedForm::V1, 16), (AssignedForm::V2, 72), (AssignedForm::V3, 72)] {
        let mut payload = hex_to("00000000 43000000", 128);
        payload.extend(hex("02000000 00000000"));
        payload.extend(hex_to(raw, stride));
        payload.extend(hex_to(raw, stride));
        let parsed = ResourcesAssignedReply::parse(form, &payload).unwrap();
        assert_eq!((parsed.slot, parsed.translated.len(), parsed.translated.is_empty()), (0x43, 2, false));
        assert_eq!(parsed.translated.iter().collect::<Vec<_>>(), [entry; 2]);
        let mut room = [0xA5; 144];
        let translated = TranslatedMessages::build(form, &[entry; 2], &mut room).unwrap();
        let bars = MmioDescriptor::NONE;
        let reply = ResourcesAssignedReply { status: Status::SUCCESS, slot: 0x43, bars, translated };
        assert_eq!(parsed, reply);
        assert_eq!(encoded(|buf| reply.encode(buf)), payload);

        let what = "reply to RESOURCES_ASSIGNED";
        let bytes = 2 * stride - 1;
        let error = ParseError::CountDoesNotFit { what, count: 2, bytes };
        assert_eq!(ResourcesAssignedReply::parse(form, &payload[..136 + bytes]), Err(error));
        // A failed request has made no interrupts, whatever the count says.
        payload[3] = 0xC0;
        let failed = ResourcesAssignedReply::parse(form, &payload[..140]).unwrap();
        assert_eq!((failed.status, failed.translated.len()), (Status(0xC000_0000), 0));
    }
    // Only the status has to be there.
    let payload = hex("00000000");
    let short = ResourcesAssignedReply::parse(AssignedForm::V2, &payload).unwrap();
    assert!(short.status.is_success() && short.translated.is_empty());
}
