//! The platform: what the core asks of a backend.

use hvpci_core::backend::{ConfigPort, PacketPort, Platform, PlatformError, RemovalReason, Waiter};
use hvpci_core::bus::{Bus, FunctionInfo, InterruptHandle, Report};
use hvpci_core::config::{ConfigReport, ConfigSpace};
use hvpci_core::placement::{Aperture, Window, WindowNeed};
use hvpci_core::wire::MsiEntry;
use hvpci_core::{InstanceId, Slot, Time, driver};

use crate::bus::LinuxBus;
use crate::ffi::{self, Lock, RawFunction, RawMsi, errno};
use crate::memory::{Boxed, future};
use crate::ports;
use crate::task;
use crate::text::{ConfigWords, Words};

/// What an errno of the shim means to the core.
fn outcome(error: i32, otherwise: PlatformError) -> Result<(), PlatformError> {
    match error {
        0 => Ok(()),
        error if error == -errno::ENOMEM => Err(PlatformError::OutOfMemory),
        _ => Err(otherwise),
    }
}

/// Written out, without `async_trait`, because its boxes cannot fail: these draw on the worker's reserve.
impl Platform for LinuxBus {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn now(&self) -> Time {
        Time::from_nanos(ffi::hvpci_shim_now())
    }

    fn with_bus(&self, f: &mut dyn FnMut(&mut Bus, &mut dyn PacketPort)) {
        let mut channel = ports::Channel { shim: self.shim, full: &self.full };
        self.locked(Lock::Engine, || {
            // SAFETY: the engine lock is held, and nothing below takes it again.
            f(unsafe { &mut *self.engine.get() }, &mut channel);
        });
        // When the ring was full the pump sees the flag and tries again soon: everybody else who sends wakes it anyway.
    }

    fn with_config(&self, f: &mut dyn FnMut(&mut ConfigSpace, &mut dyn ConfigPort)) {
        let mut window = ports::Window { shim: self.shim };
        self.locked(Lock::Config, || {
            // SAFETY: the config lock is held, and nothing below takes it again.
            f(unsafe { &mut *self.config.get() }, &mut window);
        });
    }

    fn wake(&self) {
        // Packets come by the dozen, work for the publisher twice in a function's life.
        let publisher = driver::publisher_wanted(self);
        self.pump.point.signal();
        if publisher {
            self.publisher.point.signal();
        }
        self.callers.signal();
        // SAFETY: the bus exists.
        unsafe { ffi::hvpci_shim_wake(self.shim, publisher) }
    }

