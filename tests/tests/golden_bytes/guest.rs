//! What a guest sends. The core writes exactly these bytes and reads them back; the mock host reads them from the ring, which
//! has padded them to 8.

use std::collections::BTreeSet;

use hvpci_core::Slot;
use hvpci_core::wire::{
    AssignedForm, CreateForm, DeliveryMode, GuestMessage, MessageRequest, MmioDescriptor, MsiEntry, MsiResources,
    PowerState, Version, VpSet,
};
use hvpci_mock::host::packet::{Descriptor, InterruptRequest, Request};

use super::{code, encoded, hex, hex_to, odd_slot, padded, variants};

variants!(
    MESSAGES, message_name, GuestMessage,
    QueryProtocolVersion QueryBusRelations QueryResourceRequirements GetResources D0Entry D0Exit PowerStateChange ReadBlock
    WriteBlock EjectionComplete ResourcesAssigned ResourcesReleased CreateInterrupt DeleteInterrupt ResetDevice
    TdispCommand Unknown
);
variants!(
    REQUESTS, request_name, Request,
    QueryProtocolVersion QueryBusRelations QueryResourceRequirements GetResources D0Entry D0Exit PowerStateChange ReadBlock
    WriteBlock EjectionComplete ResourcesAssigned ResourcesReleased CreateInterrupt DeleteInterrupt ResetDevice
    TdispCommand
);

/// A message, and what each side takes it for.
pub struct Vector {
    pub bytes: Vec<u8>,
    pub core: GuestMessage<'static>,
    /// `None` for what only a newer guest sends: the mock host does not know it.
    pub mock: Option<Request<'static>>,
    /// The first line of a recording, counted from 1, that has it.
    pub recorded: Option<usize>,
}

const SLOT: u32 = 0x43;

fn vector(bytes: Vec<u8>, core: GuestMessage<'static>, mock: Request<'static>) -> Vector {
    Vector { bytes, core, mock: Some(mock), recorded: None }
}

impl Vector {
    fn at(self, line: usize) -> Vector {
        Vector { recorded: Some(line), ..self }
    }
}

/// Keeps what a vector borrows for as long as the test runs.
fn kept<T: ?Sized>(value: Box<T>) -> &'static T {
    Box::leak(value)
}

fn create(form: CreateForm, vector: u32, delivery: DeliveryMode, count: u16, vps: &[u16]) -> GuestMessage<'static> {
    let targets = VpSet::from_list(vps).expect("there is room");
    GuestMessage::CreateInterrupt { form, slot: odd_slot(), vector, delivery, count, targets }
}

fn wanted(vector: u32, delivery: u8, count: u16, processors: &[u16]) -> Request<'static> {
    let interrupt = InterruptRequest { vector, delivery, count, processors: processors.to_vec() };
    Request::CreateInterrupt { slot: SLOT, interrupt }
}

const NULL: &str = "00 00 0000 0000000000000000 00000000 00000000";

