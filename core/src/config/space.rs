//! The config half of a bus: the table of functions and the way to them.

use alloc::vec::Vec;

use super::access::Access;
use super::function::{Function, Occupancy};
use super::header;
use super::page::Page;
use super::report::{ConfigError, ConfigReport, EnableRefused, Reports};
use super::room::Room;
use super::{BarLayout, Functions};
use crate::Slot;
use crate::backend::ConfigPort;
use crate::decode::{GuestStyle, GuestView, HostView, Ledger, MEMORY, Policy, Scope, maps};
use crate::placement::Window;
use crate::wire::FunctionDescription;

/// How a [`ConfigSpace`] is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConfigOptions {
    /// The decode policy of all functions of the bus.
    pub policy: Policy,
    /// How the guest tells the host of BARs and decode.
    pub style: GuestStyle,
    /// Whether the VM is isolated (confidential).
    pub isolated: bool,
    /// The number of functions there is room for at first, 1 to 256. Under [`crate::driver::pump`] the room grows with the
    /// bus.
    pub capacity: u16,
    /// Whether the read cache of new functions is on.
    pub cache: bool,
}

impl Default for ConfigOptions {
    /// The deferred policy for a config-space guest, one function, read cache on.
    fn default() -> Self {
        ConfigOptions {
            policy: Policy::Deferred,
            style: GuestStyle::ConfigSpace,
            isolated: false,
            capacity: 1,
            cache: true,
        }
    }
}

/// The config half of one bus: the functions' config space as the guest sees it, in front of the config window.
///
/// No method allocates but [`ConfigSpace::new`] and [`ConfigSpace::reserve`], sleeps, or loops without bound; all but
/// those two may be called in any context. There is no lock inside: the caller holds one of its own around every call,
/// because a function select and the access after it belong together.
///
/// Equality and hash are for model checkers, which [`ConfigSpace::forget_statistics`] first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConfigSpace {
    pub(super) options: ConfigOptions,
    /// Cells that have been in use: they are made as they are first needed, because most buses have one function.
    pub(super) functions: Vec<Function>,
    /// The cells that `functions` has memory for.
    pub(super) capacity: usize,
    /// By slot: the cell of the table it was last put in. To be checked against the cell.
    routes: Vec<u8>,
    /// Reserved for [`ConfigSpace::most_windows`].
    pub(super) windows: Vec<Window>,
    /// The function that was selected last; `None` when somebody else may have selected.
    pub(super) selector: Option<Slot>,
    pub(super) reports: Reports,
    /// What functions that are gone have cost.
    pub(super) departed: Ledger,
}

impl ConfigSpace {
    /// An empty bus. Allocates the function table: sleepable context only.
    pub fn new(options: ConfigOptions) -> Result<ConfigSpace, ConfigError> {
        if options.isolated && !options.policy.allowed_when_isolated() {
            return Err(ConfigError::NotAllowedWhenIsolated(options.policy));
        }
        let mut space = ConfigSpace {
            options,
            functions: Vec::new(),
            capacity: 0,
            routes: Vec::new(),
            windows: Vec::new(),
            selector: None,
            reports: Reports::default(),
            departed: Ledger::default(),
        };
        space.routes.try_reserve_exact(256).map_err(|_| ConfigError::OutOfMemory)?;
        space.routes.resize(256, 0);
        space.reserve(options.capacity)?;
        Ok(space)
    }

    /// Makes room for `capacity` functions in all (1 to 256; a smaller number than before changes nothing). Allocates:
    /// sleepable context only, and the caller keeps everybody else out.
    pub fn reserve(&mut self, capacity: u16) -> Result<(), ConfigError> {
        self.grow(&mut Room::new(capacity)?);
        Ok(())
    }

    /// The options the space was made with.
    pub const fn options(&self) -> &ConfigOptions {
        &self.options
    }

    /// The cell of a slot, attached or departing.
    pub(super) fn cell_of(&self, slot: Slot) -> Option<usize> {
        let at = usize::from(*self.routes.get(usize::try_from(slot.to_wire()).ok()?)?);
        let function = self.functions.get(at)?;
        (function.occupancy != Occupancy::Vacant && function.slot() == slot).then_some(at)
    }

    /// The cell of the function in a slot.
    pub(super) fn find(&self, slot: Slot) -> Option<usize> {
        self.cell_of(slot).filter(|at| self.functions.get(*at).is_some_and(|f| f.occupancy == Occupancy::Attached))
    }

    /// The cell of the function in a slot, unless it is known not to answer any more.
    pub(super) fn find_present(&self, slot: Slot) -> Option<usize> {
        self.find(slot).filter(|at| self.functions.get(*at).is_some_and(|function| !function.gone))
    }

