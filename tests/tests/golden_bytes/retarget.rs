//! The interrupt-retarget hypercall (`reference/protocol.md` section 9): the core's input, byte for byte, and what the mock
//! host makes of it.

use std::time::Duration;

use hvpci_core::interrupt::{Architecture, HVCALL_RETARGET_INTERRUPT, MsiEntry, Retarget};
use hvpci_core::wire::Version;
use hvpci_core::{InstanceId, Slot, Time};
use hvpci_mock::host::{BusSpec, CostModel, FunctionSpec, Host, HostOptions, PacketKind};

use super::{hex, hex_to};

/// The GUID of the recorded instance, 3f5ae738-5c79-8781-8549-40abcf2714df, as it lies in memory.
const INSTANCE: [u8; 16] =
    [0x38, 0xE7, 0x5A, 0x3F, 0x79, 0x5C, 0x81, 0x87, 0x85, 0x49, 0x40, 0xAB, 0xCF, 0x27, 0x14, 0xDF];

/// Version, function, processors, multicast; the input, and the variable header in units of 8 bytes.
type Vector = (Version, Slot, Vec<u32>, bool, Vec<u8>, u16);

fn vectors() -> Vec<Vector> {
    // Partition, device (bytes 4 to 7 of the GUID and the function), source 1, address and data, vector.
    let front = |function: u8, flags: u8| {
        format!(
            "ffffffff ffffffff {:02x}87795c 00000000 01000000 00000000 0000e0fe 00000000 00000000 00000000 23000000 \
             {flags:02x}000000",
            0x80 | function
        )
    };
    let second = Slot::new(0, 2).expect("there is such a slot");
    let mut vectors = vec![
        // 1.1: a mask.
        (Version::V1_1, Slot::ZERO, vec![0], false, hex(&format!("{} 01000000 00000000", front(0, 0))), 0),
        (Version::V1_1, Slot::ZERO, vec![1, 63], true, hex(&format!("{} 02000000 00000080", front(0, 1))), 0),
    ];
    // From 1.2 on: format 0, the banks that follow, the banks.
    for version in [Version::V1_2, Version::V1_3, Version::V1_4, Version::V1_5, Version::V1_6] {
        let one = format!("{} 00000000 00000000 01000000 00000000 01000000 00000000", front(0, 2));
        vectors.push((version, Slot::ZERO, vec![0], false, hex(&one), 2));
        let two = format!("{} 00000000 00000000 05000000 00000000 08000000 00000000 00000000 01000000", front(2, 3));
        vectors.push((version, second, vec![160, 3], true, hex(&two), 3));
    }
    vectors
}

#[test]
fn the_core_writes_what_the_host_reads() {
    assert_eq!(HVCALL_RETARGET_INTERRUPT, 0x7E);
    for (version, slot, vps, multicast, bytes, header) in vectors() {
        let entry = MsiEntry::new(0xFEE0_0000, 0, 1);
        let instance = InstanceId::from_bytes(INSTANCE);
        let retarget = Retarget { instance, slot, entry, vector: 0x23, multicast };
        let mut input = [0xA5; Retarget::MAX_BYTES];
        let call = retarget.encode(Architecture::X86, version, vps.iter().copied(), &mut input).expect("it fits");
        assert_eq!(input[..call.length], bytes, "{version} {vps:?}");
        assert_eq!(call.variable_header, header);
        assert_eq!(call.control, 0x7E | u64::from(header) << 17);

        let (mut host, bus) = host_with_an_interrupt(slot);
        assert_eq!(host.retarget(&bytes, header), Ok(bus), "{version} {vps:?}");
        let interrupt = &host.function(bus, slot).expect("it is there").interrupts[0];
        let mut wanted = vps;
        wanted.sort_unstable();
        assert_eq!(interrupt.vector, 0x23);
        assert_eq!(interrupt.processors.iter().map(|vp| u32::from(*vp)).collect::<Vec<_>>(), wanted);
    }
}

/// A host whose function has one interrupt, made by bytes alone.
fn host_with_an_interrupt(slot: Slot) -> (Host, hvpci_mock::host::BusId) {
    let mut host = Host::new(HostOptions::default().with_cost(CostModel::FREE));
    let functions = vec![FunctionSpec::nvme().at(slot)];
    let bus = host.add_bus(BusSpec { instance: InstanceId::from_bytes(INSTANCE), functions });
    let now = Time::ZERO.after(Duration::from_secs(1));
    assert!(host.open_channel(bus, now));
    let wslot = format!("{:02x}000000", slot.to_wire());
    let requests = [
        hex("13004942 04000100"),
        hex("07004942 00000000 000000f8 00000000"),
        hex_to(&format!("16004942 {wslot}"), 208),
        hex_to(&format!("1b004942 {wslot} 20000000 00 00 0100 0100 0000"), 84),
    ];
    for (id, request) in (1..).zip(requests) {
        host.guest_packet(bus, now, PacketKind::InBand, true, id, &request).expect("there is room");
    }
    assert_eq!(host.violations(), []);
    (host, bus)
}
