//! The windows of a bus and who has which pages of them.

use alloc::vec::Vec;

use super::packing::{Block, PAGE, best_block};
use super::{Aperture, PlacementError, RestoreDefect, Window, WindowError};
use crate::config::{Bar, BarLayout};
use crate::{OutOfMemory, Slot};

/// The addresses of a function's BARs, by (lower) register.
pub type BarAddresses = [Option<u64>; 6];

/// BARs of a function.
const BARS: usize = 6;

/// Pages taken by one BAR. Whole pages: no two claims ever share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// First address, a multiple of `size`.
    pub base: u64,
    /// Bytes: the BAR's footprint, a power of two of at least a page.
    pub size: u64,
    /// The function it is, or was, for.
    pub slot: Slot,
    /// The BAR's (lower) register.
    pub bar: u8,
    /// The host may still map the range although the function is gone: nobody gets it before
    /// [`Pool::release_quarantine`].
    pub quarantined: bool,
}

impl Claim {
    const fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }

    const fn overlaps(&self, base: u64, size: u64) -> bool {
        self.base < base.saturating_add(size) && base < self.end()
    }
}

/// The windows claimed for one bus, and the BARs placed in them.
///
/// Deterministic: equal calls give equal addresses. Sleepable contexts or any other: no call but [`Pool::reserve`]
/// allocates (on a clone, whose tables are only as large as their content, adding may). Placing takes time proportional
/// to the number of claims.
///
/// Over suspend and resume the pool is simply kept, so every function comes back where it was ([`Pool::addresses`]); a
/// pool built anew takes the old addresses with [`Pool::restore`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pool {
    /// By base, disjoint.
    windows: Vec<Window>,
    /// By base, disjoint, each inside one window.
    claims: Vec<Claim>,
    max_windows: usize,
    max_claims: usize,
}

impl Pool {
    /// A pool without room for anything; see [`Pool::reserve`].
    pub const fn new() -> Pool {
        Pool { windows: Vec::new(), claims: Vec::new(), max_windows: 0, max_claims: 0 }
    }

    /// Makes room for `functions` functions and as many quarantined ones, in up to `windows` windows. Bring-up only
    /// (allocates). Calling it again can only add room.
    pub fn reserve(&mut self, functions: u16, windows: u16) -> Result<(), OutOfMemory> {
        let max_windows = self.max_windows.max(usize::from(windows));
        let max_claims = self.max_claims.max(usize::from(functions).saturating_mul(BARS).saturating_mul(2));
        let missing = max_windows.saturating_sub(self.windows.len());
        self.windows.try_reserve_exact(missing).map_err(|_| OutOfMemory)?;
        let missing = max_claims.saturating_sub(self.claims.len());
        self.claims.try_reserve_exact(missing).map_err(|_| OutOfMemory)?;
        (self.max_windows, self.max_claims) = (max_windows, max_claims);
        Ok(())
    }

    /// Takes a window that the platform reserved for this bus.
    pub fn add_window(&mut self, window: Window) -> Result<(), WindowError> {
        let end = window.base.checked_add(window.size).ok_or(WindowError::Malformed(window))?;
        let whole_pages = window.base.is_multiple_of(PAGE) && window.size.is_multiple_of(PAGE) && window.size != 0;
        // Address 0 is what an unset BAR holds: no BAR is ever placed there.
        if !whole_pages || window.base == 0 || window.base < window.aperture.start() || end > window.aperture.end() {
            return Err(WindowError::Malformed(window));
        }
        if self.windows.iter().any(|w| w.base < end && window.base < w.end()) {
            return Err(WindowError::Overlaps(window));
        }
        if self.windows.len() >= self.max_windows {
            return Err(WindowError::TableFull);
        }
        self.windows.try_reserve(1).map_err(|_| OutOfMemory)?;
        let at = self.windows.partition_point(|w| w.base < window.base);
        self.windows.insert(at, window);
        Ok(())
    }

    /// Lets go of a window, which the platform may then release. Refused while anything in it is placed or quarantined.
    pub fn remove_window(&mut self, window: Window) -> Result<(), WindowError> {
        let at = self.windows.iter().position(|w| *w == window).ok_or(WindowError::Unknown(window))?;
        if self.claims.iter().any(|c| c.overlaps(window.base, window.size)) {
            return Err(WindowError::InUse(window));
        }
        self.windows.remove(at);
        Ok(())
    }

