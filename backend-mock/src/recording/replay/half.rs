//! The config half of one channel of a replay, in front of its rebuilt device.

use std::collections::BTreeMap;
use std::time::Duration;

use hvpci_core::backend::Width;
use hvpci_core::bus::Action;
use hvpci_core::config::{ConfigError, ConfigOptions, ConfigSpace, FunctionSeed, Functions};
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::wire::ProbedBars;
use hvpci_core::{Slot, Time};

use super::super::device::ReplayDevice;
use super::super::event::{ChannelId, ConfigRead, ConfigWrite, Section};
use super::super::totals::Totals;
use super::places::Places;

const COMMAND: u16 = 0x04;
const BUS_MASTER: u32 = 1 << 2;
const HEADER_TYPE: u16 = 0x0E;
const VENDOR_ID: u16 = 0x00;

/// The config half of one bus in front of its rebuilt device.
pub(super) struct Half {
    policy: Policy,
    style: GuestStyle,
    config: ConfigSpace,
    device: ReplayDevice,
    places: Places,
    /// The slot the recorded guest selected last. Ours selects for itself.
    selected: u32,
    attached: Vec<Slot>,
    /// Functions whose background map has not begun since they were attached.
    unprefetched: Vec<Slot>,
    /// Where a guest that names its BARs by message has put them.
    named: BTreeMap<Slot, [Option<u64>; 6]>,
    power_changes: (u64, u64),
    /// The last liveness poll that was made: of which function, when, and what the recorded one saw.
    polled: Option<(u32, Time, u32)>,
}

/// How often ours asks whether a function is still there while it waits (`ALIVE_EVERY` of the Linux module).
const POLL_INTERVAL: Duration = Duration::from_millis(10);

impl Half {
    pub(super) fn new(
        section: &Section,
        channel: ChannelId,
        policy: Policy,
        style: GuestStyle,
    ) -> Result<Half, ConfigError> {
        let options = ConfigOptions { policy, style, isolated: false, capacity: 256, cache: true };
        let device = ReplayDevice::learn(section, channel);
        let places = Places::of(section, channel, device.probed());
        let mut config = ConfigSpace::new(options)?;
        // The windows that the recorded guest must have had, not those the engine is given here: the guest placed the BARs.
        for window in &places.windows {
            config.claim_window(*window)?;
        }
        Ok(Half {
            policy,
            style,
            config,
            device,
            places,
            selected: 0,
            attached: Vec::new(),
            unprefetched: Vec::new(),
            named: BTreeMap::new(),
            power_changes: (0, 0),
            polled: None,
        })
    }

    /// What reached the device.
    pub(super) fn device_counts(&self) -> &Totals {
        self.device.counts()
    }

    /// What a query for a function's BARs brings, as far as the recording shows.
    pub(super) fn probed(&self, slot: Slot) -> ProbedBars {
        ProbedBars(self.device.probed().get(&slot.to_wire()).copied().unwrap_or_default())
    }

    pub(super) fn advance_to(&mut self, index: usize) {
        self.device.advance_to(index);
    }

    pub(super) fn select(&mut self, wslot: u32) {
        self.selected = wslot;
    }

    /// The function that the recorded guest has selected.
    pub(super) fn selected(&self) -> Option<Slot> {
        Slot::from_wire(self.selected)
    }

    pub(super) fn has(&self, slot: Slot) -> bool {
        self.attached.contains(&slot)
    }

    /// What a recorded read gives; `None` for a poll of the recorded driver that ours would not have made.
    ///
    /// The recording was made at the host's end: guests answer reads of the ids by themselves, so one that got there is
    /// the driver asking, while it waits, whether the function is still there (I9). pci-hyperv asks every 100 µs, ours
    /// every 10 ms; no guest sees these reads. A poll that saw something new is never left out.
    pub(super) fn read_or_skip(&mut self, now: Time, read: &ConfigRead) -> Option<u32> {
        if read.offset == VENDOR_ID && read.width != Width::Byte {
            let last = self.polled.filter(|(slot, _, value)| (*slot, *value) == (self.selected, read.value));
            if last.is_some_and(|(_, at, _)| now.since(at) < POLL_INTERVAL) {
                return None;
            }
            self.polled = Some((self.selected, now, read.value));
        }
        Some(self.read(read))
    }

