//! Config space: writability, BARs, capabilities, resets, quirks.

use hvpci_core::Slot;
use hvpci_core::backend::Width;
use hvpci_core::config::BarLayout;
use hvpci_core::wire::{ProbedBars, Version};

use super::guest::{BAR, Guest};
use crate::host::device::{BarSpec, Capability, ConfigEffect, Device, ExtendedCapability, PcieRegisters};
use crate::host::{CostModel, FunctionSpec, HostOptions, Quirks};

fn quiet() -> Quirks {
    Quirks::default()
}

fn bare() -> Device {
    Device::new(&FunctionSpec::nvme().description)
}

/// A guest of a function with this device, in D0 and assigned.
fn guest_of(device: Device) -> Guest {
    let options = HostOptions::default().with_cost(CostModel::FREE);
    let mut guest = Guest::new(options, FunctionSpec::new(FunctionSpec::nvme().description, device));
    guest.enter_d0(Version::V1_4);
    guest.assign_null();
    guest
}

#[test]
fn identity_registers_are_read_only() {
    let mut device = FunctionSpec::gpu(1 << 30).device;
    let before: Vec<u32> = (0..16).map(|dword| device.read(dword * 4, 4, &quiet())).collect();
    assert_eq!((before[0], before[2], before[11]), (0x20B5_10DE, 0x0302_00A1, 0x1533_10DE));
    for dword in (0..4).chain(10..16).filter(|dword| *dword != 1) {
        assert_eq!(device.write(dword * 4, 4, u32::MAX), ConfigEffect::None);
        assert_eq!(device.read(dword * 4, 4, &quiet()), before[usize::from(dword)]);
    }
}

#[test]
fn command_has_three_writable_bits_and_status_clears_by_ones() {
    let mut device = bare();
    assert_eq!(device.write(0x04, 2, 0xFFFD), ConfigEffect::None);
    assert_eq!(device.read(0x04, 2, &quiet()), 0x0404);
    device.raise_status(0xFFFF);
    assert_eq!(device.read(0x06, 2, &quiet()), 0xF900);
    // Writing COMMAND alone leaves Status, writing all four bytes clears what is 1.
    device.write(0x04, 2, 0);
    assert_eq!(device.read(0x06, 2, &quiet()), 0xF900);
    device.write(0x04, 4, 0x8100_0000);
    assert_eq!(device.read(0x06, 2, &quiet()), 0x7800);
    device.write(0x07, 1, 0x08);
    assert_eq!(device.read(0x04, 4, &quiet()), 0x7000_0000);
}

#[test]
fn the_memory_bit_is_left_to_the_host() {
    let mut device = bare();
    assert_eq!(device.write(0x04, 2, 0x0006), ConfigEffect::Decode(true));
    assert_eq!(device.command(), 0x0004);
    device.set_decode(true);
    assert_eq!(device.write(0x04, 1, 0x02), ConfigEffect::None);
    assert_eq!(device.write(0x05, 1, 0x04), ConfigEffect::None);
    assert_eq!(device.command(), 0x0402);
    assert_eq!(device.write(0x04, 1, 0x00), ConfigEffect::Decode(false));
    assert_eq!(device.command(), 0x0402);
}

#[test]
fn bars_size_as_probed() {
    let specs =
        [BarSpec::narrow(0, 256), BarSpec::wide(1, 128 << 30), BarSpec::narrow(3, 1 << 20), BarSpec::wide(4, 16)];
    let mut device = specs.into_iter().fold(bare(), Device::with_bar);
    let probed = device.probed();
    assert_eq!(probed, ProbedBars([0xFFFF_FF00, 0x0000_000C, 0xFFFF_FFE0, 0xFFF0_0000, 0xFFFF_FFFC, 0xFFFF_FFFF]));
    for register in 0..6u16 {
        let at = 0x10 + register * 4;
        device.write(at, 4, u32::MAX);
        assert_eq!(device.read(at, 4, &quiet()), probed.0[usize::from(register)]);
        device.write(at, 4, 0x1234_5678);
        let wanted = (0x1234_5678 & probed.0[usize::from(register)] & !0xF) | (device.read(at, 1, &quiet()) & 0xF);
        assert_eq!(device.read(at, 4, &quiet()) & !0xF, wanted & !0xF);
    }
    let (layout, defects) = BarLayout::from_probed(&probed);
    assert_eq!(defects, [None; 6]);
    let sizes: Vec<u64> = layout.iter().map(|bar| bar.size).collect();
    assert_eq!(sizes, [256, 128 << 30, 1 << 20, 16]);
    let ranges: Vec<(u8, u64)> = device.ranges().iter().map(|(register, _, size)| (*register, *size)).collect();
    assert_eq!(ranges, [(0, 256), (1, 128 << 30), (3, 1 << 20), (4, 16)]);
}

