//! Host messages that the recordings lack, written by hand from `reference/protocol.md` section 5.

use super::*;

fn check(payload: &[u8], message: HostMessage<'_>) {
    assert_eq!(HostMessage::parse(payload), Ok(message));
    assert_eq!(encoded(|buf| message.encode(buf)), payload);
}

#[test]
fn eject_and_invalidate() {
    check(&hex("0b004942 43000000"), HostMessage::Eject { slot: 0x43 });
    check(&hex("0b004942 ffffffff"), HostMessage::Eject { slot: u32::MAX });
    check(
        &hex("12004942 43000000 05000000 00000080"),
        HostMessage::InvalidateBlock { slot: 0x43, mask: 0x8000_0000_0000_0005 },
    );
}

#[test]
fn messages_nobody_has_described_are_kept_whole() {
    let payload = &[0x43, 0, 0, 0][..];
    check(&hex("02004942 43000000"), HostMessage::InvalidateDevice { payload });
    check(&hex("03004942 43000000"), HostMessage::InvalidateBus { payload });
    check(&hex("0c004942 43000000"), HostMessage::QueryStop { payload });
    check(&hex("0d004942 43000000"), HostMessage::Reenable { payload });
    check(&hex("0e004942 43000000"), HostMessage::QueryStopFailed { payload });
    check(&hex("0e004942"), HostMessage::QueryStopFailed { payload: &[] });
    check(&hex("1e004942 43000000"), HostMessage::Unknown { message_type: MessageType(0x4249_001E), payload });
    // What only a guest says is unknown from a host.
    check(&hex("07004942 43000000"), HostMessage::Unknown { message_type: MessageType::FDO_D0ENTRY, payload });
}

fn gpu() -> FunctionDescription {
    FunctionDescription {
        slot: slot(),
        vendor: 0x10DE,
        device: 0x20B2,
        revision: 0xA1,
        prog_if: 0x01,
        sub_class: 0x02,
        base_class: 0x03,
        subsystem_vendor: 0x1234,
        subsystem: 0x5678,
        serial: 0x89AB_CDEF,
        numa_node: Some(3),
    }
}

const GPU_20: &str = "de10 b220 a1 01 02 03 3412 7856 43000000 efcdab89";

#[test]
fn lists_in_both_forms() {
    let second = FunctionDescription { slot: Slot::ZERO, numa_node: None, ..gpu() };
    let second_20 = GPU_20.replace("43000000", "00000000");
    for (form, text, node) in [
        (RelationsForm::V1, format!("00004942 02000000 {GPU_20} {second_20}"), None),
        (
            RelationsForm::V2,
            format!("19004942 02000000 {GPU_20} 01000000 0300 0000 {second_20} 00000000 0000 0000"),
            Some(3),
        ),
    ] {
        let payload = hex(&text);
        assert_eq!(payload.len(), form.message_length(2));
        assert_eq!(encoded(|buf| Relations::encode_list(form, &[gpu(), second], buf)), payload);
        let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(&payload) else { panic!("no list") };
        let first = FunctionDescription { numa_node: node, ..gpu() };
        assert_eq!(list.iter().collect::<Vec<_>>(), [Ok(first), Ok(second)]);
        check(&payload, HostMessage::BusRelations(list));
    }
}

#[test]
fn a_numa_node_without_its_flag_is_not_believed() {
    let payload = hex(&format!("19004942 01000000 {GPU_20} feffffff 0300 ffff"));
    let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(&payload) else { panic!("no list") };
    assert_eq!(list.iter().collect::<Vec<_>>(), [Ok(FunctionDescription { numa_node: None, ..gpu() })]);
}

#[test]
fn a_bus_may_be_empty() {
    for code in ["00", "19"] {
        let payload = hex(&format!("{code}004942 00000000"));
        let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(&payload) else { panic!("no list") };
        assert_eq!((list.len(), list.is_empty(), list.iter().next()), (0, true, None));
        check(&payload, HostMessage::BusRelations(list));
    }
}

#[test]
fn padding_is_no_entry_and_a_bad_slot_spoils_only_its_own() {
    let bad = GPU_20.replace("43000000", "00010000");
    let payload = hex(&format!("00004942 02000000 {bad} {GPU_20} ffffffff"));
    let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(&payload) else { panic!("no list") };
    let good = FunctionDescription { numa_node: None, ..gpu() };
    assert_eq!(list.iter().collect::<Vec<_>>(), [Err(InvalidSlot(0x100)), Ok(good)]);
}

#[test]
fn a_count_that_does_not_fit_is_named_with_the_bytes() {
    let payload = hex(&format!("00004942 03000000 {GPU_20} {GPU_20}"));
    let error = HostMessage::parse(&payload).unwrap_err();
    assert_eq!(error, ParseError::CountDoesNotFit { what: "BUS_RELATIONS", count: 3, bytes: 40 });
    assert_eq!(error.to_string(), "BUS_RELATIONS: a count of 3 does not fit the 40 bytes that follow");
    for count in [0x0CCC_CCCE, 0x8000_0000, u32::MAX] {
        for (code, what) in [(0x00, "BUS_RELATIONS"), (0x19, "BUS_RELATIONS2")] {
            let mut payload = hex(&format!("{code:02x}004942"));
            payload.extend(count.to_le_bytes());
            payload.resize(64, 0);
            let error = ParseError::CountDoesNotFit { what, count: u64::from(count), bytes: 56 };
            assert_eq!(HostMessage::parse(&payload), Err(error));
        }
    }
}

#[test]
fn a_list_has_at_most_256_entries() {
    let mut functions: Vec<_> =
        (0..256).map(|n| FunctionDescription { slot: Slot::from_wire(n).unwrap(), ..gpu() }).collect();
    let payload = encoded(|buf| Relations::encode_list(RelationsForm::V2, &functions, buf));
    let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(&payload) else { panic!("no list") };
    assert_eq!(list.iter().map(Result::unwrap).collect::<Vec<_>>(), functions);

    functions.push(gpu());
    let error = EncodeError::Count { what: "functions", count: 257, limit: 256 };
    assert_eq!(Relations::encode_list(RelationsForm::V2, &functions, &mut [0; 16384]), Err(error));
    let mut payload = hex("19004942 01010000");
    payload.resize(8 + 257 * 28, 0);
    let error = ParseError::TooMany { what: "BUS_RELATIONS2", count: 257, limit: 256 };
    assert_eq!(HostMessage::parse(&payload), Err(error));
}
