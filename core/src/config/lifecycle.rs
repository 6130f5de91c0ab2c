//! Functions come, lose their state, and go.

use super::bars::BarLayout;
use super::function::{Function, Occupancy};
use super::header;
use super::report::ConfigError;
use super::space::ConfigSpace;
use crate::Slot;
use crate::backend::{ConfigPort, Width};
use crate::decode::{DecodeState, GuestStyle, Ledger, MEMORY, Policy};
use crate::wire::{FunctionDescription, ProbedBars};

/// Which functions a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Functions {
    /// The one in this slot.
    One(Slot),
    /// All of the bus.
    All,
}

/// What a function is attached with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionSeed {
    /// What the host says of it.
    pub description: FunctionDescription,
    /// The host's answer to QUERY_RESOURCE_REQUIREMENTS.
    pub probed: ProbedBars,
    /// Where its BARs are to be, by lower register; `None` is address 0. With all of them at 0 it is the guest that places
    /// the BARs: nothing is written or mapped ahead of it, under any policy.
    pub bars: [Option<u64>; 6],
    /// Whether the host holds these addresses already (RESOURCES_ASSIGNED with descriptors).
    pub host_bars_known: bool,
}

/// How a function goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// RESOURCES_RELEASED follows: the host unmaps by itself. Nothing is written; until
    /// [`ConfigSpace::host_unmapped`] says that it is done, no other function is mapped over its BARs without a clear.
    Host,
    /// No message follows that would unmap: the clear is written now, if decode may be on.
    Clear,
    /// The function or the channel is gone: nothing is touched.
    Gone,
}

impl ConfigSpace {
    /// Adds a function. Any context: nothing is allocated, there must be room.
    ///
    /// COMMAND is read and written back with Memory off, once and unconditionally: what a previous kernel or the firmware left
    /// must go before any BAR is written or sent. Then, for a config-space guest, by policy: Prefetch writes the BARs, Eager
    /// writes the BARs and sets Memory (a map). A message guest is attached before its BARs are sent.
    pub fn attach(&mut self, port: &mut dyn ConfigPort, seed: &FunctionSeed) -> Result<(), ConfigError> {
        let slot = seed.description.slot;
        if self.find(slot).is_some() {
            return Err(ConfigError::AlreadyAttached(slot));
        }
        let holds = |wanted: Occupancy| self.functions.iter().position(|function| function.occupancy == wanted);
        let (vacant, departing) = (holds(Occupancy::Vacant), holds(Occupancy::Departing));
        let at = self.cell_of(slot).or(vacant).or_else(|| self.fresh_cell()).or(departing).ok_or(ConfigError::Full)?;
        self.vacate(at);
        self.route(slot, at);
        let (options, probed) = (self.options, &seed.probed);
        let Some(function) = self.functions.get_mut(at) else { return Err(ConfigError::Full) };
        function.occupancy = Occupancy::Attached;
        function.description = seed.description;
        function.decode = DecodeState::new(options.policy, BarLayout::from_probed(probed).0, &seed.bars);
        function.cache.set_on(options.cache);
        self.start(port, at, seed.host_bars_known);
        Ok(())
    }

    /// Starts a function again after D0 re-entry or resume: the host's state counts as lost (I7), the guest's BARs are put
    /// at `bars`, and what [`ConfigSpace::attach`] does at the host is done again. The read cache's switch, the scope and
    /// the ledger stay. Nothing for an empty slot. Any context.
    pub fn restart(&mut self, port: &mut dyn ConfigPort, slot: Slot, bars: &[Option<u64>; 6], host_bars_known: bool) {
        let Some(at) = self.find(slot) else { return };
        if let Some(function) = self.functions.get_mut(at) {
            function.host_lost_state();
            function.decode.place(bars);
        }
        self.start(port, at, host_bars_known);
    }

    /// The function does not answer any more: it left the bus, or the bus its channel. Until it is detached its config
    /// space reads all ones, writes are dropped, and nothing reaches the host, where another function may be in its slot
    /// already. Nothing for an empty slot. Any context.
    pub fn function_gone(&mut self, slot: Slot) {
        if let Some(function) = self.find(slot).and_then(|at| self.functions.get_mut(at)) {
            function.gone = true;
        }
    }