#[test]
fn bar_halves_are_written_by_bytes_too() {
    let mut device = bare().with_bar(BarSpec::wide(2, 1 << 20));
    device.write(0x1A, 2, 0xABC0);
    device.write(0x1C, 1, 0x12);
    device.write(0x1F, 1, 0x34);
    assert_eq!(device.range(2), Some((0x3400_0012_ABC0_0000, 1 << 20)));
    assert_eq!(device.read(0x1B, 1, &quiet()), 0xAB);
}

#[test]
fn bars_that_fit_nowhere_are_left_out() {
    let device =
        bare().with_bar(BarSpec::wide(5, 4096)).with_bar(BarSpec::narrow(6, 4096)).with_bar(BarSpec::narrow(9, 1));
    assert_eq!(device.probed(), ProbedBars([0; 6]));
    assert_eq!(bare().with_bar(BarSpec::narrow(1, 5000)).probed().0[1], 0xFFFF_E000);
}

#[test]
fn the_capability_list_can_be_walked() {
    let device = bare()
        .with_capability(&Capability::PowerManagement { no_soft_reset: false })
        .with_capability(&Capability::Vendor(vec![1, 2, 3]))
        .with_capability(&Capability::Msi { messages_log2: 5, is_64bit: true })
        .with_capability(&Capability::AdvancedFeatures)
        .with_capability(&Capability::PciExpress(PcieRegisters::default()))
        .with_capability(&Capability::Vendor(vec![0; 200]));
    let byte = |at: u32| device.read(u16::try_from(at).unwrap(), 1, &quiet());
    assert_eq!(byte(0x06) & 0x10, 0x10);
    let (mut at, mut ids) = (byte(0x34), Vec::new());
    while at != 0 {
        assert_eq!(at % 4, 0);
        ids.push(byte(at));
        at = byte(at + 1);
    }
    // The last one no longer fits below 0x100.
    assert_eq!(ids, [0x01, 0x09, 0x05, 0x13, 0x10]);
    assert_eq!(bare().read(0x34, 1, &quiet()), 0);
    assert_eq!(bare().read(0x06, 2, &quiet()), 0);
}

#[test]
fn function_level_resets() {
    let flr = bare()
        .with_bar(BarSpec::wide(0, 4096))
        .with_capability(&Capability::PciExpress(PcieRegisters { device_capabilities: 1 << 28, ..Default::default() }));
    let mut guest = guest_of(flr);
    guest.write(0x10, Width::Dword, 0xE000_0000);
    guest.command(6);
    guest.write(0x48, Width::Word, 0x8000);
    assert_eq!(guest.read(0x04, Width::Word), 0);
    assert_eq!(guest.read(0x10, Width::Dword), 0xC);
    assert_eq!(guest.read(0x48, Width::Word), 0);
    let ledger = guest.host.ledger(guest.bus, Slot::ZERO);
    assert_eq!((ledger.maps, ledger.unmaps, ledger.host_unmaps), (1, 0, 1));

    let mut af = guest_of(bare().with_capability(&Capability::AdvancedFeatures));
    af.command(6);
    af.write(0x44, Width::Byte, 1);
    assert_eq!(af.read(0x04, Width::Word), 0);
    // Without the capability bit the register is just a register.
    let mut none = guest_of(bare().with_capability(&Capability::PciExpress(PcieRegisters::default())));
    none.command(4);
    none.write(0x48, Width::Word, 0x8000);
    assert_eq!(none.read(0x04, Width::Word), 4);
}

#[test]
fn waking_from_d3_resets_unless_it_does_not() {
    for no_soft_reset in [false, true] {
        let mut guest = guest_of(bare().with_capability(&Capability::PowerManagement { no_soft_reset }));
        guest.command(4);
        guest.write(0x44, Width::Word, 3);
        assert_eq!(guest.read(0x44, Width::Word), 3 | u32::from(no_soft_reset) << 3);
        assert_eq!(guest.read(0x04, Width::Word), 4);
        guest.write(0x44, Width::Word, 0);
        assert_eq!(guest.read(0x04, Width::Word), if no_soft_reset { 4 } else { 0 });
        assert_eq!(guest.read(0x44, Width::Word) & 3, 0);
    }
}

