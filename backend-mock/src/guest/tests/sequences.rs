//! What is neither recorded nor measured: sleep, reset, Windows, and functions that vanish.

use alloc::string::ToString;
use core::time::Duration;

use hvpci_core::backend::Width;
use hvpci_core::config::BarLayout;
use hvpci_core::wire::ProbedBars;

use super::block_on;
use super::device::Device;
use crate::guest::linux::{BarAddresses, Function};
use crate::guest::{ConfigAccess, DevicePower, GuestError, GuestKind, GuestStyle, boot_function};

const MASKS: [u32; 6] = [0xFFFF_000C, 0xFFFF_FFFF, 0, 0, 0xFFFF_F00C, 0xFFFF_FFFF];
const ADDRESSES: BarAddresses = [Some(0x1_0000_0000), None, None, None, Some(0x1_0001_0000), None];

fn layout() -> BarLayout {
    BarLayout::from_probed(&ProbedBars(MASKS)).0
}

/// The NVMe function with FLR and a power management capability at 0x80.
fn capable_device() -> Device {
    let mut device = Device::nvme();
    device.set(0x50, Width::Dword, 0x1000_8000);
    device.allow(0x54, Width::Word, 0x7FFF);
    device.set(0x4C, Width::Dword, 0x0002_8010);
    device.set(0x80, Width::Dword, 0x0003_0001);
    device.allow(0x84, Width::Word, 0x0003);
    device.place(&ADDRESSES);
    device
}

async fn running(kind: GuestKind, device: &mut Device) -> Function {
    let mut function = Function::rescan(kind, device, &ADDRESSES).await.unwrap();
    function.probe(device).await.unwrap();
    function
}

/// What a reset does to the registers of the capable device.
fn lose_registers(device: &mut Device) {
    device.set(0x04, Width::Word, 0);
    device.set(0x42, Width::Word, 0x003F);
    for offset in [0x10, 0x14, 0x20, 0x24] {
        device.set(offset, Width::Dword, if matches!(offset, 0x10 | 0x20) { 0xC } else { 0 });
    }
}

#[test]
fn enable_refuses_an_unassigned_bar() {
    block_on(async {
        let mut device = Device::nvme();
        let mut function = Function::scan(GuestKind::Linux61, &mut device).await.unwrap();
        let only_the_first = [ADDRESSES[0], None, None, None, None, None];
        function.assign(&mut device, &only_the_first).await.unwrap();
        let (enabled, log) = device.during(async |device| function.enable(device).await).await;
        assert_eq!(enabled, Err(GuestError::BarNotAssigned(4)));
        assert_eq!(log.writes(), "");
    });
}

#[test]
fn bars_are_assigned_largest_first_and_32_bit_ones_with_memory_on() {
    block_on(async {
        let mut device = Device::plain([0xFFFF_F000, 0, 0xFFF0_000C, 0xFFFF_FFFF, 0xFFFF_0000, 0]);
        device.set(0x04, Width::Word, 2);
        let addresses = [Some(0xE000_0000), None, Some(1 << 40), None, Some(0xE001_0000), None];
        let mut function = Function::scan(GuestKind::Linux612, &mut device).await.unwrap();
        let (assigned, log) = device.during(async |device| function.assign(device, &addresses).await).await;
        assigned.unwrap();
        assert_eq!(log.writes(), "COMMAND=0 BAR2=c BAR2h=100 COMMAND=2 BAR4=e0010000 BAR0=e0000000");
        assert_eq!(log.ignored_bar_writes, 2);
    });
}

#[test]
fn a_driver_bound_again_pays_nothing() {
    block_on(async {
        let mut device = Device::nvme();
        device.place(&ADDRESSES);
        let mut function = running(GuestKind::Linux612, &mut device).await;
        function.unbind(&mut device).await.unwrap();
        assert!(!function.msix_enabled());
        let (probed, log) = device.during(async |device| function.probe_nvme(device).await).await;
        probed.unwrap();
        assert!(function.msix_enabled());
        assert_eq!((log.maps, log.unmaps), (0, 0));
        assert!(log.writes().starts_with("COMMAND=6 042=c03f COMMAND=406 042=803f"), "{}", log.writes());
    });
}

/// A function that keeps its registers through an FLR only needs COMMAND back: one unmap, one map.
#[test]
fn reset_restores_only_what_differs() {
    block_on(async {
        let mut device = capable_device();
        let mut function = running(GuestKind::Linux612, &mut device).await;
        let (done, log) = device.during(async |device| function.reset(device).await).await;
        done.unwrap();
        assert_eq!((log.maps, log.unmaps), (1, 1));
        assert_eq!(log.writes(), "COMMAND=400 054=a810 054=2810 05c=0 074=0 07c=5 COMMAND=100406 042=c03f 042=803f");
        assert_eq!(log.delay, Duration::from_millis(100));
    });
}

