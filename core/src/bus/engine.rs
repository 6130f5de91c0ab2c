//! The state of a bus, and what can be seen of it.

use crate::config::FunctionSeed;
use crate::decode::{GuestStyle, Policy};
use crate::placement::{Pool, Window};
use crate::wire::Version;
use crate::{InstanceId, OutOfMemory, Slot};

use super::bounded::Bounded;
use super::child::Child;
use super::interrupts::Record;
use super::outstanding::Outstanding;
use super::phase::{D0, Goal, Link, Wind};
use super::relations::Listed;
use super::removal::Departed;
use super::status::count;
use super::windows::{OwnedWindow, WindowPlan};
use super::{Action, BusError, BusOptions, Counters, FunctionInfo, NewBusError, Odd, PublishAction, Report};

/// Entries of the table that the engine needs for itself besides background maps: one step at a time, the query for
/// functions, and some that were given up.
const ENGINE_ENTRIES: usize = 8;
/// Reports kept until they are fetched.
const REPORTS: usize = 64;

/// The engine half of one bus. See the [module](super) for who calls what.
///
/// Equality, hash and clone are for model checkers and tests; cloning allocates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bus {
    pub(super) instance: InstanceId,
    pub(super) options: BusOptions,
    pub(super) goal: Goal,
    /// A way down that was begun: it is gone to its end before anything else is begun.
    pub(super) wind: Option<Wind>,
    pub(super) link: Link,
    /// The ring takes nothing any more.
    pub(super) mute: bool,
    pub(super) rescinded: bool,
    pub(super) failure: Option<BusError>,
    /// Suspended, or on the way back: functions and windows of before are there.
    pub(super) kept: bool,
    /// The bring-up was gone to its end; functions may have come or left since.
    pub(super) up: bool,
    /// The version asked for last.
    pub(super) offered: Option<Version>,
    pub(super) version: Option<Version>,
    /// The version of before a suspend.
    pub(super) old_version: Option<Version>,
    pub(super) config_window: Option<u64>,
    pub(super) d0: D0,
    pub(super) d0_retried: bool,
    pub(super) listed: Listed,
    /// By slot.
    pub(super) children: Bounded<Child>,
    pub(super) pool: Pool,
    pub(super) windows: Bounded<OwnedWindow>,
    pub(super) plan: WindowPlan,
    pub(super) interrupts: Bounded<Record>,
    pub(super) table: Outstanding,
    /// Functions detached in the hope of RESOURCES_RELEASED, of which the host has not been heard since.
    pub(super) departed: Bounded<Departed>,
    /// Something moved outside of the pump: it is to look again.
    pub(super) stirred: bool,
    /// What the pump is at.
    pub(super) action: Option<Action>,
    /// What the publisher is at.
    pub(super) publishing: Option<PublishAction>,
    /// The config half is to forget what the host knew.
    pub(super) host_lost: bool,
    /// The config half is to note that nothing is mapped.
    pub(super) host_unmapped: bool,
    pub(super) reports: Bounded<Report>,
    pub(super) counters: Counters,
}

impl Bus {
    /// A bus that is not started. Sleepable contexts: reserves all tables of the packet path.
    ///
    /// # Errors
    ///
    /// [`NewBusError`], for options out of range or without memory.
    pub fn new(instance: InstanceId, options: BusOptions) -> Result<Bus, NewBusError> {
        if options.versions().next().is_none() {
            return Err(NewBusError::Versions { lowest: options.lowest, highest: options.highest });
        }
        if !(1..=256).contains(&options.max_functions) {
            return Err(NewBusError::MaxFunctions(options.max_functions));
        }
        if options.outstanding == 0 {
            return Err(NewBusError::Outstanding);
        }
        let functions = usize::from(options.max_functions);
        let prefetches = if options.policy == Policy::Prefetch { functions } else { 0 };
        Ok(Bus {
            instance,
            options,
            goal: Goal::Stop,
            wind: None,
            link: Link::Closed,
            mute: false,
            rescinded: false,
            failure: None,
            kept: false,
            up: false,
            offered: None,
            version: None,
            old_version: None,
            config_window: None,
            d0: D0::Out,
            d0_retried: false,
            listed: Listed::new(functions)?,
            children: Bounded::new(functions)?,
            pool: Pool::new(),
            windows: Bounded::new(WindowPlan::max_windows(functions))?,
            plan: WindowPlan::default(),
            interrupts: Bounded::new(0)?,
            table: Outstanding::new(usize::from(options.outstanding), prefetches.saturating_add(ENGINE_ENTRIES))?,
            departed: Bounded::new(functions)?,
            stirred: false,
            action: None,
            publishing: None,
            host_lost: false,
            host_unmapped: false,
            reports: Bounded::new(REPORTS)?,
            counters: Counters::default(),
        })
    }

