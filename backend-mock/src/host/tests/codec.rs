//! The core's codec and the host's packet layer, written apart from the same notes, understand each other.

use hvpci_core::Slot;
use hvpci_core::wire::{
    AssignedForm, CreateForm, CreateInterruptReply, DeliveryMode, GUEST_MESSAGE_BUFFER, GetResourcesReply,
    GuestMessage, HostMessage, MessageRequest, MmioDescriptor, MsiEntry, MsiResources, PowerState, PowerStateReply,
    QueryProtocolVersionReply, ReadBlockReply, ResourceRequirementsReply, ResourcesAssignedReply, Status, StatusReply,
    Version, VpSet,
};

use super::guest::{BAR, Guest, WINDOW};
use crate::host::{CostModel, FunctionSpec, HostOptions, PacketKind};

const SLOT: Slot = Slot::ZERO;

fn call(guest: &mut Guest, message: &GuestMessage<'_>) -> Vec<u8> {
    let mut buf = [0; 4096];
    let length = message.encode(&mut buf).unwrap();
    // One interrupt at most, in this buffer's size.
    assert!(length <= GUEST_MESSAGE_BUFFER);
    guest.call(&buf[..length])
}

fn status(guest: &mut Guest, message: &GuestMessage<'_>) -> Status {
    StatusReply::parse(&call(guest, message)).unwrap().status
}

fn bars() -> [MmioDescriptor; 6] {
    let mut bars = MmioDescriptor::NONE;
    bars[0] = MmioDescriptor::Memory { address: BAR, length: 64 << 10 };
    bars[4] = MmioDescriptor::Memory { address: BAR + 0x1_0000, length: 4 << 10 };
    bars
}

