//! Recordings: what crossed a vPCI channel and its config window, as a text file of one event per line.
//!
//! [`Recording::load`] reads a file, [`show()`] explains it in words, [`ReplayDevice`] rebuilds from it a device that answers
//! config accesses as the recorded one did. The golden traces under `tests/data` are of this kind; the header of the first
//! one explains the columns.

mod device;
mod error;
mod event;
mod parse;
mod replay;
mod show;
mod tools;
mod totals;

#[cfg(test)]
mod tests;

pub use device::{Change, Difference, FunctionModel, ReplayDevice, ScheduledChange};
pub use error::RecordingError;
pub use event::{
    ChannelId, CommandNote, ConfigRead, ConfigWrite, Descriptor, Direction, Event, EventKind, Packet, Recording,
    Retarget, Section,
};
pub use parse::{MAX_FILE_BYTES, MAX_LINE_BYTES};
pub use replay::{Mismatch, Replay, ReplayError, SectionReplay, replay};
pub use show::show;
pub use tools::{replay_tool, show_tool};
pub use totals::Totals;
