//! The deferred-decode policy: what the guest believes, what the host was told, and what must be sent when.

mod ledger;
mod policy;

pub use ledger::Ledger;
pub use policy::{ParsePolicyError, Policy};
