//! Invariant I3: what host decode may be turned on for.

use super::Bar;
use super::bars::PAGE;
use super::function::{Function, Occupancy};
use super::report::{ConfigError, EnableRefused};
use super::space::ConfigSpace;
use crate::backend::ConfigPort;
use crate::placement::Window;

/// The pages of a BAR, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pages {
    first: u64,
    last: u64,
}

impl Pages {
    /// The pages that the host maps for a BAR at `address`; `None` if it runs past the end of the address space.
    fn of(bar: &Bar, address: u64) -> Option<Pages> {
        let in_page = PAGE.saturating_sub(1);
        let last = address.checked_add(bar.size.checked_sub(1)?)?;
        Some(Pages { first: address & !in_page, last: last | in_page })
    }

    const fn overlaps(&self, other: &Pages) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    const fn inside(&self, window: &Window) -> bool {
        window.size > 0
            && self.first >= window.base
            && self.last <= window.base.saturating_add(window.size.saturating_sub(1))
    }
}

/// Whether the host may have `other` mapped over one of `pages`, as far as we know.
fn may_hold(other: &Function, pages: &Pages) -> bool {
    let (decode, host) = (&other.decode, other.decode.host());
    other.occupancy != Occupancy::Vacant
        && host.may_be_mapped()
        && decode
            .guest()
            .layout()
            .iter()
            .any(|bar| Pages::of(bar, host.last_address(bar)).is_some_and(|held| held.overlaps(pages)))
}

/// Whether decode of `other` is being turned on over one of `pages`: decided, and on its way to the host.
fn is_about_to_hold(other: &Function, pages: &Pages) -> bool {
    let Some(bars) = &other.powering else { return false };
    other.decode.guest().layout().iter().any(|bar| {
        let address = bars.get(usize::from(bar.index)).copied().flatten().unwrap_or(0);
        Pages::of(bar, address).is_some_and(|claimed| claimed.overlaps(pages))
    })
}

impl ConfigSpace {
    /// Adds a window of this bus. BARs may be mapped in it from now on.
    pub fn claim_window(&mut self, window: Window) -> Result<(), ConfigError> {
        let aligned = window.base.checked_rem(PAGE) == Some(0) && window.size.checked_rem(PAGE) == Some(0);
        if !aligned || window.size == 0 || window.base.checked_add(window.size.saturating_sub(1)).is_none() {
            return Err(ConfigError::BadWindow);
        }
        if self.windows.contains(&window) {
            return Ok(());
        }
        if self.windows.len() >= self.window_capacity() {
            return Err(ConfigError::TooManyWindows);
        }
        // Reserved for in `reserve`.
        self.windows.push(window);
        Ok(())
    }

    /// Takes a window back. Returns false, and changes nothing, if it is not one of this bus or if the host may still have
    /// a BAR mapped in it: detach the function first.
    pub fn unclaim_window(&mut self, window: Window) -> bool {
        let last = window.base.saturating_add(window.size.saturating_sub(1));
        let pages = Pages { first: window.base, last };
        let in_use = self.functions.iter().any(|function| may_hold(function, &pages));
        let Some(at) = self.windows.iter().position(|claimed| *claimed == window).filter(|_| !in_use) else {
            return false;
        };
        self.windows.swap_remove(at);
        true
    }

    /// Whether a BAR of a function at `address` lies wholly in one window.
    fn in_a_window(&self, pages: &Pages) -> bool {
        self.windows.iter().any(|window| pages.inside(window))
    }

    /// Whether host decode of a function may be turned on with its BARs where the guest has them. Functions in the way
    /// whose guest decode is off do not count: they are flushed.
    pub(super) fn check_enable(&self, at: usize) -> Result<(), EnableRefused> {
        let Some(function) = self.functions.get(at) else { return Ok(()) };
        let (slot, guest) = (function.slot(), function.decode.guest());
        for bar in guest.layout().iter() {
            let address = guest.address(bar);
            let outside = EnableRefused::OutsideWindows { slot, bar: bar.index, address };
            let pages = Pages::of(bar, address).filter(|pages| self.in_a_window(pages)).ok_or(outside)?;
            let in_the_way = self.others(at).find(|other| {
                let in_use = other.decode.guest().memory() && may_hold(other, &pages);
                other.occupancy == Occupancy::Attached && (in_use || is_about_to_hold(other, &pages))
            });
            if let Some(other) = in_the_way {
                return Err(EnableRefused::Overlaps { slot, bar: bar.index, address, other: other.slot() });
            }
        }
        Ok(())
    }

    fn others(&self, at: usize) -> impl Iterator<Item = &Function> {
        self.functions.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, function)| function)
    }

    /// Whether the host may have `other` mapped where the guest has a BAR of the function in cell `at`.
    fn conflicts(&self, at: usize, other: usize) -> bool {
        let (Some(function), Some(other_function)) = (self.functions.get(at), self.functions.get(other)) else {
            return false;
        };
        let guest = function.decode.guest();
        at != other
            && guest
                .layout()
                .iter()
                .any(|bar| Pages::of(bar, guest.address(bar)).is_some_and(|pages| may_hold(other_function, &pages)))
    }

    /// Sends the clear of every function that the host may have mapped where the function in cell `at` is to be. One that
    /// is gone went with its maps, and another function may answer in its slot: nothing is sent.
    pub(super) fn flush_conflicts(&mut self, port: &mut dyn ConfigPort, at: usize) {
        for other in 0..self.functions.len() {
            let gone = self.functions.get(other).is_some_and(|function| function.gone);
            if !gone && self.conflicts(at, other) {
                self.with_page(port, other, |function, page, _| function.flush(page));
            }
        }
    }

    /// Whether any function that the guest does not use may be mapped where the function in cell `at` is to be.
    pub(super) fn has_conflicts(&self, at: usize) -> bool {
        (0..self.functions.len()).any(|other| self.conflicts(at, other))
    }
}
