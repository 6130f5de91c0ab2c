//! Tests of requests, groups, SPIs and retarget arguments.

use proptest::prelude::*;

use super::*;
use crate::Slot;
use crate::wire::{CreateForm, CreateInterruptReply, DeliveryMode, GuestMessage, Version, VpSet};

fn one(vp: u16) -> VpSet {
    VpSet::single(vp)
}

fn x86(vector: u32, count: u16) -> Result<(), InterruptError> {
    InterruptRequest { slot: Slot::ZERO, vector, count, targets: one(0) }.validate(Architecture::X86)
}

fn arm64(vector: u32, count: u16) -> Result<(), InterruptError> {
    InterruptRequest { slot: Slot::ZERO, vector, count, targets: one(0) }.validate(Architecture::Arm64)
}

fn form(message: GuestMessage<'_>) -> CreateForm {
    let GuestMessage::CreateInterrupt { form, delivery: DeliveryMode::FIXED, .. } = message else {
        panic!("{message:?}")
    };
    form
}

fn encoded(request: &InterruptRequest, architecture: Architecture, version: Version) -> Vec<u8> {
    let mut buffer = [0xAA; 128];
    let length = request.to_create(architecture, version).unwrap().encode(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn the_recorded_create() {
    // CREATE_INTERRUPT3 of the recording, 82 bytes and zeros up to the next multiple of 8.
    let mut expected = hex("1b004942 00000000 ef000000 00000100 01000000");
    expected.resize(88, 0);
    let mut sent = encoded(&InterruptRequest::single(Slot::ZERO, 0xEF, one(0)), Architecture::X86, Version::V1_4);
    assert!((82..=88).contains(&sent.len()));
    sent.resize(88, 0);
    assert_eq!(sent, expected);
    // Its answer, and the DELETE_INTERRUPT that was sent for it.
    let answer = CreateInterruptReply::parse(&hex("00000000 00000000 00000100 00000000 0400e0fe 00000000")).unwrap();
    let entry = MsiGroup::new(answer.entry, 1).to_delete().unwrap();
    assert_eq!((entry.address, entry.data, entry.message_count), (0xFEE0_0004, 0, 1));
    let mut buffer = [0; 128];
    let length = GuestMessage::DeleteInterrupt { slot: Slot::ZERO, entry }.encode(&mut buffer).unwrap();
    assert_eq!(buffer[..length], hex("15004942 00000000 00000100 00000000 0400e0fe 00000000"));
}

#[test]
fn the_other_forms_by_hand() {
    let slot = Slot::new(1, 2).unwrap();
    let group = InterruptRequest::multi_msi(slot, 4, VpSet::from_list(&[0, 5]).unwrap());
    // reference/protocol.md section 5: u8 vector, u8 delivery, u16 count, u32 reserved, u64 mask.
    let v1 = hex("14004942 41000000 20 00 0400 00000000 2100000000000000");
    assert_eq!(encoded(&group, Architecture::X86, Version::V1_1), v1);
    // u8 vector, u8 delivery, u16 count, u16 processors, then 32 places of u16.
    let v2 = hex("17004942 41000000 20 00 0400 0200 0000 0500");
    let sent = encoded(&group, Architecture::X86, Version::V1_3);
    assert!(sent.starts_with(&v2) && (78..=80).contains(&sent.len()) && sent[v2.len()..].iter().all(|b| *b == 0));
    // u32 vector, u8 delivery, u8 reserved, u16 count, u16 processors.
    let v3 = hex("1b004942 41000000 e0030000 00 00 1000 0100 0700");
    let spis = InterruptRequest::spis(slot, SpiRange::new(992, 16).unwrap(), one(7));
    let sent = encoded(&spis, Architecture::Arm64, Version::V1_6);
    assert!(sent.starts_with(&v3) && (82..=84).contains(&sent.len()) && sent[v3.len()..].iter().all(|b| *b == 0));
}

#[test]
fn counts_and_vectors_are_bounded() {
    let slot = Slot::ZERO;
    for count in [1, 2, 4, 8, 16, 32] {
        assert_eq!(x86(InterruptRequest::DUMMY_VECTOR, count), Ok(()));
        assert_eq!(arm64(64, count), Ok(()));
    }
    for count in [0, 3, 33, 64, u16::MAX] {
        assert_eq!(x86(32, count), Err(InterruptError::Count { slot, count }));
    }
    for vector in [16, 0xEF, 255] {
        assert_eq!(x86(vector, 1), Ok(()));
    }
    for (vector, count) in [(0, 1), (15, 1), (256, 1), (248, 16), (u32::MAX, 1), (u32::MAX - 1, 2)] {
        assert_eq!(x86(vector, count), Err(InterruptError::Vector { slot, vector, count, first: 16, last: 255 }));
    }
    assert_eq!(x86(34, 4), Err(InterruptError::Misaligned { slot, vector: 34, count: 4 }));
    assert_eq!((arm64(1019, 1), arm64(1016, 4)), (Ok(()), Ok(())));
    for (vector, count) in [(63, 1), (32, 32), (1020, 1), (1016, 8), (u32::MAX, 2)] {
        assert_eq!(arm64(vector, count), Err(InterruptError::Vector { slot, vector, count, first: 64, last: 1019 }));
    }
    assert_eq!(arm64(65, 2), Err(InterruptError::Misaligned { slot, vector: 65, count: 2 }));
}

#[test]
fn what_a_version_cannot_say_is_refused() {
    let slot = Slot::ZERO;
    let high = InterruptRequest::single(slot, 0x23, one(64));
    let create = |request: &InterruptRequest, version| request.to_create(Architecture::X86, version);
    assert_eq!(create(&high, Version::V1_1), Err(InterruptError::VpTooHigh { slot, vp: 64, version: Version::V1_1 }));
    assert_eq!(form(create(&high, Version::V1_2).unwrap()), CreateForm::V2);
    assert_eq!(form(create(&InterruptRequest::single(slot, 0x23, one(63)), Version::V1_1).unwrap()), CreateForm::V1);
    assert_eq!(create(&high, Version::V1_0), Err(InterruptError::NotSpoken { slot, version: Version::V1_0 }));
    let nobody = InterruptRequest::single(slot, 0x23, VpSet::default());
    assert_eq!(create(&nobody, Version::V1_4), Err(InterruptError::NoTargets { slot }));
    let spis = InterruptRequest::spis(slot, SpiRange::new(96, 32).unwrap(), one(0));
    let version = Version::V1_3;
    assert_eq!(spis.to_create(Architecture::Arm64, version), Err(InterruptError::VersionTooLow { slot, version }));
}

#[test]
fn as_many_processors_as_the_message_can_name() {
    let slot = Slot::ZERO;
    let first = |count: u16| VpSet::from_list(&(0..count).collect::<Vec<_>>()).unwrap();
    let create = |count, version| {
        InterruptRequest::single(slot, 0x23, first(count)).to_create(Architecture::X86, version).map(form)
    };
    assert_eq!(create(64, Version::V1_1), Ok(CreateForm::V1));
    for version in [Version::V1_2, Version::V1_4] {
        assert!(create(32, version).is_ok());
        assert_eq!(create(33, version), Err(InterruptError::TooManyTargets { slot, named: 33 }));
    }
}

#[test]
fn processors_are_picked_in_turn() {
    let mut spread = VpSpread::new();
    let picked: Vec<_> = (0..5).map(|_| spread.pick([6, 2, 4]).unwrap()).collect();
    assert_eq!(picked, [2, 4, 6, 2, 4]);
    assert_eq!(spread.pick([1, 3]), Some(1), "above 4 there is none left");
    assert_eq!(spread.pick([1]), Some(1));
    assert_eq!(spread.pick([]), None);
    assert_eq!(spread.pick([0, 1, 2]), Some(2), "no candidates change nothing");
}

#[test]
fn only_the_first_of_a_group_is_deleted() {
    let answer = MsiEntry::new(0xFEE0_0000, 0x40, 4);
    let group = MsiGroup::new(answer, 4);
    let entries: Vec<_> = group.entries().map(|e| (e.address, e.data, e.message_count)).collect();
    let address = 0xFEE0_0000;
    assert_eq!(entries, [(address, 0x40, 4), (address, 0x41, 0), (address, 0x42, 0), (address, 0x43, 0)]);
    assert_eq!(group.entries().filter(|e| !e.is_alias()).count(), 1);
    assert_eq!(group.to_delete(), Some(answer));
    assert_eq!(group.entry(4), None);
    let odd = MsiGroup::new(MsiEntry::new(0, u32::MAX, 0), 2);
    assert_eq!(odd.entry(1), Some(MsiEntry::new(0, 0, 0)));
    assert_eq!(odd.to_delete(), None);
}

#[test]
fn spis_come_lowest_first_and_aligned() {
    let mut spis = SpiAllocator::new();
    assert_eq!(spis.free_count(), 956);
    let mut take = |count| spis.allocate(count).unwrap().first();
    assert_eq!((take(1), take(32), take(2), take(1), take(32)), (64, 96, 66, 65, 128));
    let range = SpiRange::new(96, 32).unwrap();
    spis.free(range).unwrap();
    assert_eq!(spis.free(range), Err(SpiError::State { first: 96, count: 32 }));
    assert_eq!(spis.claim(SpiRange::new(64, 2).unwrap()), Err(SpiError::State { first: 64, count: 2 }));
    spis.claim(range).unwrap();
    assert_eq!(spis.allocate(3), Err(SpiError::Count(3)));
    for (first, count) in [(63, 1), (1020, 1), (1016, 8), (992, 32), (66, 4), (u16::MAX, 2)] {
        assert_eq!(SpiRange::new(first, count), Err(SpiError::Range { first, count }));
    }
}

#[test]
fn every_spi_can_be_had_and_no_more() {
    let mut spis = SpiAllocator::new();
    let all: Vec<_> = std::iter::from_fn(|| spis.allocate(1).ok()).map(SpiRange::first).collect();
    assert_eq!(all, (64..=1019).collect::<Vec<_>>());
    assert_eq!((spis.allocate(1), spis.free_count()), (Err(SpiError::Exhausted(1)), 0));
}

const RECORDED: &str = "3f5ae738-5c79-8781-8549-40abcf2714df";

fn retarget(vector: u32, address: u64, data: u32) -> Retarget {
    let entry = MsiEntry::new(address, data, 1);
    Retarget { instance: RECORDED.parse().unwrap(), slot: Slot::ZERO, entry, vector, multicast: false }
}

/// The bytes of hex text, blanks ignored.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn the_recorded_retarget() {
    // HVCALL RETARGET_INTERRUPT devid=0x5c798780 addr=0xfee00004 data=0x0 vector=0x23 multicast=false vps=[0], laid out
    // by hand from reference/protocol.md section 9; the version of the recording is 1.4.
    let expected = hex("ffffffffffffffff 8087795c00000000 01000000 00000000 0400e0fe 00000000 0000000000000000
         23000000 02000000 0000000000000000 0100000000000000 0100000000000000");
    let mut buffer = [0xAA; Retarget::MAX_BYTES];
    let arguments = retarget(0x23, 0xFEE0_0004, 0).encode(Architecture::X86, Version::V1_4, [0], &mut buffer).unwrap();
    assert_eq!(arguments, RetargetArguments { length: 72, variable_header: 2, control: 0x0004_007E });
    assert_eq!(&buffer[..72], expected);
    assert!(buffer[72..].iter().all(|b| *b == 0xAA));
}

#[test]
fn a_mask_before_1_2() {
    let expected = hex("ffffffffffffffff 8087795c00000000 01000000 00000000 0000e0fe 78563412 0000000000000000
         ef000000 01000000 0500000000000080");
    let mut buffer = [0; 56];
    let multicast = Retarget { multicast: true, ..retarget(0xEF, 0xFEE0_0000, 0x1234_5678) };
    let arguments = multicast.encode(Architecture::X86, Version::V1_1, [63, 0, 2, 0], &mut buffer).unwrap();
    assert_eq!(arguments, RetargetArguments { length: 56, variable_header: 0, control: 0x7E });
    assert_eq!(&buffer[..], expected);
}

#[test]
fn a_sparse_set_lists_only_the_banks_in_use() {
    let mut buffer = [0; Retarget::MAX_BYTES];
    // VP 4095 = bank 63 bit 63, VP 130 = bank 2 bit 2, VP 1 = bank 0 bit 1.
    let arguments = retarget(0x30, 0, 0).encode(Architecture::X86, Version::V1_2, [4095, 1, 130], &mut buffer).unwrap();
    assert_eq!(arguments, RetargetArguments { length: 88, variable_header: 4, control: 0x0008_007E });
    let banks = "0000000000000000 0500000000000080 0200000000000000 0400000000000000 0000000000000080";
    assert_eq!(&buffer[48..88], hex(banks));
}

#[test]
fn what_cannot_be_aimed() {
    let aim = |architecture, version, vps: &[u32], bytes: usize| {
        let mut buffer = [0; Retarget::MAX_BYTES];
        retarget(0x30, 0, 0).encode(architecture, version, vps.iter().copied(), &mut buffer[..bytes])
    };
    let x86 = Architecture::X86;
    let all = Retarget::MAX_BYTES;
    assert_eq!(aim(Architecture::Arm64, Version::V1_4, &[0], all), Err(RetargetError::NotOnArm64));
    assert_eq!(aim(x86, Version::V1_4, &[], all), Err(RetargetError::NoTargets));
    assert_eq!(aim(x86, Version::V1_1, &[], all), Err(RetargetError::NoTargets));
    assert_eq!(aim(x86, Version::V1_1, &[0, 64], all), Err(RetargetError::VpTooHigh { vp: 64, last: 63 }));
    assert_eq!(aim(x86, Version::V1_2, &[4096], all), Err(RetargetError::VpTooHigh { vp: 4096, last: 4095 }));
    assert_eq!(aim(x86, Version::V1_2, &[u32::MAX], all), Err(RetargetError::VpTooHigh { vp: u32::MAX, last: 4095 }));
    assert_eq!(aim(x86, Version::V1_2, &[0], 71), Err(RetargetError::BufferTooSmall { needed: 72 }));
    assert_eq!(aim(x86, Version::V1_1, &[0], 55), Err(RetargetError::BufferTooSmall { needed: 56 }));
    let everyone: Vec<u32> = (0..4096).collect();
    assert_eq!(aim(x86, Version::V1_2, &everyone, all).unwrap().length, all);
    assert!(aim(x86, Version::V1_2, &everyone, all - 1).is_err());
}

/// An iterator that gives something else the second time it is walked must not break anything.
#[test]
fn a_fickle_iterator_stays_in_bounds() {
    use std::cell::Cell;
    let walks = Cell::new(0u32);
    #[derive(Clone)]
    struct Fickle<'a>(&'a Cell<u32>);
    impl<'a> IntoIterator for Fickle<'a> {
        type Item = u32;
        type IntoIter = std::vec::IntoIter<u32>;
        fn into_iter(self) -> Self::IntoIter {
            self.0.set(self.0.get() + 1);
            if self.0.get() == 1 { vec![0] } else { vec![1, 700, 5000, u32::MAX] }.into_iter()
        }
    }
    let mut buffer = [0; 72];
    retarget(0x30, 0, 0).encode(Architecture::X86, Version::V1_4, Fickle(&walks), &mut buffer).unwrap();
    assert_eq!(buffer[64], 2);
}

/// Reads a VP set back, the slow way.
fn decode_vp_set(input: &[u8]) -> Vec<u32> {
    let word = |at: usize| u64::from_le_bytes(input[at..at + 8].try_into().unwrap());
    assert_eq!(word(48), 0);
    let banks = (0..64).filter(|bank| word(56) >> bank & 1 == 1);
    let found: Vec<u32> = banks
        .enumerate()
        .flat_map(|(at, bank)| {
            (0..64).filter(move |bit| word(64 + 8 * at) >> bit & 1 == 1).map(move |bit| bank * 64 + bit)
        })
        .collect();
    assert_eq!(input.len(), 64 + 8 * word(56).count_ones() as usize);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(256)))]

    #[test]
    fn what_passes_can_always_be_encoded(
        vector in prop_oneof![0u32..1100, any::<u32>()],
        count in prop_oneof![Just(1u16), Just(32), any::<u16>()],
        vps in prop::collection::vec(prop_oneof![0u16..70, any::<u16>()], 0..65),
        version in prop::sample::select(&Version::SPOKEN[..]),
        arm64 in any::<bool>(),
    ) {
        let architecture = if arm64 { Architecture::Arm64 } else { Architecture::X86 };
        let request = InterruptRequest { slot: Slot::ZERO, vector, count, targets: VpSet::from_list(&vps).unwrap() };
        if let Ok(message) = request.to_create(architecture, version) {
            let mut buffer = [0; 128];
            let length = message.encode(&mut buffer).unwrap();
            let GuestMessage::CreateInterrupt { vector: v, count: c, .. } = GuestMessage::parse(&buffer[..length]).unwrap()
            else { panic!() };
            prop_assert_eq!((v, c), (vector, count));
        }
    }

    #[test]
    fn a_vp_set_holds_exactly_the_processors_named(vps in prop::collection::vec(0u32..4096, 1..200)) {
        let mut buffer = [0xFF; Retarget::MAX_BYTES];
        let arguments = retarget(0x30, 0xFEE0_0000, 1)
            .encode(Architecture::X86, Version::V1_4, vps.iter().copied(), &mut buffer)
            .unwrap();
        let mut expected = vps;
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(decode_vp_set(&buffer[..arguments.length]), expected);
        prop_assert_eq!(usize::from(arguments.variable_header) * 8 + 56, arguments.length);
        prop_assert_eq!(arguments.control, 0x7E | (u64::from(arguments.variable_header) << 17));
    }

    #[test]
    fn spi_groups_never_overlap(steps in prop::collection::vec((any::<bool>(), 0u32..6, any::<prop::sample::Index>()), 1..200)) {
        let mut spis = SpiAllocator::new();
        let mut held: Vec<SpiRange> = Vec::new();
        for (free, exponent, index) in steps {
            if free && !held.is_empty() {
                let range = held.swap_remove(index.index(held.len()));
                spis.free(range).unwrap();
            } else if let Ok(range) = spis.allocate(1 << exponent) {
                let (first, end) = (range.first(), range.first() + range.count());
                prop_assert!(first >= 64 && end <= 1020 && first % range.count() == 0);
                prop_assert!(held.iter().all(|h| end <= h.first() || h.first() + h.count() <= first));
                held.push(range);
            }
            let taken: u32 = held.iter().map(|h| u32::from(h.count())).sum();
            prop_assert_eq!(spis.free_count(), 956 - taken);
        }
    }
}
