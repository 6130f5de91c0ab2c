//! A platform whose locks, events and threads are shuttle's, in front of the mock host.

use std::pin::pin;

use async_trait::async_trait;
use hvpci_core::backend::PacketPort;
use hvpci_core::backend::{ConfigPort, Platform, PlatformError, RemovalReason, Waiter};
use hvpci_core::bus::{Bus, BusStatus, Counters, FunctionInfo, InterruptHandle, Packet, PacketKind, Report};
use hvpci_core::config::{ConfigReport, ConfigSpace};
use hvpci_core::decode::Ledger;
use hvpci_core::placement::{Aperture, Window, WindowNeed};
use hvpci_core::wire::MsiEntry;
use hvpci_core::{InstanceId, Slot, Time, driver};
use hvpci_mock::host::{BusId, ChannelState, Host};
use hvpci_sync::{BlockPoint, Place, Shortage};
use shuttle::sync::{Mutex, RwLock};

use crate::board::{Event, NEVER, Shuttle, now};
use crate::defect::Defect;
use crate::port::{ChannelPort, SendSlot, WindowPort};
use crate::task::{PUBLISHER, PUMP, Workers};

/// Packets under way at most.
const SLOTS: usize = 2;
/// Calls that wait at once.
const CALLERS: usize = 3;
/// The register, and its bit that turns decode on.
pub const COMMAND: u16 = 4;
pub const MEMORY: u32 = 2;

/// Where one call waits.
pub struct CallPoint {
    place: Place<Shuttle>,
    /// Where it blocks.
    pub block: BlockPoint<Shuttle, Event>,
}

/// The bus.
pub struct TestBus {
    /// The host.
    pub host: Mutex<Host>,
    /// The bus at the host.
    pub id: BusId,
    instance: InstanceId,
    bus: Mutex<Bus>,
    config: Mutex<ConfigSpace>,
    slots: [SendSlot; SLOTS],
    /// A packet found no slot.
    shortage: Shortage<Shuttle>,
    /// Read-locked while a packet is handed on; whoever closes the channel waits for that.
    open: RwLock<bool>,
    /// The tasks.
    pub workers: Workers,
    /// Where the thread that brings the bus up and down waits.
    pub lifecycle: BlockPoint<Shuttle, Event>,
    callers: [CallPoint; CALLERS],
    /// Where power changes of a function wait.
    functions: [BlockPoint<Shuttle, Event>; 2],
    /// Wakes the thread that carries packets.
    carrier: Event,
    /// What is reserved: base and end.
    ranges: Mutex<Vec<(u64, u64)>>,
    window: Mutex<Option<u64>>,
    /// Slots of the functions that are shown.
    shown: Mutex<Vec<Slot>>,
    defect: Option<Defect>,
}

impl TestBus {
    /// A bus that is not started.
    pub fn new(host: Host, id: BusId, bus: Bus, config: ConfigSpace, overlap: bool, defect: Option<Defect>) -> TestBus {
        TestBus {
            instance: host.instance(id).expect("the bus is there"),
            host: Mutex::new(host),
            id,
            bus: Mutex::new(bus),
            config: Mutex::new(config),
            slots: std::array::from_fn(|_| SendSlot::new()),
            shortage: Shortage::new(),
            open: RwLock::new(false),
            workers: Workers::new(2, overlap, defect),
            lifecycle: BlockPoint::new(),
            callers: std::array::from_fn(|_| CallPoint { place: Place::new(), block: BlockPoint::new() }),
            functions: std::array::from_fn(|_| BlockPoint::new()),
            carrier: hvpci_sync::Event::new(),
            ranges: Mutex::default(),
            window: Mutex::default(),
            shown: Mutex::default(),
            defect,
        }
    }

    /// Where the bus stands.
    pub fn status(&self) -> BusStatus {
        self.bus.lock().unwrap().status()
    }

    /// How many functions are shown.
    pub fn shown(&self) -> usize {
        self.shown.lock().unwrap().len()
    }

    /// Whether a function is shown.
    pub fn is_shown(&self, slot: Slot) -> bool {
        self.shown.lock().unwrap().contains(&slot)
    }

    /// What the engine has counted.
    pub fn counters(&self) -> Counters {
        *self.bus.lock().unwrap().counters()
    }

    /// A function's driver has it powered on and off again, as far as it is there.
    pub fn power(&self, slot: Slot) {
        let point = self.point(slot);
        let on = point.block_on(pin!(driver::power_on(self, slot)), NEVER).expect("waits for ever");
        let command = driver::config_read(self, slot, COMMAND, 2);
        let off = on.is_ok() && command & MEMORY == 0;
        assert!(!off || command == 0xFFFF || self.status() != BusStatus::Running, "memory is off after power-on");
        let _ = point.block_on(pin!(driver::power_off(self, slot)), NEVER).expect("waits for ever");
    }

