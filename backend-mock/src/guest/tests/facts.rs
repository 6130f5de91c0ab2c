//! The sequences measured on the PCI cores of 6.1 and 6.12 (`reference/linux-kernel.md` section 3): a function with
//! BARs of 128 GiB and 16 MiB at registers 0 and 2 and no capability.

use super::block_on;
use super::device::{Device, Log};
use crate::guest::linux::{BarAddresses, Function};
use crate::guest::{GuestError, GuestKind};

const ADDRESSES: BarAddresses = [Some(0x1000 << 32), None, Some(0x1020 << 32), None, None, None];

fn device() -> Device {
    Device::plain([0x0000_000C, 0xFFFF_FFE0, 0xFF00_000C, 0xFFFF_FFFF, 0, 0])
}

struct Run {
    scan: Log,
    assign: Log,
    probe: Log,
    disable: Log,
}

impl Run {
    fn total(&self, count: impl Fn(&Log) -> usize) -> usize {
        [&self.scan, &self.assign, &self.probe, &self.disable].into_iter().map(count).sum()
    }

    fn transitions(log: &Log) -> usize {
        (log.maps + log.unmaps) as usize
    }
}

/// Scan, assign or claim, add, enable, set bus master, disable: what the stub driver of the measurement did.
fn run(kind: GuestKind, device: &mut Device, claim: bool) -> Result<Run, GuestError> {
    block_on(async {
        let (function, scan) = device.during(async |device| Function::scan(kind, device).await).await;
        let mut function = function?;
        let (assigned, assign) = device
            .during(async |device| {
                if claim {
                    function.claim(&ADDRESSES);
                    return Ok(());
                }
                function.assign(device, &ADDRESSES).await
            })
            .await;
        assigned?;
        let (probed, probe) = device
            .during(async |device| {
                function.bus_add(device).await;
                function.enable(device).await?;
                function.set_master(device).await
            })
            .await;
        probed?;
        let (disabled, disable) = device.during(async |device| function.disable(device).await).await;
        disabled?;
        Ok(Run { scan, assign, probe, disable })
    })
}

const MEASURED: [(GuestKind, usize); 2] = [(GuestKind::Linux61, 48), (GuestKind::Linux612, 65)];

#[test]
fn memory_clear() {
    for (kind, reads) in MEASURED {
        let run = run(kind, &mut device(), false).unwrap();
        assert_eq!(
            run.scan.writes(),
            "COMMAND=400 COMMAND=0 \
             BAR0=ffffffff BAR0=c BAR0h=ffffffff BAR0h=0 BAR2=ffffffff BAR2=c BAR2h=ffffffff BAR2h=0 \
             BAR4=ffffffff BAR4=0 BAR5=ffffffff BAR5=0 ROM=fffff800 ROM=0"
        );
        assert_eq!(run.assign.writes(), "COMMAND=0 BAR0=c BAR0h=1000 COMMAND=0 COMMAND=0 BAR2=c BAR2h=1020 COMMAND=0");
        assert_eq!(run.probe.writes(), "COMMAND=2 COMMAND=6 LAT=40");
        assert_eq!(run.disable.writes(), "COMMAND=2");
        assert_eq!([&run.scan, &run.assign, &run.probe, &run.disable].map(Run::transitions), [0, 0, 1, 0]);
        assert_eq!(run.total(Log::command_writes), 9);
        assert_eq!(run.total(Log::bar_writes), 16);
        assert_eq!(run.total(Log::reads), reads, "{kind}");
    }
}

#[test]
fn memory_set() {
    for (kind, _) in MEASURED {
        let mut device = device();
        device.place(&ADDRESSES);
        device.set(0x04, hvpci_core::backend::Width::Word, 2);
        let run = run(kind, &mut device, false).unwrap();
        assert_eq!(
            run.scan.writes(),
            "COMMAND=402 COMMAND=2 \
             COMMAND=0 BAR0=ffffffff BAR0=c BAR0h=ffffffff BAR0h=1000 COMMAND=2 \
             COMMAND=0 BAR2=ffffffff BAR2=c BAR2h=ffffffff BAR2h=1020 COMMAND=2 \
             COMMAND=0 BAR4=ffffffff BAR4=0 COMMAND=2 \
             COMMAND=0 BAR5=ffffffff BAR5=0 COMMAND=2 \
             COMMAND=0 ROM=fffff800 ROM=0 COMMAND=2"
        );
        assert_eq!(run.assign.writes(), "COMMAND=0 BAR0=c BAR0h=1000 COMMAND=2 COMMAND=0 BAR2=c BAR2h=1020 COMMAND=2");
        assert_eq!(run.probe.writes(), "COMMAND=6 LAT=40");
        assert_eq!(run.disable.writes(), "COMMAND=2");
        assert_eq!([&run.scan, &run.assign, &run.probe, &run.disable].map(Run::transitions), [10, 4, 0, 0]);
        assert_eq!(run.total(Log::command_writes), 18);
        assert_eq!(run.total(Log::bar_writes), 16);
        assert_eq!(device.log.ignored_bar_writes + run.scan.ignored_bar_writes + run.assign.ignored_bar_writes, 0);
    }
}

#[test]
fn memory_set_and_claimed() {
    for (kind, _) in MEASURED {
        let mut device = device();
        device.place(&ADDRESSES);
        device.set(0x04, hvpci_core::backend::Width::Word, 2);
        let run = run(kind, &mut device, true).unwrap();
        assert_eq!([&run.scan, &run.assign, &run.probe, &run.disable].map(Run::transitions), [10, 0, 0, 0]);
        assert_eq!(run.total(Log::command_writes), 14);
        assert_eq!(run.total(Log::bar_writes), 12);
    }
}

#[test]
fn batched_sizing_switches_decode_off_once() {
    let mut device = device();
    device.place(&ADDRESSES);
    device.set(0x04, hvpci_core::backend::Width::Word, 2);
    let run = run(GuestKind::LinuxBatched, &mut device, false).unwrap();
    assert_eq!(
        run.scan.writes(),
        "COMMAND=402 COMMAND=2 COMMAND=0 \
         BAR0=ffffffff BAR0=c BAR0h=ffffffff BAR0h=1000 BAR2=ffffffff BAR2=c BAR2h=ffffffff BAR2h=1020 \
         BAR4=ffffffff BAR4=0 BAR5=ffffffff BAR5=0 ROM=fffff800 ROM=0 COMMAND=2"
    );
    assert_eq!([&run.scan, &run.assign, &run.probe, &run.disable].map(Run::transitions), [2, 4, 0, 0]);
}
