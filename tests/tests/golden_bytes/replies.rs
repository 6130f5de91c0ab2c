//! What a host answers. Replies carry no code: which one is expected follows from the request.

use std::collections::BTreeSet;

use hvpci_core::wire::{
    AssignedForm, CreateInterruptReply, GetResourcesReply, GuestMessage, MmioDescriptor, MsiEntry, PowerState,
    PowerStateReply, ProbedBars, QueryProtocolVersionReply, ReadBlockReply, ResourceRequirementsReply,
    ResourcesAssignedReply, Status, StatusReply, TdispReply, TranslatedMessages, Version,
};

use super::{encoded, guest, hex, hex_to};

/// The layouts of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Status,
    Version,
    Requirements,
    Resources,
    Power,
    Assigned(u8),
    Interrupt,
    Block,
    Tdisp,
}

/// The reply that a request is answered with; `None` where section 5 defines none.
pub fn kind_of(request: &GuestMessage<'_>) -> Option<Kind> {
    Some(match request {
        GuestMessage::QueryProtocolVersion { .. } => Kind::Version,
        GuestMessage::QueryResourceRequirements { .. } => Kind::Requirements,
        GuestMessage::GetResources { .. } => Kind::Resources,
        GuestMessage::PowerStateChange { .. } => Kind::Power,
        GuestMessage::ReadBlock { .. } => Kind::Block,
        GuestMessage::ResourcesAssigned { form: AssignedForm::V1, .. } => Kind::Assigned(1),
        GuestMessage::ResourcesAssigned { form: AssignedForm::V2, .. } => Kind::Assigned(2),
        GuestMessage::ResourcesAssigned { form: AssignedForm::V3, .. } => Kind::Assigned(3),
        GuestMessage::CreateInterrupt { .. } => Kind::Interrupt,
        GuestMessage::TdispCommand { .. } => Kind::Tdisp,
        GuestMessage::D0Entry { .. }
        | GuestMessage::D0Exit
        | GuestMessage::WriteBlock { .. }
        | GuestMessage::ResourcesReleased { .. }
        | GuestMessage::DeleteInterrupt { .. }
        | GuestMessage::EjectionComplete { .. }
        | GuestMessage::ResetDevice { .. } => Kind::Status,
        GuestMessage::QueryBusRelations | GuestMessage::Unknown { .. } => return None,
    })
}

/// What the core makes of the bytes of a reply, and the bytes it makes of that again.
pub fn through_the_core(kind: Kind, bytes: &[u8]) -> (String, Vec<u8>) {
    macro_rules! both {
        ($reply:expr) => {{
            let reply = $reply.unwrap_or_else(|error| panic!("{kind:?} {bytes:x?}: {error}"));
            (format!("{reply:?}"), encoded(|buf| reply.encode(buf)))
        }};
    }
    match kind {
        Kind::Status => both!(StatusReply::parse(bytes)),
        Kind::Version => both!(QueryProtocolVersionReply::parse(bytes)),
        Kind::Requirements => both!(ResourceRequirementsReply::parse(bytes)),
        Kind::Resources => both!(GetResourcesReply::parse(bytes)),
        Kind::Power => both!(PowerStateReply::parse(bytes)),
        Kind::Assigned(1) => both!(ResourcesAssignedReply::parse(AssignedForm::V1, bytes)),
        Kind::Assigned(2) => both!(ResourcesAssignedReply::parse(AssignedForm::V2, bytes)),
        Kind::Assigned(_) => both!(ResourcesAssignedReply::parse(AssignedForm::V3, bytes)),
        Kind::Interrupt => both!(CreateInterruptReply::parse(bytes)),
        Kind::Block => both!(ReadBlockReply::parse(bytes, 128)),
        Kind::Tdisp => both!(TdispReply::parse(bytes)),
    }
}

const PLAIN: &str = "03 00 0000 0000000001000000 00000100 00000000";
const LARGE: &str = "07 00 0002 0000000020000000 00000020 00000000";
const NULL: &str = "00 00 0000 0000000000000000 00000000 00000000";

fn bars() -> [MmioDescriptor; 6] {
    let mut bars = MmioDescriptor::NONE;
    bars[0] = MmioDescriptor::Memory { address: 0x1_0000_0000, length: 64 << 10 };
    bars[2] = MmioDescriptor::Memory { address: 0x20_0000_0000, length: 128 << 30 };
    bars
}

/// A reply to RESOURCES_ASSIGNED with two translated interrupts of `stride` bytes each.
fn assigned(stride: usize) -> Vec<u8> {
    let mut bytes = hex(&format!("00000000 43000000 {PLAIN} {NULL} {LARGE} {NULL} {NULL} {NULL} 02000000 00000000"));
    for address in ["0410e0fe", "0810e0fe"] {
        bytes.extend(hex_to(&format!("0000 0100 78563412 {address} 01000000"), stride));
    }
    bytes
}

