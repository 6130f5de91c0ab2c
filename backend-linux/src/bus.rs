//! This side of a bus.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use hvpci_core::bus::Bus;
use hvpci_core::config::ConfigSpace;
use hvpci_core::{InstanceId, Slot};

use crate::ffi::{self, Lock, Shim};
use crate::memory::try_box;
use crate::settings::Settings;
use crate::task::{Task, WaitPoint};
use crate::text::{Level, Line};

/// One bus: the core's two halves, each behind a lock of the shim, and the two futures that run it.
pub struct LinuxBus {
    pub shim: Shim,
    pub instance: InstanceId,
    /// Under [`Lock::Engine`].
    pub engine: UnsafeCell<Box<Bus>>,
    /// Under [`Lock::Config`].
    pub config: UnsafeCell<Box<ConfigSpace>>,
    /// Run by work items of their own.
    pub pump: Task,
    pub publisher: Task,
    /// Where callers wait for a function's sake.
    pub callers: WaitPoint,
    /// The ring was full when something was to be sent.
    pub full: AtomicBool,
}

// SAFETY: the cells are touched only under the locks named at them.
unsafe impl Send for LinuxBus {}
// SAFETY: as above.
unsafe impl Sync for LinuxBus {}

impl LinuxBus {
    /// A bus that is not started; `None` without memory. Sleepable.
    pub fn new(shim: Shim, instance: InstanceId, settings: &Settings) -> Option<Box<LinuxBus>> {
        let (Some(engine), Some(config)) = (engine(instance, settings), config(settings)) else {
            log(shim, Level::Error, format_args!("no memory for the bus's tables"));
            return None;
        };
        try_box(LinuxBus {
            shim,
            instance,
            engine: UnsafeCell::new(engine),
            config: UnsafeCell::new(config),
            pump: Task::new(),
            publisher: Task::new(),
            callers: WaitPoint::new(),
            full: AtomicBool::new(false),
        })
    }

    /// Runs `f` under one of the locks.
    pub fn locked<R>(&self, lock: Lock, f: impl FnOnce() -> R) -> R {
        // SAFETY: the bus exists; the lock is let go below, on the same CPU, with what it gave.
        let flags = unsafe { ffi::hvpci_shim_lock(self.shim, lock) };
        let result = f();
        // SAFETY: taken above.
        unsafe { ffi::hvpci_shim_unlock(self.shim, lock, flags) };
        result
    }

    /// Whether the host took the channel away, of which vmbus tells nobody before it removes the device.
    pub fn rescinded(&self) -> bool {
        // SAFETY: the bus exists.
        unsafe { ffi::hvpci_shim_rescinded(self.shim) }
    }

    /// Whether the ring was full since the last call.
    pub fn take_full(&self) -> bool {
        self.full.swap(false, Ordering::AcqRel)
    }

    pub fn log(&self, level: Level, text: core::fmt::Arguments<'_>) {
        log(self.shim, level, text);
    }
}

/// Either half is over a kilobyte and passes the stack once: each in a frame of its own.
#[inline(never)]
fn engine(instance: InstanceId, settings: &Settings) -> Option<Box<Bus>> {
    Bus::new(instance, settings.bus_options()).ok().and_then(try_box)
}

#[inline(never)]
fn config(settings: &Settings) -> Option<Box<ConfigSpace>> {
    ConfigSpace::new(settings.config_options()).ok().and_then(try_box)
}

/// Writes a line to the kernel log. Any context.
pub fn log(shim: Shim, level: Level, text: core::fmt::Arguments<'_>) {
    let mut line = Line::<256>::new();
    // What does not fit is cut off.
    let _ = line.write_fmt(text);
    let bytes = line.as_bytes();
    // SAFETY: the text is valid for its length; the bus exists or is none.
    unsafe { ffi::hvpci_shim_log(shim, level as i32, bytes.as_ptr(), bytes.len()) }
}

/// A slot from Linux's devfn.
pub fn slot(devfn: u32) -> Option<Slot> {
    u8::try_from(devfn).ok().map(Slot::from_devfn)
}
