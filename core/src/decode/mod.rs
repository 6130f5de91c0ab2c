//! The deferred-decode policy: what the guest believes, what the host was told, and what must be sent when.
//!
//! A pure state machine per function, [`DecodeState`]: it is told what the guest did and returns a [`Plan`] of writes; it
//! is told each write that went out, and keeps the two views. It reaches no host, knows no other function (invariant I3
//! is checked by [`crate::config`], which knows them all) and allocates nothing.

mod guest_view;
mod host_view;
mod ledger;
mod plan;
mod policy;
mod scope;
mod state;
mod style;
#[cfg(test)]
mod tests;

pub use guest_view::GuestView;
pub use host_view::{HostDecode, HostView};
pub use ledger::Ledger;
pub use plan::{Edge, Plan, Step, Why, maps};
pub use policy::{ParsePolicyError, Policy};
pub use scope::Scope;
pub use state::{BarWrite, DecodeState, MEMORY};
pub use style::GuestStyle;