/// Replies, the layout they are in, and what they say; and the line of the recording that has them.
fn vectors() -> Vec<(Kind, Vec<u8>, String, Option<usize>)> {
    let ok = Status::SUCCESS;
    let entries = [0xFEE0_1004, 0xFEE0_1008].map(|address| MsiEntry::new(0x1_0000_0000 + address, 0x1234_5678, 1));
    let mut vectors = vec![
        (Kind::Status, hex("00000000"), format!("{:?}", StatusReply { status: ok }), Some(43)),
        (Kind::Status, hex("0b0900c0"), format!("{:?}", StatusReply { status: Status::BAD_DATA }), None),
        (Kind::Status, hex("bb0000c0"), format!("{:?}", StatusReply { status: Status::NOT_SUPPORTED }), None),
        (
            Kind::Version,
            hex("00000000 03000100"),
            format!("{:?}", QueryProtocolVersionReply { status: ok, version: Version::V1_3 }),
            Some(35),
        ),
        (
            Kind::Version,
            hex("590000c0 06000100"),
            format!("{:?}", QueryProtocolVersionReply { status: Status::REVISION_MISMATCH, version: Version::V1_6 }),
            None,
        ),
        (
            Kind::Requirements,
            hex("00000000 0c00ffff ffffffff 00000000 00000000 0cf0ffff ffffffff"),
            format!(
                "{:?}",
                ResourceRequirementsReply {
                    status: ok,
                    bars: ProbedBars([0xFFFF_000C, u32::MAX, 0, 0, 0xFFFF_F00C, u32::MAX]),
                }
            ),
            Some(39),
        ),
        (
            Kind::Resources,
            hex(&format!("0100 0100 06000000 {PLAIN} {NULL} {LARGE} {NULL} {NULL} {NULL}")),
            format!("{:?}", GetResourcesReply::Resources(bars())),
            None,
        ),
        (
            Kind::Power,
            hex("00000000 43000000 04000000 00000000"),
            format!("{:?}", PowerStateReply { status: ok, result: Some((0x43, PowerState::D3)) }),
            None,
        ),
        (Kind::Power, hex("00000000"), format!("{:?}", PowerStateReply { status: ok, result: None }), None),
        (
            Kind::Interrupt,
            hex("00000000 00000000 0000 0400 78563412 0410e0fe 01000000"),
            format!("{:?}", CreateInterruptReply { status: ok, entry: MsiEntry::new(0x1_FEE0_1004, 0x1234_5678, 4) }),
            None,
        ),
        (
            Kind::Interrupt,
            hex("00000000 00000000 0000 0100 00000000 0000e0fe 00000000"),
            format!("{:?}", CreateInterruptReply { status: ok, entry: MsiEntry::new(0xFEE0_0000, 0, 1) }),
            Some(368),
        ),
        (
            Kind::Block,
            hex("00000000 b1b2b3b4 b5"),
            format!("{:?}", ReadBlockReply { status: ok, data: &[0xB1, 0xB2, 0xB3, 0xB4, 0xB5] }),
            None,
        ),
        (
            Kind::Tdisp,
            hex("00000000 43000000 02000000 00000000 c1c2"),
            format!("{:?}", TdispReply { status: ok, slot: 0x43, data: &[0xC1, 0xC2] }),
            None,
        ),
    ];
    // The third form is answered with entries of the second's size (OpenVMM).
    for (number, form, stride) in [(1, AssignedForm::V1, 16), (2, AssignedForm::V2, 72), (3, AssignedForm::V3, 72)] {
        let mut room = [0xA5; 144];
        let translated = TranslatedMessages::build(form, &entries, &mut room).expect("there is room");
        let reply = ResourcesAssignedReply { status: ok, slot: 0x43, bars: bars(), translated };
        vectors.push((Kind::Assigned(number), assigned(stride), format!("{reply:?}"), None));
    }
    vectors
}

#[test]
fn the_core_has_the_bytes_of_the_document() {
    for (kind, bytes, says, _) in vectors() {
        let (read, written) = through_the_core(kind, &bytes);
        assert_eq!(read, says, "{kind:?} {bytes:x?}");
        assert_eq!(written, bytes, "{kind:?}");
    }
}

#[test]
fn hand_and_recording_agree() {
    for (kind, bytes, _, line) in vectors() {
        if let Some(line) = line {
            assert_eq!(super::recording::payload(line), bytes, "{kind:?}, line {line}");
        }
    }
}

#[test]
fn no_request_is_without_a_reply() {
    let wanted: BTreeSet<Kind> = guest::vectors().iter().filter_map(|vector| kind_of(&vector.core)).collect();
    let covered: BTreeSet<Kind> = vectors().iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(covered, wanted);
}
