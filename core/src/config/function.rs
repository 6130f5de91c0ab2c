//! One function: its shadows, its cache, and how it answers.

use super::access::{Access, high_word, low_word};
use super::cache::ReadCache;
use super::capability::Capabilities;
use super::command::CommandShadow;
use super::header::{self, Served};
use super::page::Page;
use super::registers::cacheable;
use super::report::{ConfigReport, Reports};
use super::reset::{self, Effect, Power};
use super::withhold::Enable;
use crate::Slot;
use crate::backend::Width;
use crate::decode::{BarWrite, DecodeState, Edge, Ledger, MEMORY, Plan, Policy, Step, Why};
use crate::wire::FunctionDescription;

/// Whether a cell of the function table is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Occupancy {
    /// Free.
    Vacant,
    /// A function of the bus.
    Attached,
    /// Detached, but the host may not have unmapped it yet: reads all ones, and counts in I3.
    Departing,
}

/// One cell of the function table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Function {
    pub occupancy: Occupancy,
    pub description: FunctionDescription,
    pub decode: DecodeState,
    pub command: CommandShadow,
    pub cache: ReadCache,
    pub capabilities: Capabilities,
    pub power: Power,
    /// MSI Enable may be kept from the function.
    pub msi_enable: Enable,
    /// The function may be in reset or gone: vendor id reads go to the host until it answers (I9).
    pub awaiting: bool,
    /// It does not answer any more and is not to be touched: see [`super::ConfigSpace::function_gone`].
    pub gone: bool,
    /// A Resizable BAR control register was written: the probed masks may be wrong.
    pub masks_stale: bool,
    /// The guest has used Resizable BAR: a reset may bring other sizes.
    pub resizable: bool,
    /// By message, decode is being turned on with the BARs here: the range is taken from the moment it was checked (I3).
    pub powering: Option<[Option<u64>; 6]>,
    pub ledger: Ledger,
}

impl Function {
    pub fn vacant(description: FunctionDescription) -> Function {
        Function {
            occupancy: Occupancy::Vacant,
            description,
            decode: DecodeState::new(Policy::Deferred, super::BarLayout::default(), &[None; 6]),
            command: CommandShadow::default(),
            cache: ReadCache::new(false),
            capabilities: Capabilities::default(),
            power: Power::default(),
            msi_enable: Enable::default(),
            awaiting: false,
            gone: false,
            masks_stale: false,
            resizable: false,
            powering: None,
            ledger: Ledger::default(),
        }
    }

    pub const fn slot(&self) -> Slot {
        self.description.slot
    }

    /// Books the traps made through `page`. Returns whether there were any.
    pub fn settle(&mut self, page: &mut Page<'_>) -> bool {
        let traps = page.take_traps();
        self.ledger.traps = self.ledger.traps.saturating_add(traps);
        traps != 0
    }

    /// The bits of COMMAND that are not decode of memory BARs: all of them in a function that has none.
    fn other_bits(&self) -> u16 {
        if self.decode.guest().has_bars() { !MEMORY } else { u16::MAX }
    }

    /// COMMAND as the guest has it, by the best knowledge there is.
    fn guest_command(&self) -> u16 {
        let others = self.other_bits();
        let memory = if self.decode.guest().memory() { MEMORY } else { 0 };
        (self.command.current() & others) | (memory & !others)
    }

    fn served(&self, dword: u16) -> Served {
        if dword == header::COMMAND {
            let others = self.other_bits();
            let (value, known) = self.command.known();
            let memory = if self.decode.guest().memory() { MEMORY } else { 0 };
            let value = (value & others) | (memory & !others);
            return Served::new(u32::from(value), u32::from((known & others) | !others));
        }
        if let Some(register) = header::bar_register(dword) {
            return Served::all(self.decode.guest().register(register));
        }
        if dword == header::IDS && self.awaiting {
            return Served::default();
        }
        header::served(&self.description, dword).or(self.cache.get(dword))
    }

    /// A guest read.
    pub fn read(&mut self, page: &mut Page<'_>, reports: &mut Reports, access: Access) -> u32 {
        let dword = access.dword();
        if header::bar_register(dword).is_some() {
            self.probe_again(page, reports);
        }
        let served = self.served(dword);
        let missing = access.lanes() & !served.lanes;
        if missing == 0 {
            return access.pick(served.value);
        }
        // Ask for no more than what is missing. All ones in a part may be its value, or the sign that nobody is there:
        // the access as the guest made it tells.
        let mut asked = access.narrowed(missing);
        let mut raw = page.read(asked);
        if asked != access && asked.is_all_ones(raw) {
            asked = access;
            raw = page.read(asked);
        }
        if asked.is_all_ones(raw) {
            self.absent_extended_list(page, access);
            return raw;
        }
        self.learn(asked, raw);
        let raw = self.msi_enable.show(&self.capabilities, asked, raw);
        let served = self.served(dword);
        access.pick((asked.place(raw) & !served.lanes) | served.value)
    }