/// Every message of a guest, every version's forms.
pub fn vectors() -> Vec<Vector> {
    let slot = odd_slot();
    let mut vectors = Vec::new();
    for (minor, version) in
        (1..).zip([Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4, Version::V1_5, Version::V1_6])
    {
        let it = vector(
            hex(&format!("13004942 {minor:02x}000100")),
            GuestMessage::QueryProtocolVersion { version },
            Request::QueryProtocolVersion { version },
        );
        vectors.push(if minor == 4 { it.at(34) } else { it });
    }
    vectors.extend([
        vector(hex("01004942"), GuestMessage::QueryBusRelations, Request::QueryBusRelations).at(36),
        vector(
            hex("05004942 43000000"),
            GuestMessage::QueryResourceRequirements { slot },
            Request::QueryResourceRequirements { slot: SLOT },
        ),
        vector(
            hex("05004942 00000000"),
            GuestMessage::QueryResourceRequirements { slot: Slot::ZERO },
            Request::QueryResourceRequirements { slot: 0 },
        )
        .at(38),
        vector(
            hex_to("06004942 43000000", 32),
            GuestMessage::GetResources { slot },
            Request::GetResources { slot: SLOT },
        ),
        vector(
            hex("07004942 00000000 000000f8 00000000"),
            GuestMessage::D0Entry { window: 0xF800_0000 },
            Request::D0Entry { window: 0xF800_0000 },
        )
        .at(40),
        vector(
            hex("07004942 00000000 00e0ffff 0f000000"),
            GuestMessage::D0Entry { window: 0xF_FFFF_E000 },
            Request::D0Entry { window: 0xF_FFFF_E000 },
        ),
        vector(hex("08004942"), GuestMessage::D0Exit, Request::D0Exit).at(1048),
        vector(
            hex("09004942 07000000 43000000 80000000"),
            GuestMessage::ReadBlock { slot, block: 7, bytes: 128 },
            Request::ReadBlock { slot: SLOT, block: 7, bytes: 128 },
        ),
        // The data, then the four bytes that hosts of 2018 want; the ring adds seven more.
        vector(
            hex("0a004942 07000000 43000000 05000000 a1a2a3a4 a5 00000000"),
            GuestMessage::WriteBlock { slot, block: 7, data: &[0xA1, 0xA2, 0xA3, 0xA4, 0xA5] },
            Request::WriteBlock { slot: SLOT, block: 7, data: &[0xA1, 0xA2, 0xA3, 0xA4, 0xA5], slack: 11 },
        ),
        vector(
            hex("0f004942 43000000 00000000"),
            GuestMessage::EjectionComplete { slot },
            Request::EjectionComplete { slot: SLOT },
        ),
        vector(
            hex("11004942 43000000"),
            GuestMessage::ResourcesReleased { slot },
            Request::ResourcesReleased { slot: SLOT },
        ),
        vector(hex("1c004942 43000000"), GuestMessage::ResetDevice { slot }, Request::ResetDevice { slot: SLOT }),
        vector(
            hex("1d004942 43000000 03000000 00000000 0a0b0c"),
            GuestMessage::TdispCommand { slot, data: &[0x0A, 0x0B, 0x0C] },
            Request::TdispCommand { slot: SLOT, data: &[0x0A, 0x0B, 0x0C] },
        ),
        vector(
            hex("15004942 43000000 0000 0400 78563412 0410e0fe 01000000"),
            GuestMessage::DeleteInterrupt { slot, entry: MsiEntry::new(0x1_FEE0_1004, 0x1234_5678, 4) },
            Request::DeleteInterrupt { slot: SLOT, address: 0x1_FEE0_1004, data: 0x1234_5678 },
        ),
        vector(
            hex("15004942 00000000 00000100 00000000 0000e0fe 00000000"),
            GuestMessage::DeleteInterrupt { slot: Slot::ZERO, entry: MsiEntry::new(0xFEE0_0000, 0, 1) },
            Request::DeleteInterrupt { slot: 0, address: 0xFEE0_0000, data: 0 },
        )
        .at(440),
        Vector {
            bytes: hex("fe004942 01020304"),
            core: GuestMessage::Unknown {
                message_type: hvpci_core::wire::MessageType(0x4249_00FE),
                payload: &[1, 2, 3, 4],
            },
            mock: None,
            recorded: None,
        },
    ]);
    let states = [(PowerState::D0, 1), (PowerState::D1, 2), (PowerState::D2, 3), (PowerState::D3, 4)];
    vectors.extend(states.map(|(state, number)| {
        vector(
            hex(&format!("04004942 43000000 {number:02x}000000 00000000")),
            GuestMessage::PowerStateChange { slot, state },
            Request::PowerStateChange { slot: SLOT, state: number },
        )
    }));
    vectors.extend(interrupts());
    vectors.extend(resources());
    vectors
}

fn interrupts() -> Vec<Vector> {
    let fixed = DeliveryMode::FIXED;
    vec![
        // 1.1: a mask of 64 processors.
        vector(
            hex("14004942 43000000 31 01 0400 00000000 01000000 00000080"),
            create(CreateForm::V1, 0x31, DeliveryMode::LOWEST_PRIORITY, 4, &[0, 63]),
            wanted(0x31, 1, 4, &[0, 63]),
        ),
        // 1.2 and 1.3: a list of 32 processors at most.
        vector(
            hex_to("17004942 43000000 20 00 0200 0200 0500 2c01", 80),
            create(CreateForm::V2, 0x20, fixed, 2, &[5, 300]),
            wanted(0x20, 0, 2, &[5, 300]),
        ),
        // From 1.4 on: a vector of 32 bits, here an SPI of arm64.
        vector(
            hex_to("1b004942 43000000 e7030000 00 00 0100 0100 0a00", 84),
            create(CreateForm::V3, 999, fixed, 1, &[10]),
            wanted(999, 0, 1, &[10]),
        ),
        vector(
            hex_to("1b004942 00000000 ef000000 00000100 01000000", 84),
            GuestMessage::CreateInterrupt {
                form: CreateForm::V3,
                slot: Slot::ZERO,
                vector: 0xEF,
                delivery: fixed,
                count: 1,
                targets: VpSet::single(0),
            },
            Request::CreateInterrupt {
                slot: 0,
                interrupt: InterruptRequest { vector: 0xEF, delivery: 0, count: 1, processors: vec![0] },
            },
        )
        .at(364),
    ]
}

