//! The flip table of `reference/decode.md` section 9, over every BAR layout.

use alloc::vec::Vec;

use hvpci_core::config::BarLayout;
use hvpci_core::wire::ProbedBars;

use super::block_on;
use super::device::Device;
use crate::guest::linux::{BarAddresses, Function};
use crate::guest::{GuestKind, boot_function};

const LINUX: [GuestKind; 4] = [GuestKind::Linux518, GuestKind::Linux61, GuestKind::Linux612, GuestKind::LinuxBatched];

/// All BAR layouts: each register nothing, a 32-bit BAR, or the start of a 64-bit BAR. 169 of them.
fn layouts() -> Vec<[u32; 6]> {
    fn extend(so_far: Vec<u32>, all: &mut Vec<[u32; 6]>) {
        if let Ok(layout) = <[u32; 6]>::try_from(so_far.as_slice()) {
            all.push(layout);
            return;
        }
        for bar in [&[0][..], &[0xFFF0_0000], &[0xFFF0_000C, 0xFFFF_FFFF]] {
            if so_far.len() + bar.len() <= 6 {
                extend([so_far.as_slice(), bar].concat(), all);
            }
        }
    }
    let mut all = Vec::new();
    extend(Vec::new(), &mut all);
    all
}

/// An address for each BAR, 64-bit ones above 4 GiB.
fn addresses(layout: &BarLayout) -> BarAddresses {
    let mut addresses = [None; 6];
    for bar in layout.iter() {
        let base = if bar.is_64bit { 1 << 40 } else { 0xE000_0000 };
        addresses[usize::from(bar.index)] = Some(base + u64::from(bar.index) * bar.size);
    }
    addresses
}

struct Cost {
    maps: u32,
    unmaps: u32,
    /// Without the two of the INTx mask test, which change no decode bit.
    command_writes: usize,
}

/// Bring-up as pci-hyperv does it (COMMAND written with Memory clear, BARs placed, and before 5.19 COMMAND written with
/// Memory set), then the model up to the enable.
fn first_boot(kind: GuestKind, masks: [u32; 6], eager: bool) -> Cost {
    let (layout, _) = BarLayout::from_probed(&ProbedBars(masks));
    let addresses = addresses(&layout);
    let mut device = Device::plain(masks);
    device.driver_sets_memory(false);
    device.place(&addresses);
    if eager {
        device.driver_sets_memory(true);
    }
    block_on(async {
        let mut function = Function::scan(kind, &mut device).await.unwrap();
        assert_eq!(function.layout(), &layout);
        function.assign(&mut device, &addresses).await.unwrap();
        function.bus_add(&mut device).await;
        function.enable(&mut device).await.unwrap();
    });
    let bring_up = if eager { 2 } else { 1 };
    Cost {
        maps: device.log.maps,
        unmaps: device.log.unmaps,
        command_writes: device.log.command_writes() + bring_up - 2,
    }
}

fn number_of_64bit_bars(masks: &[u32; 6]) -> usize {
    masks.iter().filter(|&&mask| mask == 0xFFF0_000C).count()
}

#[test]
fn eight_maps_whatever_the_layout() {
    let layouts = layouts();
    assert_eq!(layouts.len(), 169);
    for kind in [GuestKind::Linux518, GuestKind::Linux61, GuestKind::Linux612] {
        for &masks in &layouts {
            let cost = first_boot(kind, masks, true);
            assert_eq!((cost.maps, cost.unmaps, cost.command_writes), (8, 7, 16), "{kind} {masks:x?}");
        }
    }
}

#[test]
fn batched_sizing_pays_per_64bit_bar() {
    for masks in layouts() {
        let n64 = number_of_64bit_bars(&masks);
        let cost = first_boot(GuestKind::LinuxBatched, masks, true);
        assert_eq!((cost.maps as usize, cost.unmaps as usize), (2 + n64, 1 + n64), "{masks:x?}");
        assert_eq!(cost.command_writes, 4 + 2 * n64, "{masks:x?}");
    }
}

#[test]
fn with_decode_deferred_every_kernel_pays_once() {
    for kind in LINUX {
        for masks in layouts() {
            let n64 = number_of_64bit_bars(&masks);
            let has_bars = usize::from(masks != [0; 6]);
            let cost = first_boot(kind, masks, false);
            assert_eq!((cost.maps as usize, cost.unmaps), (has_bars, 0), "{kind} {masks:x?}");
            assert_eq!(cost.command_writes, 1 + has_bars + 2 * n64, "{kind} {masks:x?}");
        }
    }
}

/// The recorded fact, for every kernel: Memory stays on after remove, so a rescan pays for sizing and assigning.
#[test]
fn rescan_of_an_enabled_function() {
    for kind in LINUX {
        for masks in layouts().into_iter().filter(|masks| *masks != [0; 6]) {
            let (layout, _) = BarLayout::from_probed(&ProbedBars(masks));
            let addresses = addresses(&layout);
            let mut device = Device::plain(masks);
            device.place(&addresses);
            let pairs = block_on(async {
                let guest = boot_function(kind, &mut device, &layout, &addresses).await.unwrap();
                assert_eq!((device.log.maps, device.log.unmaps), (1, 0));
                guest.remove(&mut device).await.unwrap();
                boot_function(kind, &mut device, &layout, &addresses).await.unwrap();
                (device.log.maps - 1, device.log.unmaps)
            });
            let expected = match kind {
                GuestKind::LinuxBatched => 1 + number_of_64bit_bars(&masks) as u32,
                _ => 7,
            };
            assert_eq!(pairs, (expected, expected), "{kind} {masks:x?}");
        }
    }
}
