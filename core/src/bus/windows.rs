//! MMIO space for the functions' BARs: survey, ask the platform, place.

use crate::Slot;
use crate::backend::PlatformError;
use crate::placement::{Headroom, PlacementError, Survey, Window, WindowError, WindowNeed};

use super::phase::Next;
use super::{Action, Bus, FunctionError, Report};

/// Windows asked for, one after the other, for one function that did not fit into those of the whole bus.
const TRIES: u8 = 4;
/// The smallest alignment, a page.
const PAGE: u64 = 4096;

/// A window that the platform gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnedWindow {
    pub window: Window,
    pub state: WindowState,
}

/// How far a window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WindowState {
    /// In the pool; the config half is to hear of it.
    Fresh,
    /// The config half knows it.
    Claimed,
    /// To be released: the config half does not know it.
    Spare,
}

/// How far the search for MMIO space has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct WindowPlan {
    /// What all functions together need was worked out.
    surveyed: bool,
    /// What of it is still to be asked for, low then high.
    needs: [Option<WindowNeed>; 2],
    /// The needs include headroom: without it they may still be met.
    headroom: bool,
    /// The function that has no place on its own: what was asked for, and how often.
    alone: Option<(Slot, u8)>,
}

impl WindowPlan {
    /// The most windows a bus of so many functions ever has: two for all, and in the worst case two for each.
    pub const fn max_windows(functions: usize) -> usize {
        functions.saturating_mul(2).saturating_add(2)
    }
}

impl Bus {
    /// Places functions, asking for windows where needed. Pump only: reserves the pool's tables.
    ///
    /// All functions together are surveyed first; a function that has no place after that is tried on its own, and fails
    /// alone.
    pub(super) fn step_windows(&mut self) -> Next {
        if let Some(spare) = self.windows.iter().find(|owned| owned.state == WindowState::Spare) {
            return Next::Act(Action::ReleaseWindow(spare.window));
        }
        if let Some(fresh) = self.windows.iter().find(|owned| owned.state == WindowState::Fresh) {
            return Next::Act(Action::ClaimWindow(fresh.window));
        }
        if self.first_wanted(|child| !child.placed).is_none() {
            self.plan = WindowPlan::default();
            return Next::Wait;
        }
        // Quarantined claims outlive their functions: counting every claim as a function is more than enough.
        let functions = self.children.len().saturating_add(self.pool.claims().len());
        let windows = self.windows.len().saturating_add(2);
        let room = |wanted: usize| u16::try_from(wanted).unwrap_or(u16::MAX);
        if self.pool.reserve(room(functions), room(windows)).is_err() {
            return self.fail_unplaced(|slot| PlacementError::TableFull { slot });
        }
        let homeless = self.place_all();
        let Some((slot, error)) = homeless else { return Next::Changed };
        if !self.plan.surveyed {
            return self.survey();
        }
        if let (Some(need), false) = (self.plan.needs.iter().flatten().next(), self.windows.is_full()) {
            return Next::Act(Action::ReserveWindow(*need));
        }
        match self.need_alone(slot, error) {
            Some(need) => Next::Act(Action::ReserveWindow(need)),
            None => {
                self.plan.alone = None;
                self.fail_function(slot, FunctionError::Placement(error));
                Next::Changed
            }
        }
    }

    /// Gives a place to every function that fits; returns the first that does not.
    fn place_all(&mut self) -> Option<(Slot, PlacementError)> {
        let mut homeless = None;
        for at in 0..self.children.len() {
            let Some(child) = self.children.get(at) else { break };
            if child.placed || child.retiring() {
                continue;
            }
            let (slot, layout) = (child.description.slot, child.layout());
            match self.pool.place(slot, &layout) {
                Ok(_) => {
                    if let Some(child) = self.children.get_mut(at) {
                        child.placed = true;
                    }
                }
                Err(error) => {
                    homeless.get_or_insert((slot, error));
                }
            }
        }
        homeless
    }