    /// The windows, by address.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Everything placed or quarantined, by address.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Gives every BAR of a function an address: largest first, naturally aligned, on pages of its own. All or nothing.
    /// A function without BARs succeeds and takes nothing.
    ///
    /// # Errors
    ///
    /// [`PlacementError::NoSpace`], naming the largest BAR without room, [`PlacementError::AlreadyPlaced`],
    /// [`PlacementError::TableFull`].
    pub fn place(&mut self, slot: Slot, layout: &BarLayout) -> Result<BarAddresses, PlacementError> {
        self.check_room(slot, layout)?;
        let mut addresses: BarAddresses = [None; BARS];
        let mut homeless: Option<&Bar> = None;
        let mut missing = 0u64;
        for bar in largest_first(layout) {
            // After a failure the others are still tried, to know how much is missing; everything is taken back below.
            if let Some(block) = self.best_block(Aperture::of(bar), bar.footprint()) {
                self.insert(Claim::new(slot, bar, block.base))?;
                if let Some(address) = addresses.get_mut(usize::from(bar.index)) {
                    *address = Some(block.base);
                }
                continue;
            }
            let first = *homeless.get_or_insert(bar);
            if Aperture::of(first) == Aperture::of(bar) {
                missing = missing.saturating_add(bar.footprint());
            }
        }
        let Some(bar) = homeless else { return Ok(addresses) };
        self.free(slot);
        let aperture = Aperture::of(bar);
        let free = self.free_bytes(aperture);
        Err(PlacementError::NoSpace { slot, bar: bar.index, size: bar.size, aperture, free, missing })
    }

    /// Gives a function the very addresses it had. All or nothing.
    ///
    /// # Errors
    ///
    /// [`PlacementError::NotRestorable`] names the first BAR that cannot have its address,
    /// [`PlacementError::AlreadyPlaced`], [`PlacementError::TableFull`].
    pub fn restore(&mut self, slot: Slot, layout: &BarLayout, addresses: &BarAddresses) -> Result<(), PlacementError> {
        self.check_room(slot, layout)?;
        for (bar, address) in (0u8..).zip(addresses) {
            let outcome = match (layout.get(bar), *address) {
                (None, None) => continue,
                (Some(bar), Some(base)) => self.check_claim(&Claim::new(slot, bar, base), Aperture::of(bar)),
                _ => Err(RestoreDefect::Mismatch),
            };
            if let Err(defect) = outcome {
                self.free(slot);
                return Err(PlacementError::NotRestorable { slot, bar, address: address.unwrap_or(0), defect });
            }
            if let (Some(bar), Some(base)) = (layout.get(bar), *address) {
                self.insert(Claim::new(slot, bar, base))?;
            }
        }
        Ok(())
    }

    /// Takes a function's placements back into the free space: only when the host is known to map nothing there any
    /// more. Returns the bytes freed.
    pub fn free(&mut self, slot: Slot) -> u64 {
        let mut freed = 0u64;
        self.claims.retain(|claim| {
            let goes = claim.slot == slot && !claim.quarantined;
            if goes {
                freed = freed.saturating_add(claim.size);
            }
            !goes
        });
        freed
    }

    /// Takes a function's placements away without making them free: the host may still map them. The slot itself can be
    /// placed again, elsewhere. Returns the bytes quarantined.
    pub fn quarantine(&mut self, slot: Slot) -> u64 {
        let mut bytes = 0u64;
        for claim in self.claims.iter_mut().filter(|c| c.slot == slot && !c.quarantined) {
            claim.quarantined = true;
            bytes = bytes.saturating_add(claim.size);
        }
        bytes
    }

    /// Makes everything quarantined free. Only after D0EXIT completed, the channel closed, or a rescind: then the host
    /// maps nothing of this bus. Returns the bytes freed.
    pub fn release_quarantine(&mut self) -> u64 {
        let bytes = self.quarantined_bytes();
        self.claims.retain(|claim| !claim.quarantined);
        bytes
    }

    /// The addresses a function's BARs have; all `None` when it has no placement.
    pub fn addresses(&self, slot: Slot) -> BarAddresses {
        let mut addresses: BarAddresses = [None; BARS];
        for claim in self.ranges(slot) {
            if let Some(address) = addresses.get_mut(usize::from(claim.bar)) {
                *address = Some(claim.base);
            }
        }
        addresses
    }