    fn wait<'a, 'b>(&'a self, waiter: Waiter, deadline: Option<Time>) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        future(async move {
            task::wait(self, waiter, deadline).await;
        })
    }

    fn open_channel<'a, 'b>(&'a self) -> Boxed<'b, Result<(), PlatformError>>
    where
        'a: 'b,
    {
        future(async move {
            // SAFETY: the bus exists; the worker may sleep.
            outcome(unsafe { ffi::hvpci_shim_open(self.shim) }, PlatformError::ChannelOpen)
        })
    }

    fn close_channel<'a, 'b>(&'a self) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        future(async move {
            // SAFETY: the bus exists; the worker may sleep.
            unsafe { ffi::hvpci_shim_close(self.shim) }
        })
    }

    fn reserve_config_window<'a, 'b>(&'a self) -> Boxed<'b, Result<u64, PlatformError>>
    where
        'a: 'b,
    {
        future(async move {
            let mut address = 0;
            // SAFETY: the bus exists; the worker may sleep; `address` outlives the call.
            let error = unsafe { ffi::hvpci_shim_map_window(self.shim, &mut address) };
            outcome(error, PlatformError::NoMmioSpace).map(|()| address)
        })
    }

    fn release_config_window<'a, 'b>(&'a self) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        future(async move {
            // SAFETY: the bus exists; the worker may sleep.
            unsafe { ffi::hvpci_shim_unmap_window(self.shim) }
        })
    }

    fn reserve_window<'a, 'b>(&'a self, need: WindowNeed) -> Boxed<'b, Result<Window, PlatformError>>
    where
        'a: 'b,
    {
        future(async move {
            let (high, mut base) = (need.aperture == Aperture::High, 0);
            // SAFETY: the bus exists; the worker may sleep; `base` outlives the call.
            let error = unsafe { ffi::hvpci_shim_reserve(self.shim, high, need.size, need.align, &mut base) };
            outcome(error, PlatformError::NoMmioSpace).map(|()| Window {
                aperture: need.aperture,
                base,
                size: need.size,
            })
        })
    }

    fn release_window<'a, 'b>(&'a self, window: Window) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        future(async move {
            // SAFETY: the bus exists; the worker may sleep.
            unsafe { ffi::hvpci_shim_release(self.shim, window.base, window.size) }
        })
    }

    fn publish<'a, 'b, 'c>(&'a self, function: &'b FunctionInfo) -> Boxed<'c, Result<(), PlatformError>>
    where
        'a: 'c,
        'b: 'c,
    {
        future(async move {
            let raw = raw_function(self.instance, function);
            // SAFETY: the bus exists; the worker may sleep; `raw` outlives the call.
            outcome(unsafe { ffi::hvpci_shim_publish(self.shim, &raw) }, PlatformError::Refused)
        })
    }

    fn unpublish<'a, 'b>(&'a self, slot: Slot, reason: RemovalReason) -> Boxed<'b, ()>
    where
        'a: 'b,
    {
        future(async move {
            let surprise = reason == RemovalReason::Surprise;
            // SAFETY: the bus exists; the worker may sleep.
            unsafe { ffi::hvpci_shim_unpublish(self.shim, u32::from(slot.devfn()), surprise) }
        })
    }

    fn interrupt_recreated(&self, handle: InterruptHandle, slot: Slot, entry: MsiEntry) {
        let msi = raw_msi(handle.number(), &entry);
        // SAFETY: the bus exists; `msi` outlives the call.
        unsafe { ffi::hvpci_shim_msi_moved(self.shim, u32::from(slot.devfn()), &msi) }
    }

    fn report(&self, report: &Report) {
        if let Report::BlocksInvalidated { slot, mask } = report {
            // SAFETY: the bus exists.
            unsafe { ffi::hvpci_shim_blocks_changed(self.shim, u32::from(slot.devfn()), *mask) }
        }
        if let Report::InterruptLost(handle) = report {
            // SAFETY: the bus exists.
            unsafe { ffi::hvpci_shim_msi_lost(self.shim, handle.number()) }
        }
        let words = Words(report);
        self.log(words.level(), format_args!("{words}"));
    }

    fn config_report(&self, report: &ConfigReport) {
        let words = ConfigWords(report);
        self.log(words.level(), format_args!("{words}"));
    }
}

fn raw_function(instance: InstanceId, function: &FunctionInfo) -> RawFunction {
    let mut raw = RawFunction {
        devfn: u32::from(function.description.slot.devfn()),
        serial: function.description.serial,
        numa_node: function.description.numa_node.map_or(-1, i32::from),
        preferred_domain: u32::from(instance.preferred_domain().unwrap_or(0)),
        address: [0; 6],
        size: [0; 6],
    };
    for bar in function.layout.iter() {
        let at = usize::from(bar.index);
        let placed = function.bars.get(at).copied().flatten();
        if let (Some(address), Some(size), Some(placed)) = (raw.address.get_mut(at), raw.size.get_mut(at), placed) {
            (*address, *size) = (placed, bar.size);
        }
    }
    raw
}

/// An interrupt for the shim.
pub fn raw_msi(number: u64, entry: &MsiEntry) -> RawMsi {
    let MsiEntry { address, data, message_count, reserved } = *entry;
    RawMsi { number, address, data, count: message_count, reserved }
}

/// An interrupt of the shim.
pub fn entry_of(msi: &RawMsi) -> MsiEntry {
    MsiEntry { address: msi.address, data: msi.data, message_count: msi.count, reserved: msi.reserved }
}
