//! What the command line changes in a scenario.

use hvpci_core::decode::Policy;

use super::limits::{self, PARALLEL, Problem};
use super::{BarSpec, Diagnostic, GUESTS, MAX_FUNCTIONS, MAX_PER_BUS, RunSpec, Scenario};

/// The flags of `hvpci boot` that change the scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Functions in all (one group only).
    pub functions: Option<u32>,
    /// Functions on each bus.
    pub per_bus: Option<u32>,
    /// The one BAR every function has instead.
    pub bar: Option<BarSpec>,
    /// Maps at once.
    pub host_parallel: Option<u32>,
    /// Only these guests.
    pub guests: Vec<&'static str>,
    /// Only these policies.
    pub policies: Vec<Policy>,
}

pub(super) fn apply(scenario: &mut Scenario, overrides: &Overrides) -> Result<(), Diagnostic> {
    let Overrides { functions, per_bus, bar, host_parallel, guests, policies } = overrides;
    range("--functions", *functions, 1, MAX_FUNCTIONS)?;
    range("--per-bus", *per_bus, 1, MAX_PER_BUS)?;
    range("--host-parallel", *host_parallel, *PARALLEL.start(), *PARALLEL.end())?;
    let named = [("--functions", functions.is_some()), ("--bar", bar.is_some())];
    if let (Some((flag, _)), [_, _, ..]) = (named.iter().find(|(_, given)| *given), scenario.groups.as_slice()) {
        let groups: Vec<&str> = scenario.groups.iter().map(|group| group.name.as_str()).collect();
        return Err(Diagnostic::new(format!(
            "{flag} does not say which functions of `{}`: it has {} groups ({})",
            scenario.name,
            groups.len(),
            groups.join(", ")
        ))
        .help("scenarios with one group, such as azure-14-gpu; or write the numbers into a scenario file"));
    }
    for group in &mut scenario.groups {
        group.functions = functions.unwrap_or(group.functions);
        group.per_bus = per_bus.unwrap_or(group.per_bus);
        if let Some(bar) = bar {
            group.bars = vec![*bar];
        }
    }
    scenario.host.parallel = host_parallel.unwrap_or(scenario.host.parallel);
    scenario.compare = choose(&scenario.compare, guests, policies);
    limits::check(scenario).map_err(|Problem { message, allowed, .. }| {
        Diagnostic::new(format!("{}: {message}", scenario.name)).help(allowed)
    })
}

fn range(flag: &str, found: Option<u32>, least: u32, most: u32) -> Result<(), Diagnostic> {
    match found {
        Some(found) if !(least..=most).contains(&found) => {
            Err(Diagnostic::new(format!("{flag} {found} is out of range"))
                .help(format!("{flag} takes a whole number from {least} to {most}")))
        }
        _ => Ok(()),
    }
}

/// The scenario's pairs of these guests and policies. Where both are named, or the scenario has no such pair, they are
/// what was asked for: every combination; of guests or policies that nobody named, those that can be.
fn choose(pairs: &[RunSpec], guests: &[&'static str], policies: &[Policy]) -> Vec<RunSpec> {
    let wanted = |pair: &&RunSpec| {
        (guests.is_empty() || guests.contains(&pair.guest)) && (policies.is_empty() || policies.contains(&pair.policy))
    };
    let kept: Vec<RunSpec> = pairs.iter().filter(wanted).copied().collect();
    if (guests.is_empty() || policies.is_empty()) && !kept.is_empty() {
        return kept;
    }
    let both_named = !guests.is_empty() && !policies.is_empty();
    let guests = if guests.is_empty() { &GUESTS[..] } else { guests };
    let policies = if policies.is_empty() { &Policy::ALL[..] } else { policies };
    let mut chosen = Vec::new();
    for guest in guests {
        for policy in policies {
            let pair = RunSpec { guest, policy: *policy };
            if !chosen.contains(&pair) && (both_named || pair.is_possible()) {
                chosen.push(pair);
            }
        }
    }
    chosen
}
