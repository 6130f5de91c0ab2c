//! What the engine asks of the platform.

use crate::Slot;
use crate::backend::{PlatformError, RemovalReason};
use crate::config::Reach;
use crate::placement::{Window, WindowNeed};
use crate::wire::MsiEntry;

use super::InterruptHandle;

/// Something for the pump to do, one at a time. Each is answered with an [`ActionDone`] before the next is handed out.
///
/// Those about the config half are calls of the same name on [`crate::config::ConfigSpace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Open the channel. Answer: [`ActionDone::ChannelOpened`].
    OpenChannel,
    /// Close the channel. Answer: [`ActionDone::Done`].
    CloseChannel,
    /// Reserve the config window. Answer: [`ActionDone::ConfigWindow`].
    ReserveConfigWindow,
    /// Give the config window back. Answer: [`ActionDone::Done`].
    ReleaseConfigWindow,
    /// Reserve MMIO space. Answer: [`ActionDone::Window`].
    ReserveWindow(WindowNeed),
    /// Give MMIO space back. Answer: [`ActionDone::Done`].
    ReleaseWindow(Window),
    /// Tell the config half that the bus owns the window. Answer: [`ActionDone::Done`].
    ClaimWindow(Window),
    /// Tell the config half that the bus no longer owns the window. Answer: [`ActionDone::Done`].
    UnclaimWindow(Window),
    /// Attach the function to the config half, with [`super::Bus::seed`]. Answer: [`ActionDone::Attached`].
    Attach {
        /// The function.
        slot: Slot,
    },
    /// Detach the function from the config half. Answer: [`ActionDone::Done`].
    Detach {
        /// The function.
        slot: Slot,
        /// Whether the host may still be spoken to about it.
        reach: Reach,
    },
    /// The host may have forgotten what it was told of a function's config space. Answer: [`ActionDone::Done`].
    HostLostState {
        /// The function; `None` for all of them.
        slot: Option<Slot>,
    },
    /// The function does not answer any more: from now on its config space reads all ones, and nothing reaches the host,
    /// where another function may be in its slot already. Comes before the function is taken away from the OS. Answer:
    /// [`ActionDone::Done`].
    FunctionGone {
        /// The function.
        slot: Slot,
    },
    /// The host unmapped everything by itself. Answer: [`ActionDone::Done`].
    HostUnmapped {
        /// The function; `None` for all of them.
        slot: Option<Slot>,
    },
    /// A background map of the function is about to be asked for. Answer: [`ActionDone::Done`], or
    /// [`ActionDone::PrefetchRefused`], and then nothing is sent.
    PrefetchStarted {
        /// The function.
        slot: Slot,
    },
    /// The background map ended. Answer: [`ActionDone::Done`].
    PrefetchFinished {
        /// The function.
        slot: Slot,
        /// Whether the host said it is mapped; `false` also when it never answered.
        ok: bool,
    },
    /// A power request ([`super::Request::PowerState`]) ended, whether or not its ticket is still held. Answer:
    /// [`ActionDone::Done`].
    PowerCompleted {
        /// The function.
        slot: Slot,
        /// Whether D0 was asked for.
        on: bool,
        /// Whether the host did it; `false` also when it never answered.
        ok: bool,
    },
    /// After a resume an interrupt has a new address and new data, which the platform writes where the old ones were.
    /// Answer: [`ActionDone::Done`].
    InterruptRecreated {
        /// The interrupt.
        handle: InterruptHandle,
        /// Its function.
        slot: Slot,
        /// What the host gave this time.
        entry: MsiEntry,
    },
}

/// Something for the publisher to do, one at a time. The pump goes on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublishAction {
    /// Show the function to the OS, with [`super::Bus::function`]. Answer: [`ActionDone::Published`].
    Publish {
        /// The function.
        slot: Slot,
    },
    /// Take the function away from the OS. Answer: [`ActionDone::Unpublished`].
    Unpublish {
        /// The function.
        slot: Slot,
        /// Why.
        reason: RemovalReason,
    },
}

/// How the platform answers an [`Action`] or a [`PublishAction`]. An answer that does not fit what was asked is counted
/// and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionDone {
    /// It was done.
    Done,
    /// Answers [`Action::OpenChannel`].
    ChannelOpened(Result<(), PlatformError>),
    /// Answers [`Action::ReserveConfigWindow`]: the guest-physical address.
    ConfigWindow(Result<u64, PlatformError>),
    /// Answers [`Action::ReserveWindow`].
    Window(Result<Window, PlatformError>),
    /// Answers [`Action::PrefetchStarted`] where the config half refuses the map (invariant I3).
    PrefetchRefused,
    /// Answers [`Action::Attach`].
    Attached(Result<(), PlatformError>),
    /// Answers [`PublishAction::Publish`].
    Published {
        /// The function.
        slot: Slot,
        /// Whether the OS has it now.
        result: Result<(), PlatformError>,
    },
    /// Answers [`PublishAction::Unpublish`].
    Unpublished {
        /// The function.
        slot: Slot,
    },
}
