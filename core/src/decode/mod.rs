//! The deferred-decode policy: what the guest believes, what the host was told, and what must be sent when.

mod ledger;
mod policy;
mod style;

pub use ledger::Ledger;
pub use policy::{ParsePolicyError, Policy};
pub use style::GuestStyle;
