//! The four decode policies.

use core::fmt;
use core::str::FromStr;

/// When the host is told that a function decodes its memory BARs. One mechanism serves all four; see
/// `docs/decode-policy.md` for what each costs and what it risks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// What pci-hyperv did before Linux 5.19: decode is set at bootstrap and every write is passed through. The baseline.
    Eager,
    /// Decode stays off until the function's own driver enables the device.
    #[default]
    Deferred,
    /// As [`Policy::Deferred`], and clear/set pairs made while no function driver is bound do not reach the host.
    Absorbing,
    /// As [`Policy::Deferred`] for the guest, while the host maps in the background before the function is published. A guest of
    /// the message style asks for each map itself, when it starts the function: there it is [`Policy::Deferred`], nothing is
    /// mapped ahead.
    Prefetch,
}

impl Policy {
    /// All policies, in the order of the documentation.
    pub const ALL: [Policy; 4] = [Policy::Eager, Policy::Deferred, Policy::Absorbing, Policy::Prefetch];

    /// The name used on command lines, in module parameters and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Eager => "eager",
            Policy::Deferred => "deferred",
            Policy::Absorbing => "absorbing",
            Policy::Prefetch => "prefetch",
        }
    }

    /// Whether the policy may be used in an isolated (confidential) VM. There a falling decode edge must reach the host
    /// at once (invariant I8), so the policies that hold the host's decode on behind the guest's back are refused.
    pub const fn allowed_when_isolated(self) -> bool {
        matches!(self, Policy::Eager | Policy::Deferred)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text names no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown policy; the policies are eager, deferred, absorbing, prefetch")]
pub struct ParsePolicyError;

impl FromStr for Policy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Policy::ALL.into_iter().find(|p| p.name() == text).ok_or(ParsePolicyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for policy in Policy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!("lazy".parse::<Policy>(), Err(ParsePolicyError));
    }

    #[test]
    fn an_isolated_vm_has_no_policy_that_keeps_decode_on_behind_the_guest() {
        let allowed = Policy::ALL.map(Policy::allowed_when_isolated);
        assert_eq!(Policy::ALL.into_iter().zip(allowed).filter(|(_, allowed)| *allowed).count(), 2);
        assert!(Policy::Eager.allowed_when_isolated() && Policy::Deferred.allowed_when_isolated());
    }
}
