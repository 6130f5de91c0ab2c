//! The enumeration scope: when a clear of Memory may linger.

/// Whether a function driver is bound to a function. The platform says so; until it does, nobody is bound.
///
/// Only clears made while nobody is bound are enumeration's own (sizing, assigning): a driver that clears Memory means
/// it, and may rely on it to fence traffic (`reference/decode.md` section 8, T4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// No function driver is bound: enumeration may be at work.
    #[default]
    Open,
    /// A function driver is bound.
    Closed,
}

impl Scope {
    /// The scope of a function that has, or has not, a driver bound.
    pub const fn of_bound(bound: bool) -> Scope {
        if bound { Scope::Closed } else { Scope::Open }
    }
}