    /// The instance the bus was made for. Any context.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The options the bus was made with. Any context.
    pub fn options(&self) -> &BusOptions {
        &self.options
    }

    /// The version that was agreed on; `None` while the channel is closed or the negotiation goes on. Any context.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The guest-physical address of the config window, while there is one. Any context.
    pub fn config_window(&self) -> Option<u64> {
        self.config_window
    }

    /// The MMIO windows of the bus. Any context.
    pub fn windows(&self) -> impl Iterator<Item = Window> {
        self.windows.iter().map(|owned| owned.window)
    }

    /// Bytes of MMIO space that are out of use because the host may still map them. Any context.
    pub fn quarantined_bytes(&self) -> u64 {
        self.pool.quarantined_bytes()
    }

    /// The slots of the functions on the bus, ascending, failed and leaving ones included. Any context.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.children.iter().map(|child| child.description.slot)
    }

    /// What is to be shown to the OS for a function; `None` when there is none or its BARs are not known. Any context.
    pub fn function(&self, slot: Slot) -> Option<FunctionInfo> {
        let child = self.child(slot)?;
        let probed = child.probed?;
        let bars = self.pool.addresses(slot);
        Some(FunctionInfo { description: child.description, probed, layout: child.layout(), bars })
    }

    /// What the config half needs to take a function over ([`Action::Attach`]). Any context.
    pub fn seed(&self, slot: Slot) -> Option<FunctionSeed> {
        let info = self.function(slot)?;
        let host_bars_known = self.options.style == GuestStyle::Messages;
        Some(FunctionSeed { description: info.description, probed: info.probed, bars: info.bars, host_bars_known })
    }

    /// Messages sent and received about a function that is on the bus, for its ledger. Any context.
    pub fn messages(&self, slot: Slot) -> u64 {
        self.child(slot).map_or(0, |child| child.messages)
    }

    /// What went over the channel, and what was odd about it. Any context.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets all counters to zero, those of the functions included. Nothing that the bus does depends on them, so a model
    /// checker forgets them lest two equal states differ by what they have counted. Any context.
    pub fn forget_statistics(&mut self) {
        self.counters = Counters::default();
        for child in self.children.iter_mut() {
            child.messages = 0;
        }
    }

    /// The next report; `None` when there is none. Any context.
    pub fn poll_report(&mut self) -> Option<Report> {
        if let Some(child) = self.children.iter_mut().find(|c| c.invalidated != 0 && c.leaving.is_none()) {
            let mask = core::mem::take(&mut child.invalidated);
            return Some(Report::BlocksInvalidated { slot: child.description.slot, mask });
        }
        self.reports.remove(0)
    }

    /// Makes room for the records of `more` further interrupts; what was reserved is kept over suspend and stop.
    /// Sleepable contexts.
    ///
    /// # Errors
    ///
    /// Without memory; nothing changed then.
    pub fn reserve_interrupts(&mut self, more: u16) -> Result<(), OutOfMemory> {
        self.interrupts.grow(usize::from(more))
    }

    pub(super) fn child(&self, slot: Slot) -> Option<&Child> {
        self.children.iter().find(|child| child.description.slot == slot)
    }

    pub(super) fn child_mut(&mut self, slot: Slot) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.description.slot == slot)
    }

    pub(super) fn report(&mut self, report: Report) {
        if self.reports.push(report).is_err() {
            count(&mut self.counters.reports_dropped);
        }
    }

    /// Counts and reports something odd. The counter is named by the caller's closure.
    pub(super) fn odd(&mut self, odd: Odd, counter: impl FnOnce(&mut Counters) -> &mut u64) {
        count(counter(&mut self.counters));
        self.report(Report::Odd(odd));
    }

    /// Counts a message, sent or received, about a function or about the bus.
    pub(super) fn count_message(&mut self, slot: Option<Slot>) {
        let counter = match slot.and_then(|slot| self.children.iter_mut().find(|c| c.description.slot == slot)) {
            Some(child) => &mut child.messages,
            None => &mut self.counters.bus_messages,
        };
        count(counter);
    }
}
