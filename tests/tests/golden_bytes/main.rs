//! The independent oracle: for every message of the protocol, both directions, every form and every reply, the bytes as
//! `reference/protocol.md` has them, written down by hand, and where there is a recording as they were recorded. Both the
//! core's codec and the mock host's packet layer are held against them; neither had a part in making them.
//!
//! That nothing is left out is checked, not promised: the variants are matched without a wildcard and each must have a
//! vector, each known message code must have one or be listed as undescribed, and each packet of the recordings must be
//! understood.

mod conversation;
mod guest;
mod host;
mod recording;
mod replies;
mod retarget;

use std::collections::BTreeSet;

use hvpci_core::Slot;
use hvpci_core::wire::{EncodeError, MessageType, PACKET_ALIGNMENT, Version};
use hvpci_mock::host::packet;

/// Bytes from hex digits; everything else in the text is for the eye.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// `front` in hex, then zeroes up to `length`.
fn hex_to(front: &str, length: usize) -> Vec<u8> {
    let mut bytes = hex(front);
    assert!(bytes.len() <= length, "{front}");
    bytes.resize(length, 0);
    bytes
}

/// Pads as the ring does.
fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(PACKET_ALIGNMENT), 0);
    bytes
}

/// What an encoder of the core writes into a buffer full of junk.
fn encoded(encode: impl Fn(&mut [u8]) -> Result<usize, EncodeError>) -> Vec<u8> {
    let mut buf = vec![0xA5; 64 << 10];
    let length = encode(&mut buf).expect("it fits");
    assert!(buf[length..].iter().all(|byte| *byte == 0xA5), "wrote behind the message");
    buf.truncate(length);
    buf
}

/// Device 3, function 2: a slot whose number tells the wire's order (device in the low bits) from Linux's.
fn odd_slot() -> Slot {
    Slot::new(3, 2).expect("there is such a slot")
}

/// A list of the variants of an enum, and the name of a value's: a variant more does not compile before it is named here,
/// and a variant named here needs a vector.
macro_rules! variants {
    ($names:ident, $name_of:ident, $type:ident, $($variant:ident)*) => {
        pub const $names: &[&str] = &[$(stringify!($variant)),*];

        pub fn $name_of(value: &$type) -> &'static str {
            match value {
                $($type::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}
use variants;

/// Message codes that no document describes further (`reference/protocol.md` section 3): nobody sends DELETE_INTERRUPT2;
/// the others are read as a code with bytes behind it.
const UNDESCRIBED: &[MessageType] = &[MessageType::DELETE_INTERRUPT2];

#[test]
fn every_known_code_has_a_vector_and_the_same_name_on_both_sides() {
    let mut covered: BTreeSet<u32> = UNDESCRIBED.iter().map(|code| code.0).collect();
    let described = guest::vectors().into_iter().filter(|vector| vector.mock.is_some());
    covered.extend(described.map(|vector| code(&vector.bytes)));
    covered.extend(host::vectors().iter().map(|vector| code(&vector.bytes)));
    let known: BTreeSet<u32> = MessageType::KNOWN.iter().map(|code| code.0).collect();
    assert_eq!(covered, known);
    // The codes of section 3, in its order.
    let names = [
        "BUS_RELATIONS",
        "QUERY_BUS_RELATIONS",
        "INVALIDATE_DEVICE",
        "INVALIDATE_BUS",
        "DEVICE_POWER_STATE_CHANGE",
        "QUERY_RESOURCE_REQUIREMENTS",
        "GET_RESOURCES",
        "FDO_D0ENTRY",
        "FDO_D0EXIT",
        "READ_BLOCK",
        "WRITE_BLOCK",
        "EJECT",
        "QUERY_STOP",
        "REENABLE",
        "QUERY_STOP_FAILED",
        "EJECTION_COMPLETE",
        "RESOURCES_ASSIGNED",
        "RESOURCES_RELEASED",
        "INVALIDATE_BLOCK",
        "QUERY_PROTOCOL_VERSION",
        "CREATE_INTERRUPT",
        "DELETE_INTERRUPT",
        "RESOURCES_ASSIGNED2",
        "CREATE_INTERRUPT2",
        "DELETE_INTERRUPT2",
        "BUS_RELATIONS2",
        "RESOURCES_ASSIGNED3",
        "CREATE_INTERRUPT3",
        "RESET_DEVICE",
        "TDISP_COMMAND",
    ];
    for low in 0..=0xFFu32 {
        let expected = names.get(low as usize).copied();
        assert_eq!(MessageType(0x4249_0000 + low).name(), expected, "{low:#x}");
        assert_eq!(packet::MessageType(0x4249_0000 + low).name(), expected, "{low:#x}");
    }
}

/// Section 2: which form of a message belongs to which version.
#[test]
fn every_version_has_its_codes_and_its_forms() {
    let table = [
        (Version::V1_1, 0x0001_0001, 0x10, 0x14, 0x00),
        (Version::V1_2, 0x0001_0002, 0x16, 0x17, 0x00),
        (Version::V1_3, 0x0001_0003, 0x16, 0x17, 0x19),
        (Version::V1_4, 0x0001_0004, 0x16, 0x1B, 0x19),
        (Version::V1_5, 0x0001_0005, 0x16, 0x1B, 0x19),
        (Version::V1_6, 0x0001_0006, 0x16, 0x1B, 0x19),
    ];
    assert_eq!(table.map(|(version, ..)| version).into_iter().rev().collect::<Vec<_>>(), Version::SPOKEN);
    for (version, number, assigned, create, relations) in table {
        assert_eq!(version.0, number);
        assert_eq!(version.assigned_form().message_type().0, 0x4249_0000 + assigned, "{version}");
        assert_eq!(version.create_form().message_type().0, 0x4249_0000 + create, "{version}");
        assert_eq!(version.relations_form().message_type().0, 0x4249_0000 + relations, "{version}");
    }
}

fn code(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().expect("a code is four bytes"))
}