    fn point(&self, slot: Slot) -> &BlockPoint<Shuttle, Event> {
        &self.functions[slot.to_wire() as usize]
    }

    /// How many violations the host has noted.
    pub fn violations(&self) -> usize {
        self.host.lock().unwrap().violations().len()
    }

    /// What the config half has counted.
    pub fn ledger(&self) -> Ledger {
        self.config.lock().unwrap().total_ledger()
    }

    /// Does something to the bus at the host.
    pub fn on_host<R>(&self, f: impl FnOnce(&mut Host, BusId, Time) -> R) -> R {
        let result = f(&mut self.host.lock().unwrap(), self.id, now());
        hvpci_sync::Event::set(&self.carrier);
        result
    }

    /// Waits until the bus is as `test` wants it.
    pub fn wait_for(&self, test: impl Fn(&TestBus) -> bool) {
        let found = async {
            while !test(self) {
                self.lifecycle.point.wait(None).await;
            }
        };
        let found = self.lifecycle.block_on(pin!(found), NEVER);
        assert!(found.is_some());
    }

    /// Takes a place to wait at for the time of a call.
    pub fn with_caller<R>(&self, f: impl FnOnce(&CallPoint) -> R) -> R {
        let caller = self.callers.iter().find(|caller| caller.place.take()).expect("fewer calls than places");
        let result = f(caller);
        caller.place.give_back();
        result
    }

    /// What is still reserved, shown or on its way.
    pub fn left(&self) -> Option<String> {
        let (ranges, shown) = (self.ranges.lock().unwrap().clone(), self.shown.lock().unwrap().clone());
        let window = *self.window.lock().unwrap();
        let quarantined = self.bus.lock().unwrap().quarantined_bytes();
        let bare = ranges.is_empty() && shown.is_empty() && window.is_none() && quarantined == 0;
        (!bare).then(|| format!("ranges {ranges:x?}, window {window:x?}, shown {shown:?}, quarantine {quarantined:#x}"))
    }

    /// The thread on which the host's packets and its rescind arrive.
    pub fn carry(&self, over: impl Fn() -> bool, told: impl Fn()) {
        let mut rescinded = false;
        while !over() {
            let mut due = None;
            let (packet, channel) = {
                let mut host = self.host.lock().unwrap();
                let packet = host.next_packet(self.id, now());
                if packet.is_none() {
                    due = host.next_due(self.id);
                }
                (packet, host.channel(self.id))
            };
            if let Some(packet) = packet {
                let kind = match packet.kind {
                    hvpci_mock::host::PacketKind::InBand => PacketKind::InBand,
                    hvpci_mock::host::PacketKind::Completion => PacketKind::Completion,
                };
                let open = self.open.read().unwrap();
                if *open {
                    self.deliver(kind, packet.transaction_id, &packet.payload);
                }
                continue;
            }
            if channel == ChannelState::Rescinded && !rescinded {
                rescinded = true;
                driver::channel_rescinded(self);
                told();
                continue;
            }
            hvpci_sync::Event::wait(&self.carrier, due.unwrap_or(NEVER));
        }
    }

    /// Lets the carrier look whether all is over.
    pub fn end_carrier(&self) {
        hvpci_sync::Event::set(&self.carrier);
    }

    /// What a completion routine does: the slot says whose answer it is.
    fn deliver(&self, kind: PacketKind, id: u64, payload: &[u8]) {
        let slot = self.slots.iter().find(|slot| kind == PacketKind::Completion && slot.holds(id));
        if let Some(slot) = slot.filter(|_| self.defect == Some(Defect::SlotFreedEarly)) {
            slot.place.give_back();
            shuttle::thread::yield_now();
        }
        let transaction_id = slot.map_or(0, SendSlot::transaction);
        driver::packet_arrived(self, Packet { kind, transaction_id, payload });
        if let Some(slot) = slot {
            slot.place.give_back();
            if self.shortage.is_over() {
                self.wake();
            }
        }
    }

    fn reserve(&self, start: u64, size: u64, align: u64) -> u64 {
        let mut ranges = self.ranges.lock().unwrap();
        let end = ranges.iter().map(|(_, end)| *end).filter(|end| *end > start).max().unwrap_or(start);
        let base = end.max(start).next_multiple_of(align);
        ranges.push((base, base + size));
        base
    }

