//! Every message with any legal content: what is sent is what is read, whatever the ring pads it with.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Encodes, pads with junk and hands the bytes back.
fn wire(junk: usize, encode: impl Fn(&mut [u8]) -> Result<usize, EncodeError>) -> Vec<u8> {
    let mut buf = vec![0; 48 << 10];
    let length = encode(&mut buf).unwrap();
    buf.truncate(length);
    buf.resize(length + junk, 0xC3);
    buf
}

fn host(junk: usize, message: HostMessage<'_>) {
    assert_eq!(HostMessage::parse(&wire(junk, |buf| message.encode(buf))), Ok(message));
}

fn guest(junk: usize, message: GuestMessage<'_>) {
    assert_eq!(GuestMessage::parse(&wire(junk, |buf| message.encode(buf))), Ok(message));
}

fn any_slot() -> impl Strategy<Value = Slot> {
    (0u32..256).prop_map(|raw| Slot::from_wire(raw).unwrap())
}

fn any_bar() -> impl Strategy<Value = MmioDescriptor> {
    prop_oneof![
        Just(MmioDescriptor::Null),
        (any::<u64>(), any::<u32>())
            .prop_map(|(address, length)| MmioDescriptor::Memory { address, length: u64::from(length) }),
        (any::<u64>(), 0u32..64).prop_map(|(address, bit)| MmioDescriptor::Memory { address, length: 1 << bit }),
        any::<u64>().prop_map(|address| MmioDescriptor::Memory { address, length: MAX_RANGE_LENGTH }),
        (4u8..7, any::<u8>(), any::<u16>(), any::<u64>(), any::<u32>()).prop_map(
            |(kind, share, flags, address, length)| MmioDescriptor::Other { kind, share, flags, address, length }
        ),
    ]
}

fn any_bars() -> impl Strategy<Value = [MmioDescriptor; 6]> {
    [any_bar(), any_bar(), any_bar(), any_bar(), any_bar(), any_bar()]
}

fn any_entry() -> impl Strategy<Value = MsiEntry> {
    (any::<u64>(), any::<u32>(), any::<u16>(), any::<u16>())
        .prop_map(|(address, data, message_count, reserved)| MsiEntry { address, data, message_count, reserved })
}

/// A form of CREATE_INTERRUPT and a request that it can hold. A mask has no order, so its processors ascend.
fn any_request(form: CreateForm) -> BoxedStrategy<MessageRequest> {
    let vector = if form == CreateForm::V3 { any::<u32>().boxed() } else { (0u32..256).boxed() };
    let targets = match form {
        CreateForm::V1 => any::<u64>().prop_map(VpSet::from_mask).boxed(),
        _ => vec(any::<u16>(), 0..=32).prop_map(|vps| VpSet::from_list(&vps).unwrap()).boxed(),
    };
    (vector, any::<u8>(), any::<u16>(), targets)
        .prop_map(|(vector, delivery, count, targets)| {
            let delivery = DeliveryMode(delivery);
            MessageRequest { vector, delivery, count, targets }
        })
        .boxed()
}

fn any_create() -> impl Strategy<Value = (CreateForm, MessageRequest)> {
    prop_oneof![Just(CreateForm::V1), Just(CreateForm::V2), Just(CreateForm::V3)]
        .prop_flat_map(|form| (Just(form), any_request(form)))
}

fn any_assigned() -> impl Strategy<Value = (AssignedForm, Vec<MessageRequest>)> {
    prop_oneof![
        vec(any_request(CreateForm::V1), 0..5).prop_map(|requests| (AssignedForm::V1, requests)),
        vec(any_request(CreateForm::V2), 0..5).prop_map(|requests| (AssignedForm::V2, requests)),
        vec(any_request(CreateForm::V3), 0..5).prop_map(|requests| (AssignedForm::V3, requests)),
    ]
}

