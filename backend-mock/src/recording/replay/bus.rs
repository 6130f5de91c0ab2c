//! One channel of a replay.

use std::collections::BTreeMap;

use hvpci_core::Slot;
use hvpci_core::backend::Width;
use hvpci_core::config::{ConfigError, ConfigOptions, ConfigSpace, FunctionSeed, Functions, Reach};
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::wire::{FunctionDescription, GuestMessage, HostMessage, ProbedBars};

use super::super::device::ReplayDevice;
use super::super::event::{ChannelId, ConfigRead, ConfigWrite, Direction, Packet, Section};
use super::super::totals::Totals;
use super::messages::Matcher;
use super::places::Places;

const COMMAND: u16 = 0x04;
const BUS_MASTER: u32 = 1 << 2;
const HEADER_TYPE: u16 = 0x0E;
const VENDOR_ID: u16 = 0x00;

/// The config half of one bus in front of its rebuilt device.
pub(super) struct Bus {
    policy: Policy,
    config: ConfigSpace,
    device: ReplayDevice,
    places: Places,
    matcher: Matcher,
    /// The slot the recorded guest selected last. Ours selects for itself.
    selected: u32,
    /// What the host has listed and nobody has attached yet, or has.
    described: BTreeMap<Slot, FunctionDescription>,
    probed: BTreeMap<u32, [u32; 6]>,
    attached: Vec<Slot>,
}

impl Bus {
    pub(super) fn new(section: &Section, channel: ChannelId, policy: Policy) -> Result<Bus, ConfigError> {
        let options =
            ConfigOptions { policy, style: GuestStyle::ConfigSpace, isolated: false, capacity: 256, cache: true };
        let device = ReplayDevice::learn(section, channel);
        let probed = device.probed().clone();
        let places = Places::of(section, channel, &probed);
        let mut config = ConfigSpace::new(options)?;
        for window in &places.windows {
            config.claim_window(*window)?;
        }
        Ok(Bus {
            policy,
            config,
            device,
            places,
            matcher: Matcher::default(),
            selected: 0,
            described: BTreeMap::new(),
            probed,
            attached: Vec::new(),
        })
    }

    /// What reached the device.
    pub(super) fn device_counts(&self) -> &Totals {
        self.device.counts()
    }

    pub(super) fn advance_to(&mut self, index: usize) {
        self.device.advance_to(index);
    }

    pub(super) fn select(&mut self, wslot: u32) {
        self.selected = wslot;
    }

    pub(super) fn read(&mut self, index: usize, read: &ConfigRead) -> Result<u32, ConfigError> {
        let Some(slot) = Slot::from_wire(self.selected) else { return Ok(read.width.all_ones()) };
        self.attach(index, slot)?;
        if read.offset == HEADER_TYPE {
            self.config.set_bound(&mut self.device, slot, false);
        }
        // The recording was made at the host's end: guests answer reads of the ids by themselves, so one that got there
        // asks whether the function is still alive (I9).
        if read.offset == VENDOR_ID && read.width != Width::Byte && !self.config.alive(&mut self.device, slot) {
            return Ok(read.width.all_ones());
        }
        Ok(self.config.read(&mut self.device, slot, read.offset, usize::from(read.width.bytes())))
    }

    pub(super) fn write(&mut self, index: usize, write: &ConfigWrite) -> Result<(), ConfigError> {
        let Some(slot) = Slot::from_wire(self.selected) else { return Ok(()) };
        self.attach(index, slot)?;
        self.config.write(&mut self.device, slot, write.offset, usize::from(write.width.bytes()), write.value);
        if write.offset == COMMAND && write.value & BUS_MASTER != 0 {
            self.config.set_bound(&mut self.device, slot, true);
        }
        Ok(())
    }

    /// Shows the function in a slot to the config half, if the host has listed it and it is not there already.
    fn attach(&mut self, index: usize, slot: Slot) -> Result<(), ConfigError> {
        if self.attached.contains(&slot) {
            return Ok(());
        }
        let Some(description) = self.described.get(&slot) else { return Ok(()) };
        let probed = ProbedBars(self.probed.get(&slot.to_wire()).copied().unwrap_or_default());
        // Policies that tell the host of the BARs at once need them now; the others learn them from the guest's writes.
        let early = matches!(self.policy, Policy::Eager | Policy::Prefetch);
        let bars = if early { self.places.next(index, slot.to_wire()) } else { [None; 6] };
        let seed = FunctionSeed { description: *description, probed, bars, host_bars_known: false };
        self.config.attach(&mut self.device, &seed)?;
        self.attached.push(slot);
        if self.policy == Policy::Prefetch && self.config.prefetch_started(slot).is_ok() {
            self.device.power_state_change(slot.to_wire(), true);
            self.config.prefetch_finished(slot, true);
        }
        Ok(())
    }

    fn detach(&mut self, slot: Slot) {
        self.config.detach(&mut self.device, slot, Reach::Gone);
        self.attached.retain(|attached| *attached != slot);
    }

    /// Takes a packet for what it means to the config half, and says what is wrong with it.
    pub(super) fn packet(&mut self, index: usize, packet: &Packet) -> Result<Result<(), String>, ConfigError> {
        let checked = self.matcher.check(packet);
        if packet.descriptor.is_completion() {
            return Ok(checked);
        }
        match packet.direction {
            Direction::HostToGuest => {
                if let Ok(HostMessage::BusRelations(list)) = HostMessage::parse(&packet.payload) {
                    self.relations(list.iter().filter_map(Result::ok).collect());
                }
            }
            Direction::GuestToHost => match GuestMessage::parse(&packet.payload) {
                Ok(GuestMessage::D0Entry { .. }) => {
                    self.config.forget_selector();
                    self.config.host_lost_state(Functions::All);
                }
                Ok(GuestMessage::ResourcesAssigned { slot, .. }) => {
                    // A second one is a resume: the function starts afresh.
                    self.detach(slot);
                    self.attach(index, slot)?;
                }
                Ok(GuestMessage::ResourcesReleased { slot }) => self.detach(slot),
                _ => {}
            },
        }
        Ok(checked)
    }

    /// The newest list: what it omits is gone.
    fn relations(&mut self, list: Vec<FunctionDescription>) {
        let gone: Vec<Slot> = self
            .described
            .values()
            .filter(|known| !list.iter().any(|new| new.same_function(known)))
            .map(|known| known.slot)
            .collect();
        for slot in gone {
            self.detach(slot);
            self.described.remove(&slot);
        }
        for description in list {
            self.described.insert(description.slot, description);
        }
    }

    /// The host has taken everything back.
    pub(super) fn channel_closed(&mut self) {
        for slot in std::mem::take(&mut self.attached) {
            self.config.detach(&mut self.device, slot, Reach::Gone);
        }
        self.config.host_unmapped(Functions::All);
        self.config.forget_selector();
        self.described.clear();
        self.matcher.close();
    }
}