    fn release(&self, base: u64) {
        let mut ranges = self.ranges.lock().unwrap();
        let at = ranges.iter().position(|(start, _)| *start == base).expect("given back, and was never reserved");
        ranges.swap_remove(at);
    }
}

#[async_trait]
impl Platform for TestBus {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn now(&self) -> Time {
        now()
    }

    fn with_bus(&self, f: &mut dyn FnMut(&mut Bus, &mut dyn PacketPort)) {
        let mut bus = self.bus.lock().unwrap();
        let mut port =
            ChannelPort { host: &self.host, bus: self.id, slots: &self.slots, shortage: &self.shortage, sent: false };
        f(&mut bus, &mut port);
        let sent = port.sent;
        drop(bus);
        if sent {
            hvpci_sync::Event::set(&self.carrier);
        }
    }

    fn with_config(&self, f: &mut dyn FnMut(&mut ConfigSpace, &mut dyn ConfigPort)) {
        let mut config = self.config.lock().unwrap();
        let reserved = self.window.lock().unwrap().is_some();
        let late = (self.defect == Some(Defect::LockDroppedEarly)).then(Vec::new);
        let mut port = WindowPort { host: &self.host, bus: self.id, reserved, late };
        f(&mut config, &mut port);
        drop(config);
        port.finish();
    }

    fn wake(&self) {
        let publisher = driver::publisher_wanted(self);
        for task in [PUMP, PUBLISHER] {
            if task == PUBLISHER && (!publisher || self.defect == Some(Defect::PublisherForgotten)) {
                continue;
            }
            if self.defect != Some(Defect::WakeWithoutSignal) {
                self.workers.task(task).point.signal();
            }
            self.workers.poll_soon(task);
        }
        self.lifecycle.wake();
        if self.defect != Some(Defect::CallerForgotten) {
            self.callers.iter().filter(|caller| caller.place.is_taken()).for_each(|caller| caller.block.wake());
            self.functions.iter().for_each(BlockPoint::wake);
        }
    }

    async fn wait(&self, waiter: Waiter, deadline: Option<Time>) {
        match waiter {
            Waiter::Pump => self.workers.task(PUMP).point.wait(deadline).await,
            Waiter::Publisher => self.workers.task(PUBLISHER).point.wait(deadline).await,
            Waiter::Function(slot) => self.point(slot).point.wait(deadline).await,
        }
    }

    async fn open_channel(&self) -> Result<(), PlatformError> {
        *self.open.write().unwrap() = true;
        if self.host.lock().unwrap().open_channel(self.id, now()) {
            return Ok(());
        }
        *self.open.write().unwrap() = false;
        Err(PlatformError::ChannelOpen)
    }

    async fn close_channel(&self) {
        *self.open.write().unwrap() = false;
        self.host.lock().unwrap().close_channel(self.id, now());
        // Every packet under way completes when the channel is closed.
        self.slots.iter().filter(|slot| slot.place.is_taken()).for_each(|slot| slot.place.give_back());
    }

    async fn reserve_config_window(&self) -> Result<u64, PlatformError> {
        let base = self.reserve(0xF800_0000, 0x2000, 0x2000);
        *self.window.lock().unwrap() = Some(base);
        Ok(base)
    }

    async fn release_config_window(&self) {
        let base = self.window.lock().unwrap().take();
        self.release(base.expect("there was a window"));
    }

    async fn reserve_window(&self, need: WindowNeed) -> Result<Window, PlatformError> {
        let start = if need.aperture == Aperture::High { 1 << 40 } else { 0x8000_0000 };
        let base = self.reserve(start, need.size, need.align);
        self.host.lock().unwrap().give_aperture(self.id, base, need.size);
        Ok(Window { aperture: need.aperture, base, size: need.size })
    }

    async fn release_window(&self, window: Window) {
        self.host.lock().unwrap().take_aperture(self.id, window.base, window.size);
        self.release(window.base);
    }

    async fn publish(&self, function: &FunctionInfo) -> Result<(), PlatformError> {
        let slot = function.description.slot;
        let mut shown = self.shown.lock().unwrap();
        assert!(!shown.contains(&slot), "shown twice");
        shown.push(slot);
        drop(shown);
        self.lifecycle.wake();
        Ok(())
    }

    async fn unpublish(&self, slot: Slot, _: RemovalReason) {
        let mut shown = self.shown.lock().unwrap();
        let at = shown.iter().position(|other| *other == slot).expect("taken away, and was never shown");
        shown.swap_remove(at);
    }

    fn interrupt_recreated(&self, _: InterruptHandle, _: Slot, _: MsiEntry) {}

    fn report(&self, _: &Report) {}

    fn config_report(&self, _: &ConfigReport) {}
}
