//! The models against recordings of real guests (`testdata`), access by access: reads and writes, values and order.

use alloc::vec::Vec;

use hvpci_core::backend::Width;

use super::block_on;
use super::device::{Access, Device, Log};
use crate::guest::GuestKind;
use crate::guest::linux::{BarAddresses, Function};

/// Where pci-hyperv and the PCI core put the recorded function's BARs.
const ADDRESSES: BarAddresses = [Some(0x1_0000_0000), None, None, None, Some(0x1_0001_0000), None];

const LINUX_6_1_BOOT: &str = include_str!("../testdata/linux-6.1-boot.txt");
const LINUX_6_12_BOOT: &str = include_str!("../testdata/linux-6.12-boot.txt");
const LINUX_6_12_REMOVE: &str = include_str!("../testdata/linux-6.12-remove.txt");

/// The named parts of a recording, in order.
fn parts(text: &str) -> Vec<(&str, Vec<Access>)> {
    let mut parts: Vec<(&str, Vec<Access>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            parts.push((name.trim_end_matches(']'), Vec::new()));
        } else {
            parts.last_mut().expect("a part before the first access").1.push(parse(line));
        }
    }
    parts
}

fn parse(line: &str) -> Access {
    let fields: Vec<&str> = line.split(' ').collect();
    let &[direction, offset, bytes, value] = fields.as_slice() else { panic!("not an access: {line}") };
    Access {
        write: direction == "w",
        offset: u16::from_str_radix(offset, 16).unwrap(),
        width: Width::from_bytes(bytes.parse().unwrap()).unwrap(),
        value: u32::from_str_radix(value, 16).unwrap(),
    }
}

fn at_the_host(log: &Log) -> Vec<Access> {
    log.accesses.iter().copied().filter(Access::reaches_host).collect()
}

/// Plays the parts that are the PCI core's and the nvme driver's with the model and compares. Returns maps and unmaps.
fn compare(kind: GuestKind, recording: &str) -> (u32, u32) {
    let mut device = Device::nvme();
    let mut function: Option<Function> = None;
    let (mut maps, mut unmaps) = (0, 0);
    for (name, recorded) in parts(recording) {
        let ((), log) = block_on(device.during(async |device| match name {
            "bring-up" => {
                device.driver_sets_memory(false);
                device.place(&ADDRESSES);
            }
            "boot" | "rescan" => {
                let mut found = Function::rescan(kind, device, &ADDRESSES).await.unwrap();
                found.probe_nvme(device).await.unwrap();
                function = Some(found);
            }
            "unbind" => {
                let mut bound = function.take().expect("a function to unbind");
                bound.unbind(device).await.unwrap();
                bound.remove();
            }
            "user-space" => {}
            _ => panic!("unknown part {name}"),
        }));
        maps += log.maps;
        unmaps += log.unmaps;
        assert_eq!(log.ignored_bar_writes, 0);
        if !matches!(name, "bring-up" | "user-space") {
            let played = at_the_host(&log);
            let differs = (0..).zip(played.iter().zip(&recorded)).find(|(_, (played, recorded))| played != recorded);
            assert_eq!(differs, None, "{kind}, part {name}: first difference (played, recorded)");
            assert_eq!(played.len(), recorded.len(), "{kind}, part {name}");
        }
    }
    (maps, unmaps)
}

#[test]
fn linux_6_1_boot() {
    assert_eq!(compare(GuestKind::Linux61, LINUX_6_1_BOOT), (1, 0));
}

#[test]
fn linux_6_12_boot() {
    assert_eq!(compare(GuestKind::Linux612, LINUX_6_12_BOOT), (1, 0));
}

/// Seven pairs, even on 6.12: Memory stays on after remove.
#[test]
fn linux_6_12_remove_and_rescan() {
    assert_eq!(compare(GuestKind::Linux612, LINUX_6_12_REMOVE), (8, 7));
}

/// The bring-up of the recording is what the other tests emulate: Memory written clear, then the four BAR halves.
#[test]
fn the_recorded_bring_up() {
    for recording in [LINUX_6_1_BOOT, LINUX_6_12_BOOT, LINUX_6_12_REMOVE] {
        let parts = parts(recording);
        let (name, accesses) = &parts[0];
        assert_eq!(*name, "bring-up");
        let writes: Vec<_> = accesses.iter().filter(|a| a.write).map(|a| (a.offset, a.value)).collect();
        assert_eq!(writes, [(0x04, 0), (0x10, 0), (0x14, 1), (0x20, 0x1_0000), (0x24, 1)]);
    }
}

/// 5.18 makes the accesses of 6.1, batched Linux the writes of 6.12 where Memory is off.
#[test]
fn the_unrecorded_kernels() {
    let boot = |kind| {
        let mut device = Device::nvme();
        device.place(&ADDRESSES);
        block_on(async {
            let mut function = Function::rescan(kind, &mut device, &ADDRESSES).await.unwrap();
            function.probe_nvme(&mut device).await.unwrap();
        });
        device.log
    };
    assert_eq!(boot(GuestKind::Linux518).accesses, boot(GuestKind::Linux61).accesses);
    assert_eq!(boot(GuestKind::LinuxBatched).writes(), boot(GuestKind::Linux612).writes());
}