    fn survey(&mut self) -> Next {
        let mut survey = Survey::new();
        let mut impossible = None;
        for child in self.children.iter().filter(|c| c.wanted() && !c.placed) {
            let slot = child.description.slot;
            if let Err(error) = survey.add(slot, &child.layout()) {
                impossible.get_or_insert((slot, error));
            }
        }
        if let Some((slot, error)) = impossible {
            self.fail_function(slot, FunctionError::Placement(error));
            return Next::Changed;
        }
        let first = self.windows.is_empty();
        let headroom = if first { self.options.headroom } else { Headroom::default() };
        self.plan.surveyed = true;
        self.plan.headroom = headroom != Headroom::default();
        self.plan.needs = survey.needs(headroom);
        Next::Changed
    }

    /// The window that one function needs for itself; `None` when it cannot be had.
    fn need_alone(&mut self, slot: Slot, error: PlacementError) -> Option<WindowNeed> {
        let PlacementError::NoSpace { aperture, missing, .. } = error else { return None };
        let tried = self.plan.alone.filter(|(last, _)| *last == slot).map_or(0, |(_, tries)| tries);
        if tried >= TRIES || self.windows.is_full() {
            return None;
        }
        self.plan.alone = Some((slot, tried));
        let align = missing.checked_ilog2().map_or(PAGE, |exponent| 1 << exponent).max(PAGE);
        Some(WindowNeed { aperture, size: missing, align })
    }

    /// The platform's answer to a need.
    pub(super) fn window_answered(&mut self, need: WindowNeed, answer: Result<Window, PlatformError>) {
        let window = match answer {
            Ok(window) => window,
            Err(_) => return self.window_refused(need),
        };
        let owned = OwnedWindow { window, state: WindowState::Fresh };
        if self.windows.push(owned).is_err() {
            // The table has room for every window that is ever asked for.
            return self.report(Report::BadWindow(WindowError::TableFull));
        }
        if let Err(error) = self.pool.add_window(window) {
            self.report(Report::BadWindow(error));
            if let Some(owned) = self.windows.last_mut() {
                owned.state = WindowState::Spare;
            }
            return self.window_refused(need);
        }
        match self.plan.needs.iter_mut().find(|planned| **planned == Some(need)) {
            Some(planned) => *planned = None,
            None => self.plan.alone = self.plan.alone.map(|(slot, tries)| (slot, tries.saturating_add(1))),
        }
    }

    fn window_refused(&mut self, need: WindowNeed) {
        let headroom = self.plan.headroom;
        let Some(planned) = self.plan.needs.iter_mut().find(|planned| **planned == Some(need)) else {
            // On its own, and still no: that function fails at the next look.
            self.plan.alone = self.plan.alone.map(|(slot, _)| (slot, TRIES));
            return;
        };
        *planned = None;
        if headroom {
            let exact = self.needs_without_headroom();
            let again = exact.into_iter().flatten().find(|exact| exact.aperture == need.aperture);
            if let (Some(exact), true) = (again, again != Some(need))
                && let Some(free) = self.plan.needs.iter_mut().find(|planned| planned.is_none())
            {
                *free = Some(exact);
            }
        }
    }

    fn needs_without_headroom(&self) -> [Option<WindowNeed>; 2] {
        let mut survey = Survey::new();
        for child in self.children.iter().filter(|c| c.wanted() && !c.placed) {
            // What is impossible was sorted out by the survey with headroom.
            let _ = survey.add(child.description.slot, &child.layout());
        }
        survey.needs(Headroom::default())
    }

    /// There is no memory for the pool's tables: who has a place keeps it.
    pub(super) fn fail_unplaced(&mut self, error: impl Fn(Slot) -> PlacementError) -> Next {
        while let Some(slot) = self.first_wanted(|child| !child.placed) {
            self.fail_function(slot, FunctionError::Placement(error(slot)));
        }
        Next::Changed
    }
}