    pub(super) fn route(&mut self, slot: Slot, at: usize) {
        let place = usize::try_from(slot.to_wire()).ok().and_then(|slot| self.routes.get_mut(slot));
        if let (Some(place), Ok(at)) = (place, u8::try_from(at)) {
            *place = at;
        }
    }

    fn function(&self, slot: Slot) -> Option<&Function> {
        self.functions.get(self.find(slot)?)
    }

    /// Runs `f` on a cell with its page, and books the traps. Returns what `f` returned and whether it trapped.
    pub(super) fn with_page<R>(
        &mut self,
        port: &mut dyn ConfigPort,
        at: usize,
        f: impl FnOnce(&mut Function, &mut Page<'_>, &mut Reports) -> R,
    ) -> Option<(R, bool)> {
        let function = self.functions.get_mut(at)?;
        let mut page = Page::new(port, &mut self.selector, function.slot());
        let result = f(function, &mut page, &mut self.reports);
        let trapped = function.settle(&mut page);
        Some((result, trapped))
    }

    /// A guest read of `bytes` bytes at `offset`. Any slot, width and offset: what config space does not have reads all
    /// ones. Any context.
    pub fn read(&mut self, port: &mut dyn ConfigPort, slot: Slot, offset: u16, bytes: usize) -> u32 {
        let Some(access) = Access::new(offset, bytes) else {
            return match bytes {
                1 => 0xFF,
                2 => 0xFFFF,
                3 => 0xFF_FFFF,
                _ => u32::MAX,
            };
        };
        let nothing = access.width().all_ones();
        let Some(at) = self.find_present(slot) else { return nothing };
        let Some((value, trapped)) =
            self.with_page(port, at, |function, page, reports| function.read(page, reports, access))
        else {
            return nothing;
        };
        if let Some(function) = self.functions.get_mut(at).filter(|_| !trapped) {
            function.ledger.reads_served = function.ledger.reads_served.saturating_add(1);
        }
        value
    }

    /// A guest write of `bytes` bytes at `offset`. Any slot, width and offset: what config space does not have is
    /// dropped. Any context. Takes as long as the host takes to map, when it turns decode on.
    pub fn write(&mut self, port: &mut dyn ConfigPort, slot: Slot, offset: u16, bytes: usize, value: u32) {
        let Some(access) = Access::new(offset, bytes) else { return };
        let Some(at) = self.find_present(slot) else { return };
        let before = self.total_traps(at);
        if access.dword() == header::COMMAND {
            self.write_command_dword(port, at, access, value);
        } else {
            self.with_page(port, at, |function, page, reports| function.write(page, reports, access, value));
        }
        let absorbed = self.total_traps(at) == before;
        if let Some(function) = self.functions.get_mut(at).filter(|_| absorbed) {
            function.ledger.writes_absorbed = function.ledger.writes_absorbed.saturating_add(1);
        }
    }

    fn total_traps(&self, at: usize) -> u64 {
        self.functions.get(at).map_or(0, |function| function.ledger.traps)
    }

    /// A write to COMMAND, Status, or both.
    fn write_command_dword(&mut self, port: &mut dyn ConfigPort, at: usize, access: Access, value: u32) {
        if access.lanes() & 0xFFFF != 0 {
            let merged = self.with_page(port, at, |function, page, reports| {
                let command = function.merged_command(page, access, value)?;
                if command & MEMORY != 0 {
                    // I3 is checked against the sizes as they are now.
                    function.probe_again(page, reports);
                }
                Some(command)
            });
            if let Some((Some(command), _)) = merged {
                self.write_command(port, at, command);
            }
        }
        if access.lanes() & 0xFFFF_0000 != 0 {
            self.with_page(port, at, |function, page, _| function.write_status(page, access, value));
        }
    }

    /// A guest's COMMAND. Where it would turn host decode on, I3 comes first.
    fn write_command(&mut self, port: &mut dyn ConfigPort, at: usize, value: u16) {
        let Some(function) = self.functions.get(at) else { return };
        let mut plan = function.plan_command(value);
        let mut memory = value & MEMORY != 0;
        if maps(&plan) && function.decode.policy() != Policy::Eager {
            match self.check_enable(at) {
                Ok(()) => self.flush_conflicts(port, at),
                Err(refused) => {
                    memory = false;
                    plan = function.plan_refused(value);
                    self.refuse(at, refused);
                }
            }
        }
        self.with_page(port, at, |function, page, _| {
            function.execute(page, &plan);
            function.decode.guest_decode_becomes(memory);
        });
    }

    pub(super) fn refuse(&mut self, at: usize, refused: EnableRefused) {
        if let Some(function) = self.functions.get_mut(at) {
            function.ledger.refused_enables = function.ledger.refused_enables.saturating_add(1);
        }
        self.reports.push(ConfigReport::EnableRefused(refused));
    }

    /// Whether the function is there: its vendor id, read from the host and never from a cache (I9). False for an empty
    /// slot. Any context.
    pub fn alive(&mut self, port: &mut dyn ConfigPort, slot: Slot) -> bool {
        let Some(at) = self.find_present(slot) else { return false };
        self.with_page(port, at, |function, page, _| function.alive(page)).is_some_and(|(alive, _)| alive)
    }

    /// Somebody else may have written the slot selector: the next access selects again. Any context.
    pub const fn forget_selector(&mut self) {
        self.selector = None;
    }

    /// A function driver is bound to the function, or not any more. Under [`Policy::Absorbing`] clears linger only while
    /// nobody is bound; a clear that lingers when a driver is bound is sent now. Any context.
    pub fn set_bound(&mut self, port: &mut dyn ConfigPort, slot: Slot, bound: bool) {
        let Some(at) = self.find_present(slot) else { return };
        self.with_page(port, at, |function, page, _| {
            function.decode.set_scope(Scope::of_bound(bound));
            if bound && function.decode.policy() == Policy::Absorbing && function.decode.is_ahead() {
                function.flush(page);
            }
        });
    }

    /// Turns the read cache of a function on or off, and empties it. Any context.
    pub fn set_read_cache(&mut self, slot: Slot, on: bool) {
        if let Some(function) = self.find(slot).and_then(|at| self.functions.get_mut(at)) {
            function.cache.set_on(on);
        }
    }

    /// What the function has cost since it was attached. Any context.
    pub fn ledger(&self, slot: Slot) -> Option<Ledger> {
        self.function(slot).map(|function| function.ledger)
    }

    /// What the bus has cost, functions that are gone included. Any context.
    pub fn total_ledger(&self) -> Ledger {
        let mut total = self.departed;
        for function in &self.functions {
            total.merge(function.ledger);
        }
        total
    }

    /// Sets all ledgers to zero and drops what waits to be reported. Nothing that the space does depends on them. Any
    /// context.
    pub fn forget_statistics(&mut self) {
        self.departed = Ledger::default();
        self.reports = Reports::default();
        for function in &mut self.functions {
            function.ledger = Ledger::default();
        }
    }

    /// The slots that have a function.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.functions.iter().filter(|f| f.occupancy == Occupancy::Attached).map(Function::slot)
    }

