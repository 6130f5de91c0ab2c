//! The lengths a resource descriptor can hold.

use proptest::prelude::*;

use super::*;

/// The 20 bytes of a descriptor in BAR register 0.
fn bytes(bar: MmioDescriptor) -> Result<Vec<u8>, EncodeError> {
    let mut bars = MmioDescriptor::NONE;
    bars[0] = bar;
    let mut buf = [0; GUEST_MESSAGE_BUFFER];
    GuestMessage::ResourcesAssigned { form: AssignedForm::V2, slot: slot(), bars, messages: MsiResources::NONE }
        .encode(&mut buf)?;
    Ok(buf[8..28].to_vec())
}

/// A descriptor from its 20 bytes.
fn descriptor(bytes: &[u8]) -> MmioDescriptor {
    let mut payload = hex_to("16004942 43000000", 208);
    payload[8..28].copy_from_slice(bytes);
    match GuestMessage::parse(&payload) {
        Ok(GuestMessage::ResourcesAssigned { bars, .. }) => bars[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_unit_begins_where_the_last_one_ends() {
    let table = [
        (0x10, "03 00 0000", 0x10),
        (0xFFFF_FFFF, "03 00 0000", 0xFFFF_FFFF),
        (0x1_0000_0000, "07 00 0002", 0x0100_0000),
        (128 << 30, "07 00 0002", 0x2000_0000),
        (0xFF_FFFF_FF00, "07 00 0002", 0xFFFF_FFFF),
        (1 << 40, "07 00 0004", 0x0100_0000),
        (0xFFFF_FFFF_0000, "07 00 0004", 0xFFFF_FFFF),
        (1 << 48, "07 00 0008", 0x0001_0000),
        (1 << 63, "07 00 0008", 0x8000_0000),
        (MAX_RANGE_LENGTH, "07 00 0008", 0xFFFF_FFFFu32),
    ];
    for (length, front, field) in table {
        let mut expected = hex(front);
        expected.extend(0x12_3456_7000_u64.to_le_bytes());
        expected.extend(field.to_le_bytes());
        expected.extend([0; 4]);
        let bar = MmioDescriptor::Memory { address: 0x12_3456_7000, length };
        assert_eq!(bytes(bar), Ok(expected.clone()), "{length:#x}");
        assert_eq!(descriptor(&expected), bar, "{length:#x}");
    }
}

#[test]
fn a_length_between_two_units_is_rounded_up() {
    for (length, held) in [
        (0x1_0000_0001, 0x1_0000_0100),
        // Rounding up may need the next unit.
        (0xFF_FFFF_FF01, 0x100_0000_0000),
        (0xFFFF_FFFF_0001, 0x1_0000_0000_0000),
        (0x1_0000_0000_0001, 0x1_0001_0000_0000),
        (0xFFFF_FFFE_0000_0001, MAX_RANGE_LENGTH),
    ] {
        let bytes = bytes(MmioDescriptor::Memory { address: 0, length }).unwrap();
        assert_eq!(descriptor(&bytes), MmioDescriptor::Memory { address: 0, length: held }, "{length:#x}");
    }
    for length in [MAX_RANGE_LENGTH + 1, u64::MAX] {
        assert_eq!(bytes(MmioDescriptor::Memory { address: 0, length }), Err(EncodeError::RangeTooLong { length }));
    }
}

#[test]
fn a_large_range_that_does_not_name_one_unit_is_kept_as_it_is() {
    for flags in [0x0000, 0x0600, 0x0E00, 0x1000u16] {
        let mut raw = vec![7, 0];
        raw.extend(flags.to_le_bytes());
        raw.extend([0; 8]);
        raw.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        let bar = MmioDescriptor::Other { kind: 7, share: 0, flags, address: 0, length: 1 };
        assert_eq!(descriptor(&raw), bar);
        assert_eq!(bytes(bar), Ok(raw));
    }
    // Flags that say nothing of the unit do no harm (Windows's "prefetchable" is bit 2).
    let raw = hex("07 01 0402 00000000 20000000 00000020 00000000");
    assert_eq!(descriptor(&raw), MmioDescriptor::Memory { address: 0x20_0000_0000, length: 128 << 30 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::tests::cases(256)))]

    #[test]
    fn a_range_comes_back_whole_and_rounded_by_less_than_its_unit(
        address in any::<u64>(), shift in 0u32..64, length in any::<u64>(),
    ) {
        let length = length >> shift;
        let bar = MmioDescriptor::Memory { address, length };
        match bytes(bar) {
            Err(error) => {
                prop_assert!(length > MAX_RANGE_LENGTH);
                prop_assert_eq!(error, EncodeError::RangeTooLong { length });
            }
            Ok(raw) => {
                let MmioDescriptor::Memory { address: back, length: held } = descriptor(&raw) else {
                    panic!("not memory");
                };
                prop_assert_eq!(back, address);
                prop_assert!(held >= length);
                prop_assert!(u128::from(held - length) * 256 < u128::from(length.max(1)));
                if length.is_power_of_two() || length <= u64::from(u32::MAX) {
                    prop_assert_eq!(held, length);
                }
            }
        }
    }

    #[test]
    fn any_twenty_bytes_are_a_descriptor(raw in proptest::array::uniform20(any::<u8>())) {
        let first = descriptor(&raw);
        prop_assert_eq!(descriptor(&bytes(first).unwrap()), first);
    }
}