    /// Brings the host's side of a function to where the policy starts.
    fn start(&mut self, port: &mut dyn ConfigPort, at: usize, host_bars_known: bool) {
        let options = self.options;
        // Also of a message guest: no BAR may be sent while decode is on (I2), and what a read says of Memory is not relied
        // upon (`reference/protocol.md` section 7).
        self.with_page(port, at, |function, page, _| {
            let found = page.read_at(header::COMMAND, Width::Word);
            let command = u16::try_from(found).unwrap_or(u16::MAX);
            let there = command != u16::MAX;
            if there {
                function.command.read(command, u16::MAX);
            }
            function.awaiting = !there;
            let cleared = if there { command & !MEMORY } else { 0 };
            page.write_at(header::COMMAND, Width::Word, u32::from(cleared));
            function.command.written(cleared);
            function.decode.host_decode_becomes(false);
            if there && command & MEMORY != 0 && function.decode.guest().has_bars() {
                function.ledger.unmaps = function.ledger.unmaps.saturating_add(1);
            }
        });
        if let Some(function) = self.functions.get_mut(at).filter(|_| host_bars_known) {
            function.decode.host_bars_are_the_guests();
        }
        if options.style == GuestStyle::ConfigSpace {
            self.with_page(port, at, |function, page, _| {
                // BARs that nobody has placed are the guest's to place, and so is decode: a map at 0 would break I3.
                let unplaced = function.decode.guest().addresses().iter().flatten().all(|address| *address == 0);
                if unplaced && function.decode.guest().has_bars() {
                    return;
                }
                let plan = function.decode.plan_start(function.command.current());
                function.execute(page, &plan);
                function.decode.guest_decode_becomes(options.policy == Policy::Eager);
            });
        }
    }

    /// Removes a function and returns what it has cost (zero for an empty slot). The guest reads all ones from now on.
    /// Nothing that we mapped stays mapped (I5). Any context.
    pub fn detach(&mut self, port: &mut dyn ConfigPort, slot: Slot, reach: Reach) -> Ledger {
        let Some(at) = self.find(slot) else { return Ledger::default() };
        if reach == Reach::Clear {
            self.with_page(port, at, |function, page, _| {
                function.decode.guest_decode_becomes(false);
                function.flush(page);
            });
        }
        let Some(function) = self.functions.get_mut(at) else { return Ledger::default() };
        function.count_host_unmap(function.decode.host().is_mapped());
        let may_be_mapped = function.decode.host().may_be_mapped();
        let ledger = core::mem::take(&mut function.ledger);
        self.departed.merge(ledger);
        function.occupancy = Occupancy::Departing;
        function.decode.guest_decode_becomes(false);
        function.decode.host_decode_unknown();
        function.powering = None;
        if reach != Reach::Host || !may_be_mapped {
            self.vacate(at);
        }
        ledger
    }

    /// Empties a cell. What it has cost stays in the total.
    fn vacate(&mut self, at: usize) {
        if let Some(function) = self.functions.get_mut(at) {
            self.departed.merge(core::mem::take(&mut function.ledger));
            function.occupancy = Occupancy::Vacant;
            function.command = Default::default();
            function.capabilities.clear();
            function.cache.set_on(false);
            function.power = Default::default();
            function.msi_enable = Default::default();
            function.awaiting = false;
            function.gone = false;
            function.masks_stale = false;
            function.resizable = false;
            function.powering = None;
        }
    }

    /// The host may have lost state (I7): RESET_DEVICE, D0 re-entry, resume, host servicing. Host decode and BARs are
    /// unknown, and the guest view takes the reset values: COMMAND 0, BARs at 0. A map that was there is counted as a host
    /// unmap. The functions' own resets through config space are noticed without this. Any context.
    pub fn host_lost_state(&mut self, functions: Functions) {
        if functions == Functions::All {
            self.selector = None;
        }
        for at in self.meant(functions) {
            if let Some(function) = self.attached_mut(at) {
                function.host_lost_state();
            }
        }
    }

    /// The host has turned decode off by itself and dropped the BARs: RELEASED or D0EXIT completed, the channel is closed
    /// or rescinded. The guest view stays: the guest does not use the function then. Any context.
    pub fn host_unmapped(&mut self, functions: Functions) {
        for at in self.meant(functions) {
            if self.functions.get(at).is_some_and(|function| function.occupancy == Occupancy::Departing) {
                self.vacate(at);
            } else if let Some(function) = self.attached_mut(at) {
                function.powering = None;
                let was = function.decode.host_unmapped();
                function.count_host_unmap(was);
            }
        }
    }

    pub(super) fn attached_mut(&mut self, at: usize) -> Option<&mut Function> {
        self.functions.get_mut(at).filter(|function| function.occupancy == Occupancy::Attached)
    }
}
