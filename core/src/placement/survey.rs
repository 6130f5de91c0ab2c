//! What windows a bus needs.

use super::packing::{floor_power_of_two, page_up};
use super::{Aperture, PlacementError, WindowNeed};
use crate::Slot;
use crate::config::{Bar, BarLayout};

/// Bytes to ask for beyond what the present functions need, so that functions may be hot-added.
///
/// Each is rounded up to a page. Functions whose BARs' footprints sum up to at most this always fit, as long as nothing
/// was freed in between (a freed range can be too small for what comes next). Headroom in an aperture that no present
/// function uses asks for a window all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Headroom {
    /// Bytes below 4 GiB.
    pub low: u64,
    /// Bytes at or above 4 GiB.
    pub high: u64,
}

/// Sums the BARs of a bus's functions into at most one window per aperture: 32-bit BARs below 4 GiB, 64-bit BARs above
/// (`reference/protocol.md` section 8).
///
/// # Why everything fits
///
/// pci-hyperv aligns a window to the largest power of two not above its size and packs the BARs of *all* functions at once,
/// largest first: each BAR then starts on a multiple of its size. That breaks as soon as functions come one at a time (a
/// 64 KiB BAR at the start pushes a later 1 MiB BAR past the window's end). Here the alignment rule is the same, taken over
/// BARs and headroom together, and the packing is stronger:
///
/// * every BAR takes a power of two of at least a page (its *footprint*), and its address is a multiple of that by
///   construction: the pool aligns absolute addresses, whatever window it was given;
/// * free space is cut into its largest naturally aligned blocks, and a BAR takes the *smallest* block that holds it.
///   With the alignment above, a fresh window of `size` is one block per set bit of `size`. Taking the smallest
///   sufficient block keeps all blocks of different size (splitting fills only sizes that were missing), so the blocks
///   are always the binary digits of the free byte count, and whenever `footprint <= free` one of them is large enough.
///
/// So whatever was surveyed fits, in any order of functions, with every BAR naturally aligned, and so does the headroom.
/// A platform that cannot find a window so aligned may give several smaller ones or one less aligned: addresses stay
/// aligned, only the guarantee to fit is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Survey {
    low: Demand,
    high: Demand,
}

/// The demand in one aperture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Demand {
    /// Footprints summed up: never above the aperture's capacity.
    bytes: u64,
    /// The largest BAR, the first of its size.
    largest: Option<(Slot, Bar)>,
}

impl Survey {
    /// Nothing wanted yet.
    pub fn new() -> Survey {
        Survey::default()
    }

    /// Adds the BARs of a function. Sleepable or any context; allocates nothing.
    ///
    /// # Errors
    ///
    /// [`PlacementError::Impossible`] when the sum no longer fits the aperture (4 GiB, or 52 address bits): the host made
    /// the sizes up. The survey is as before, so a caller can leave this function out and go on.
    pub fn add(&mut self, slot: Slot, layout: &BarLayout) -> Result<(), PlacementError> {
        let mut next = *self;
        for bar in layout.iter() {
            let aperture = Aperture::of(bar);
            let impossible = PlacementError::Impossible { slot, bar: bar.index, size: bar.size, aperture };
            let demand = next.demand_mut(aperture);
            let sum = demand.bytes.checked_add(bar.footprint()).filter(|&sum| sum <= aperture.capacity());
            demand.bytes = sum.ok_or(impossible)?;
            if demand.largest.is_none_or(|(_, largest)| bar.size > largest.size) {
                demand.largest = Some((slot, *bar));
            }
        }
        *self = next;
        Ok(())
    }

    /// Bytes the surveyed BARs take in an aperture, without headroom.
    pub fn bytes(&self, aperture: Aperture) -> u64 {
        self.demand(aperture).bytes
    }

    /// The windows to reserve, low and high; `None` for an aperture in which nothing is wanted. Headroom is cut down to
    /// what the aperture can hold at all.
    pub fn needs(&self, headroom: Headroom) -> [Option<WindowNeed>; 2] {
        Aperture::BOTH.map(|aperture| self.need(aperture, headroom))
    }

    /// The window to reserve in one aperture, as [`Survey::needs`].
    pub fn need(&self, aperture: Aperture, headroom: Headroom) -> Option<WindowNeed> {
        let extra = match aperture {
            Aperture::Low => headroom.low,
            Aperture::High => headroom.high,
        };
        let size = page_up(extra).saturating_add(self.bytes(aperture)).min(aperture.capacity());
        (size != 0).then(|| WindowNeed { aperture, size, align: floor_power_of_two(size) })
    }

    /// The error to report when the platform found no window for a need of this survey: names the largest BAR, with
    /// the whole need as what is missing. `None` when no BAR wants to lie there, so that only headroom is missing, which
    /// is no reason to fail.
    pub fn refused(&self, need: &WindowNeed) -> Option<PlacementError> {
        let (slot, bar) = self.demand(need.aperture).largest?;
        Some(PlacementError::NoSpace {
            slot,
            bar: bar.index,
            size: bar.size,
            aperture: need.aperture,
            free: 0,
            missing: need.size,
        })
    }

    fn demand(&self, aperture: Aperture) -> &Demand {
        match aperture {
            Aperture::Low => &self.low,
            Aperture::High => &self.high,
        }
    }

    fn demand_mut(&mut self, aperture: Aperture) -> &mut Demand {
        match aperture {
            Aperture::Low => &mut self.low,
            Aperture::High => &mut self.high,
        }
    }
}

/// Surveys several functions at once: [`Survey::add`] for each.
///
/// # Errors
///
/// [`PlacementError::Impossible`] at the first function that cannot be.
pub fn survey<'a>(functions: impl IntoIterator<Item = (Slot, &'a BarLayout)>) -> Result<Survey, PlacementError> {
    let mut survey = Survey::new();
    for (slot, layout) in functions {
        survey.add(slot, layout)?;
    }
    Ok(survey)
}
