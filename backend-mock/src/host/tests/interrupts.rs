//! CREATE and DELETE, delivery, retarget.

use hvpci_core::Slot;
use hvpci_core::backend::Width;

use super::guest::{BAR, Guest, create2, delete, dword, instance};
use crate::host::device::{Capability, Device};
use crate::host::packet::{MessageType, Writer, status};
use crate::host::{CostModel, Delivery, FunctionSpec, HostOptions, HypercallError, NotDelivered};

#[test]
fn all_three_forms_make_interrupts() {
    let mut guest = Guest::ready();
    let first = Writer::starting(MessageType::CREATE_INTERRUPT.0).u32(0).u8(0x41).u8(0).u16(1).u32(0).u64(2).finish();
    let third = Writer::starting(MessageType::CREATE_INTERRUPT3.0)
        .u32(0)
        .u32(0x1_0043)
        .u8(0)
        .u8(0)
        .u16(1)
        .u16(1)
        .zeros(66)
        .finish();
    for (number, request) in [first, create2(0, 0x42, 1), third].into_iter().enumerate() {
        let address = 0xFEE0_0000u32 + 4 * u32::try_from(number).unwrap();
        let mut wanted = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        wanted.extend_from_slice(&u64::from(address).to_le_bytes());
        assert_eq!(guest.call(&request), wanted);
    }
    let interrupts = guest.host.function(guest.bus, Slot::ZERO).unwrap().interrupts;
    let vectors: Vec<u32> = interrupts.iter().map(|interrupt| interrupt.vector).collect();
    assert_eq!(vectors, [0x41, 0x42, 0x1_0043]);
    assert_eq!(interrupts[0].processors, [1]);
    assert_eq!(interrupts[1].processors, [3]);
}

#[test]
fn a_group_of_messages_is_one_interrupt() {
    let mut guest = Guest::ready();
    let reply = guest.call(&create2(0, 0x20, 32));
    assert_eq!((dword(&reply, 0), dword(&reply, 8) >> 16), (0, 32));
    for count in [0, 3, 33, 64] {
        assert_eq!(guest.status(&create2(0, 0x20, count)), status::BAD_DATA, "{count}");
    }
    assert_eq!(guest.host.function(guest.bus, Slot::ZERO).unwrap().interrupts.len(), 1);
}

#[test]
fn the_last_freed_message_is_used_first() {
    // As recorded: 0 and 4 made, 0 deleted, 4 deleted; the next two are 4 and 0.
    let mut guest = Guest::ready();
    assert_eq!(guest.create(0x21), (0xFEE0_0000, 0));
    assert_eq!(guest.create(0x22), (0xFEE0_0004, 0));
    assert_eq!(guest.status(&delete(0, 0xFEE0_0000, 0)), 0);
    assert_eq!(guest.status(&delete(0, 0xFEE0_0004, 0)), 0);
    assert_eq!(guest.create(0x23), (0xFEE0_0004, 0));
    assert_eq!(guest.create(0x24), (0xFEE0_0000, 0));
    assert_eq!(guest.create(0x25), (0xFEE0_0008, 0));
}

#[test]
fn delete_ignores_the_message_count() {
    let mut guest = Guest::ready();
    let (address, data) = guest.create(0x21);
    let mut request = delete(0, address, data);
    request[10] = 9;
    assert_eq!(guest.status(&request), 0);
    assert_eq!(guest.status(&request), status::BAD_DATA);
}