    /// Where the guest has the BARs, by lower register. Any context.
    pub fn bars(&self, slot: Slot) -> Option<[Option<u64>; 6]> {
        self.function(slot).map(|function| function.decode.guest().addresses())
    }

    /// The implemented BARs and their sizes. Any context.
    pub fn layout(&self, slot: Slot) -> Option<&BarLayout> {
        self.function(slot).map(|function| function.decode.guest().layout())
    }

    /// What the guest believes of the function's decode. Any context.
    pub fn guest_view(&self, slot: Slot) -> Option<&GuestView> {
        self.function(slot).map(|function| function.decode.guest())
    }

    /// What the host was told of the function's decode. Any context.
    pub fn host_view(&self, slot: Slot) -> Option<&HostView> {
        self.function(slot).map(|function| function.decode.host())
    }

    /// The next thing that somebody should hear of. Sixteen are kept. Any context.
    pub fn take_report(&mut self) -> Option<ConfigReport> {
        self.reports.take()
    }

    /// How many reports were dropped because nobody took them.
    pub const fn lost_reports(&self) -> u64 {
        self.reports.lost()
    }

    /// The functions meant, as cells; used by the calls that concern one or all.
    pub(super) fn meant(&self, functions: Functions) -> impl Iterator<Item = usize> + use<> {
        let one = match functions {
            Functions::One(slot) => Some(self.cell_of(slot)),
            Functions::All => None,
        };
        let count = self.functions.len();
        (0..count).filter(move |at| one.is_none_or(|one| one == Some(*at)))
    }
}

/// What stands in a vacant cell.
pub(super) const NOBODY: FunctionDescription = FunctionDescription {
    slot: Slot::ZERO,
    vendor: 0xFFFF,
    device: 0xFFFF,
    revision: 0,
    prog_if: 0,
    sub_class: 0,
    base_class: 0,
    subsystem_vendor: 0,
    subsystem: 0,
    serial: 0,
    numa_node: None,
};