prop_compose! {
    fn any_function()(
        (slot, vendor, device, revision, prog_if) in
            (any_slot(), any::<u16>(), any::<u16>(), any::<u8>(), any::<u8>()),
        (sub_class, base_class, subsystem_vendor, subsystem) in
            (any::<u8>(), any::<u8>(), any::<u16>(), any::<u16>()),
        (serial, numa_node) in (any::<u32>(), any::<Option<u16>>()),
    ) -> FunctionDescription {
        FunctionDescription {
            slot, vendor, device, revision, prog_if, sub_class, base_class, subsystem_vendor, subsystem, serial,
            numa_node,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(256)))]

    #[test]
    fn guest_messages(
        junk in 0usize..8, slot in any_slot(), word in any::<u32>(), long in any::<u64>(), bytes in 1u32..=128,
        entry in any_entry(),
    ) {
        guest(junk, GuestMessage::QueryProtocolVersion { version: Version(word) });
        guest(junk, GuestMessage::QueryBusRelations);
        guest(junk, GuestMessage::QueryResourceRequirements { slot });
        guest(junk, GuestMessage::GetResources { slot });
        guest(junk, GuestMessage::D0Entry { window: long });
        guest(junk, GuestMessage::D0Exit);
        guest(junk, GuestMessage::PowerStateChange { slot, state: PowerState(word) });
        guest(junk, GuestMessage::ReadBlock { slot, block: word, bytes });
        guest(junk, GuestMessage::EjectionComplete { slot });
        guest(junk, GuestMessage::ResourcesReleased { slot });
        guest(junk, GuestMessage::DeleteInterrupt { slot, entry });
        guest(junk, GuestMessage::ResetDevice { slot });
    }

    #[test]
    fn guest_messages_with_data(
        junk in 0usize..8, slot in any_slot(), block in any::<u32>(), code in 0x1Eu32..,
        data in vec(any::<u8>(), 1..=128),
    ) {
        guest(junk, GuestMessage::WriteBlock { slot, block, data: &data });
        guest(junk, GuestMessage::TdispCommand { slot, data: &data });
        let message_type = MessageType(MessageType::BASE.wrapping_add(code % 0x4249_0000));
        guest(0, GuestMessage::Unknown { message_type, payload: &data });
    }

    #[test]
    fn interrupts(junk in 0usize..8, slot in any_slot(), (form, request) in any_create()) {
        let MessageRequest { vector, delivery, count, targets } = request;
        guest(junk, GuestMessage::CreateInterrupt { form, slot, vector, delivery, count, targets });
    }

    #[test]
    fn assigned_resources(
        junk in 0usize..8, slot in any_slot(), bars in any_bars(), (form, requests) in any_assigned(),
    ) {
        let mut room = [0xA5; 400];
        let messages = MsiResources::build(form, &requests, &mut room).unwrap();
        let message = GuestMessage::ResourcesAssigned { form, slot, bars, messages };
        let bytes = wire(junk, |buf| message.encode(buf));
        prop_assert_eq!(bytes.len(), form.message_length(requests.len()) + junk);
        let Ok(GuestMessage::ResourcesAssigned { messages, .. }) = GuestMessage::parse(&bytes) else {
            panic!("no resources");
        };
        let parsed: Result<Vec<_>, _> = messages.iter().collect();
        prop_assert_eq!(parsed, Ok(requests));
        guest(junk, message);
    }

    #[test]
    fn host_messages(
        junk in 0usize..8, slot in any::<u32>(), mask in any::<u64>(), data in vec(any::<u8>(), 0..64),
    ) {
        for message in [HostMessage::Eject { slot }, HostMessage::InvalidateBlock { slot, mask }] {
            host(junk, message);
        }
        let payload = &data[..];
        for message in [
            HostMessage::InvalidateDevice { payload },
            HostMessage::InvalidateBus { payload },
            HostMessage::QueryStop { payload },
            HostMessage::Reenable { payload },
            HostMessage::QueryStopFailed { payload },
            HostMessage::Unknown { message_type: MessageType(slot | 0x8000_0000), payload },
        ] {
            host(0, message);
        }
    }

    #[test]
    fn lists_of_functions(junk in 0usize..8, functions in vec(any_function(), 0..=256), second in any::<bool>()) {
        let form = if second { RelationsForm::V2 } else { RelationsForm::V1 };
        let bytes = wire(junk, |buf| Relations::encode_list(form, &functions, buf));
        prop_assert_eq!(bytes.len(), form.message_length(functions.len()) + junk);
        let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(&bytes) else { panic!("no list") };
        let parsed: Result<Vec<_>, _> = list.iter().collect();
        let expected = functions.iter().map(|f| FunctionDescription {
            numa_node: f.numa_node.filter(|_| second),
            ..*f
        });
        prop_assert_eq!(parsed, Ok(expected.collect()));
        let again = wire(0, |buf| HostMessage::BusRelations(list).encode(buf));
        prop_assert_eq!(&again[..], &bytes[..bytes.len() - junk]);
    }

    #[test]
    fn replies(
        junk in 0usize..4, code in any::<u32>(), word in any::<u32>(), bars in any_bars(), entry in any_entry(),
        probed in any::<[u32; 6]>(), result in any::<Option<(u32, u32)>>(),
    ) {
        let status = Status(code);
        let reply = StatusReply { status };
        prop_assert_eq!(StatusReply::parse(&wire(junk, |buf| reply.encode(buf))), Ok(reply));
        let reply = QueryProtocolVersionReply { status, version: Version(word) };
        prop_assert_eq!(QueryProtocolVersionReply::parse(&wire(junk, |buf| reply.encode(buf))), Ok(reply));
        let reply = ResourceRequirementsReply { status, bars: ProbedBars(probed) };
        prop_assert_eq!(ResourceRequirementsReply::parse(&wire(junk, |buf| reply.encode(buf))), Ok(reply));
        let reply = CreateInterruptReply { status, entry };
        prop_assert_eq!(CreateInterruptReply::parse(&wire(junk, |buf| reply.encode(buf))), Ok(reply));
        let reply = PowerStateReply { status, result: result.map(|(slot, state)| (slot, PowerState(state))) };
        prop_assert_eq!(PowerStateReply::parse(&wire(junk, |buf| reply.encode(buf))), Ok(reply));
        let reply = GetResourcesReply::Resources(bars);
        prop_assert_eq!(GetResourcesReply::parse(&wire(junk, |buf| reply.encode(buf))), Ok(reply));
        let reply = GetResourcesReply::Failed(Status(code | 0x8000_0000));
        prop_assert_eq!(GetResourcesReply::parse(&wire(junk, |buf| reply.encode(buf))), Ok(reply));
    }

    #[test]
    fn replies_with_data(
        junk in 0usize..8, slot in any::<u32>(), code in 0u32..0x8000_0000, bars in any_bars(),
        data in vec(any::<u8>(), 0..=128), translated in vec(any_entry(), 0..5),
    ) {
        let status = Status(code);
        let reply = ReadBlockReply { status, data: &data };
        let requested = u32::try_from(data.len()).unwrap();
        let bytes = wire(junk, |buf| reply.encode(buf));
        prop_assert_eq!(ReadBlockReply::parse(&bytes, requested), Ok(reply));
        let reply = TdispReply { status, slot, data: &data };
        let bytes = wire(junk, |buf| reply.encode(buf));
        prop_assert_eq!(TdispReply::parse(&bytes), Ok(reply));
        for form in [AssignedForm::V1, AssignedForm::V2, AssignedForm::V3] {
            let mut room = [0xA5; 400];
            let entries = TranslatedMessages::build(form, &translated, &mut room).unwrap();
            let reply = ResourcesAssignedReply { status, slot, bars, translated: entries };
            let bytes = wire(junk, |buf| reply.encode(buf));
            let parsed = ResourcesAssignedReply::parse(form, &bytes).unwrap();
            prop_assert_eq!((parsed.status, parsed.slot, parsed.bars), (status, slot, bars));
            prop_assert_eq!(parsed.translated.iter().collect::<Vec<_>>(), &translated[..]);
        }
    }

    #[test]
    fn packet_descriptors(
        kind in any::<u16>(), offset8 in any::<u16>(), len8 in any::<u16>(), flags in any::<u16>(),
        transaction_id in any::<u64>(), length in 0usize..5000,
    ) {
        let flags = PacketFlags::from_bits_retain(flags);
        let descriptor = PacketDescriptor { packet_type: PacketType(kind), offset8, len8, flags, transaction_id };
        prop_assert_eq!(PacketDescriptor::parse(&wire(8, |buf| descriptor.encode(buf))), Ok(descriptor));
        let built = PacketDescriptor::for_payload(PacketType(kind), flags, transaction_id, length).unwrap();
        let packet = vec![0; usize::from(built.len8) * 8];
        let payload = built.payload(&packet).unwrap();
        prop_assert!(payload.len() >= length && payload.len() < length + PACKET_ALIGNMENT);
    }
}
