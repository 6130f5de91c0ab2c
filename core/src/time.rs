//! Time as the core sees it: a number somebody else read from a clock.

use core::time::Duration;

/// Nanoseconds since an epoch of the platform's choice (boot, or the start of a test). Monotonic; the core never reads
/// a clock, it is handed a `Time` with every call that needs one. The range is 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The epoch.
    pub const ZERO: Time = Time(0);

    /// `nanoseconds` after the epoch.
    pub const fn from_nanos(nanoseconds: u64) -> Time {
        Time(nanoseconds)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This time plus `duration`, stopping at the end of the range instead of wrapping.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Time {
        let nanos = duration.as_nanos();
        if nanos > u64::MAX as u128 {
            return Time(u64::MAX);
        }
        #[allow(clippy::cast_possible_truncation)] // checked above
        Time(self.0.saturating_add(nanos as u64))
    }

    /// How long ago `earlier` was, or zero if it is in the future.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_saturates_and_subtracting_stops_at_zero() {
        let t = Time::from_nanos(5);
        assert_eq!(t.after(Duration::from_nanos(7)), Time::from_nanos(12));
        assert_eq!(t.after(Duration::MAX), Time::from_nanos(u64::MAX));
        assert_eq!(t.since(Time::from_nanos(9)), Duration::ZERO);
        assert_eq!(Time::from_nanos(9).since(t), Duration::from_nanos(4));
    }
}
