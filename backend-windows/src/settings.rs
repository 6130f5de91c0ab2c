//! What can be set: `REG_DWORD` values under the driver's `Parameters` key, read when a bus device is added.

use core::time::Duration;

use hvpci_core::bus::BusOptions;
use hvpci_core::decode::{GuestStyle, Policy};
use hvpci_core::interrupt::Architecture;

/// A setting as it stands in the registry.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// The name of the value.
    pub name: &'static str,
    /// Where it goes; what is out of range is clamped.
    pub set: fn(&mut Settings, u32),
}

/// The settings of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The decode policy.
    pub policy: Policy,
    /// The functions there is room for on one bus.
    pub max_functions: u16,
    /// Whether a function whose driver idles it into D3 while the system works stays mapped at the host, so that the way
    /// back to D0 costs no map. What the function keeps in D3 is then more than the driver expects, never less.
    pub keep_mapped_in_d3: bool,
    /// Bytes of MMIO space below 4 GiB that a bus asks the PnP manager for, the config window included.
    pub low_mmio: u64,
    /// Bytes of MMIO space above 4 GiB that a bus asks the PnP manager for.
    pub high_mmio: u64,
    /// How long the host may take to answer a request.
    pub request_timeout: Duration,
    /// How long the host may take to map a function's BARs when its driver starts. It is to be long enough for the maps of
    /// all functions of the VM, which a host may make one after the other, and short enough for the power manager, which
    /// stops the system when a driver holds a power request for ten minutes.
    pub map_timeout: Duration,
}

/// How long a PnP or power callback waits at most, all in all: the power manager stops the system when a driver holds a
/// power request for ten minutes (bug check 0x9F).
pub const CALLBACK_LIMIT: Duration = Duration::from_secs(9 * 60);

const MIB: u64 = 1 << 20;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            policy: Policy::Deferred,
            max_functions: 8,
            keep_mapped_in_d3: true,
            low_mmio: 8 * MIB,
            high_mmio: 512 * 1024 * MIB,
            request_timeout: Duration::from_secs(60),
            // 66 functions of 128 GiB, one after the other, at 1.8 s each.
            map_timeout: Duration::from_secs(120),
        }
    }
}

impl Settings {
    /// Everything that can be set.
    pub const VALUES: [Value; 7] = [
        Value { name: "Policy", set: |s, v| s.policy = policy(v) },
        Value { name: "MaxFunctions", set: |s, v| s.max_functions = u16::try_from(v.clamp(1, 256)).unwrap_or(256) },
        Value { name: "KeepMappedInD3", set: |s, v| s.keep_mapped_in_d3 = v != 0 },
        Value { name: "LowMmioMegabytes", set: |s, v| s.low_mmio = megabytes(v.clamp(1, 3 * 1024)) },
        Value { name: "HighMmioMegabytes", set: |s, v| s.high_mmio = megabytes(v) },
        Value {
            name: "RequestTimeoutSeconds",
            set: |s, v| s.request_timeout = Duration::from_secs(v.clamp(1, 120).into()),
        },
        Value { name: "MapTimeoutSeconds", set: |s, v| s.map_timeout = Duration::from_secs(v.clamp(1, 500).into()) },
    ];

    /// The options of the engine.
    pub fn bus_options(&self) -> BusOptions {
        let mut options = BusOptions::new(GuestStyle::Messages, Architecture::X86);
        options.max_functions = self.max_functions;
        options.policy = self.policy;
        options.deadlines.request = self.request_timeout;
        options.deadlines.relations = self.request_timeout;
        options.deadlines.eject = self.request_timeout;
        options.deadlines.map = self.map_timeout;
        options
    }

    /// How long a power callback of a function waits for the host, all in all: D3 and the BARs' new places before the map,
    /// the map, and as long as a request again for its interrupts. Never longer than [`CALLBACK_LIMIT`].
    pub fn power_limit(&self) -> Duration {
        self.request_timeout.saturating_mul(3).saturating_add(self.map_timeout).min(CALLBACK_LIMIT)
    }
}

fn megabytes(value: u32) -> u64 {
    u64::from(value).saturating_mul(MIB)
}

fn policy(value: u32) -> Policy {
    match value {
        1 => Policy::Eager,
        2 => Policy::Absorbing,
        3 => Policy::Prefetch,
        _ => Policy::Deferred,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: u32) -> Settings {
        let mut settings = Settings::default();
        let found = Settings::VALUES.iter().find(|v| v.name == name).unwrap();
        (found.set)(&mut settings, value);
        settings
    }

    #[test]
    fn values_are_clamped_and_reach_the_engine() {
        assert_eq!(set("MaxFunctions", 0).max_functions, 1);
        assert_eq!(set("MaxFunctions", 5000).max_functions, 256);
        assert_eq!(set("Policy", 3).bus_options().policy, Policy::Prefetch);
        assert_eq!(set("Policy", 77).policy, Policy::Deferred);
        assert_eq!(set("RequestTimeoutSeconds", 0).bus_options().deadlines.request, Duration::from_secs(1));
        assert_eq!(set("MapTimeoutSeconds", 7).bus_options().deadlines.map, Duration::from_secs(7));
        assert_eq!(set("MapTimeoutSeconds", 0).map_timeout, Duration::from_secs(1));
        assert_eq!(set("RequestTimeoutSeconds", u32::MAX).request_timeout, Duration::from_secs(120));
        assert_eq!(set("MapTimeoutSeconds", u32::MAX).map_timeout, Duration::from_secs(500));
        assert_eq!(
            Settings::default().power_limit(),
            Duration::from_secs(300),
            "below the power manager's ten minutes"
        );
        assert_eq!(set("MapTimeoutSeconds", 500).power_limit(), CALLBACK_LIMIT);
        assert_eq!(set("HighMmioMegabytes", u32::MAX).high_mmio, u64::from(u32::MAX) << 20);
        assert!(!set("KeepMappedInD3", 0).keep_mapped_in_d3);
    }

    #[test]
    fn the_default_speaks_in_messages_and_defers() {
        let options = Settings::default().bus_options();
        assert_eq!((options.style, options.policy), (GuestStyle::Messages, Policy::Deferred));
    }
}
