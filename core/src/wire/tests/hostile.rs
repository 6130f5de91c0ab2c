//! Bytes of any kind: cut at every length, random, and random behind a known code. Nothing panics, and what is shorter
//! than its fields is an error.

use proptest::prelude::*;

use super::*;

/// Guest codes, the bytes they are sent with at least (section 5, "minimum lengths to SEND") and the bytes a receiver
/// needs of them. Counts and lengths in the vector are 0.
const GUEST_LENGTHS: &[(MessageType, usize, usize)] = &[
    (MessageType::QUERY_BUS_RELATIONS, 4, 4),
    (MessageType::DEVICE_POWER_STATE_CHANGE, 16, 12),
    (MessageType::QUERY_RESOURCE_REQUIREMENTS, 8, 8),
    (MessageType::GET_RESOURCES, 32, 8),
    (MessageType::FDO_D0ENTRY, 16, 16),
    (MessageType::FDO_D0EXIT, 4, 4),
    (MessageType::READ_BLOCK, 16, 16),
    (MessageType::EJECTION_COMPLETE, 12, 8),
    (MessageType::RESOURCES_ASSIGNED, 148, 132),
    (MessageType::RESOURCES_RELEASED, 8, 8),
    (MessageType::QUERY_PROTOCOL_VERSION, 8, 8),
    (MessageType::CREATE_INTERRUPT, 24, 24),
    (MessageType::DELETE_INTERRUPT, 24, 24),
    (MessageType::RESOURCES_ASSIGNED2, 202, 132),
    (MessageType::CREATE_INTERRUPT2, 78, 78),
    (MessageType::RESOURCES_ASSIGNED3, 216, 132),
    (MessageType::CREATE_INTERRUPT3, 82, 82),
    (MessageType::RESET_DEVICE, 8, 8),
    (MessageType::TDISP_COMMAND, 16, 16),
];

/// Host codes and the bytes a receiver needs of them.
const HOST_LENGTHS: &[(MessageType, usize)] = &[
    (MessageType::BUS_RELATIONS, 8),
    (MessageType::BUS_RELATIONS2, 8),
    (MessageType::EJECT, 8),
    (MessageType::INVALIDATE_BLOCK, 16),
    (MessageType::INVALIDATE_DEVICE, 4),
    (MessageType::INVALIDATE_BUS, 4),
    (MessageType::QUERY_STOP, 4),
    (MessageType::REENABLE, 4),
    (MessageType::QUERY_STOP_FAILED, 4),
];

fn message(code: MessageType, length: usize) -> Vec<u8> {
    let mut bytes = code.0.to_le_bytes().to_vec();
    bytes.resize(length.max(4), 0);
    bytes
}

fn is_too_short<T: core::fmt::Debug>(parsed: Result<T, ParseError>, have_now: usize) -> bool {
    matches!(parsed, Err(ParseError::TooShort { have, .. }) if have <= have_now)
}

#[test]
fn guest_messages_are_sent_long_enough_and_need_no_more_than_their_fields() {
    for (code, send, receive) in GUEST_LENGTHS {
        let whole = message(*code, 256);
        let parsed = GuestMessage::parse(&whole).unwrap();
        assert_eq!(parsed.message_type(), *code);
        let parsed = match parsed {
            // The encoder wants at least a byte.
            GuestMessage::ReadBlock { slot, block, .. } => GuestMessage::ReadBlock { slot, block, bytes: 1 },
            other => other,
        };
        let length = encoded(|buf| parsed.encode(buf)).len();
        assert!(length >= *send, "{code}: {length}");
        // Never so long that the packet would differ from that of a guest that sends the least.
        assert_eq!(length.next_multiple_of(8), send.next_multiple_of(8), "{code}");
        assert!(length <= GUEST_MESSAGE_BUFFER);
        for cut in 0..whole.len() {
            let result = GuestMessage::parse(&whole[..cut]);
            assert_eq!(is_too_short(result, cut), cut < *receive, "{code} of {cut} bytes: {result:?}");
        }
    }
}

