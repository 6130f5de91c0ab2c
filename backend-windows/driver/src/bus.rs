//! One bus: its parts, and how it is brought up and down.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

use hvpci_core::bus::{Bus, BusStatus, NewBusError};
use hvpci_core::config::{ConfigOptions, ConfigSpace};
use hvpci_core::decode::GuestStyle;
use hvpci_core::{InstanceId, Slot, driver};
use hvpci_windows::ranges::Ranges;
use hvpci_windows::settings::{CALLBACK_LIMIT, Settings};
use wdk_sys::{
    NTSTATUS, STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_IO_TIMEOUT, STATUS_NO_SUCH_DEVICE,
};

use crate::channel::{Channel, Receiver};
use crate::children::Children;
use crate::events;
use crate::sys::bus::BusDevice;
use crate::sys::lock::SpinLock;
use crate::sys::memory::Reserve;
use crate::sys::mmio::WindowPort;
use crate::sys::nt;
use crate::sys::task::BlockPoint;

const NO_MEMORY: NTSTATUS = STATUS_INSUFFICIENT_RESOURCES;
/// When to try again what failed for want of memory.
const RETRY: Duration = Duration::from_millis(100);

/// The engine half and the channel it sends on.
pub(crate) struct Engine {
    pub(crate) bus: Bus,
    pub(crate) channel: Option<Channel>,
}

/// The config half and its window.
pub(crate) struct Config {
    pub(crate) space: ConfigSpace,
    pub(crate) window: WindowPort,
    pub(crate) base: u64,
}

/// One vPCI bus: its device, with the two futures that run it, and its parts.
pub type WindowsBus = BusDevice<Parts>;

/// What a bus is made of.
pub struct Parts {
    /// What was set when the device was added.
    pub settings: Settings,
    /// The functions as child devices.
    pub children: Children,
    /// The buffer for packets of the host.
    pub receiver: Receiver,
    /// The memory ranges the PnP manager gave.
    pub ranges: Box<SpinLock<Ranges>>,
    pub(crate) instance: InstanceId,
    pub(crate) engine: Box<SpinLock<Engine>>,
    pub(crate) config: Box<SpinLock<Config>>,
    /// Where a PnP callback of the bus device waits for the bus.
    pub(crate) lifecycle: BlockPoint,
    /// The bus device is being stopped: its children are gone.
    going_down: AtomicBool,
    /// How many resources the bus added to those that VMBus asks for.
    pub(crate) added_resources: AtomicU32,
    /// For futures: the two tasks and what each waits for.
    pub(crate) reserve: Reserve,
}

impl Parts {
    /// Makes the parts of a bus. PASSIVE_LEVEL.
    pub fn new(instance: InstanceId, settings: Settings) -> Result<Parts, NTSTATUS> {
        Ok(Parts {
            settings,
            children: Children::new(settings.max_functions)?,
            receiver: Receiver::new()?,
            ranges: new_ranges()?,
            instance,
            engine: new_engine(instance, &settings)?,
            config: new_config(&settings)?,
            lifecycle: BlockPoint::new(),
            going_down: AtomicBool::new(false),
            added_resources: AtomicU32::new(0),
            reserve: Reserve::new(4).ok_or(NO_MEMORY)?,
        })
    }
}

impl WindowsBus {
    /// Makes the events usable, where they stay.
    pub fn initialise(&self) {
        self.lifecycle.initialise();
        self.children.initialise();
    }

    /// Where the bus stands.
    pub fn status(&self) -> BusStatus {
        self.engine.with(|engine| engine.bus.status())
    }

    /// Whether the bus device is being stopped for good.
    pub fn is_going_down(&self) -> bool {
        self.going_down.load(Ordering::Acquire)
    }

    /// Puts a new channel in place.
    pub fn install_channel(&self, channel: Channel) {
        // An old one would be dropped here, without the lock.
        drop(self.engine.with(|engine| engine.channel.replace(channel)));
    }

    /// Takes the channel out, which is closed.
    pub fn remove_channel(&self) -> Option<Channel> {
        self.engine.with(|engine| engine.channel.take())
    }

    /// Brings the bus up, or up again after a suspend, and waits until it is. PASSIVE_LEVEL.
    pub fn bring_up(&self) -> Result<(), NTSTATUS> {
        if self.is_abandoned() {
            self.report_line(
                events::ERROR,
                format_args!("the bus once did not come down: it starts no more until it is removed and added again"),
            );
            return Err(STATUS_DEVICE_NOT_READY);
        }
        self.going_down.store(false, Ordering::Release);
        driver::start(self);
        self.start_tasks();
        let done = |status: BusStatus| match status {
            BusStatus::Running => Some(Ok(())),
            BusStatus::Gone => Some(Err(STATUS_NO_SUCH_DEVICE)),
            BusStatus::Failed(error) => {
                events::write(events::ERROR, format_args!("{}: the bus failed: {error}", self.instance));
                Some(Err(STATUS_DEVICE_NOT_READY))
            }
            _ => None,
        };
        self.wait_for(done).unwrap_or(Err(STATUS_IO_TIMEOUT))
    }

    /// Brings the bus down while its functions are kept, and waits until it is. PASSIVE_LEVEL.
    pub fn suspend(&self) {
        self.children.forget_kept_maps();
        driver::suspend(self);
        let down = self.wait_for(|status| {
            // A bus that is over, and not asleep, has no use for its tasks: they are at their end.
            let over = is_down(status) && (status == BusStatus::Suspended || self.is_idle());
            over.then_some(())
        });
        if down.is_none() {
            self.report_line(events::ERROR, format_args!("the bus did not fall asleep"));
            // The host is not to send anything to a machine that sleeps.
            self.shut_channel();
        }
    }

