//! The command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use hvpci_core::decode::Policy;

use crate::scenario::{BarSpec, GUESTS, Overrides, guest_named};

/// A Hyper-V vPCI host in a process: what does it cost to boot a VM with passed-through PCI devices?
///
/// Whenever a guest turns a function's memory decode on, the host maps its BARs: about 1.8 s for 128 GiB. hvpci boots
/// such VMs on a virtual clock, under guests and decode policies old and new, and shows what each costs.
#[derive(Debug, Parser)]
#[command(name = "hvpci", version, after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hvpci boot                                   14 GPUs, every guest and policy worth comparing
  hvpci boot --plot boot.svg                   the same, with a picture
  hvpci boot nvme-8 --guest linux-6.12         another preset, one guest
  hvpci boot my-vm.toml --json                 your own VM, for a program to read
  hvpci show recording.trace.txt | less        a recording of a real guest, in words
  hvpci replay recording.trace.txt             the same recording, run through hvpci

Exit codes: 0 all went well, 1 a run failed or a replay went otherwise than recorded, 2 wrong usage or unusable input.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Boot a VM under several guests and policies, and compare
    #[command(after_help = BOOT_EXAMPLES, after_long_help = BOOT_HELP)]
    Boot(BootArguments),
    /// Decode a recording message by message and access by access
    Show(ShowArguments),
    /// Run a recording through hvpci and compare with what was recorded
    Replay(ReplayArguments),
}

const BOOT_EXAMPLES: &str = "\
Examples:
  hvpci boot                                        14 GPUs of 128 GiB, mapped one at a time
  hvpci boot --functions 4 --bar 64G                a smaller VM
  hvpci boot --host-parallel 14 --policy prefetch   a host that maps 14 at once
  hvpci boot --guest linux-6.12 --plot boot.svg --trace boot.json
  hvpci boot --guest linux-6.12 --policy deferred --realtime

`hvpci boot --help` also shows what a scenario file looks like.";

const BOOT_HELP: &str = "\
Examples:
  hvpci boot                                        14 GPUs of 128 GiB, mapped one at a time
  hvpci boot --functions 4 --bar 64G                a smaller VM
  hvpci boot --host-parallel 14 --policy prefetch   a host that maps 14 at once
  hvpci boot --guest linux-6.12 --plot boot.svg --trace boot.json
  hvpci boot --guest linux-6.12 --policy deferred --realtime

