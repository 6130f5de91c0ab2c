//! The packet layer against recorded bytes and vectors written by hand from `reference/protocol.md` section 5.

use hvpci_core::wire::{FunctionDescription, Version};

use crate::host::FunctionSpec;
use crate::host::packet::{
    Descriptor, InterruptRequest, MessageType, Reader, Request, RequestError, Writer, large_length, relations,
};

/// Parses and expects success.
fn parse(payload: &[u8]) -> (MessageType, Request<'_>) {
    Request::parse(payload).unwrap()
}

#[test]
fn recorded_requests() {
    let (kind, request) = parse(&[0x13, 0, 0x49, 0x42, 4, 0, 1, 0]);
    assert_eq!(kind, MessageType::QUERY_PROTOCOL_VERSION);
    assert_eq!(request, Request::QueryProtocolVersion { version: Version::V1_4 });

    let d0 = [0x07, 0, 0x49, 0x42, 0, 0, 0, 0, 0, 0, 0, 0xF8, 0, 0, 0, 0];
    assert_eq!(parse(&d0).1, Request::D0Entry { window: 0xF800_0000 });

    let mut create3 = [0u8; 88];
    create3[..24]
        .copy_from_slice(&[0x1B, 0, 0x49, 0x42, 0, 0, 0, 0, 0xEF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let interrupt = InterruptRequest { vector: 0xEF, delivery: 0, count: 1, processors: vec![0] };
    assert_eq!(parse(&create3).1, Request::CreateInterrupt { slot: 0, interrupt });

    let delete = [0x15, 0, 0x49, 0x42, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 0xE0, 0xFE, 0, 0, 0, 0];
    assert_eq!(parse(&delete).1, Request::DeleteInterrupt { slot: 0, address: 0xFEE0_0004, data: 0 });
}

#[test]
fn block_messages_have_the_block_first() {
    let read = Writer::starting(MessageType::READ_BLOCK.0).u32(5).u32(0x21).u32(64).finish();
    assert_eq!(parse(&read).1, Request::ReadBlock { slot: 0x21, block: 5, bytes: 64 });
    let write = Writer::starting(MessageType::WRITE_BLOCK.0).u32(5).u32(0x21).u32(3).raw(&[1, 2, 3]).zeros(5).finish();
    assert_eq!(parse(&write).1, Request::WriteBlock { slot: 0x21, block: 5, data: &[1, 2, 3], slack: 5 });
}

#[test]
fn the_first_form_of_an_interrupt_has_a_processor_mask() {
    let create = Writer::starting(MessageType::CREATE_INTERRUPT.0)
        .u32(0)
        .u8(0x40)
        .u8(1)
        .u16(4)
        .u32(0)
        .u64(1 << 63 | 1 << 2)
        .finish();
    let interrupt = InterruptRequest { vector: 0x40, delivery: 1, count: 4, processors: vec![2, 63] };
    assert_eq!(parse(&create).1, Request::CreateInterrupt { slot: 0, interrupt });
}

#[test]
fn lengths_below_the_minimum_are_malformed() {
    // Type and the shortest payload that holds every field.
    for (kind, bytes) in [
        (MessageType::QUERY_PROTOCOL_VERSION, 8),
        (MessageType::QUERY_RESOURCE_REQUIREMENTS, 8),
        (MessageType::GET_RESOURCES, 8),
        (MessageType::FDO_D0ENTRY, 16),
        (MessageType::READ_BLOCK, 16),
        (MessageType::EJECTION_COMPLETE, 8),
        (MessageType::RESOURCES_ASSIGNED, 152),
        (MessageType::RESOURCES_ASSIGNED2, 208),
        (MessageType::RESOURCES_ASSIGNED3, 216),
        (MessageType::RESOURCES_RELEASED, 8),
        (MessageType::DELETE_INTERRUPT, 24),
        (MessageType::RESET_DEVICE, 8),
        (MessageType::TDISP_COMMAND, 16),
    ] {
        let mut packet = Writer::starting(kind.0).finish();
        packet.resize(bytes - 1, 0);
        if kind == MessageType::READ_BLOCK {
            packet[12] = 1;
        }
        assert_eq!(Request::parse(&packet), Err((kind, RequestError::Malformed)), "{kind:?}");
        packet.push(0);
        assert!(Request::parse(&packet).is_ok(), "{kind:?}");
    }
    assert!(Request::parse(&[1, 2, 3]).is_err());
    let unknown = MessageType(0x4249_00FF);
    assert_eq!(Request::parse(&unknown.0.to_le_bytes()), Err((unknown, RequestError::Unknown)));
    // What only hosts send is no request.
    let eject = MessageType::EJECT.0.to_le_bytes();
    assert_eq!(Request::parse(&eject), Err((MessageType::EJECT, RequestError::Unknown)));
}

#[test]
fn counts_that_do_not_fit_are_malformed() {
    let create = |count: u16, processors: u16| {
        Writer::starting(MessageType::CREATE_INTERRUPT2.0)
            .u32(0)
            .u8(0x30)
            .u8(0)
            .u16(count)
            .u16(processors)
            .zeros(66)
            .finish()
    };
    for (count, processors, fine) in [
        (1, 1, true),
        (32, 32, true),
        (33, 1, false),
        (64, 1, false),
        (3, 1, false),
        (0, 1, false),
        (1, 33, false),
        (1, 0, false),
    ] {
        assert_eq!(Request::parse(&create(count, processors)).is_ok(), fine, "{count} {processors}");
    }
    for (bytes, fine) in [(0, false), (1, true), (128, true), (129, false)] {
        let read = Writer::starting(MessageType::READ_BLOCK.0).u32(0).u32(0).u32(bytes).finish();
        assert_eq!(Request::parse(&read).is_ok(), fine, "{bytes}");
    }
    for count in [2, 495, u32::MAX] {
        let assigned =
            Writer::starting(MessageType::RESOURCES_ASSIGNED2.0).u32(0).zeros(120).u32(count).zeros(80).finish();
        assert!(Request::parse(&assigned).is_err(), "{count}");
    }
    let tdisp = Writer::starting(MessageType::TDISP_COMMAND.0).u32(0).u64(u64::MAX).finish();
    assert!(Request::parse(&tdisp).is_err());
}

#[test]
fn relations_of_both_forms() {
    let nvme = FunctionSpec::nvme().description;
    let with_node = FunctionDescription { numa_node: Some(3), ..nvme };
    let list = relations(Some(Version::V1_3), [&nvme, &with_node].into_iter());
    assert_eq!(list.len(), 8 + 2 * 28);
    // The entry of the recorded BUS_RELATIONS2.
    let recorded =
        [0x14, 0x14, 0x3E, 0xC0, 0, 2, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x38, 0xE7, 0x5A, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(list[..8], [0x19, 0, 0x49, 0x42, 2, 0, 0, 0]);
    assert_eq!(list[8..36], recorded);
    assert_eq!(list[56..64], [1, 0, 0, 0, 3, 0, 0, 0]);

    let first_form = relations(Some(Version::V1_2), [&with_node].into_iter());
    assert_eq!(first_form[..8], [0, 0, 0x49, 0x42, 1, 0, 0, 0]);
    assert_eq!(first_form[8..], recorded[..20]);
}

#[test]
fn large_descriptors() {
    // 128 GiB: length >> 8 with the large-40 flag.
    let bytes = Descriptor::memory(0x20_0000_0000, 128 << 30).write(Writer::new()).finish();
    assert_eq!(bytes, [7, 0, 0, 2, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0]);
    let read = Descriptor::read(&mut Reader::new(&bytes)).unwrap();
    assert_eq!(read.bytes(), Some(128 << 30));
    assert_eq!(large_length(1 << 41), (1 << 10, 1 << 25));
    assert_eq!(large_length(1 << 60), (1 << 11, 1 << 28));
    assert_eq!(large_length(u64::MAX), (1 << 11, u32::MAX));
    let small = Descriptor::memory(0x1000, 0x2000).write(Writer::new()).finish();
    assert_eq!(small, [3, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0]);
    // Port, interrupt, and large memory without a scale are no memory.
    for (kind, flags) in [(1, 0), (2, 0), (7, 0), (3, 1 << 9)] {
        let descriptor = Descriptor { kind, flags, length: 0x1000, ..Descriptor::default() };
        assert_eq!(descriptor.bytes(), None);
    }
}
