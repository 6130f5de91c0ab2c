//! Where a bus stands, and why it failed.

use crate::backend::PlatformError;
use crate::wire::{Status, Version};

/// Where a bus stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BusStatus {
    /// Nothing is open and nothing is reserved: before the first start, and after a stop.
    Stopped,
    /// Being brought up.
    Starting(Step),
    /// Up: every function that the host listed is shown to the OS (or about to be, by the publisher), or has been
    /// reported as failed.
    Running,
    /// Being brought down for a suspend.
    Suspending,
    /// The channel is closed; functions and windows are kept for the resume.
    Suspended,
    /// Being brought up again with the functions it had.
    Resuming(Step),
    /// Being brought down, because it was asked for, because something failed, or because the channel was rescinded.
    Stopping,
    /// Brought down after a failure: nothing is open, nothing is reserved. A new start tries again.
    Failed(BusError),
    /// The host took the bus away and everything has been given back. Final: a new offer is a new bus.
    Gone,
}

/// The step of a bring-up that is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The platform opens the channel.
    Channel,
    /// The version is being negotiated.
    Version,
    /// The platform looks for a config window.
    ConfigWindow,
    /// The host is to list the functions.
    Relations,
    /// The host is to say what BARs the functions have.
    Requirements,
    /// The bus enters D0.
    D0Entry,
    /// The platform looks for MMIO space.
    Windows,
    /// The host takes note of the resources.
    Assignment,
    /// The config half takes the functions over.
    Attach,
    /// Interrupts are being created again.
    Interrupts,
}

/// Why a bus failed. Everything was given back before the status says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BusError {
    /// The platform could not open the channel.
    #[error("the channel could not be opened: {0}")]
    OpenChannel(PlatformError),
    /// The channel closed under the bus without a rescind.
    #[error("the channel was closed under the bus")]
    ChannelClosed,
    /// The host speaks none of the versions offered.
    #[error("the host refused every version offered, down to {lowest}")]
    NoCommonVersion {
        /// The last version offered.
        lowest: Version,
    },
    /// The host answered the version query with an error that does not mean "try the next one".
    #[error("the host failed the query for version {version}: {status:?}")]
    Negotiation {
        /// The version asked for.
        version: Version,
        /// What the host answered.
        status: Status,
    },
    /// After a resume the host no longer speaks the version of before.
    #[error("after the resume the host refuses version {version}, which it spoke before")]
    VersionLost {
        /// The version of before.
        version: Version,
    },
    /// The platform found no place for the config window.
    #[error("no config window: {0}")]
    ConfigWindow(PlatformError),
    /// The host refused D0, also after the leftovers of a previous kernel were cleared away.
    #[error("the host refused D0 entry twice: {status:?}; does the config window overlap a framebuffer?")]
    D0Entry {
        /// What the host answered the second time.
        status: Status,
    },
    /// The host did not answer in time.
    #[error("the host did not answer in time ({0:?})")]
    Timeout(Step),
}

/// What came from the host and what went to it, over the life of the bus. All counters saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Packets sent and received that concern the bus and no single function.
    pub bus_messages: u64,
    /// Times a packet had to wait because the ring was full.
    pub ring_full: u64,
    /// In-band packets that do not parse.
    pub malformed: u64,
    /// In-band packets with an id that the core does not know, or that no host should send.
    pub unknown_messages: u64,
    /// Completions that are too short, or do not parse; the request goes on waiting.
    pub malformed_completions: u64,
    /// Completions with the id 0 or an id never used.
    pub unknown_completions: u64,
    /// Completions of requests that were answered before.
    pub duplicate_completions: u64,
    /// Answers to requests that were timed out or withdrawn.
    pub late_completions: u64,
    /// Messages and list entries with a slot above 255.
    pub bad_slots: u64,
    /// Messages for slots without a function.
    pub unknown_slots: u64,
    /// List entries for a slot that the same list has already filled.
    pub duplicate_slots: u64,
    /// List entries for which the bus has no room.
    pub functions_left_out: u64,
    /// Lists of functions taken.
    pub relations: u64,
    /// Lists and ejects that came while the bus was closed or being brought down.
    pub ignored_messages: u64,
    /// Ejects of functions that were already being ejected.
    pub duplicate_ejects: u64,
    /// Requests that were not answered in time.
    pub timeouts: u64,
    /// Interrupts deleted again because the answer to their creation came too late.
    pub late_interrupts_deleted: u64,
    /// Reports lost because nobody fetched them.
    pub reports_dropped: u64,
    /// Answers of the platform to nothing that was asked of it.
    pub unexpected_actions: u64,
}

/// One more, without wrapping.
pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
