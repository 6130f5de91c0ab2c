//! What a host says by itself. The core reads exactly this from these bytes and writes them; the mock host writes them.

use std::collections::BTreeSet;

use hvpci_core::Slot;
use hvpci_core::wire::{FunctionDescription, HostMessage, MessageType, Relations, RelationsForm, Version};
use hvpci_mock::host::FunctionSpec;
use hvpci_mock::host::packet::relations;

use super::{encoded, hex, odd_slot, variants};

variants!(
    MESSAGES, message_name, HostMessage,
    BusRelations Eject InvalidateBlock InvalidateDevice InvalidateBus QueryStop Reenable QueryStopFailed Unknown
);

/// A message of which the core makes this.
pub struct Vector {
    pub bytes: Vec<u8>,
    pub core: HostMessage<'static>,
    pub recorded: Option<usize>,
}

/// A GPU on NUMA node 3 whose every field is different.
pub fn gpu() -> FunctionDescription {
    FunctionDescription {
        slot: odd_slot(),
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

const GPU: &str = "de10 b220 a1 01 02 03 3412 7856 43000000 efcdab89";
const NVME: &str = "1414 3ec0 00 02 08 01 0000 0000 00000000 38e75a3f";

/// The lists: the version, their bytes, and the functions as a guest gets to know them.
fn lists() -> Vec<(Version, Vec<u8>, Vec<FunctionDescription>)> {
    let nvme = FunctionSpec::nvme().description;
    let without_node = FunctionDescription { numa_node: None, ..gpu() };
    let first = |count: &str, entries: &str| hex(&format!("00004942 {count} {entries}"));
    let second = |count: &str, entries: &str| hex(&format!("19004942 {count} {entries}"));
    let mut lists = Vec::new();
    for version in [Version::V1_1, Version::V1_2] {
        lists.push((version, first("00000000", ""), vec![]));
        lists.push((version, first("02000000", &format!("{GPU} {NVME}")), vec![without_node, nvme]));
    }
    for version in [Version::V1_3, Version::V1_4, Version::V1_5, Version::V1_6] {
        let (with, without) = ("01000000 0300 0000", "00000000 0000 0000");
        lists.push((version, second("00000000", ""), vec![]));
        lists.push((version, second("01000000", &format!("{NVME} {without}")), vec![nvme]));
        lists.push((version, second("02000000", &format!("{GPU} {with} {NVME} {without}")), vec![gpu(), nvme]));
    }
    lists
}

/// Every message of a host.
pub fn vectors() -> Vec<Vector> {
    let mut vectors: Vec<Vector> = lists()
        .into_iter()
        .map(|(_, bytes, functions)| {
            let kept: &'static [u8] = Box::leak(bytes.clone().into_boxed_slice());
            let Ok(core @ HostMessage::BusRelations(list)) = HostMessage::parse(kept) else { panic!("{bytes:x?}") };
            assert_eq!(list.iter().collect::<Vec<_>>(), functions.into_iter().map(Ok).collect::<Vec<_>>());
            let recorded = (bytes == hex(&format!("19004942 01000000 {NVME} 00000000 00000000"))).then_some(37);
            Vector { bytes, core, recorded }
        })
        .collect();
    let payload = &[0x43, 0, 0, 0][..];
    let others = [
        ("0b004942 43000000", HostMessage::Eject { slot: 0x43 }),
        ("12004942 43000000 05000000 00000080", HostMessage::InvalidateBlock { slot: 0x43, mask: 1 << 63 | 5 }),
        ("02004942 43000000", HostMessage::InvalidateDevice { payload }),
        ("03004942 43000000", HostMessage::InvalidateBus { payload }),
        ("0c004942 43000000", HostMessage::QueryStop { payload }),
        ("0d004942 43000000", HostMessage::Reenable { payload }),
        ("0e004942 43000000", HostMessage::QueryStopFailed { payload }),
    ];
    vectors.extend(others.map(|(text, core)| Vector { bytes: hex(text), core, recorded: None }));
    vectors
}

#[test]
fn the_core_has_the_bytes_of_the_document() {
    for Vector { bytes, core, .. } in vectors() {
        assert_eq!(HostMessage::parse(&bytes), Ok(core));
        assert_eq!(encoded(|buf| core.encode(buf)), bytes);
        // The padding of the ring is no data.
        let mut longer = bytes.clone();
        longer.extend([0xEE; 4]);
        if matches!(core, HostMessage::Eject { .. } | HostMessage::InvalidateBlock { .. }) {
            assert_eq!(HostMessage::parse(&longer), Ok(core));
        }
    }
    let unknown = HostMessage::Unknown { message_type: MessageType(0x4249_00FE), payload: &[1, 2] };
    assert_eq!(HostMessage::parse(&hex("fe004942 0102")), Ok(unknown));
    assert_eq!(encoded(|buf| unknown.encode(buf)), hex("fe004942 0102"));
}

/// Both encoders of lists, the core's and the mock's, from the functions to the bytes.
#[test]
fn both_sides_write_the_lists_of_the_document() {
    for (version, bytes, functions) in lists() {
        assert_eq!(relations(Some(version), functions.iter()), bytes, "{version}");
        let form = if version < Version::V1_3 { RelationsForm::V1 } else { RelationsForm::V2 };
        assert_eq!(encoded(|buf| Relations::encode_list(form, &functions, buf)), bytes, "{version}");
    }
}

#[test]
fn no_variant_is_without_a_vector() {
    let mut covered: BTreeSet<_> = vectors().iter().map(|vector| message_name(&vector.core)).collect();
    covered.insert("Unknown"); // above
    assert_eq!(covered, MESSAGES.iter().copied().collect());
    assert!(Slot::from_wire(0x43) == Some(odd_slot()));
}