    /// The ranges a function holds, by address, without what is quarantined.
    pub fn ranges(&self, slot: Slot) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(move |claim| claim.slot == slot && !claim.quarantined)
    }

    /// The claims, quarantined ones included, that a range touches.
    pub fn overlapping(&self, base: u64, size: u64) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(move |claim| claim.overlaps(base, size))
    }

    /// Whether the `size` bytes at `base` all lie in one window of this bus.
    pub fn contains(&self, base: u64, size: u64) -> bool {
        self.windows.iter().any(|window| window.contains(base, size))
    }

    /// Bytes of an aperture's windows that are neither placed nor quarantined.
    pub fn free_bytes(&self, aperture: Aperture) -> u64 {
        let sum = |total: u64, bytes: u64| total.saturating_add(bytes);
        let all = self.windows.iter().filter(|w| w.aperture == aperture).map(|w| w.size).fold(0, sum);
        let taken = self.claims.iter().filter(|c| aperture_of(c.base) == aperture).map(|c| c.size).fold(0, sum);
        all.saturating_sub(taken)
    }

    /// Bytes that are quarantined.
    pub fn quarantined_bytes(&self) -> u64 {
        self.claims.iter().filter(|c| c.quarantined).fold(0, |total, c| total.saturating_add(c.size))
    }

    fn check_room(&self, slot: Slot, layout: &BarLayout) -> Result<(), PlacementError> {
        if self.ranges(slot).next().is_some() {
            return Err(PlacementError::AlreadyPlaced { slot });
        }
        if self.claims.len().saturating_add(layout.iter().count()) > self.max_claims {
            return Err(PlacementError::TableFull { slot });
        }
        Ok(())
    }

    fn check_claim(&self, claim: &Claim, aperture: Aperture) -> Result<(), RestoreDefect> {
        if !claim.base.is_multiple_of(claim.size) {
            return Err(RestoreDefect::Misaligned);
        }
        if !self.windows.iter().any(|w| w.aperture == aperture && w.contains(claim.base, claim.size)) {
            return Err(RestoreDefect::Outside);
        }
        match self.overlapping(claim.base, claim.size).next() {
            Some(_) => Err(RestoreDefect::Taken),
            None => Ok(()),
        }
    }

    fn best_block(&self, aperture: Aperture, size: u64) -> Option<Block> {
        let mut best: Option<Block> = None;
        let mut consider = |from: u64, to: u64| {
            if let Some(block) = best_block(from, to, size)
                && best.is_none_or(|best| block < best)
            {
                best = Some(block);
            }
        };
        let mut claims = self.claims.iter().peekable();
        for window in &self.windows {
            let mut from = window.base;
            while let Some(claim) = claims.next_if(|claim| claim.base < window.end()) {
                if window.aperture == aperture {
                    consider(from, claim.base);
                }
                from = claim.end();
            }
            if window.aperture == aperture {
                consider(from, window.end());
            }
        }
        best
    }

    fn insert(&mut self, claim: Claim) -> Result<(), PlacementError> {
        // Room was reserved and checked; this is for clones, whose tables are no larger than their content.
        if self.claims.try_reserve(1).is_err() {
            self.free(claim.slot);
            return Err(PlacementError::TableFull { slot: claim.slot });
        }
        let at = self.claims.partition_point(|c| c.base < claim.base);
        self.claims.insert(at, claim);
        Ok(())
    }
}

impl Claim {
    const fn new(slot: Slot, bar: &Bar, base: u64) -> Claim {
        Claim { base, size: bar.footprint(), slot, bar: bar.index, quarantined: false }
    }
}

/// The aperture of an address inside a window: windows do not straddle 4 GiB.
const fn aperture_of(address: u64) -> Aperture {
    if address < Aperture::Low.end() { Aperture::Low } else { Aperture::High }
}

/// The BARs of a function, the largest first; among equals the lower register first.
fn largest_first(layout: &BarLayout) -> impl Iterator<Item = &Bar> {
    let mut bars: [Option<&Bar>; BARS] = [None; BARS];
    for (place, bar) in bars.iter_mut().zip(layout.iter()) {
        *place = Some(bar);
    }
    bars.sort_unstable_by_key(|bar| bar.map_or((u64::MAX, u8::MAX), |bar| (!bar.size, bar.index)));
    bars.into_iter().flatten()
}