    fn read(&mut self, read: &ConfigRead) -> u32 {
        let Some(slot) = self.selected() else { return read.width.all_ones() };
        if read.offset == HEADER_TYPE {
            self.config.set_bound(&mut self.device, slot, false);
            self.prefetch(slot);
        }
        if read.offset == VENDOR_ID && read.width != Width::Byte && !self.config.alive(&mut self.device, slot) {
            return read.width.all_ones();
        }
        self.config.read(&mut self.device, slot, read.offset, usize::from(read.width.bytes()))
    }

    pub(super) fn write(&mut self, write: &ConfigWrite) {
        let Some(slot) = self.selected() else { return };
        self.config.write(&mut self.device, slot, write.offset, usize::from(write.width.bytes()), write.value);
        if write.offset == COMMAND && write.value & BUS_MASTER != 0 {
            self.config.set_bound(&mut self.device, slot, true);
        }
    }

    /// [`Policy::Prefetch`]: the background map begins once per attachment, when the first scan begins, if the guest has
    /// its BARs where the host was told and decode is off. Ours would ask for it before the OS sees the function; the
    /// recording has the function's BARs placed only by then. It ends at once: a recording has no host time.
    fn prefetch(&mut self, slot: Slot) {
        let Some(at) = self.unprefetched.iter().position(|waiting| *waiting == slot) else { return };
        self.unprefetched.remove(at);
        let enabled = self.config.guest_view(slot).is_none_or(|guest| guest.memory());
        let mapped = self.config.host_view(slot).is_none_or(|host| host.may_be_mapped());
        if !enabled && !mapped && self.config.prefetch_started(slot).is_ok() {
            self.device.power_state_change(slot.to_wire(), true);
            self.config.prefetch_finished(slot, true);
        }
    }

    /// The engine hands a function over. `index` is the event at which it does.
    ///
    /// The recorded guest places the BARs by itself and does its own bootstrap, so the seed has no addresses; but Prefetch
    /// must tell the host of them ahead of the guest, and gets those at which the recording has the function mapped next.
    pub(super) fn attach(&mut self, index: usize, mut seed: FunctionSeed) -> Result<(), ConfigError> {
        let slot = seed.description.slot;
        seed.bars = match (self.style, self.policy) {
            (GuestStyle::Messages, _) => self.named.get(&slot).copied().unwrap_or_default(),
            (GuestStyle::ConfigSpace, Policy::Prefetch) => self.places.next(index, slot.to_wire()),
            (GuestStyle::ConfigSpace, _) => [None; 6],
        };
        self.config.attach(&mut self.device, &seed)?;
        self.attached.push(slot);
        if self.style == GuestStyle::ConfigSpace && self.policy == Policy::Prefetch {
            self.unprefetched.push(slot);
        }
        Ok(())
    }

    /// A guest that names BARs by message does so.
    pub(super) fn bars_named(&mut self, slot: Slot, bars: [Option<u64>; 6]) {
        self.named.insert(slot, bars);
        if self.has(slot) {
            self.config.bars_assigned(slot, &bars);
        }
    }

    /// The recorded guest made a power request: the host acts on it.
    pub(super) fn power_asked(&mut self, slot: Slot, on: bool) {
        let before = *self.device.counts();
        self.device.power_state_change(slot.to_wire(), on);
        let after = self.device.counts();
        self.power_changes.0 += after.maps - before.maps;
        self.power_changes.1 += after.unmaps - before.unmaps;
    }

    /// Maps and unmaps by the recorded guest's power requests.
    pub(super) fn power_changes(&self) -> (u64, u64) {
        self.power_changes
    }

    /// The config window was reserved anew.
    pub(super) fn window_reserved(&mut self) {
        self.config.forget_selector();
    }

    /// The actions that are one call on the config half, as [`hvpci_core::driver`] carries them over.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Detach { slot, reach } => {
                self.config.detach(&mut self.device, slot, reach);
                self.attached.retain(|attached| *attached != slot);
                self.unprefetched.retain(|waiting| *waiting != slot);
            }
            Action::HostLostState { slot } => self.config.host_lost_state(which(slot)),
            Action::HostUnmapped { slot } => self.config.host_unmapped(which(slot)),
            Action::PowerCompleted { slot, on, ok } => self.config.power_completed(slot, on, ok),
            // Windows: see `new`. Background maps: see `prefetch`.
            _ => {}
        }
    }
}

fn which(slot: Option<Slot>) -> Functions {
    slot.map_or(Functions::All, Functions::One)
}