/// RESOURCES_ASSIGNED in its three forms: without descriptors and interrupts, which leaves room for one interrupt; with
/// both; and in the recorded form.
fn resources() -> Vec<Vector> {
    let mut vectors = Vec::new();
    let forms = [
        (AssignedForm::V1, 0x10, 16, "41 00 0100 00000000 0402000000000000"),
        (AssignedForm::V2, 0x16, 72, "41 00 0100 0200 0200 0900"),
        (AssignedForm::V3, 0x1A, 80, "41000000 00 00 0100 0200 0200 0900"),
    ];
    // 64 KiB in BAR 0, which is 64 bits wide; 128 GiB in BAR 2, in units of 256 bytes; 4 KiB in BAR 4.
    let plain = "03 00 0000 0000000001000000 00000100 00000000";
    let large = "07 00 0002 0000000020000000 00000020 00000000";
    let small = "03 00 0000 00f0ff7f00000000 00100000 00000000";
    let mut bars = MmioDescriptor::NONE;
    bars[0] = MmioDescriptor::Memory { address: 0x1_0000_0000, length: 64 << 10 };
    bars[2] = MmioDescriptor::Memory { address: 0x20_0000_0000, length: 128 << 30 };
    bars[4] = MmioDescriptor::Memory { address: 0x7FFF_F000, length: 4 << 10 };
    let mut descriptors = [Descriptor::default(); 6];
    descriptors[0] = Descriptor { kind: 3, address: 0x1_0000_0000, length: 0x1_0000, ..Descriptor::default() };
    descriptors[2] =
        Descriptor { kind: 7, flags: 0x200, address: 0x20_0000_0000, length: 0x2000_0000, ..Descriptor::default() };
    descriptors[4] = Descriptor { kind: 3, address: 0x7FFF_F000, length: 0x1000, ..Descriptor::default() };
    for (form, low, stride, entry) in forms {
        let front = format!("{low:02x}004942 43000000");
        vectors.push(vector(
            hex_to(&front, 136 + stride),
            GuestMessage::ResourcesAssigned {
                form,
                slot: odd_slot(),
                bars: MmioDescriptor::NONE,
                messages: MsiResources::NONE,
            },
            Request::ResourcesAssigned { slot: SLOT, descriptors: [Descriptor::default(); 6], interrupts: vec![] },
        ));
        let mut bytes = hex(&format!("{front} {plain} {NULL} {large} {NULL} {small} {NULL} 02000000 00000000"));
        let one = hex_to(entry, stride);
        bytes.extend(one.iter().chain(&one));
        let targets = VpSet::from_list(&[2, 9]).expect("there is room");
        let request = MessageRequest { vector: 0x41, delivery: DeliveryMode::FIXED, count: 1, targets };
        let room = Box::leak(vec![0xA5; 2 * stride].into_boxed_slice());
        let messages = MsiResources::build(form, &[request; 2], room).expect("there is room");
        let wanted = InterruptRequest { vector: 0x41, delivery: 0, count: 1, processors: vec![2, 9] };
        vectors.push(vector(
            bytes,
            GuestMessage::ResourcesAssigned { form, slot: odd_slot(), bars, messages },
            Request::ResourcesAssigned { slot: SLOT, descriptors, interrupts: vec![wanted; 2] },
        ));
    }
    vectors.push(
        vector(
            hex_to("16004942 00000000", 208),
            GuestMessage::ResourcesAssigned {
                form: AssignedForm::V2,
                slot: Slot::ZERO,
                bars: MmioDescriptor::NONE,
                messages: MsiResources::NONE,
            },
            Request::ResourcesAssigned { slot: 0, descriptors: [Descriptor::default(); 6], interrupts: vec![] },
        )
        .at(44),
    );
    vectors
}

#[test]
fn both_sides_have_the_bytes_of_the_document() {
    for Vector { bytes, core, mock, .. } in vectors() {
        assert_eq!(encoded(|buf| core.encode(buf)), bytes, "{core:?}");
        let in_ring = kept(padded(bytes.clone()).into_boxed_slice());
        assert_eq!(GuestMessage::parse(in_ring), Ok(core));
        match (Request::parse(in_ring), mock) {
            (Ok((kind, request)), Some(expected)) => {
                assert_eq!(kind.0, code(&bytes));
                assert_eq!(request, expected);
            }
            (Err((kind, _)), None) => assert_eq!(kind.0, code(&bytes)),
            (parsed, expected) => panic!("{parsed:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn no_variant_is_without_a_vector() {
    let vectors = vectors();
    let core: BTreeSet<_> = vectors.iter().map(|vector| message_name(&vector.core)).collect();
    let mock: BTreeSet<_> = vectors.iter().filter_map(|vector| vector.mock.as_ref()).map(request_name).collect();
    assert_eq!(core, MESSAGES.iter().copied().collect());
    assert_eq!(mock, REQUESTS.iter().copied().collect());
}