A scenario file, with everything it may say (only one [[group]] is needed):

  name = \"my-vm\"                   # default: the file's name
  compare = [                      # default: the pairs worth comparing; the first is the baseline
    \"linux-5.18+eager\",
    \"linux-6.12+deferred\",
  ]

  [[group]]                        # equal functions; as many groups as you like
  name = \"accelerator\"             # default: the device
  device = \"gpu\"                   # gpu, nvme, nic or custom (default)
  functions = 14                   # default: 1
  per_bus = 1                      # functions on each bus, 1 to 256; default: 1
  bars = [\"128G\", \"32M 32-bit\"]    # SIZE [32-bit|64-bit] [prefetchable|non-prefetchable]

  [host]
  parallel = 1                     # maps at once
  seconds_per_128g = 1.8           # smaller BARs take less in proportion
  trap_us = 20                     # an access to the config window
  message_us = 200                 # a message and its answer
  versions = [\"1.1\", \"1.4\"]        # protocol versions the host accepts; default: 1.1 to 1.6

BARs are powers of two, so all suffixes are: G, GB and GiB are 2^30. A bare size is a 64-bit prefetchable BAR.

Guests:   linux-5.18, linux-batched, linux-6.1, linux-6.12, windows
Policies: eager      decode on from the start, every write passed through (Linux before 5.19)
          deferred   decode off until the function's driver enables it
          absorbing  deferred, and off/on pairs while no driver is bound never reach the host
          prefetch   deferred for the guest, while the host maps in the background";

#[derive(Debug, Args)]
pub(super) struct BootArguments {
    /// A scenario file, or one of the presets azure-14-gpu, nvme-8, mixed
    #[arg(value_name = "FILE|PRESET", default_value = crate::scenario::presets::DEFAULT)]
    pub scenario: String,
    /// How many functions, in all (scenarios with one group only)
    #[arg(long, value_name = "N", help_heading = "Scenario")]
    functions: Option<u32>,
    /// How many functions share a bus
    #[arg(long, value_name = "M", help_heading = "Scenario")]
    per_bus: Option<u32>,
    /// The one BAR each function has: a power of two such as 64K or 128G (G, GB and GiB are all 2^30)
    #[arg(long, value_name = "SIZE", value_parser = bar, help_heading = "Scenario")]
    bar: Option<BarSpec>,
    /// How many maps the host runs at once
    #[arg(long, value_name = "K", help_heading = "Scenario")]
    host_parallel: Option<u32>,
    /// Only this guest; may be repeated
    #[arg(long = "guest", value_name = "NAME", value_parser = guest(), help_heading = "Scenario")]
    guests: Vec<&'static str>,
    /// Only this policy; may be repeated
    #[arg(long = "policy", value_name = "NAME", value_parser = policy(), help_heading = "Scenario")]
    policies: Vec<Policy>,
    /// Print one JSON object instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Draw the timeline, a lane per function
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    pub plot: Option<PathBuf>,
    /// Write the timeline for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub trace: Option<PathBuf>,
    /// Run the virtual clock at wall speed, with a progress bar per function
    #[arg(long, help_heading = "Output")]
    pub realtime: bool,
}

impl BootArguments {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            functions: self.functions,
            per_bus: self.per_bus,
            bar: self.bar,
            host_parallel: self.host_parallel,
            guests: self.guests.clone(),
            policies: self.policies.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// A recording (*.trace.txt)
    pub file: String,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// A recording (*.trace.txt)
    pub file: String,
    /// The decode policy to replay under
    #[arg(long, value_name = "NAME", value_parser = policy(), default_value = Policy::Deferred.name())]
    pub policy: Policy,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
}

fn bar(text: &str) -> Result<BarSpec, String> {
    BarSpec::parse(text).map_err(|error| format!("{error}\nallowed: {}", error.allowed()))
}

fn policy() -> impl TypedValueParser<Value = Policy> {
    PossibleValuesParser::new(Policy::ALL.map(Policy::name)).try_map(|name| name.parse::<Policy>())
}

fn guest() -> impl TypedValueParser<Value = &'static str> {
    PossibleValuesParser::new(GUESTS).try_map(|name| guest_named(&name).ok_or("unknown guest"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_scenario_in_the_help_is_one() {
        let text: String = BOOT_HELP
            .lines()
            .skip_while(|line| !line.trim_start().starts_with("name ="))
            .take_while(|line| !line.starts_with("BARs"))
            .map(|line| format!("{line}\n"))
            .collect();
        let scenario = crate::scenario::Scenario::parse("help", &text).unwrap();
        assert_eq!((scenario.name.as_str(), scenario.functions(), scenario.compare.len()), ("my-vm", 14, 2));
    }

    #[test]
    fn the_help_names_all_guests_and_policies() {
        for name in GUESTS.into_iter().chain(Policy::ALL.map(Policy::name)) {
            assert!(BOOT_HELP.contains(name), "{name}");
        }
    }

    #[test]
    fn flags_become_overrides() {
        let line = "hvpci boot x.toml --functions 3 --bar 1GiB --guest windows --policy eager --policy absorbing";
        let Command::Boot(boot) = Arguments::try_parse_from(line.split(' ')).unwrap().command else { panic!() };
        let overrides = boot.overrides();
        assert_eq!((boot.scenario.as_str(), overrides.functions), ("x.toml", Some(3)));
        assert_eq!(overrides.bar.map(|bar| bar.size), Some(1 << 30));
        assert_eq!((overrides.guests, overrides.policies), (vec!["windows"], vec![Policy::Eager, Policy::Absorbing]));
    }
}
