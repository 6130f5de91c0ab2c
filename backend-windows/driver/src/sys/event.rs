//! Waiting at PASSIVE_LEVEL.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use hvpci_core::Time;
use wdk_sys::{_EVENT_TYPE, _KWAIT_REASON, _MODE, KEVENT, LARGE_INTEGER, ntddk};

use super::nt;

/// A synchronisation event (it resets itself when a waiter is released). It is of use where it was initialised: the kernel
/// links waiters to its address.
pub struct Event {
    event: UnsafeCell<KEVENT>,
    /// Where it was initialised.
    home: AtomicUsize,
}

// SAFETY: a KEVENT is made to be used by several processors at once, through the functions below only.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// The event, if it is initialised and was not moved since.
    fn usable(&self) -> Option<*mut KEVENT> {
        let event = self.event.get();
        (self.home.load(Ordering::Acquire) == event.addr()).then_some(event)
    }
}

impl hvpci_sync::Event for Event {
    fn new() -> Event {
        Event { event: UnsafeCell::new(KEVENT::default()), home: AtomicUsize::new(0) }
    }

    /// Any IRQL. Once is enough: an event that is usable stays as it is.
    fn initialise(&self) {
        let event = self.event.get();
        // One caller finds the old home, and nobody uses the event before it has stored the new one.
        let old = self.home.load(Ordering::Acquire);
        let begun = old != event.addr() && old != BEING_INITIALISED;
        if begun && self.home.compare_exchange(old, BEING_INITIALISED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            // SAFETY: KeInitializeEvent initialises caller-owned, non-paged storage; all of the driver's memory is that, and
            // nobody waits: an event on which somebody waits is borrowed, and cannot have moved.
            unsafe { ntddk::KeInitializeEvent(event, _EVENT_TYPE::SynchronizationEvent, 0) }
            self.home.store(event.addr(), Ordering::Release);
        }
    }

    /// At most DISPATCH_LEVEL.
    fn set(&self) {
        let Some(event) = self.usable() else { return };
        // SAFETY: KeSetEvent with Wait FALSE may be called at DISPATCH_LEVEL on an initialised event.
        unsafe { ntddk::KeSetEvent(event, 0, 0) };
    }

    /// PASSIVE_LEVEL. An event that is not initialised is not waited for.
    fn wait(&self, deadline: Time) {
        let Some(event) = self.usable() else { return };
        let mut timeout = LARGE_INTEGER { QuadPart: nt::relative(deadline) };
        // SAFETY: KeWaitForSingleObject on an initialised event, at PASSIVE_LEVEL, with a timeout in caller-owned memory.
        unsafe {
            let _ = ntddk::KeWaitForSingleObject(
                event.cast(),
                _KWAIT_REASON::Executive,
                _MODE::KernelMode as _,
                0,
                &mut timeout,
            );
        }
    }
}

/// No event has this address.
const BEING_INITIALISED: usize = 1;
