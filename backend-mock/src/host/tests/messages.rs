//! Every message about one function, and its reply.

use hvpci_core::Slot;
use hvpci_core::wire::Version;

use super::guest::{BAR, Guest, assigned, dword, power, slotted};
use crate::host::device::BarSpec;
use crate::host::packet::{Descriptor, MessageType, Writer, status};
use crate::host::{CostModel, FunctionSpec, HostOptions, PowerReply, ResetSupport};

/// Descriptors for the recorded function: BAR 0 and BAR 4.
fn nvme_descriptors() -> [Descriptor; 6] {
    let mut descriptors = [Descriptor::default(); 6];
    descriptors[0] = Descriptor::memory(BAR, 64 << 10);
    descriptors[4] = Descriptor::memory(BAR + 0x1_0000, 4 << 10);
    descriptors
}

fn openvmm(version: Version) -> Guest {
    let mut guest = Guest::new(HostOptions::openvmm().with_cost(CostModel::FREE), FunctionSpec::nvme());
    guest.enter_d0(version);
    guest
}

#[test]
fn requirements_are_the_probed_masks() {
    let mut guest = Guest::in_d0();
    let reply = guest.call(&slotted(MessageType::QUERY_RESOURCE_REQUIREMENTS, 0));
    let recorded = [
        0, 0, 0, 0, 0x0C, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x0C, 0xF0, 0xFF, 0xFF, 0xFF,
        0xFF, 0xFF, 0xFF,
    ];
    assert_eq!(reply, recorded);
}

#[test]
fn assigned_descriptors_program_the_bars() {
    for kind in [MessageType::RESOURCES_ASSIGNED, MessageType::RESOURCES_ASSIGNED2, MessageType::RESOURCES_ASSIGNED3] {
        let mut guest = Guest::in_d0();
        let request = assigned(kind, 0, nvme_descriptors());
        let reply = guest.call(&request);
        // Status, slot, the same descriptors, no interrupts, reserved.
        assert_eq!(reply.len(), 136);
        assert_eq!((dword(&reply, 0), dword(&reply, 4)), (0, 0));
        assert_eq!(reply[8..136], request[8..136]);
        let state = guest.host.function(guest.bus, Slot::ZERO).unwrap();
        assert_eq!(state.bars, [0xC, 0x10, 0, 0, 0x1_000C, 0x10]);

        let resources = guest.call(&slotted(MessageType::GET_RESOURCES, 0));
        assert_eq!(resources.len(), 128);
        assert_eq!(resources[..8], [1, 0, 1, 0, 6, 0, 0, 0]);
        assert_eq!(resources[8..128], request[8..128]);
        assert_eq!(guest.errors(), []);
    }
}

#[test]
fn null_descriptors_zero_the_bars() {
    let mut guest = Guest::in_d0();
    guest.set_bars();
    guest.assign_null();
    assert_eq!(guest.host.function(guest.bus, Slot::ZERO).unwrap().bars, [0xC, 0, 0, 0, 0xC, 0]);
    let resources = guest.call(&slotted(MessageType::GET_RESOURCES, 0));
    assert_eq!(resources[8..], [0; 120]);
}

#[test]
fn a_128_gib_bar_is_assigned_by_a_large_descriptor() {
    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::gpu(128 << 30));
    guest.enter_d0(Version::V1_4);
    let mut descriptors = [Descriptor::default(); 6];
    descriptors[0] = Descriptor::memory(0x20_0000_0000, 128 << 30);
    assert_eq!(guest.status(&assigned(MessageType::RESOURCES_ASSIGNED2, 0, descriptors)), 0);
    assert_eq!(guest.host.device(guest.bus, Slot::ZERO).unwrap().range(0), Some((0x20_0000_0000, 128 << 30)));
}

