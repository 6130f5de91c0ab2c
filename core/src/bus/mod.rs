//! The sans-I/O engine: one bus, its functions, their life from offer to rescind.
//!
//! [`Bus`] is handed packets, time, requests and answers of the platform; it hands back packets to send, deadlines, and
//! actions for the platform to perform. It owns all ordering, holds no lock, waits for nothing and reads no clock.
//!
//! # Who calls what
//!
//! * **The pump** (sleepable, one per bus): [`Bus::handle_timeout`], then [`Bus::poll_action`] until it gives `None`
//!   (each action performed without the lock and answered with [`Bus::action_done`]), then [`Bus::transmit`], then
//!   [`Bus::poll_report`]; then it waits for a wake-up or for [`Bus::poll_timeout`].
//! * **The publisher** (sleepable, one per bus): [`Bus::poll_publish`], answered with [`Bus::action_done`].
//! * **Any context**, interrupts off included: [`Bus::handle_packet`], [`Bus::transmit`], [`Bus::submit`],
//!   [`Bus::poll_reply`], [`Bus::withdraw`], [`Bus::channel_rescinded`]. None of them allocates.
//!
//! After any call the platform wakes pump and publisher: what follows from the call is worked out when they ask. The next
//! step is always derived from the state; there are no queues of things to do but the table of requests.

mod action;
mod bounded;
mod bringup;
mod child;
mod completion;
mod engine;
mod interrupts;
mod options;
mod outstanding;
mod phase;
mod publishing;
mod receive;
mod relations;
mod removal;
mod report;
mod requests;
mod status;
mod submit;
mod suspend;
mod timers;
mod transmit;
mod windows;
mod work;

pub use action::{Action, ActionDone, PublishAction};
pub use engine::Bus;
pub use interrupts::InterruptRoom;
pub use options::{BusOptions, Deadlines, NewBusError};
pub use report::{FunctionError, FunctionStep, Odd, Report};
pub use requests::{BlockData, InterruptHandle, MAX_BLOCK, Reply, Request, RequestError, SubmitError, Ticket};
pub use status::{BusError, BusStatus, Counters, Step};

use crate::config::BarLayout;
use crate::wire::{FunctionDescription, ProbedBars};

/// The VMBus descriptor of a packet to be sent; its payload goes beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transmit {
    /// The transaction id; 0 where no completion is requested.
    pub transaction_id: u64,
    /// Whether the host is asked for a completion.
    pub wants_completion: bool,
}

/// What kind of packet came from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Sent by the host on its own (VMBus type 6).
    InBand,
    /// The answer to a request (VMBus type 11).
    Completion,
}

/// A packet from the host. The payload is a private copy of what was in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet<'a> {
    /// What kind it is.
    pub kind: PacketKind,
    /// The transaction id of its descriptor.
    pub transaction_id: u64,
    /// What follows the descriptor, padding included.
    pub payload: &'a [u8],
}

/// What a platform needs to show a function to its OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionInfo {
    /// What the host says of it.
    pub description: FunctionDescription,
    /// What its BAR registers read after all ones were written to them.
    pub probed: ProbedBars,
    /// Its BARs.
    pub layout: BarLayout,
    /// Where they were placed, by (lower) register.
    pub bars: [Option<u64>; 6],
}

#[cfg(test)]
mod tests;
