//! Config space as the guest sees it, in front of the two-page config window.
//!
//! [`ConfigSpace`] is the config half of a bus. What it answers itself: identity and INTx registers (from the
//! description), BARs and COMMAND (from the shadows of [`crate::decode`]), and registers that cannot change by themselves
//! (from the read cache, see [`cached_registers`]). Everything else goes to the host, one trap per access and one more
//! when another function was selected last.

mod access;
mod bars;
mod cache;
mod capability;
mod claims;
mod command;
mod function;
mod header;
mod lifecycle;
mod messages;
mod page;
mod power;
mod registers;
mod report;
mod reset;
mod room;
mod space;
#[cfg(test)]
mod tests;
mod withhold;

pub use bars::{Bar, BarDefect, BarDefects, BarLayout};
pub use command::{Command, Status};
pub use lifecycle::{FunctionSeed, Functions, Reach};
pub use messages::{MSI_X_ENTRY, MessageCapability, MessagesRefused};
pub use power::PowerPlan;
pub use registers::{CachedRegister, DROPPED_BY, Home, cached_registers};
pub use report::{ConfigError, ConfigReport, EnableRefused};
pub use room::Room;
pub use space::{ConfigOptions, ConfigSpace};
