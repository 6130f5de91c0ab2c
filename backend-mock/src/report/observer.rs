//! Watching a run.

use core::time::Duration;

use hvpci_core::Time;

use super::SpanKind;

/// Something that happened to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, on the virtual clock; 0 is the channel offer.
    pub at: Time,
    /// The function's number in the scenario, from 0.
    pub function: u32,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A step begins; the host expects it to take that long ([`Duration::ZERO`]: not known).
    Started(SpanKind, Duration),
    /// The step is over.
    Ended(SpanKind),
    /// The enabling COMMAND write has completed: a driver can use the function.
    Ready,
    /// The function will never be ready.
    Failed,
}

/// Whoever watches a run. The runner calls [`advance`](Observer::advance) before the virtual clock moves on, and
/// [`event`](Observer::event) in the order of time.
pub trait Observer {
    /// The virtual clock is about to show `now`. May sleep: that is how `--realtime` holds the clock to wall speed.
    fn advance(&mut self, now: Time);
    /// Something happened.
    fn event(&mut self, event: &Event);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn advance(&mut self, _now: Time) {}
    fn event(&mut self, _event: &Event) {}
}