#[test]
fn an_msix_vector_is_delivered_only_if_everything_is_set() {
    let mut guest = Guest::ready();
    let table = BAR + 0x1_0000;
    let deliver = |guest: &Guest| guest.host.deliver(guest.bus, Slot::ZERO, 2);
    assert_eq!(deliver(&guest), Err(NotDelivered::BusMasterOff));
    guest.command(6);
    assert_eq!(deliver(&guest), Err(NotDelivered::Disabled));
    guest.write(0x42, Width::Word, 0x803F);
    assert_eq!(deliver(&guest), Err(NotDelivered::Masked));
    assert!(guest.host.memory_write(guest.now, table + 2 * 16 + 12, 0));
    assert_eq!(deliver(&guest), Err(NotDelivered::UnknownMessage { address: 0, data: 0 }));
    let (address, data) = guest.create(0x55);
    assert!(guest.host.memory_write(guest.now, table + 2 * 16, u32::try_from(address).unwrap()));
    assert!(guest.host.memory_write(guest.now, table + 2 * 16 + 8, data + 1));
    assert_eq!(deliver(&guest), Err(NotDelivered::UnknownMessage { address, data: data + 1 }));
    assert!(guest.host.memory_write(guest.now, table + 2 * 16 + 8, data));
    assert_eq!(deliver(&guest), Ok(Delivery { vector: 0x55, processors: vec![3] }));
    assert_eq!(guest.host.memory_read(guest.now, table + 2 * 16), 0xFEE0_0000);
    assert_eq!(guest.host.deliver(guest.bus, Slot::ZERO, 64), Err(NotDelivered::NoSuchVector));
    guest.status(&delete(0, address, data));
    assert_eq!(deliver(&guest), Err(NotDelivered::UnknownMessage { address, data }));
    // Decode off: the table is out of the guest's reach.
    guest.command(4);
    assert!(!guest.host.memory_write(guest.now, table, 0));
    assert_eq!(guest.host.memory_read(guest.now, table), u32::MAX);
}

#[test]
fn a_function_in_d3hot_sends_nothing() {
    let mut guest = Guest::new(HostOptions::default().with_cost(CostModel::FREE), FunctionSpec::gpu(1 << 30));
    guest.enter_d0(hvpci_core::wire::Version::V1_4);
    guest.assign_null();
    // Power Management is the first capability, at 0x40.
    guest.write(0x44, Width::Word, 3);
    assert_eq!(guest.host.deliver(guest.bus, Slot::ZERO, 0), Err(NotDelivered::Asleep));
    guest.write(0x44, Width::Word, 0);
    assert_eq!(guest.host.deliver(guest.bus, Slot::ZERO, 0), Err(NotDelivered::BusMasterOff));
}

#[test]
fn msi_messages_are_delivered_by_number() {
    let description = FunctionSpec::nvme().description;
    let device = Device::new(&description).with_capability(&Capability::Msi { messages_log2: 2, is_64bit: true });
    let mut guest =
        Guest::new(HostOptions::default().with_cost(CostModel::FREE), FunctionSpec::new(description, device));
    guest.enter_d0(hvpci_core::wire::Version::V1_4);
    guest.assign_null();
    guest.command(4);
    let reply = guest.call(&create2(0, 0x40, 4));
    guest.write(0x44, Width::Dword, dword(&reply, 16));
    guest.write(0x48, Width::Dword, dword(&reply, 20));
    guest.write(0x4C, Width::Word, dword(&reply, 12));
    assert_eq!(guest.host.deliver(guest.bus, Slot::ZERO, 0), Err(NotDelivered::Disabled));
    guest.write(0x42, Width::Word, 2 << 4 | 1);
    for message in 0..4u16 {
        let delivery = guest.host.deliver(guest.bus, Slot::ZERO, message).unwrap();
        assert_eq!(delivery.vector, 0x40 + u32::from(message));
    }
    assert_eq!(guest.host.deliver(guest.bus, Slot::ZERO, 4), Err(NotDelivered::NoSuchVector));
}