#[test]
fn resizable_bars_change_their_size_while_decode_is_off() {
    let mut device = bare()
        .with_bar(BarSpec::wide(0, 256 << 20))
        .with_extended_capability(&ExtendedCapability::Other { id: 1, version: 2, body: vec![0; 8] })
        .with_extended_capability(&ExtendedCapability::ResizableBar { bar: 0, sizes: 1 << 8 | 1 << 14 });
    assert_eq!(device.read(0x100, 4, &quiet()), 0x10C2_0001);
    assert_eq!(device.read(0x10C, 4, &quiet()), 0x0001_0015);
    assert_eq!(device.read(0x110, 4, &quiet()), (1 << 8 | 1 << 14) << 4);
    assert_eq!(device.read(0x114, 4, &quiet()), 8 << 8 | 1 << 5);
    device.write(0x114, 4, 14 << 8);
    assert_eq!(device.range(0), Some((0, 16 << 30)));
    assert_eq!(device.probed().0[..2], [0x0000_000C, 0xFFFF_FFFC]);
    // A size that is not offered, and a change while decoding, are dropped.
    device.write(0x114, 4, 9 << 8);
    device.set_decode(true);
    device.write(0x114, 4, 8 << 8);
    assert_eq!(device.range(0), Some((0, 16 << 30)));
    assert_eq!(device.read(0x115, 1, &quiet()), 14);
}

#[test]
fn quirks_change_what_is_read() {
    let mut guest = Guest::ready();
    *guest.host.quirks_mut() = Quirks {
        memory_bit_reads_zero: true,
        bar_attributes_late: true,
        intx_bytes_garbage: true,
        ..Quirks::default()
    };
    assert_eq!(guest.read(0x20, Width::Dword), 0x1_0000);
    guest.write(0x20, Width::Dword, u32::MAX);
    assert_eq!(guest.read(0x20, Width::Dword), 0xFFFF_F00C);
    guest.write(0x20, Width::Dword, 0x1_0000);
    assert_eq!(guest.read(0x20, Width::Dword), 0x1_000C);
    assert_eq!(guest.read(0x10, Width::Byte), 0);
    guest.command(6);
    assert_eq!(guest.read(0x04, Width::Word), 4);
    assert_eq!(guest.read(0x04, Width::Dword), 0x0010_0004);
    assert!(guest.decodes());
    assert_ne!(guest.read(0x3C, Width::Byte), 0);
    assert_ne!(guest.read(0x3D, Width::Byte), 0);
    assert_eq!(guest.read(0x3E, Width::Word), 0);
}

#[test]
fn unknown_slots_and_silent_devices_read_all_ones() {
    let mut guest = Guest::ready();
    for slot in [1, 0x20, 255, 256, u32::MAX] {
        guest.select(slot);
        assert_eq!(guest.host.window_read(guest.bus, guest.now, 0, Width::Dword).0, u32::MAX);
        guest.host.window_write(guest.bus, guest.now, 4, Width::Word, 2);
    }
    assert!(!guest.decodes());
    guest.host.set_gone(guest.bus, Slot::ZERO, true);
    assert_eq!(guest.read(0, Width::Word), 0xFFFF);
    guest.command(2);
    guest.host.set_gone(guest.bus, Slot::ZERO, false);
    assert_eq!(guest.read(4, Width::Word), 0);
    assert_eq!(guest.errors(), []);
}

#[test]
fn mapped_bars_read_zero_and_unmapped_all_ones() {
    let mut guest = Guest::ready();
    assert_eq!(guest.host.memory_read(guest.now, BAR), u32::MAX);
    guest.command(2);
    assert_eq!(guest.host.memory_read(guest.now, BAR), 0);
    assert_eq!(guest.host.memory_read(guest.now, BAR + 0xFFFC), 0);
    assert_eq!(guest.host.memory_read(guest.now, BAR + 0x1_1000), u32::MAX);
    // The MSI-X table: vector control reads masked.
    assert_eq!(guest.host.memory_read(guest.now, BAR + 0x1_000C), 1);
}

#[test]
fn registers_of_a_tests_own() {
    let device = bare().with_register(0xF0, &[0x11, 0x22, 0x33, 0x44], &[0, 0xF0, 0, 0]);
    let mut guest = guest_of(device);
    guest.write(0xF0, Width::Dword, u32::MAX);
    assert_eq!(guest.read(0xF0, Width::Dword), 0x4433_F211);
    assert_eq!(guest.read(0xFFC, Width::Dword), 0);
}
