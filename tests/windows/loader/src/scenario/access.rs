//! What a function's driver sees: ids, config space through the bus interface and by IRP, resources.

use hvpci_mock::host::HostOptions;

use crate::nt::io::ADAPTER;
use crate::pnp::interface::{BusInterface, config_irp};
use crate::scenario::Scenario;
use crate::scenario::steps::{Up, at_host, boot, down, lose_function, start_children, up};
use crate::world::with;
use crate::{expect, pnp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ids",
        about: "hardware, compatible and instance ids as Windows' PCI bus gives them",
        steps: 1,
        run: ids,
    },
    Scenario {
        name: "config",
        about: "the bus interface at DISPATCH_LEVEL, before and after the driver starts",
        steps: 1,
        run: config,
    },
    Scenario {
        name: "config-irp",
        about: "IRP_MN_READ_CONFIG and IRP_MN_WRITE_CONFIG, sane and not",
        steps: 1,
        run: irp,
    },
    Scenario {
        name: "resources",
        about: "a child gets just its BARs, inside its bus's space",
        steps: 1,
        run: resources,
    },
    Scenario {
        name: "interface-outlives",
        about: "an interface held across the removal of its function, of its bus, reads all ones",
        steps: 2,
        run: outlives,
    },
];

fn ids(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    let ids =
        with(|world| world.wdf.devices.get(&up.pdos[0]).map(|device| device.init.ids.clone())).unwrap_or_default();
    let full = r"PCI\VEN_10DE&DEV_20B5&SUBSYS_153310DE&REV_A1";
    expect!(ids.hardware.first().map(String::as_str) == Some(full), "first hardware id {:?}", ids.hardware);
    for wanted in [
        full,
        r"PCI\VEN_10DE&DEV_20B5&SUBSYS_153310DE",
        r"PCI\VEN_10DE&DEV_20B5&CC_030200",
        r"PCI\VEN_10DE&DEV_20B5&CC_0302",
    ] {
        expect!(ids.hardware.iter().any(|id| id == wanted), "no hardware id {wanted}: {:?}", ids.hardware);
    }
    for wanted in [r"PCI\VEN_10DE&DEV_20B5", r"PCI\VEN_10DE&CC_0302", r"PCI\CC_030200", r"PCI\CC_0302"] {
        expect!(ids.compatible.iter().any(|id| id == wanted), "no compatible id {wanted}: {:?}", ids.compatible);
    }
    println!("device {}, instance {}, {:?}", ids.device, ids.instance, ids.texts);
    down(machine, &buses);
}

fn query(up: &Up) -> BusInterface {
    let interface = BusInterface::query(up.pdos[0]);
    match interface {
        Some(interface) => interface,
        None => crate::fail::fail(crate::fail::Verdict::Expectation, "the child has no BUS_INTERFACE_STANDARD"),
    }
}

fn config(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    let interface = query(&up);
    expect!(interface.read(0, 4) == [0xDE, 0x10, 0xB5, 0x20], "ids in config space: {:02x?}", interface.read(0, 4));
    let whole = interface.read(0, 256);
    expect!(whole.len() == 256, "GetBusData of 256 bytes moved {}", whole.len());
    for (offset, bytes) in [(0, 1), (1, 1), (2, 2), (8, 8), (0x34, 1), (3, 5), (0xFC, 4)] {
        let part = interface.read(offset, bytes);
        let at = offset as usize;
        expect!(
            part == whole[at..at + bytes],
            "{bytes} bytes at {offset:#x}: {part:02x?}, not {:02x?}",
            &whole[at..at + bytes]
        );
    }
    expect!(whole[4] & 2 == 0, "Memory is set before the driver started");
    start_children(&up);
    expect!(interface.read(4, 2)[0] & 2 != 0, "Memory is not set though the driver runs");
    // Bus master is the function driver's to set; decode must survive it.
    let command = interface.read(4, 2);
    interface.write(4, &[command[0] | 4, command[1]]);
    expect!(interface.read(4, 1)[0] & 6 == 6, "bus master did not stick: {:02x?}", interface.read(4, 2));
    expect!(interface.read(0x3C, 1).len() == 1, "interrupt line");
    // Out of range or odd: an answer, not a crash.
    let _ = interface.read(4095, 1);
    let _ = interface.read(4096, 4);
    let _ = interface.read(u32::MAX, 4);
    let _ = interface.write(u32::MAX - 1, &[1, 2, 3, 4]);
    let _ = interface.read(0, 0);
    expect!(interface.dma_adapter() == ADAPTER, "GetDmaAdapter does not hand on the parent's adapter");
    interface.release();
    down(machine, &buses);
}

fn irp(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    let mut buffer = [0_u8; 4];
    let (status, moved) = config_irp(up.pdos[0], 0x0F, &mut buffer, 0);
    expect!(status >= 0 && moved == 4, "READ_CONFIG: {status:#x}, {moved} bytes");
    expect!(buffer == [0xDE, 0x10, 0xB5, 0x20], "READ_CONFIG: {buffer:02x?}");
    let (status, moved) = config_irp(up.pdos[0], 0x10, &mut [0x55], 0x3C);
    expect!(status >= 0 && moved == 1, "WRITE_CONFIG: {status:#x}, {moved} bytes");
    let (status, _) = config_irp(up.pdos[0], 0x0F, &mut buffer, u32::MAX);
    println!("READ_CONFIG past the end: {status:#x}");
    down(machine, &buses);
}

fn resources(file: &str, _step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    let wanted = pnp::arbiter::required(up.pdos[0]);
    expect!(wanted.is_ok(), "EvtDeviceResourceRequirementsQuery failed: {wanted:x?}");
    let ranges = pnp::arbiter::within(buses[0], &wanted.unwrap_or_default()).unwrap_or_default().ranges;
    expect!(ranges.len() == 1, "{} ranges for one BAR", ranges.len());
    expect!(ranges[0].1 == 128 << 30, "{:#x} bytes for a BAR of 128 GiB", ranges[0].1);
    start_children(&up);
    let bars = with(|world| world.host.function(buses[0], hvpci_core::Slot::ZERO)).map(|function| function.bars);
    let at = bars.map(|bars| u64::from(bars[0] & !0xF) | u64::from(bars[1]) << 32);
    expect!(at == Some(ranges[0].0), "the BAR is at {at:x?}, the child was told {:#x}", ranges[0].0);
    down(machine, &buses);
}

/// 1: the function goes. 2: the whole bus device goes, by a rescind.
fn outlives(file: &str, step: u32) {
    let (machine, buses) = boot(file, HostOptions::default(), 1, 1);
    let up = up(buses[0], 1);
    start_children(&up);
    let interface = query(&up);
    if step == 1 {
        lose_function(&up);
    } else {
        at_host(|host, now| host.rescind(buses[0], now));
        crate::world::sleep(5_000_000_000);
        let gone = with(|world| !world.pnp.fdos.contains_key(&buses[0]) && world.wdf.objects.is_deleted(up.fdo));
        expect!(gone, "the bus device is still there 5 s after its rescind");
    }
    let read = interface.read(0, 4);
    expect!(read.iter().all(|byte| *byte == 0xFF), "a removed function reads {read:02x?}");
    interface.write(4, &[6, 0]);
    expect!(interface.dma_adapter() == 0, "a removed function has a DMA adapter");
    interface.release();
    down(machine, &buses);
}
