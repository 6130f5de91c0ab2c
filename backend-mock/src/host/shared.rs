//! What the buses of one host have in common.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use hvpci_core::{Slot, Time};

use super::device::Device;
use super::interrupt::MessagePool;
use super::mapper::Mapper;
use super::{BusId, HostOptions, Violation, ViolationKind};

/// What VMBus tells the guest by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The channel of a bus is offered.
    Offered(BusId),
    /// The channel of a bus is rescinded.
    Rescinded(BusId),
    /// The channel of a bus died without a rescind (fault injection only).
    ChannelDied(BusId),
}

/// What a guest still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeakKind {
    /// The bus was in D0: no D0EXIT.
    PowerUp,
    /// The function decoded its BARs.
    Decode,
    /// The function's resources were assigned.
    Resources,
    /// An interrupt existed.
    Interrupt {
        /// The message address.
        address: u64,
        /// The message data.
        data: u32,
    },
}

/// Something the guest held when it closed a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// When the channel was closed.
    pub time: Time,
    /// The bus.
    pub bus: BusId,
    /// The function; `None` for what belongs to the bus.
    pub slot: Option<Slot>,
    /// What was held.
    pub kind: LeakKind,
}

/// A BAR that is mapped now.
#[derive(Clone, Copy, Debug)]
pub(super) struct MappedRange {
    pub(super) bus: BusId,
    pub(super) slot: Slot,
    pub(super) register: u8,
    pub(super) base: u64,
    pub(super) size: u64,
}

impl MappedRange {
    /// Whether the two share a byte. Ends are saturated.
    pub(super) fn overlaps(&self, base: u64, size: u64) -> bool {
        self.base < base.saturating_add(size) && base < self.base.saturating_add(self.size)
    }

    /// Whether the two share a page.
    pub(super) fn shares_page(&self, base: u64, size: u64) -> bool {
        let (first, last) = pages(base, size);
        let (own_first, own_last) = pages(self.base, self.size);
        own_first <= last && first <= own_last
    }
}

/// Violations kept; further ones are dropped, so that a guest gone wild does not eat the memory of its test.
const MOST_VIOLATIONS: usize = 100_000;

/// The numbers of the first and the last page of a range.
fn pages(base: u64, size: u64) -> (u64, u64) {
    (base >> 12, base.saturating_add(size.saturating_sub(1)) >> 12)
}

#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) options: HostOptions,
    pub(super) mapper: Mapper,
    pub(super) mapped: Vec<MappedRange>,
    pub(super) messages: MessagePool,
    pub(super) violations: Vec<Violation>,
    pub(super) leaks: Vec<Leak>,
    pub(super) events: VecDeque<Event>,
}

impl Shared {
    pub(super) fn new(options: HostOptions) -> Shared {
        Shared {
            mapper: Mapper::new(options.cost.parallel),
            options,
            mapped: Vec::new(),
            messages: MessagePool::default(),
            violations: Vec::new(),
            leaks: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Notes every BAR of a function as mapped where it lies.
    pub(super) fn map_ranges(&mut self, bus: BusId, slot: Slot, device: &Device) {
        for (register, base, size) in device.ranges() {
            self.mapped.push(MappedRange { bus, slot, register, base, size });
        }
    }

    pub(super) fn violation(&mut self, time: Time, bus: BusId, slot: Option<Slot>, kind: ViolationKind) {
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push(Violation { time, bus, slot, kind });
        }
    }
}