#[test]
fn descriptors_that_fit_no_bar_are_refused() {
    let wrong = |register: usize, descriptor: Descriptor| {
        let mut descriptors = [Descriptor::default(); 6];
        descriptors[register] = descriptor;
        let mut guest = Guest::in_d0();
        let result = guest.status(&assigned(MessageType::RESOURCES_ASSIGNED2, 0, descriptors));
        assert_eq!(result, status::BAD_DATA);
        assert_eq!(guest.errors().len(), 1);
        assert!(!guest.host.function(guest.bus, Slot::ZERO).unwrap().assigned);
    };
    // Unaligned, too long, an upper half, a register without BAR, a port.
    wrong(0, Descriptor::memory(BAR + 0x1000, 64 << 10));
    wrong(0, Descriptor::memory(BAR, 128 << 10));
    wrong(0, Descriptor::memory(BAR, 0));
    wrong(1, Descriptor::memory(BAR, 64 << 10));
    wrong(2, Descriptor::memory(BAR, 64 << 10));
    wrong(0, Descriptor { kind: 1, ..Descriptor::memory(BAR, 64 << 10) });

    // A 32-bit BAR above 4 GiB.
    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::gpu_with_bars(&[BarSpec::narrow(0, 1 << 20)]));
    guest.enter_d0(Version::V1_4);
    let mut descriptors = [Descriptor::default(); 6];
    descriptors[0] = Descriptor::memory(BAR, 1 << 20);
    assert_eq!(guest.status(&assigned(MessageType::RESOURCES_ASSIGNED2, 0, descriptors)), status::BAD_DATA);
}

#[test]
fn assigned_interrupts_are_translated_in_entries_of_the_hosts_size() {
    for (kind, entry, short, translated) in [
        (MessageType::RESOURCES_ASSIGNED, 16, true, 16),
        (MessageType::RESOURCES_ASSIGNED2, 72, true, 72),
        (MessageType::RESOURCES_ASSIGNED3, 80, true, 72),
        (MessageType::RESOURCES_ASSIGNED3, 80, false, 80),
    ] {
        let options = HostOptions { short_assigned3_entries: short, ..HostOptions::default() };
        let mut guest = Guest::new(options, FunctionSpec::nvme());
        guest.enter_d0(Version::V1_4);
        let mut request = Writer::starting(kind.0).u32(0).zeros(120).u32(2).u32(0).finish();
        for vector in [0x41u8, 0x42] {
            let body = match kind {
                MessageType::RESOURCES_ASSIGNED => Writer::new().u8(vector).u8(0).u16(1).u32(0).u64(1),
                MessageType::RESOURCES_ASSIGNED2 => Writer::new().u8(vector).u8(0).u16(1).u16(1).u16(0),
                _ => Writer::new().u32(u32::from(vector)).u8(0).u8(0).u16(1).u16(1).u16(0),
            };
            let mut body = body.finish();
            body.resize(entry, 0);
            request.extend_from_slice(&body);
        }
        let reply = guest.call(&request);
        assert_eq!(reply.len(), 136 + 2 * translated, "{kind:?}");
        assert_eq!((dword(&reply, 0), dword(&reply, 128)), (0, 2));
        for (index, address) in [(0, 0xFEE0_0000u32), (1, 0xFEE0_0004)] {
            let at = 136 + index * translated;
            assert_eq!((dword(&reply, at), dword(&reply, at + 4), dword(&reply, at + 8)), (1 << 16, 0, address));
        }
        assert_eq!(guest.host.function(guest.bus, Slot::ZERO).unwrap().interrupts.len(), 2);
    }
}

#[test]
fn released_takes_everything_back_and_completes_if_asked() {
    let mut guest = Guest::ready();
    guest.command(6);
    guest.create(0x31);
    assert_eq!(guest.status(&slotted(MessageType::RESOURCES_RELEASED, 0)), 0);
    let state = guest.host.function(guest.bus, Slot::ZERO).unwrap();
    assert!(!state.decodes && !state.assigned && state.interrupts.is_empty());
    assert_eq!(state.bars, [0xC, 0, 0, 0, 0xC, 0]);
    let ledger = guest.host.ledger(guest.bus, Slot::ZERO);
    assert_eq!((ledger.maps, ledger.unmaps, ledger.host_unmaps), (1, 0, 1));

    guest.assign_null();
    guest.send(&slotted(MessageType::RESOURCES_RELEASED, 0));
    assert_eq!(guest.packets(), []);
    guest.host.quirks_mut().released_never_completes = true;
    guest.assign_null();
    guest.ask(&slotted(MessageType::RESOURCES_RELEASED, 0));
    assert_eq!(guest.packets(), []);
}