#[test]
fn restore_goes_from_the_top_down_with_command_after_the_bars() {
    block_on(async {
        let mut device = capable_device();
        let mut function = running(GuestKind::Linux61, &mut device).await;
        function.save_state(&mut device).await;
        lose_registers(&mut device);
        let (done, log) = device.during(async |device| function.restore_state(device).await).await;
        done.unwrap();
        assert_eq!(
            log.writes(),
            // BAR0's low half and BAR5's were never lost: both read as saved.
            "054=2810 05c=0 074=0 07c=5 BAR5=1 BAR4=1000c BAR0h=1 COMMAND=100406 042=c03f 042=803f"
        );
        assert_eq!((log.maps, log.ignored_bar_writes), (1, 0));
        // What was saved is used up.
        let (again, log) = device.during(async |device| function.restore_state(device).await).await;
        assert_eq!((again, log.accesses.len()), (Ok(()), 0));
    });
}

/// The kernels of 2026 write COMMAND twice more around the MSI-X table: no flip, since Memory is on again by then.
#[test]
fn restoring_msix_with_memory_on() {
    block_on(async {
        let mut device = capable_device();
        let mut function = running(GuestKind::LinuxBatched, &mut device).await;
        let (done, log) = device.during(async |device| function.reset(device).await).await;
        done.unwrap();
        assert_eq!((log.maps, log.unmaps), (1, 1));
        assert!(log.writes().ends_with("COMMAND=100406 042=c03f COMMAND=406 COMMAND=406 042=803f"), "{}", log.writes());
    });
}

#[test]
fn a_function_without_flr_cannot_be_reset() {
    block_on(async {
        let mut device = Device::nvme();
        device.place(&ADDRESSES);
        let mut function = running(GuestKind::Linux612, &mut device).await;
        let (done, log) = device.during(async |device| function.reset(device).await).await;
        assert_eq!((done, log.accesses.len()), (Err(GuestError::NoReset), 0));
    });
}

#[test]
fn a_reset_that_never_ends() {
    block_on(async {
        let mut device = capable_device();
        let mut function = running(GuestKind::Linux612, &mut device).await;
        let (mut device, before) = (device.clone(), device.log.accesses.len());
        function.save_state(&mut device).await;
        let saving = device.log.accesses.len() - before;
        // Gone right after the write that starts the reset: COMMAND, Device Status, Device Control twice.
        device.gone_after = Some(saving + 4);
        let (done, log) = device.during(async |device| function.reset(device).await).await;
        assert_eq!(done, Err(GuestError::Vanished));
        assert!(log.delay > Duration::from_secs(60) && log.delay < Duration::from_secs(180));
    });
}

/// D3hot and back without NoSoftRst: BARs first (a pair per 64-bit BAR only if Memory survived), then COMMAND.
#[test]
fn suspend_and_resume() {
    block_on(async {
        let mut device = capable_device();
        let mut function = running(GuestKind::Linux612, &mut device).await;
        let (done, log) = device.during(async |device| function.suspend_d3(device).await).await;
        done.unwrap();
        assert_eq!((log.writes().as_str(), log.maps, log.unmaps), ("084=3", 0, 0));
        lose_registers(&mut device);
        let (done, log) = device.during(async |device| function.resume_d0(device).await).await;
        done.unwrap();
        assert_eq!(
            log.writes(),
            "084=0 COMMAND=0 BAR0=c BAR0h=1 COMMAND=0 COMMAND=0 BAR4=1000c BAR5=1 COMMAND=0 \
             054=2810 05c=0 074=0 07c=5 COMMAND=100406 042=c03f 042=803f"
        );
        assert_eq!((log.maps, log.unmaps, log.delay), (1, 0, Duration::from_millis(10)));
    });
}

#[test]
fn resume_with_registers_kept() {
    block_on(async {
        let mut device = capable_device();
        device.set(0x84, Width::Word, 0x0008); // NoSoftRst
        let mut function = running(GuestKind::Linux612, &mut device).await;
        function.suspend_d3(&mut device).await.unwrap();
        let (done, log) = device.during(async |device| function.resume_d0(device).await).await;
        done.unwrap();
        assert_eq!((log.maps, log.unmaps), (0, 0));
        assert_eq!(log.bar_writes(), 0);
    });
}

#[test]
fn windows_reads_and_powers() {
    assert_eq!(GuestKind::Windows.style(), GuestStyle::Messages);
    block_on(async {
        let mut device = Device::nvme();
        let mut guest = boot_function(GuestKind::Windows, &mut device, &layout(), &ADDRESSES).await.unwrap();
        assert_eq!(device.log.writes(), "");
        assert_eq!((device.log.maps, device.log.unmaps), (1, 0));
        guest.suspend(&mut device).await.unwrap();
        guest.resume(&mut device).await.unwrap();
        guest.remove(&mut device).await.unwrap();
        assert_eq!(device.log.power, [DevicePower::D0, DevicePower::D3, DevicePower::D0, DevicePower::D3]);
        assert_eq!((device.log.maps, device.log.unmaps), (2, 2));
        device.power_refused = true;
        let refused = boot_function(GuestKind::Windows, &mut device, &layout(), &ADDRESSES).await;
        assert_eq!(refused.err(), Some(GuestError::PowerRefused));
    });
}