    /// All ones at 0x100 of a function that is there: it has no extended capabilities (7.6.3), and will not get any.
    fn absent_extended_list(&mut self, page: &mut Page<'_>, access: Access) {
        let whole = access.offset() == 0x100 && access.width() == Width::Dword;
        if whole && self.cache.is_on() && page.is_answered() {
            self.cache.put(0x100, u32::MAX, u32::MAX);
        }
    }

    /// The host answered, and not with all ones.
    fn learn(&mut self, access: Access, value: u32) {
        let dword = access.dword();
        let (bits, lanes) = (access.place(value), access.lanes());
        // 0x0001 as vendor id: the function asks for more time (2.3.2, configuration request retry status).
        self.awaiting &= dword == header::IDS && lanes & 0xFFFF != 0 && low_word(bits) == 0x0001;
        if dword == header::COMMAND {
            self.command.read(low_word(bits), low_word(lanes));
        }
        self.capabilities.observe(access, value);
        self.power.observe(&self.capabilities, access, value);
        self.cache.put(dword, bits, lanes & cacheable(&self.capabilities, dword));
    }

    /// The vendor id from the host (I9). Of a function that does not answer, nothing that was read from it is served any
    /// more: the device itself would return all ones (I4).
    pub fn alive(&mut self, page: &mut Page<'_>) -> bool {
        let alive = page.is_answered();
        self.awaiting = !alive;
        if !alive {
            self.command.doubt();
            self.cache.clear();
        }
        alive
    }

    /// A guest write that does not touch COMMAND.
    pub fn write(&mut self, page: &mut Page<'_>, reports: &mut Reports, access: Access, value: u32) {
        let dword = access.dword();
        if header::drops_writes(dword) {
            return;
        }
        if let Some(register) = header::bar_register(dword) {
            self.probe_again(page, reports);
            match self.decode.guest_writes_bar(register, access.place(value), access.lanes()) {
                BarWrite::Shadowed => {}
                BarWrite::Stale => {
                    self.ledger.stale_bars = self.ledger.stale_bars.saturating_add(1);
                    reports.push(ConfigReport::StaleBar { slot: self.slot(), register });
                }
                BarWrite::PassThrough => page.write(access, value),
            }
            return;
        }
        if dword < 0x40 {
            page.write(access, value);
            self.cache.drop_lanes(dword, access.lanes());
            return;
        }
        self.capabilities.walk_for(page, access.offset());
        let effect = reset::effect(&self.capabilities, access, value);
        self.prepare(page, effect);
        let value = self.msi_enable.filter(&self.capabilities, access, value);
        page.write(access, value);
        self.cache.drop_lanes(dword, access.lanes());
        self.follow(reports, effect);
    }

