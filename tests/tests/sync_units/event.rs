//! What kernels promise of an event that resets itself: once set it stays set until a wait takes it.

use hvpci_core::Time;
use hvpci_sync::{Event, Kernel};
use loom::sync::{Condvar, Mutex};

use crate::kernel::{Checked, SOUND, set_clock};

/// An event. `PULSE` is a defect: it lets go on whoever waits, and nobody who comes later.
pub struct AutoReset<const PULSE: bool> {
    set: Mutex<bool>,
    changed: Condvar,
}

impl<const PULSE: bool> AutoReset<PULSE> {
    /// The clock moves on, and a wait whose time has come is over.
    pub fn tick(&self, now: u64) {
        let _set = self.set.lock().unwrap();
        set_clock(now);
        self.changed.notify_all();
    }
}

impl<const PULSE: bool> Event for AutoReset<PULSE> {
    fn new() -> Self {
        AutoReset { set: Mutex::new(false), changed: Condvar::new() }
    }

    fn initialise(&self) {}

    fn set(&self) {
        *self.set.lock().unwrap() = !PULSE;
        self.changed.notify_all();
    }

    fn wait(&self, until: Time) {
        let mut set = self.set.lock().unwrap();
        while !*set && Checked::<SOUND>::now() < until {
            set = self.changed.wait(set).unwrap();
            if PULSE {
                return;
            }
        }
        *set = false;
    }
}
