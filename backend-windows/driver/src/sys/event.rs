//! Waiting at PASSIVE_LEVEL.

use core::cell::UnsafeCell;

use hvpci_core::Time;
use wdk_sys::{_EVENT_TYPE, _KWAIT_REASON, _MODE, KEVENT, LARGE_INTEGER, ntddk};

use super::nt;

/// A synchronisation event (it resets itself when a waiter is released). It must not move once initialised.
pub struct Event(UnsafeCell<KEVENT>);

// SAFETY: a KEVENT is made to be used by several processors at once, through the functions below only.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl hvpci_sync::Event for Event {
    fn new() -> Event {
        Event(UnsafeCell::new(KEVENT::default()))
    }

    /// Any IRQL.
    fn initialise(&self) {
        // SAFETY: KeInitializeEvent initialises caller-owned, non-paged storage; all of the driver's memory is that.
        unsafe { ntddk::KeInitializeEvent(self.0.get(), _EVENT_TYPE::SynchronizationEvent, 0) }
    }

    /// At most DISPATCH_LEVEL.
    fn set(&self) {
        // SAFETY: KeSetEvent with Wait FALSE may be called at DISPATCH_LEVEL on an initialised event.
        unsafe { ntddk::KeSetEvent(self.0.get(), 0, 0) };
    }

    /// PASSIVE_LEVEL.
    fn wait(&self, deadline: Time) {
        let mut timeout = LARGE_INTEGER { QuadPart: nt::relative(deadline) };
        // SAFETY: KeWaitForSingleObject on an initialised event, at PASSIVE_LEVEL, with a timeout in caller-owned memory.
        unsafe {
            let _ = ntddk::KeWaitForSingleObject(
                self.0.get().cast(),
                _KWAIT_REASON::Executive,
                _MODE::KernelMode as _,
                0,
                &mut timeout,
            );
        }
    }
}
