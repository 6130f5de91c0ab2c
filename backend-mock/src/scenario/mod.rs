//! What to boot: the VM, its host, and the guest/policy pairs to compare.
//!
//! A scenario is a small TOML file or one of the [presets]. Everything is checked when it is read, so whoever runs a
//! [`Scenario`] may rely on the ranges its fields document.

mod bar;
mod device;
mod diagnostic;
mod input;
mod limits;
mod overrides;
mod pair;
mod parse;
pub mod presets;
mod reader;
mod size;
mod summary;

use core::time::Duration;

use hvpci_core::wire::Version;

pub use bar::{BarError, BarSpec};
pub(crate) use input::read_text;

pub use device::{DeviceKind, Identity};
pub use diagnostic::{Diagnostic, Place};
pub use limits::{HIGH_MMIO, LOW_MMIO, MAX_FUNCTIONS, MAX_PER_BUS};
pub use overrides::Overrides;
pub use pair::{GUESTS, PairError, RunSpec, guest_named};
pub use size::{SizeError, format_size, parse_size};

/// The largest scenario file read. Real ones are under a kilobyte.
const MAX_FILE: u64 = 1 << 20;

/// A VM on its host, and what to compare on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The name the table, the plot and the JSON carry.
    pub name: String,
    /// The functions, in groups of equals; at least one, at most [`MAX_FUNCTIONS`] functions in all.
    pub groups: Vec<Group>,
    /// What the host offers and what it charges.
    pub host: HostPlan,
    /// The guest/policy pairs to run, in the order of the table; the first is the baseline. At least one.
    pub compare: Vec<RunSpec>,
}

/// Some equal functions.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What the functions are called in tables and plots; the device kind's name unless the file says otherwise.
    pub name: String,
    /// The identity the functions show in config space.
    pub device: DeviceKind,
    /// How many functions, at least 1.
    pub functions: u32,
    /// How many of them share a bus, 1..=256; the last bus may hold fewer.
    pub per_bus: u32,
    /// The BARs of each function, in register order: they fit in the six registers. May be empty.
    pub bars: Vec<BarSpec>,
}

/// The host's side of the bargain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// How many maps run at once, at least 1. Azure's figures are those of a serial host.
    pub parallel: u32,
    /// What mapping 128 GiB of BARs takes; smaller BARs take less in proportion.
    pub map_per_128g: Duration,
    /// What a trapped access to the config window takes.
    pub trap: Duration,
    /// What a message and its answer take.
    pub message: Duration,
    /// The protocol versions the host accepts, lowest first; at least one.
    pub versions: Vec<Version>,
}

impl Default for HostPlan {
    fn default() -> HostPlan {
        let mut versions = Version::SPOKEN.to_vec();
        versions.sort_unstable();
        HostPlan {
            parallel: 1,
            map_per_128g: Duration::from_millis(1800),
            trap: Duration::from_micros(20),
            message: Duration::from_micros(200),
            versions,
        }
    }
}

/// One bus of a scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BusPlan<'a> {
    /// What its functions are.
    pub group: &'a Group,
    /// The number of its first function, counted over the whole scenario from 0.
    pub first_function: u32,
    /// How many functions it holds, 1..=256.
    pub functions: u32,
}

impl Group {
    /// How many buses the group takes.
    pub fn buses(&self) -> u32 {
        self.functions.div_ceil(self.per_bus.max(1))
    }
}

impl Scenario {
    /// How many functions there are in all.
    pub fn functions(&self) -> u32 {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(group.functions))
    }

    /// The buses, in the order in which the host offers them.
    pub fn buses(&self) -> Vec<BusPlan<'_>> {
        let mut buses = Vec::new();
        let mut first_function = 0;
        for group in &self.groups {
            let mut left = group.functions;
            while left > 0 {
                let functions = left.min(group.per_bus.max(1));
                buses.push(BusPlan { group, first_function, functions });
                first_function += functions;
                left -= functions;
            }
        }
        buses
    }

    /// Names for all functions, such as `gpu 3`: counted from 0 within groups of the same name.
    pub fn function_names(&self) -> Vec<String> {
        let mut counts = std::collections::BTreeMap::<&str, u32>::new();
        let mut names = Vec::new();
        for group in &self.groups {
            let count = counts.entry(&group.name).or_default();
            for _ in 0..group.functions {
                names.push(format!("{} {count}", group.name));
                *count += 1;
            }
        }
        names
    }

    /// Reads scenario text. `file` is the name errors carry.
    ///
    /// # Errors
    /// The first thing wrong, with its place in the text and what is allowed instead.
    pub fn parse(file: &str, text: &str) -> Result<Scenario, Diagnostic> {
        parse::scenario(file, text)
    }

    /// Reads the preset called `name_or_path`, or else the file at that path.
    ///
    /// # Errors
    /// As [`Scenario::parse`]; also if there is neither, or the file cannot be read or is not text.
    pub fn load(name_or_path: &str) -> Result<Scenario, Diagnostic> {
        if let Some(text) = presets::text(name_or_path) {
            return Scenario::parse(&format!("{name_or_path} (preset)"), text);
        }
        let help = format!("a scenario is a small TOML file, or one of the presets {}", presets::NAMES.join(", "));
        let text = read_text(name_or_path, MAX_FILE, &help)?;
        Scenario::parse(name_or_path, &text)
    }

    /// Changes what the command line changes, and checks the result.
    ///
    /// # Errors
    /// If the flags cannot apply to this scenario or ask for more than a VM can have.
    pub fn apply(&mut self, overrides: &Overrides) -> Result<(), Diagnostic> {
        overrides::apply(self, overrides)
    }
}

#[cfg(test)]
mod tests;
