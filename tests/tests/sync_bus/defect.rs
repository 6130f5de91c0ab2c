//! Seeded defects of a platform. The core and the units of hvpci-sync are the shipped ones in all of them.

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A work item that is queued while it runs does not run again.
    DeafWhileRunning,
    /// A wake-up queues the tasks without a signal.
    WakeWithoutSignal,
    /// A wake-up reaches the pump alone.
    PublisherForgotten,
    /// Who waits for an answer is not woken.
    CallerForgotten,
    /// A slot is given back before its completion was handed on, so that the transaction id may be the next packet's.
    SlotFreedEarly,
    /// The config lock is let go before what was written has reached the window.
    LockDroppedEarly,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 6] = [
        Defect::DeafWhileRunning,
        Defect::WakeWithoutSignal,
        Defect::PublisherForgotten,
        Defect::CallerForgotten,
        Defect::SlotFreedEarly,
        Defect::LockDroppedEarly,
    ];
}

impl Defect {
    /// What the failure says, one of these.
    pub fn shows_as(self) -> &'static [&'static str] {
        const LOST: &str = "a wake-up was lost";
        const LATE: &str = "time passed that nobody had reason to wait for";
        match self {
            Defect::DeafWhileRunning | Defect::WakeWithoutSignal | Defect::PublisherForgotten => &[LOST, LATE],
            Defect::CallerForgotten => &[LATE],
            Defect::SlotFreedEarly => &["an answer to something else", LATE],
            Defect::LockDroppedEarly => {
                &["the two sides count differently", "a violation at the host", "memory is off"]
            }
        }
    }
}
