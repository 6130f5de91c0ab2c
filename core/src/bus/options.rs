//! What a platform chooses when it makes a bus.

use core::time::Duration;

use crate::decode::{GuestStyle, Policy};
use crate::interrupt::Architecture;
use crate::placement::Headroom;
use crate::wire::Version;

/// How long each kind of answer is waited for. A host that is being serviced may pause a VM for a long time, so no
/// deadline but that of D0EXIT should be below 60 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadlines {
    /// The completion of any request without a deadline of its own, measured from when it was first handed to the ring.
    pub request: Duration,
    /// The completion of POWER_STATE_CHANGE to D0, which comes when the function's BARs are mapped. A host may map the
    /// functions of all buses of a VM one after the other, and a bus does not know of the others: at 1.8 s for 128 GiB, 40
    /// functions take longer than a minute.
    pub map: Duration,
    /// How long the map that [`Policy::Prefetch`] has begun keeps a function from the OS. A function that is shown earlier
    /// has its configuration written by the OS meanwhile, and a write of COMMAND waits in the host for the map, with the
    /// processor that wrote it. After this long the function is shown all the same: the host may never answer, or
    /// have more than some 33 functions of 128 GiB to map one after the other; then a write may wait for the rest of a map.
    /// [`super::Report::PrefetchOverdue`] says so. A map that the ring does not take for as long is not asked for.
    pub prefetch: Duration,
    /// The completion of D0EXIT (pci-hyperv waits 10 s, `reference/protocol.md` section 11).
    pub d0_exit: Duration,
    /// The first list of functions, after it was asked for (config-space style) or after D0 entry (message style).
    pub relations: Duration,
    /// How long the OS may take to let go of an ejected function before a [`super::Report`] says that the host is about
    /// to force it (section 10).
    pub eject: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        let minute = Duration::from_secs(60);
        // Enough for 42 TiB of BARs at 1.8 s for 128 GiB.
        let map = Duration::from_secs(10 * 60);
        let d0_exit = Duration::from_secs(10);
        Deadlines { request: minute, map, prefetch: minute, d0_exit, relations: minute, eject: minute }
    }
}

/// The choices of one bus. Start from [`BusOptions::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BusOptions {
    /// How BARs and decode reach the host.
    pub style: GuestStyle,
    /// The version offered first. 1.4 unless told otherwise; 1.5 and 1.6 are opt-in.
    pub highest: Version,
    /// The last version offered. 1.0 is not spoken: [`Version::V1_1`] at least.
    pub lowest: Version,
    /// The rules for interrupts.
    pub architecture: Architecture,
    /// How many functions the bus has room for: 1 to 256. Functions that a host lists beyond that are left out and
    /// reported.
    pub max_functions: u16,
    /// MMIO space to ask for beyond what the first functions need, so that others may be hot-added next to them.
    pub headroom: Headroom,
    /// The decode policy: the engine itself only needs to know of [`Policy::Prefetch`].
    pub policy: Policy,
    /// How long to wait for what.
    pub deadlines: Deadlines,
    /// How many requests of the platform and its drivers may be outstanding at once, abandoned ones whose late answer is
    /// still possible included: 1 to 255.
    pub outstanding: u8,
}

impl BusOptions {
    /// The defaults: versions 1.4 to 1.1, room for 256 functions, no headroom, 64 requests, the default deadlines.
    pub fn new(style: GuestStyle, architecture: Architecture) -> BusOptions {
        BusOptions {
            style,
            highest: Version::V1_4,
            lowest: Version::V1_1,
            architecture,
            max_functions: 256,
            headroom: Headroom::default(),
            policy: Policy::default(),
            deadlines: Deadlines::default(),
            outstanding: 64,
        }
    }

    /// The versions to offer, highest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = Version> {
        let range = self.lowest..=self.highest;
        Version::SPOKEN.into_iter().filter(move |version| range.contains(version))
    }
}

/// Why a bus could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NewBusError {
    /// `highest` and `lowest` leave no version that the core speaks; 1.0 is never offered.
    #[error("no version from {lowest} to {highest} is spoken: choose between 1.1 and 1.6")]
    Versions {
        /// As given.
        lowest: Version,
        /// As given.
        highest: Version,
    },
    /// `max_functions` is not within 1 to 256.
    #[error("a bus has 1 to 256 functions, not {0}")]
    MaxFunctions(u16),
    /// `outstanding` is 0.
    #[error("a bus needs room for at least one outstanding request")]
    Outstanding,
    /// No memory for the tables.
    #[error(transparent)]
    OutOfMemory(#[from] crate::OutOfMemory),
}
