//! What the administrator chose, checked.

use hvpci_core::bus::BusOptions;
use hvpci_core::config::ConfigOptions;
use hvpci_core::decode::{GuestStyle, ParsePolicyError, Policy};
use hvpci_core::interrupt::Architecture;
use hvpci_core::placement::Headroom;
use hvpci_core::wire::Version;

/// The choices for all buses of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The decode policy.
    pub policy: Policy,
    /// The version offered first.
    pub highest: Version,
    /// MMIO space for functions added later.
    pub headroom: Headroom,
    /// Functions a bus has room for, 1 to 256.
    pub max_functions: u16,
    /// Whether the VM is isolated.
    pub isolated: bool,
    /// Whether reads of constant registers are answered without the host.
    pub cache: bool,
}

/// Why the module is not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// `policy=` names none.
    Policy(ParsePolicyError),
    /// The policy would keep the host's decode on behind the guest's back (invariant I8).
    NotAllowedWhenIsolated(Policy),
    /// `version=` is none of 1.1 to 1.6.
    Version,
    /// `max_functions=` is not within 1 to 256.
    MaxFunctions(u16),
}

impl core::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            SettingsError::Policy(error) => write!(f, "policy: {error}"),
            SettingsError::NotAllowedWhenIsolated(policy) => {
                write!(f, "policy: {policy} is not allowed in an isolated VM; use deferred")
            }
            SettingsError::Version => f.write_str("version: 1.1, 1.2, 1.3, 1.4, 1.5 or 1.6"),
            SettingsError::MaxFunctions(given) => write!(f, "max_functions: 1 to 256, not {given}"),
        }
    }
}

impl Settings {
    /// Checks the texts of the module parameters.
    ///
    /// # Errors
    ///
    /// See [`SettingsError`].
    pub fn check(
        policy: &str,
        highest: &str,
        headroom: Headroom,
        max_functions: u16,
        isolated: bool,
        cache: bool,
    ) -> Result<Settings, SettingsError> {
        let policy: Policy = policy.trim().parse().map_err(SettingsError::Policy)?;
        if isolated && !policy.allowed_when_isolated() {
            return Err(SettingsError::NotAllowedWhenIsolated(policy));
        }
        if !(1..=256).contains(&max_functions) {
            return Err(SettingsError::MaxFunctions(max_functions));
        }
        let highest = version(highest.trim()).ok_or(SettingsError::Version)?;
        Ok(Settings { policy, highest, headroom, max_functions, isolated, cache })
    }

    /// The engine's options.
    pub fn bus_options(&self) -> BusOptions {
        let mut options = BusOptions::new(GuestStyle::ConfigSpace, Architecture::X86);
        options.highest = self.highest;
        options.policy = self.policy;
        options.headroom = self.headroom;
        options.max_functions = self.max_functions;
        options
    }

    /// The config half's options.
    pub fn config_options(&self) -> ConfigOptions {
        ConfigOptions {
            policy: self.policy,
            style: GuestStyle::ConfigSpace,
            isolated: self.isolated,
            // Hyper-V puts one function on a bus; the pump makes room for more.
            capacity: 1,
            cache: self.cache,
        }
    }
}

fn version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.')?;
    let (major, minor): (u16, u16) = (major.parse().ok()?, minor.parse().ok()?);
    Version::SPOKEN.into_iter().find(|version| (version.major(), version.minor()) == (major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &str, version: &str, isolated: bool) -> Result<Settings, SettingsError> {
        Settings::check(policy, version, Headroom::default(), 256, isolated, true)
    }

    #[test]
    fn the_defaults_are_taken_and_nonsense_is_not() {
        let settings = check("deferred\n", "1.4", true).unwrap();
        assert_eq!((settings.policy, settings.highest), (Policy::Deferred, Version::V1_4));
        assert_eq!(check("lazy", "1.4", false), Err(SettingsError::Policy(ParsePolicyError)));
        for bad in ["1.0", "1.7", "2.0", "1", "", "1.4.0", "x.y"] {
            assert_eq!(check("deferred", bad, false), Err(SettingsError::Version), "{bad}");
        }
        let none = Settings::check("deferred", "1.4", Headroom::default(), 0, false, true);
        assert_eq!(none, Err(SettingsError::MaxFunctions(0)));
    }

    #[test]
    fn an_isolated_vm_refuses_policies_that_hold_decode_on() {
        for policy in Policy::ALL {
            assert_eq!(check(policy.name(), "1.4", true).is_ok(), policy.allowed_when_isolated());
            assert!(check(policy.name(), "1.4", false).is_ok());
        }
        // Both halves would refuse as well.
        let settings = check("eager", "1.6", true).unwrap();
        assert!(settings.config_options().isolated);
        assert_eq!(settings.bus_options().highest, Version::V1_6);
    }
}
