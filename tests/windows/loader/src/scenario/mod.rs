//! What is run against the driver. Each scenario runs in a process of its own, because a driver that breaks a rule ends
//! it; those with several steps run once per step.

mod access;
mod blocks;
mod bringup;
mod faults;
mod held;
mod limits;
pub mod machine;
mod messages;
mod power;
mod races;
mod removal;
mod steps;
mod threads;

/// A scenario.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// How many variants it has: each is one run.
    pub steps: u32,
    /// Runs one variant, counted from 1, on a driver.
    pub run: fn(file: &str, step: u32),
}

/// All scenarios.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        bringup::SCENARIOS,
        access::SCENARIOS,
        blocks::SCENARIOS,
        messages::SCENARIOS,
        removal::SCENARIOS,
        power::SCENARIOS,
        races::SCENARIOS,
        held::SCENARIOS,
        faults::SCENARIOS,
        limits::SCENARIOS,
        threads::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}