/// One life of a function with every message, in the forms of a version.
fn life(version: Version, form: AssignedForm, create: CreateForm) {
    let function = FunctionSpec::nvme().on_node(2).with_block(1, &[9; 40]);
    let description = function.description;
    let mut guest = Guest::new(HostOptions::default().with_cost(CostModel::FREE), function);
    let reply = call(&mut guest, &GuestMessage::QueryProtocolVersion { version });
    assert_eq!(QueryProtocolVersionReply::parse(&reply).unwrap().status, Status::SUCCESS);

    let mut buf = [0; 16];
    let length = GuestMessage::QueryBusRelations.encode(&mut buf).unwrap();
    guest.send(&buf[..length]);
    let packet = guest.packet().unwrap();
    assert_eq!(packet.kind, PacketKind::InBand);
    let HostMessage::BusRelations(list) = HostMessage::parse(&packet.payload).unwrap() else { panic!() };
    let node = if version >= Version::V1_3 { Some(2) } else { None };
    let listed: Vec<_> = list.iter().map(Result::unwrap).collect();
    assert_eq!(listed, [hvpci_core::wire::FunctionDescription { numa_node: node, ..description }]);

    let reply = call(&mut guest, &GuestMessage::QueryResourceRequirements { slot: SLOT });
    let probed = ResourceRequirementsReply::parse(&reply).unwrap();
    assert_eq!((probed.status, probed.bars), (Status::SUCCESS, guest.host.device(guest.bus, SLOT).unwrap().probed()));
    assert_eq!(status(&mut guest, &GuestMessage::D0Entry { window: WINDOW }), Status::SUCCESS);

    let request = MessageRequest { vector: 0x61, delivery: DeliveryMode::FIXED, count: 1, targets: VpSet::single(5) };
    let mut entries = [0; 80];
    let messages = MsiResources::build(form, &[request], &mut entries).unwrap();
    let reply = call(&mut guest, &GuestMessage::ResourcesAssigned { form, slot: SLOT, bars: bars(), messages });
    let reply = ResourcesAssignedReply::parse(form, &reply).unwrap();
    assert_eq!((reply.status, reply.slot, reply.bars), (Status::SUCCESS, 0, bars()));
    let translated: Vec<MsiEntry> = reply.translated.iter().collect();
    assert_eq!(translated, [MsiEntry::new(0xFEE0_0000, 0, 1)]);
    let reply = call(&mut guest, &GuestMessage::GetResources { slot: SLOT });
    assert_eq!(GetResourcesReply::parse(&reply).unwrap(), GetResourcesReply::Resources(bars()));

    let targets = VpSet::from_list(&[1, 40]).unwrap();
    let (vector, delivery) = (0x62, DeliveryMode::LOWEST_PRIORITY);
    let message = GuestMessage::CreateInterrupt { form: create, slot: SLOT, vector, delivery, count: 8, targets };
    let reply = CreateInterruptReply::parse(&call(&mut guest, &message)).unwrap();
    assert_eq!((reply.status, reply.entry), (Status::SUCCESS, MsiEntry::new(0xFEE0_0004, 0, 8)));
    let held = guest.host.function(guest.bus, SLOT).unwrap().interrupts;
    assert_eq!((held[0].vector, held[0].processors.as_slice()), (0x61, &[5][..]));
    assert_eq!((held[1].vector, held[1].delivery, held[1].processors.as_slice()), (0x62, 1, &[1, 40][..]));
    let message = GuestMessage::DeleteInterrupt { slot: SLOT, entry: reply.entry };
    assert_eq!(status(&mut guest, &message), Status::SUCCESS);

    let reply = call(&mut guest, &GuestMessage::PowerStateChange { slot: SLOT, state: PowerState::D0 });
    let reply = PowerStateReply::parse(&reply).unwrap();
    assert_eq!((reply.status, reply.result), (Status::SUCCESS, Some((0, PowerState::D0))));
    assert!(guest.decodes());

    guest.host.quirks_mut().write_block_slack = true;
    for data in [&[1u8; 5][..], &[2; 128]] {
        let length = u32::try_from(data.len()).unwrap();
        assert_eq!(status(&mut guest, &GuestMessage::WriteBlock { slot: SLOT, block: 6, data }), Status::SUCCESS);
        let reply = call(&mut guest, &GuestMessage::ReadBlock { slot: SLOT, block: 6, bytes: length });
        assert_eq!(ReadBlockReply::parse(&reply, length).unwrap().data, data);
    }
    guest.host.invalidate_block(guest.bus, guest.now, SLOT, 0x42);
    let packet = guest.packet().unwrap();
    assert_eq!(HostMessage::parse(&packet.payload), Ok(HostMessage::InvalidateBlock { slot: 0, mask: 0x42 }));

    let tdisp = GuestMessage::TdispCommand { slot: SLOT, data: &[1, 2] };
    assert_eq!(status(&mut guest, &tdisp), Status::NOT_SUPPORTED);
    if version >= Version::V1_5 {
        assert_eq!(status(&mut guest, &GuestMessage::ResetDevice { slot: SLOT }), Status::SUCCESS);
    }
    assert_eq!(status(&mut guest, &GuestMessage::ResourcesReleased { slot: SLOT }), Status::SUCCESS);
    assert_eq!(status(&mut guest, &GuestMessage::D0Exit), Status::SUCCESS);
    guest.host.eject(guest.bus, guest.now, SLOT);
    let packet = guest.packet().unwrap();
    assert_eq!(HostMessage::parse(&packet.payload), Ok(HostMessage::Eject { slot: 0 }));
    let length = GuestMessage::EjectionComplete { slot: SLOT }.encode(&mut buf).unwrap();
    guest.send(&buf[..length]);
    assert_eq!(guest.host.slots(guest.bus), []);
    assert_eq!((guest.host.violations(), guest.host.leaks()), (&[][..], &[][..]));
}

#[test]
fn every_message_in_the_forms_of_every_version() {
    life(Version::V1_1, AssignedForm::V1, CreateForm::V1);
    life(Version::V1_2, AssignedForm::V2, CreateForm::V2);
    life(Version::V1_3, AssignedForm::V2, CreateForm::V2);
    life(Version::V1_4, AssignedForm::V3, CreateForm::V3);
    life(Version::V1_5, AssignedForm::V2, CreateForm::V3);
    life(Version::V1_6, AssignedForm::V3, CreateForm::V3);
}
