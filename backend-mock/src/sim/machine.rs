//! A VM to experiment with: one host, one guest, any number of buses, on one virtual clock.

use std::sync::{Arc, Mutex};

use hvpci_core::bus::{Bus, BusOptions};
use hvpci_core::config::{ConfigOptions, ConfigSpace};
use hvpci_core::{Time, driver};

use super::executor::{Clock, Executor, Stall};
use super::hook::PlatformStep;
use super::interrupts::Vectors;
use super::platform::{MockPlatform, Vm};
use super::run::SimError;
use super::sync::FairLock;
use crate::guest::GuestKind;
use crate::host::{BusId, BusSpec, ChannelState, Host, HostOptions, PacketKind};

/// One host, one guest, any number of buses, on one virtual clock.
pub struct Machine {
    vm: Vm,
    executor: Executor,
}

impl Machine {
    /// A VM without buses.
    pub fn new(host: HostOptions, guest: GuestKind) -> Machine {
        let executor = Executor::default();
        let vm = Vm {
            clock: executor.clock(),
            host: Arc::new(Mutex::new(Host::new(host))),
            mmio: Arc::default(),
            enumeration: FairLock::default(),
            vectors: Arc::new(Mutex::new(Vectors::default())),
            guest,
        };
        Machine { vm, executor }
    }

    /// The same host and clock with another kernel as its guest; the tasks of the first one end where they are.
    #[must_use]
    pub fn next_kernel(self, guest: GuestKind) -> Machine {
        let executor = Executor::at(self.vm.clock.now());
        let vm = Vm {
            clock: executor.clock(),
            mmio: Arc::default(),
            enumeration: FairLock::default(),
            vectors: Arc::new(Mutex::new(Vectors::default())),
            guest,
            ..self.vm
        };
        Machine { vm, executor }
    }

    /// What the buses share.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The virtual clock.
    pub fn clock(&self) -> Clock {
        self.vm.clock.clone()
    }

    /// Has the host offer a bus; gives the guest's side of it, which is not started yet.
    ///
    /// # Errors
    /// What the two halves of the core refuse.
    pub fn add_bus(
        &self,
        spec: BusSpec,
        bus: BusOptions,
        config: ConfigOptions,
    ) -> Result<Arc<MockPlatform>, SimError> {
        let id = self.vm.host().add_bus(spec);
        self.guest_side(id, bus, config)
    }

    /// The guest's side of a bus that is offered, or offered again: a new one for each offer.
    ///
    /// # Errors
    /// What the two halves of the core refuse.
    pub fn guest_side(&self, id: BusId, bus: BusOptions, config: ConfigOptions) -> Result<Arc<MockPlatform>, SimError> {
        let instance = self.vm.host().instance(id).ok_or_else(|| SimError::Failed(format!("there is no {id:?}")))?;
        let bus = Bus::new(instance, bus).map_err(SimError::NewBus)?;
        let config = ConfigSpace::new(config).map_err(SimError::NewConfigSpace)?;
        Ok(Arc::new(MockPlatform::new(self.vm.clone(), id, instance, bus, config)))
    }

    /// Starts a bus, for the first time or after it has stopped or failed: spawns its pump, its publisher, and the task that
    /// carries packets and rescinds from the host.
    pub fn start(&mut self, platform: &Arc<MockPlatform>) {
        platform.begin();
        driver::start(platform.as_ref());
        let (pump, publisher, carrier) = (platform.clone(), platform.clone(), platform.clone());
        self.executor.spawn(async move {
            driver::pump(pump.as_ref()).await;
            pump.over();
        });
        self.executor.spawn(async move { driver::publisher(publisher.as_ref()).await });
        self.executor.spawn(async move { carry(&carrier).await });
    }

    /// Adds a task.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task);
    }

    /// Runs until every task is done, which buses are when they are stopped, failed or gone. `advance` is told of each new
    /// time.
    ///
    /// # Errors
    /// [`Stall`], if that does not happen by `limit`.
    pub fn run(&mut self, limit: Time, advance: impl FnMut(Time)) -> Result<(), Stall> {
        self.executor.run(limit, advance)
    }

    /// Runs until `task` is done; everything else stays where it is then.
    ///
    /// # Errors
    /// [`Stall`], if that does not happen by `limit`.
    pub fn run_task<T: 'static>(&mut self, limit: Time, task: impl Future<Output = T> + 'static) -> Result<T, Stall> {
        self.executor.run_task(limit, task)
    }
}

/// Carries what comes from the host to the guest as it comes due: packets, and the rescind of the channel.
async fn carry(platform: &MockPlatform) {
    let mut rescinded = false;
    loop {
        loop {
            let packet = platform.vm.host().next_packet(platform.id, platform.vm.clock.now());
            let Some(packet) = packet else { break };
            let kind = match packet.kind {
                PacketKind::InBand => hvpci_core::bus::PacketKind::InBand,
                PacketKind::Completion => hvpci_core::bus::PacketKind::Completion,
            };
            let transaction_id = packet.transaction_id;
            driver::packet_arrived(
                platform,
                hvpci_core::bus::Packet { kind, transaction_id, payload: &packet.payload },
            );
            platform.intervene();
            let _ = platform.step(PlatformStep::PacketArrived);
        }
        platform.intervene();
        if !rescinded && platform.vm.host().channel(platform.id) == ChannelState::Rescinded {
            rescinded = true;
            platform.rescinded();
        }
        if platform.is_over() {
            return;
        }
        let due = platform.vm.host().next_due(platform.id);
        platform.carrier_wait(due).await;
    }
}