    /// What must be done before a write that resets, powers down or resizes.
    fn prepare(&mut self, page: &mut Page<'_>, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Reset | Effect::Resize => self.flush(page),
            Effect::Power { state, pmcsr } => {
                if state == reset::D3_HOT {
                    self.flush(page);
                }
                // No_Soft_Reset must be known when the function comes back, and cannot be asked then.
                if let Some(access) = Access::new(pmcsr, 2).filter(|_| !self.power.is_known()) {
                    let value = page.read(access);
                    if !access.is_all_ones(value) {
                        self.power.observe(&self.capabilities, access, value);
                    }
                }
            }
        }
    }

    fn follow(&mut self, reports: &mut Reports, effect: Effect) {
        let resets = match effect {
            Effect::None => false,
            Effect::Reset => true,
            Effect::Resize => {
                self.masks_stale = true;
                self.resizable = true;
                self.cache.clear();
                false
            }
            Effect::Power { state, .. } => {
                let resets = self.power.resets(state);
                self.power.state = Some(state);
                resets
            }
        };
        if resets {
            self.host_lost_state();
            reports.push(ConfigReport::Reset { slot: self.slot() });
        }
    }

    /// The 16 bits that COMMAND gets from a guest write to part or all of it. `None` if a byte was written whose neighbour
    /// is not known and cannot be read: nobody is there.
    pub fn merged_command(&mut self, page: &mut Page<'_>, access: Access, value: u32) -> Option<u16> {
        let lanes = low_word(access.lanes());
        let missing = !lanes & !low_word(self.served(header::COMMAND).lanes);
        if missing != 0 {
            let whole = Access::new(header::COMMAND, 2)?;
            let raw = page.read(whole);
            if whole.is_all_ones(raw) {
                return None;
            }
            self.learn(whole, raw);
        }
        Some((self.guest_command() & !lanes) | (low_word(access.place(value)) & lanes))
    }

    /// The Status half of a guest write at 0x04. A dword write touches Status only where it means to: with ones (RW1C).
    pub fn write_status(&mut self, page: &mut Page<'_>, access: Access, value: u32) {
        let status = high_word(access.place(value));
        match access.width() {
            Width::Dword if status == 0 => {}
            Width::Dword => page.write_at(header::COMMAND | 2, Width::Word, u32::from(status)),
            Width::Word | Width::Byte => page.write(access, value),
        }
    }

    /// The writes for a guest's COMMAND.
    pub fn plan_command(&self, value: u16) -> Plan {
        let holds = self.command.holds(value, self.other_bits());
        if self.decode.guest().has_bars() {
            return self.decode.plan_command(value, holds);
        }
        let mut plan = Plan::new();
        if !holds || value & MEMORY != 0 || self.decode.policy() == Policy::Eager {
            plan.extend([Step::WriteCommand { value, why: Why::Bits }]);
        }
        plan
    }

    /// The writes for a guest's COMMAND whose Memory bit was refused.
    pub fn plan_refused(&self, value: u16) -> Plan {
        self.decode.plan_refused(value, self.command.holds(value, self.other_bits()))
    }

    /// Sends a plan.
    pub fn execute(&mut self, page: &mut Page<'_>, plan: &Plan) {
        for step in plan {
            let prefetched = self.decode.policy() == Policy::Prefetch && self.decode.is_ahead();
            match *step {
                Step::WriteBar { register, value } => {
                    let offset = u16::from(register).wrapping_mul(4).wrapping_add(header::BAR0);
                    page.write_at(offset, Width::Dword, value);
                }
                Step::WriteCommand { value, why } => {
                    let before = if why == Why::Set { page.now() } else { None };
                    page.write_at(header::COMMAND, Width::Word, u32::from(value));
                    self.command.written(value);
                    if let (Some(before), Some(after)) = (before, before.and_then(|_| page.now())) {
                        let time = &mut self.ledger.host_map_time;
                        *time = time.saturating_add(after.since(before));
                    }
                }
            }
            if self.decode.guest().has_bars() {
                let edge = self.decode.stepped(*step);
                if edge == Edge::Unmap && prefetched {
                    self.ledger.wasted_prefetches = self.ledger.wasted_prefetches.saturating_add(1);
                }
                self.count(edge);
            }
        }
    }

    /// Books an edge of host decode.
    pub fn count(&mut self, edge: Edge) {
        match edge {
            Edge::Map => self.ledger.maps = self.ledger.maps.saturating_add(1),
            Edge::Unmap => self.ledger.unmaps = self.ledger.unmaps.saturating_add(1),
            Edge::None => {}
        }
    }

    /// Books a map that the host took down by itself.
    pub fn count_host_unmap(&mut self, was_mapped: bool) {
        self.ledger.host_unmaps = self.ledger.host_unmaps.saturating_add(u64::from(was_mapped));
    }

    /// Makes sure that host decode is off, unless the guest believes that it is on.
    pub fn flush(&mut self, page: &mut Page<'_>) {
        if self.decode.guest().has_bars() {
            let plan = self.decode.plan_flush(self.command.current());
            self.execute(page, &plan);
        }
    }

    /// The host may have lost the function's state (I7): both views start afresh.
    pub fn host_lost_state(&mut self) {
        let was = self.decode.host_lost_state();
        self.count_host_unmap(was);
        self.command.lost();
        self.cache.clear();
        self.capabilities.clear();
        self.power = Power::default();
        self.msi_enable.reset();
        self.awaiting = true;
        self.powering = None;
        self.masks_stale = self.resizable;
    }

    /// Probes the BARs through config space, after a Resizable BAR control write, as soon as guest decode is off: host
    /// decode off first, at most 18 accesses, and the guest's values back in place.
    pub fn probe_again(&mut self, page: &mut Page<'_>, reports: &mut Reports) {
        if !self.masks_stale || self.decode.guest().memory() {
            return;
        }
        self.flush(page);
        if self.decode.host().may_be_mapped() {
            return;
        }
        let mut probed = crate::wire::ProbedBars::default();
        for register in 0..6u8 {
            let mask = self.decode.guest().mask(register);
            let offset = u16::from(register).wrapping_mul(4).wrapping_add(header::BAR0);
            if mask == 0 {
                continue;
            }
            page.write_at(offset, Width::Dword, u32::MAX);
            let raw = page.read_at(offset, Width::Dword);
            page.write_at(offset, Width::Dword, self.decode.guest().register(register));
            if self.decode.guest().attributes(register) != raw & 0xF
                && self.decode.guest().layout().get(register).is_some()
            {
                // Nobody is there, or not a BAR we know: keep the masks and try again at the next access.
                self.decode.host_bars_unknown();
                return;
            }
            if let Some(place) = probed.0.get_mut(usize::from(register)) {
                *place = raw;
            }
        }
        self.masks_stale = false;
        self.decode.relayout(super::BarLayout::from_probed(&probed).0);
        self.decode.host_bars_are_the_guests();
        reports.push(ConfigReport::BarsResized { slot: self.slot() });
    }
}
