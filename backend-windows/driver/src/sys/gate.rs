//! What may be used only for so long: who ends it waits for those who use it.

use core::time::Duration;

use hvpci_sync::Event as _;

use super::event::Event;
use super::nt;
use super::task::Nt;

/// Whether a thing may be used, and how many use it.
pub type Gate = hvpci_sync::Gate<Nt>;

/// How often is looked whether everybody has left: nobody tells, as who leaves touches nothing any more.
const PAUSE: Duration = Duration::from_millis(1);

/// Closes a gate, and waits until nobody is inside. PASSIVE_LEVEL.
pub fn shut(gate: &Gate) {
    gate.close();
    await_empty(gate);
}

/// Waits until nobody is inside. As long as what is done there takes. PASSIVE_LEVEL.
pub fn await_empty(gate: &Gate) {
    if gate.is_empty() {
        return;
    }
    // Nobody sets it.
    let pause = Event::new();
    pause.initialise();
    while !gate.is_empty() {
        pause.wait(nt::now().after(PAUSE));
    }
}