/// Wherever a function vanishes during boot, the model ends: with an error if it still had something to ask.
#[test]
fn a_function_that_vanishes() {
    for kind in GuestKind::ALL {
        let mut whole = Device::nvme();
        whole.place(&ADDRESSES);
        block_on(boot_function(kind, &mut whole, &layout(), &ADDRESSES)).unwrap();
        let accesses = whole.log.accesses.len();
        let mut vanished = 0;
        for after in 0..accesses {
            let mut device = Device::nvme();
            device.place(&ADDRESSES);
            device.gone_after = Some(after);
            let booted = block_on(boot_function(kind, &mut device, &layout(), &ADDRESSES));
            assert!(device.log.accesses.len() <= accesses + 20, "{kind} {after}");
            match booted {
                Ok(_) => assert!(kind == GuestKind::Windows || after + 2 >= accesses, "{kind} {after}"),
                Err(GuestError::Vanished | GuestError::NotAnEndpoint(_) | GuestError::BarsDiffer) => vanished += 1,
                Err(other) => panic!("{kind} {after}: {other}"),
            }
        }
        assert!(vanished > 0, "{kind}");
    }
}

#[test]
fn other_bars_than_the_host_reported() {
    let mut device = Device::nvme();
    let other = BarLayout::from_probed(&ProbedBars([0xFFFF_000C, 0xFFFF_FFFF, 0, 0, 0, 0])).0;
    let booted = block_on(boot_function(GuestKind::Linux612, &mut device, &other, &ADDRESSES));
    assert_eq!(booted.err(), Some(GuestError::BarsDiffer));
    assert!(GuestError::BarsDiffer.to_string().contains("BARs"));
}

/// What a scan writes besides COMMAND and the BARs, on a function that has the capabilities for it: MSI-X left on by a
/// previous kernel is switched off, extended tags are switched on, PME is cleared.
#[test]
fn capability_writes_of_a_scan() {
    block_on(async {
        let mut device = capable_device();
        device.set(0x50, Width::Dword, 0x1000_8020);
        device.set(0x80, Width::Dword, 0x4803_0001);
        device.set(0x84, Width::Word, 0x0100);
        device.set(0x4E, Width::Word, 0x0002);
        device.set(0x4C, Width::Word, 0x8010);
        device.set(0x42, Width::Word, 0x803F);
        device.set(0x70, Width::Dword, 1 << 11);
        let (found, log) =
            device.during(async |device| Function::scan(GuestKind::Linux612, device).await.map(drop)).await;
        found.unwrap();
        let writes = log.writes();
        let (_, capabilities) = writes.split_once("ROM=0 ").unwrap();
        assert_eq!(capabilities, "054=2910 042=3f 084=8000");
    });
}

/// A hostile capability list: loops end.
#[test]
fn capability_lists_that_loop() {
    for kind in GuestKind::ALL {
        let mut device = Device::nvme();
        device.set(0x40, Width::Word, 0x4009);
        device.set(0x100, Width::Dword, 0x1001_0042);
        device.place(&ADDRESSES);
        block_on(boot_function(kind, &mut device, &layout(), &ADDRESSES)).unwrap();
        assert!(device.log.accesses.len() < 20_000, "{kind}");
    }
}

/// A host that answers anything to anything, and remembers nothing.
struct Noise {
    state: u64,
    accesses: usize,
}

impl ConfigAccess for Noise {
    async fn read(&mut self, offset: u16, width: Width) -> u32 {
        assert!(offset.is_multiple_of(width.bytes()) && offset < 4096);
        self.accesses += 1;
        // Xorshift64; now and then the values that mean something.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let value = match self.state >> 57 {
            0..8 => 0,
            8 => u32::MAX,
            _ if offset == 0x0E => 0, // else few get beyond the header type
            _ => self.state as u32,
        };
        value & width.all_ones()
    }

    async fn write(&mut self, offset: u16, width: Width, _: u32) {
        assert!(offset.is_multiple_of(width.bytes()) && offset < 4096);
        self.accesses += 1;
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(crate::tests::cases(256)))]

    /// Whatever the host answers, a model ends, after a bounded number of accesses.
    #[test]
    fn noise(seed in 1u64.., kind in 0usize..4) {
        let mut access = Noise { state: seed, accesses: 0 };
        block_on(async {
            let access = &mut access;
            if let Ok(mut function) = Function::scan(GuestKind::ALL[kind], access).await {
                let _ = function.assign(access, &ADDRESSES).await;
                let _ = function.probe_nvme(access).await;
                let _ = function.reset(access).await;
                let _ = function.suspend_d3(access).await;
                let _ = function.resume_d0(access).await;
                let _ = function.unbind(access).await;
            }
        });
        proptest::prop_assert!(access.accesses < 100_000, "{}", access.accesses);
    }
}