#[test]
fn host_messages_need_no_more_than_their_fields() {
    for (code, receive) in HOST_LENGTHS {
        let whole = message(*code, 64);
        assert_eq!(HostMessage::parse(&whole).unwrap().message_type(), *code);
        for cut in 0..whole.len() {
            let result = HostMessage::parse(&whole[..cut]);
            assert_eq!(is_too_short(result, cut), cut < *receive, "{code} of {cut} bytes: {result:?}");
        }
    }
}

#[test]
fn replies_need_no_more_than_their_fields() {
    fn check<T: core::fmt::Debug>(need: usize, parse: impl Fn(&[u8]) -> Result<T, ParseError>) {
        let whole = [0; 256];
        for cut in 0..whole.len() {
            let result = parse(&whole[..cut]);
            assert_eq!(is_too_short(result, cut), cut < need, "{need}: {cut} bytes");
        }
    }
    check(8, QueryProtocolVersionReply::parse);
    check(4, StatusReply::parse);
    check(28, ResourceRequirementsReply::parse);
    check(128, GetResourcesReply::parse);
    check(4, PowerStateReply::parse);
    check(24, CreateInterruptReply::parse);
    check(16, |bytes| TdispReply::parse(bytes).map(drop));
    check(4, |bytes| ReadBlockReply::parse(bytes, 128).map(drop));
    check(4, |bytes| ResourcesAssignedReply::parse(AssignedForm::V2, bytes).map(drop));
    check(16, PacketDescriptor::parse);
}

#[test]
fn counts_in_guest_messages_are_not_believed() {
    for (text, what, count, bytes) in [
        ("0a004942 00000000 00000000 05000000 aabbccdd", "WRITE_BLOCK", 5, 4),
        ("0a004942 00000000 00000000 ffffffff aabbccdd", "WRITE_BLOCK", u64::from(u32::MAX), 4),
        ("1d004942 00000000 05000000 00000000 aabbccdd", "TDISP_COMMAND", 5, 4),
        ("1d004942 00000000 ffffffff ffffffff aabbccdd", "TDISP_COMMAND", u64::MAX, 4),
    ] {
        let error = ParseError::CountDoesNotFit { what, count, bytes };
        assert_eq!(GuestMessage::parse(&hex(text)), Err(error));
    }
    for (code, what, stride) in [
        (MessageType::RESOURCES_ASSIGNED, "RESOURCES_ASSIGNED", 16),
        (MessageType::RESOURCES_ASSIGNED2, "RESOURCES_ASSIGNED2", 72),
        (MessageType::RESOURCES_ASSIGNED3, "RESOURCES_ASSIGNED3", 80),
    ] {
        let mut bytes = message(code, 136 + 495 * stride);
        bytes[128..132].copy_from_slice(&494u32.to_le_bytes());
        assert!(GuestMessage::parse(&bytes).is_ok());
        assert!(GuestMessage::parse(&bytes[..136 + 494 * stride]).is_ok());
        let error = ParseError::CountDoesNotFit { what, count: 494, bytes: 494 * stride - 1 };
        assert_eq!(GuestMessage::parse(&bytes[..136 + 494 * stride - 1]), Err(error));
        bytes[128..132].copy_from_slice(&495u32.to_le_bytes());
        let error = ParseError::TooMany { what, count: 495, limit: 494 };
        assert_eq!(GuestMessage::parse(&bytes), Err(error));
    }
    for (code, at, what) in [
        (MessageType::CREATE_INTERRUPT2, 12, "CREATE_INTERRUPT2"),
        (MessageType::CREATE_INTERRUPT3, 16, "CREATE_INTERRUPT3"),
    ] {
        let mut bytes = message(code, 88);
        bytes[at] = 32;
        assert!(GuestMessage::parse(&bytes).is_ok());
        bytes[at] = 33;
        assert_eq!(GuestMessage::parse(&bytes), Err(ParseError::TooMany { what, count: 33, limit: 32 }));
    }
}