#[test]
fn power_states_set_and_clear_decode() {
    let mut guest = Guest::ready();
    assert_eq!(guest.host.options().power_reply, PowerReply::Full);
    assert_eq!(guest.call(&power(0, 1)), [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(guest.decodes());
    assert_eq!(guest.call(&power(0, 4)), [0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
    assert!(!guest.decodes());
    let ledger = guest.host.ledger(guest.bus, Slot::ZERO);
    assert_eq!((ledger.maps, ledger.unmaps, ledger.host_unmaps), (1, 1, 0));

    let mut guest = openvmm(Version::V1_4);
    guest.assign_null();
    assert_eq!(guest.call(&power(0, 4)), [0, 0, 0, 0]);
}

#[test]
fn blocks_are_read_and_written() {
    let mut guest = Guest::ready();
    let read =
        |block: u32, bytes: u32| Writer::starting(MessageType::READ_BLOCK.0).u32(block).u32(0).u32(bytes).finish();
    assert_eq!(guest.call(&read(3, 5)), [0, 0, 0, 0, 7, 7, 7, 7, 7]);
    // A block shorter than asked for, and one that does not exist.
    assert_eq!(guest.call(&read(3, 128)).len(), 4 + 100);
    assert_eq!(guest.status(&read(9, 128)), status::BAD_DATA);

    let write = |slack: usize| {
        Writer::starting(MessageType::WRITE_BLOCK.0).u32(9).u32(0).u32(8).raw(&[1; 8]).zeros(slack).finish()
    };
    assert_eq!(guest.call(&write(0)), [0, 0, 0, 0]);
    assert_eq!(guest.host.block(guest.bus, Slot::ZERO, 9), Some(&[1; 8][..]));
    guest.host.quirks_mut().write_block_slack = true;
    assert_eq!(guest.status(&write(0)), status::BAD_DATA);
    assert_eq!(guest.status(&write(4)), 0);
}

#[test]
fn reset_is_refused_or_real() {
    let mut guest = openvmm(Version::V1_5);
    assert_eq!(guest.host.options().reset, ResetSupport::NotSupported);
    assert_eq!(guest.status(&slotted(MessageType::RESET_DEVICE, 0)), status::NOT_SUPPORTED);

    let mut guest = Guest::new(HostOptions::default(), FunctionSpec::nvme());
    guest.enter_d0(Version::V1_5);
    guest.assign_null();
    guest.set_bars();
    guest.command(6);
    assert_eq!(guest.status(&slotted(MessageType::RESET_DEVICE, 0)), 0);
    let state = guest.host.function(guest.bus, Slot::ZERO).unwrap();
    assert_eq!((state.command, state.decodes, state.bars), (0, false, [0xC, 0, 0, 0, 0xC, 0]));
    assert_eq!(guest.host.ledger(guest.bus, Slot::ZERO).host_unmaps, 1);
}

#[test]
fn tdisp_is_not_supported() {
    let mut guest = Guest::ready();
    let command = Writer::starting(MessageType::TDISP_COMMAND.0).u32(0).u64(3).raw(&[1, 2, 3]).finish();
    assert_eq!(guest.status(&command), status::NOT_SUPPORTED);
}

#[test]
fn without_a_request_for_completion_there_is_none() {
    let mut guest = Guest::ready();
    for kind in [
        MessageType::QUERY_RESOURCE_REQUIREMENTS,
        MessageType::GET_RESOURCES,
        MessageType::RESET_DEVICE,
        MessageType(0x4249_0099),
    ] {
        guest.send(&slotted(kind, 0));
    }
    assert_eq!(guest.packets(), []);
}

#[test]
fn messages_are_charged_to_their_function() {
    let mut guest = Guest::ready();
    let before = guest.host.ledger(guest.bus, Slot::ZERO).messages;
    guest.call(&power(0, 1));
    guest.send(&slotted(MessageType::RESOURCES_RELEASED, 0));
    assert_eq!(guest.host.ledger(guest.bus, Slot::ZERO).messages, before + 3);
    // Version, D0ENTRY with its relations: five of the bus's own.
    assert_eq!(guest.host.bus_ledger(guest.bus).messages, before + 3 + 5);
}
