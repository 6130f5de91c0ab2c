//! Where the recorded guest put its BARs.

use std::collections::BTreeMap;

use hvpci_core::backend::Width;
use hvpci_core::config::BarLayout;
use hvpci_core::placement::{Aperture, Window};
use hvpci_core::wire::ProbedBars;

use super::super::event::{ChannelId, EventKind, Section};
use super::super::totals::Tally;

/// The BAR registers.
const BARS: std::ops::Range<u16> = 0x10..0x28;
const PAGE: u64 = 4096;
const FOUR_GIB: u64 = 1 << 32;

/// The BAR addresses of one function at one turning-on of memory decode.
#[derive(Debug)]
struct Place {
    index: usize,
    slot: u32,
    bars: [Option<u64>; 6],
}

/// Every place at which a section's functions were mapped. A recording does not show what MMIO windows the guest had; this
/// is what they must have held.
#[derive(Debug)]
pub(super) struct Places {
    places: Vec<Place>,
    pub(super) windows: Vec<Window>,
}

impl Places {
    /// Finds the places in one channel of a section. `probed` are the functions' probed BAR masks.
    pub(super) fn of(section: &Section, channel: ChannelId, probed: &BTreeMap<u32, [u32; 6]>) -> Places {
        let mut tally = Tally::default();
        let mut registers: BTreeMap<u32, [u32; 6]> = BTreeMap::new();
        let mut places = Vec::new();
        for (index, event) in section.events_of(channel) {
            let mapped = tally.add(&event.kind) == Some((false, true));
            let slot = tally.slot(channel);
            match &event.kind {
                EventKind::ConfigWrite(write)
                    if BARS.contains(&write.offset) && write.width == Width::Dword && write.offset % 4 == 0 =>
                {
                    registers.entry(slot).or_default()[usize::from(write.offset - BARS.start) / 4] = write.value;
                }
                EventKind::ConfigWrite(_) if mapped => {
                    let layout = layout(probed.get(&slot));
                    let values = registers.get(&slot).copied().unwrap_or_default();
                    places.push(Place { index, slot, bars: addresses(&layout, &values) });
                }
                _ => {}
            }
        }
        let windows = windows(&places, probed);
        Places { places, windows }
    }

    /// Where the function is mapped next after event `index`.
    pub(super) fn next(&self, index: usize, slot: u32) -> [Option<u64>; 6] {
        let place = self.places.iter().find(|place| place.index >= index && place.slot == slot);
        place.map_or([None; 6], |place| place.bars)
    }
}

fn layout(probed: Option<&[u32; 6]>) -> BarLayout {
    BarLayout::from_probed(&ProbedBars(probed.copied().unwrap_or_default())).0
}

/// The address in each BAR of a layout; none for BARs at 0, which no guest means.
fn addresses(layout: &BarLayout, registers: &[u32; 6]) -> [Option<u64>; 6] {
    let mut addresses = [None; 6];
    for bar in layout.iter() {
        let at = usize::from(bar.index);
        let high = if bar.is_64bit { registers.get(at + 1).copied().unwrap_or(0) } else { 0 };
        let address = (u64::from(high) << 32 | u64::from(registers[at])) & bar.address_mask();
        addresses[at] = Some(address).filter(|&address| address != 0);
    }
    addresses
}

/// One window below 4 GiB and one above that hold all places.
fn windows(places: &[Place], probed: &BTreeMap<u32, [u32; 6]>) -> Vec<Window> {
    let mut spans: [Option<(u64, u64)>; 2] = [None; 2];
    for place in places {
        for bar in layout(probed.get(&place.slot)).iter() {
            let Some(base) = place.bars[usize::from(bar.index)] else { continue };
            let start = base & !(PAGE - 1);
            let Some(end) = start.checked_add(bar.footprint()) else { continue };
            let span = &mut spans[usize::from(base >= FOUR_GIB)];
            let (low, high) = span.unwrap_or((start, end));
            *span = Some((low.min(start), high.max(end)));
        }
    }
    let apertures = [Aperture::Low, Aperture::High];
    let windows = spans
        .into_iter()
        .zip(apertures)
        .filter_map(|(span, aperture)| span.map(|(base, end)| Window { aperture, base, size: end - base }));
    windows.collect()
}