#[test]
fn lengths_in_a_packet_descriptor_are_not_believed() {
    let packet = [0; 32];
    for (offset8, len8, fits) in
        [(2, 4, true), (2, 2, true), (3, 4, true), (2, 5, false), (1, 4, false), (0, 4, false), (5, 4, false)]
    {
        let descriptor = PacketDescriptor {
            packet_type: PacketType::IN_BAND,
            offset8,
            len8,
            flags: PacketFlags::empty(),
            transaction_id: 0,
        };
        let (offset, length) = (usize::from(offset8) * 8, usize::from(len8) * 8);
        let error = ParseError::PacketLengths { offset, length, have: 32 };
        let expected = if fits { Ok(&packet[offset..length]) } else { Err(error) };
        assert_eq!(descriptor.payload(&packet), expected);
    }
    let most = 0xFFFF * 8 - 16;
    let build = |length| PacketDescriptor::for_payload(PacketType::IN_BAND, PacketFlags::empty(), 1, length);
    assert_eq!(build(most).map(|descriptor| descriptor.len8), Ok(0xFFFF));
    for count in [most + 1, usize::MAX] {
        assert_eq!(build(count), Err(EncodeError::Count { what: "bytes of payload", count, limit: most }));
    }
}

/// Runs everything that reads bytes, to the last entry.
fn parse_everything(bytes: &[u8], requested: u32) {
    if let Ok(GuestMessage::ResourcesAssigned { messages, .. }) = GuestMessage::parse(bytes) {
        assert_eq!(messages.iter().count(), messages.len());
    }
    if let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(bytes) {
        assert!(list.len() <= MAX_RELATIONS);
        assert_eq!(list.iter().count(), list.len());
    }
    if let Ok(descriptor) = PacketDescriptor::parse(bytes) {
        let _ = descriptor.payload(bytes);
    }
    for form in [AssignedForm::V1, AssignedForm::V2, AssignedForm::V3] {
        if let Ok(reply) = ResourcesAssignedReply::parse(form, bytes) {
            assert_eq!(reply.translated.iter().count(), reply.translated.len());
        }
    }
    let _ = MessageType::parse(bytes);
    let _ = QueryProtocolVersionReply::parse(bytes);
    let _ = StatusReply::parse(bytes);
    let _ = ResourceRequirementsReply::parse(bytes);
    let _ = GetResourcesReply::parse(bytes);
    let _ = PowerStateReply::parse(bytes);
    let _ = CreateInterruptReply::parse(bytes);
    let _ = TdispReply::parse(bytes);
    if let Ok(reply) = ReadBlockReply::parse(bytes, requested) {
        assert!(reply.data.len() <= bytes.len() && reply.data.len() as u64 <= u64::from(requested));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(256)))]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512), requested in any::<u32>()) {
        parse_everything(&bytes, requested);
    }

    #[test]
    fn no_bytes_behind_a_known_code_make_a_parser_panic(
        code in 0u32..0x20, small in any::<bool>(), mut bytes in proptest::collection::vec(any::<u8>(), 0..2048),
    ) {
        if let Some(front) = bytes.get_mut(..4) {
            front.copy_from_slice(&(MessageType::BASE | code).to_le_bytes());
        }
        if small {
            // Small slots and counts, so that the entries are reached.
            for at in [5, 6, 7, 10, 11, 13, 14, 15, 129, 130, 131] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = 0;
                }
            }
        }
        parse_everything(&bytes, 128);
        // What parses can be sent, and is then the same message, unless it holds a value that no guest may send.
        let mut buf = vec![0; 4096];
        if let Ok(message) = GuestMessage::parse(&bytes) {
            match message.encode(&mut buf) {
                Ok(length) => prop_assert_eq!(GuestMessage::parse(&buf[..length]), Ok(message)),
                Err(error) => {
                    let is_block = matches!(error, EncodeError::Count { what: "bytes of a block", .. });
                    prop_assert!(is_block, "{}", error);
                }
            }
        }
        if let Ok(message) = HostMessage::parse(&bytes) {
            let length = message.encode(&mut buf).unwrap();
            prop_assert_eq!(HostMessage::parse(&buf[..length]), Ok(message));
        }
    }
}