#[test]
fn retarget_changes_vector_and_processors() {
    let mut guest = Guest::ready();
    let (address, data) = guest.create(0x20);
    let address = u32::try_from(address).unwrap();
    let head = |device_id: u64, data: u32| {
        Writer::new().u64(u64::MAX).u64(device_id).u32(1).u32(0).u32(address).u32(data).u64(0)
    };
    let device_id = instance().logical_device_id(Slot::ZERO);
    let by_mask = head(device_id, data).u32(0x61).u32(0).u64(0b101).finish();
    assert_eq!(guest.host.retarget(&by_mask, 0), Ok(guest.bus));
    let interrupt = |guest: &Guest| guest.host.function(guest.bus, Slot::ZERO).unwrap().interrupts[0].clone();
    assert_eq!((interrupt(&guest).vector, interrupt(&guest).processors), (0x61, vec![0, 2]));

    let by_set = head(device_id, data).u32(0x62).u32(2).u64(0).u64(0b1001).u64(1 << 5).u64(1 << 1).finish();
    assert_eq!(guest.host.retarget(&by_set, 3), Ok(guest.bus));
    assert_eq!((interrupt(&guest).vector, interrupt(&guest).processors), (0x62, vec![5, 193]));

    assert_eq!(guest.host.retarget(&by_set, 2), Err(HypercallError::InvalidParameter));
    assert_eq!(guest.host.retarget(&by_set[..60], 3), Err(HypercallError::InvalidParameter));
    assert_eq!(guest.host.retarget(&by_mask, 1), Err(HypercallError::InvalidParameter));
    let no_processor = head(device_id, data).u32(0x61).u32(0).u64(0).finish();
    assert_eq!(guest.host.retarget(&no_processor, 0), Err(HypercallError::InvalidParameter));
    let elsewhere = head(device_id + 8, data).u32(0x61).u32(0).u64(1).finish();
    assert_eq!(guest.host.retarget(&elsewhere, 0), Err(HypercallError::InvalidDevice));
    let other = head(device_id, data + 1).u32(0x61).u32(0).u64(1).finish();
    assert_eq!(guest.host.retarget(&other, 0), Err(HypercallError::InvalidInterrupt));
    guest.host.close_channel(guest.bus, guest.now);
    assert_eq!(guest.host.retarget(&by_mask, 0), Err(HypercallError::InvalidDevice));
}

#[test]
fn each_message_of_a_group_is_aimed_by_itself() {
    let options = HostOptions::default().with_cost(CostModel::FREE);
    let mut guest = Guest::new(options, FunctionSpec::gpu_with_msi(1 << 20));
    guest.enter_d0(hvpci_core::wire::Version::V1_4);
    guest.assign_null();
    let entry = guest.call(&create2(0, 0x20, 4));
    let (address, data) = (dword(&entry, 16), dword(&entry, 12));
    let device_id = instance().logical_device_id(Slot::ZERO);
    let aim = |guest: &mut Guest, index: u32, vector: u32, processor: u32| {
        let head = Writer::new().u64(u64::MAX).u64(device_id).u32(1).u32(0).u32(address).u32(data + index).u64(0);
        guest.host.retarget(&head.u32(vector).u32(0).u64(1 << processor).finish(), 0)
    };
    for index in 0..4 {
        assert_eq!(aim(&mut guest, index, 0x40 + 3 * index, index), Ok(guest.bus));
    }
    assert_eq!(aim(&mut guest, 4, 0x50, 0), Err(HypercallError::InvalidInterrupt));
    guest.command(6);
    // The first capability is power management, 8 bytes; MSI follows: address, data, enable with four messages.
    guest.write(0x4C, Width::Dword, address);
    guest.write(0x50, Width::Dword, 0);
    guest.write(0x54, Width::Word, data);
    guest.write(0x4A, Width::Word, 0x21);
    for index in 0..4u16 {
        let delivery = Delivery { vector: 0x40 + 3 * u32::from(index), processors: vec![index] };
        assert_eq!(guest.host.deliver(guest.bus, Slot::ZERO, index), Ok(delivery));
    }
    assert_eq!(guest.host.deliver(guest.bus, Slot::ZERO, 4), Err(NotDelivered::NoSuchVector));
}
