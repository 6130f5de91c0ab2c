//! Guest/policy pairs.

use core::fmt;
use core::str::FromStr;

use hvpci_core::decode::{GuestStyle, Policy};

use crate::guest::GuestKind;

/// The names of the guest models, oldest kernel first.
pub const GUESTS: [&str; 5] = {
    let [a, b, c, d, e] = GuestKind::ALL;
    [a.name(), b.name(), c.name(), d.name(), e.name()]
};

/// The guest of that name, as the static name runs carry.
pub fn guest_named(name: &str) -> Option<&'static str> {
    GUESTS.into_iter().find(|guest| *guest == name)
}

/// One run: which guest boots, and under which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunSpec {
    /// One of [`GUESTS`].
    pub guest: &'static str,
    /// The decode policy.
    pub policy: Policy,
}

impl RunSpec {
    /// Whether there is such a boot: a guest that decides decode by message, when a driver starts its function, knows the
    /// deferred policy only.
    pub fn is_possible(&self) -> bool {
        let style = self.guest.parse::<GuestKind>().map(GuestKind::style);
        self.policy == Policy::Deferred || style != Ok(GuestStyle::Messages)
    }
}

/// The pairs worth comparing where a scenario names none; the first is the baseline.
pub(super) const DEFAULT: [RunSpec; 8] = [
    RunSpec { guest: "linux-5.18", policy: Policy::Eager },
    RunSpec { guest: "linux-batched", policy: Policy::Eager },
    RunSpec { guest: "linux-5.18", policy: Policy::Deferred },
    RunSpec { guest: "linux-6.1", policy: Policy::Deferred },
    RunSpec { guest: "linux-6.12", policy: Policy::Deferred },
    RunSpec { guest: "linux-6.12", policy: Policy::Absorbing },
    RunSpec { guest: "linux-6.12", policy: Policy::Prefetch },
    RunSpec { guest: "windows", policy: Policy::Deferred },
];

/// Why a text names no pair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// No `+` in it.
    #[error("`{0}` is no guest+policy pair")]
    NoPlus(String),
    /// No such guest.
    #[error("unknown guest `{0}`")]
    Guest(String),
    /// No such policy.
    #[error("unknown policy `{0}`")]
    Policy(String),
    /// The guest cannot run under the policy.
    #[error("{0} decides decode by message, so {1} does not apply to it")]
    Impossible(&'static str, Policy),
}

impl PairError {
    /// What is allowed instead.
    pub fn allowed(&self) -> String {
        let guests = GUESTS.join(", ");
        let policies = Policy::ALL.map(Policy::name).join(", ");
        match self {
            PairError::NoPlus(_) => format!("GUEST+POLICY, guests: {guests}; policies: {policies}"),
            PairError::Guest(_) => format!("the guests are {guests}"),
            PairError::Policy(_) => format!("the policies are {policies}"),
            PairError::Impossible(guest, _) => format!("{guest}+{}", Policy::Deferred),
        }
    }
}

impl FromStr for RunSpec {
    type Err = PairError;

    fn from_str(text: &str) -> Result<RunSpec, PairError> {
        let (guest, policy) = text.split_once('+').ok_or_else(|| PairError::NoPlus(text.into()))?;
        let (guest, policy) = (guest.trim(), policy.trim());
        let spec = RunSpec {
            guest: guest_named(guest).ok_or_else(|| PairError::Guest(guest.into()))?,
            policy: policy.parse().map_err(|_| PairError::Policy(policy.into()))?,
        };
        if spec.is_possible() { Ok(spec) } else { Err(PairError::Impossible(spec.guest, spec.policy)) }
    }
}

impl fmt::Display for RunSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.guest, self.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_parse_back() {
        for spec in DEFAULT {
            assert_eq!(spec.to_string().parse(), Ok(spec));
        }
        assert_eq!("linux-6.12 + prefetch".parse(), Ok(DEFAULT[6]));
    }

    #[test]
    fn what_is_no_pair() {
        assert_eq!("linux-6.12".parse::<RunSpec>(), Err(PairError::NoPlus("linux-6.12".into())));
        assert_eq!("dos+eager".parse::<RunSpec>(), Err(PairError::Guest("dos".into())));
        let error = "windows+lazy".parse::<RunSpec>().unwrap_err();
        assert_eq!(error, PairError::Policy("lazy".into()));
        assert_eq!(error.allowed(), "the policies are eager, deferred, absorbing, prefetch");
        let error = "windows+eager".parse::<RunSpec>().unwrap_err();
        assert_eq!(error, PairError::Impossible("windows", Policy::Eager));
        assert_eq!(error.allowed(), "windows+deferred");
    }
}