    /// Brings the bus down, gives everything back, and waits until that is done. PASSIVE_LEVEL.
    pub fn bring_down(&self) {
        self.going_down.store(true, Ordering::Release);
        driver::stop(self);
        self.start_tasks();
        let over = self.wait_for(|status| {
            let over = is_down(status) && status != BusStatus::Suspended && self.is_idle();
            (over || self.is_abandoned()).then_some(())
        });
        if over.is_none() {
            // Every wait of the engine ends before: this is a bug of the driver. What can be reached from outside is ended.
            self.report_line(events::ERROR, format_args!("the bus did not come down"));
            self.pump.abandon();
            self.publisher.abandon();
        }
        // What does not come to an end is not waited for here, where Windows stops the system in the end: what uses the device
        // last is waited for when that would be deleted, as KMDF would.
        if !self.is_abandoned() {
            self.flush();
        }
        self.shut_channel();
        // Nothing is sent any more, so that nothing is to be sent later.
        self.retry.unset();
        self.unmap_config_window();
    }

    /// Something failed for want of memory: a packet that KMCL did not take, a function that could not be reported missing.
    /// It is tried again in a while. At most DISPATCH_LEVEL.
    pub(crate) fn retry_later(&self) {
        self.retry.set(nt::now().after(RETRY));
    }

    /// Waits until no work item of the bus runs and none is due. PASSIVE_LEVEL.
    pub fn flush(&self) {
        self.retry.unset();
        self.pump.flush();
        self.publisher.flush();
        // The publisher's last poll may have found the pump alive, and queued it after the pump's flush.
        self.pump.flush();
    }

    /// Whether both of the core's futures have ended.
    fn is_idle(&self) -> bool {
        !self.pump.is_alive() && !self.publisher.is_alive()
    }

    /// Whether the bus once did not come down. Its futures rest where they are, and no others take their place.
    fn is_abandoned(&self) -> bool {
        self.pump.is_abandoned() || self.publisher.is_abandoned()
    }

    /// Runs the core's two futures, where they do not run: those of a suspended bus do, and see the new goal. Cannot fail,
    /// so that what is open can always be closed.
    fn start_tasks(&self) {
        if self.is_abandoned() {
            return;
        }
        self.start_pump(|bus| bus.reserve.future(driver::pump(bus)));
        self.start_publisher(|bus| bus.reserve.future(driver::publisher(bus)));
    }

    /// Has the publisher look again: the PnP manager has done something about a child.
    pub fn wake_publisher(&self) {
        self.publisher.point.signal();
        self.publisher.poll_soon();
    }

    /// Waits until `test` finds what it looks for. `None` after [`CALLBACK_LIMIT`].
    fn wait_for<T>(&self, test: impl Fn(BusStatus) -> Option<T>) -> Option<T> {
        let limit = nt::now().after(CALLBACK_LIMIT);
        let found = async {
            loop {
                if let Some(found) = test(self.status()) {
                    return found;
                }
                // Woken by everything that happens to the bus; once a second all the same: a wait without end is a hang without a trace.
                self.lifecycle.point.wait(Some(nt::now().after(Duration::from_secs(1)))).await;
            }
        };
        self.lifecycle.block_on(pin!(found), limit)
    }

    pub(crate) fn report_line(&self, level: u8, text: core::fmt::Arguments<'_>) {
        events::write(level, format_args!("{}: {text}", self.instance));
    }

    /// Says what a function has cost so far.
    pub fn report_ledger(&self, slot: Slot) {
        let bus = u64::from(self.instance.first_dword());
        events::ledger(bus, u64::from(slot.to_wire()), &driver::ledger(self, slot));
    }
}

// Each on its own: large values, which must not lie on the stack of `new` side by side.
#[inline(never)]
fn new_ranges() -> Result<Box<SpinLock<Ranges>>, NTSTATUS> {
    SpinLock::boxed(Ranges::default())
}

#[inline(never)]
fn new_engine(instance: InstanceId, settings: &Settings) -> Result<Box<SpinLock<Engine>>, NTSTATUS> {
    match Bus::new(instance, settings.bus_options()) {
        Ok(bus) => SpinLock::boxed(Engine { bus, channel: None }),
        Err(NewBusError::OutOfMemory(_)) => Err(NO_MEMORY),
        Err(_) => Err(STATUS_DEVICE_CONFIGURATION_ERROR),
    }
}

#[inline(never)]
fn new_config(settings: &Settings) -> Result<Box<SpinLock<Config>>, NTSTATUS> {
    let options = ConfigOptions {
        policy: settings.policy,
        style: GuestStyle::Messages,
        capacity: settings.max_functions,
        ..ConfigOptions::default()
    };
    let space = ConfigSpace::new(options).map_err(|_| NO_MEMORY)?;
    SpinLock::boxed(Config { space, window: WindowPort::default(), base: 0 })
}

/// Nothing is under way and nothing is open.
fn is_down(status: BusStatus) -> bool {
    matches!(status, BusStatus::Stopped | BusStatus::Suspended | BusStatus::Failed(_) | BusStatus::Gone)
}

/// Room for `count` values; `None` without memory.
pub fn reserved<T>(count: usize) -> Option<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).ok()?;
    Some(values)
}
