//! Any bytes as a scenario, a size or a BAR.

use hvpci_mock::scenario::{BarSpec, MAX_FUNCTIONS, MAX_PER_BUS, Scenario, parse_size};

/// Nothing panics, an error says something, and what reads as a scenario, a size or a BAR keeps to the documented ranges.
pub fn scenario(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    match Scenario::parse("fuzz.toml", text) {
        Ok(scenario) => check(&scenario),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(size) = parse_size(text) {
        assert_eq!(parse_size(&size.to_string()), Ok(size));
    }
    match BarSpec::parse(text) {
        Ok(bar) => check_bar(&bar),
        Err(error) => assert!(!error.to_string().is_empty() && !error.allowed().is_empty()),
    }
}

/// What whoever runs a [`Scenario`] relies on.
fn check(scenario: &Scenario) {
    let functions = scenario.functions();
    assert!((1..=MAX_FUNCTIONS).contains(&functions));
    assert!(!scenario.compare.is_empty() && !scenario.host.versions.is_empty() && scenario.host.parallel >= 1);
    for group in &scenario.groups {
        assert!(group.functions >= 1 && (1..=MAX_PER_BUS).contains(&group.per_bus));
        assert!(group.bars.iter().map(|bar| bar.registers()).sum::<usize>() <= 6);
        group.bars.iter().for_each(check_bar);
    }
    let buses = scenario.buses();
    assert_eq!(buses.iter().map(|bus| bus.functions).sum::<u32>(), functions);
    assert_eq!(scenario.function_names().len(), functions as usize);
    assert!(!scenario.summary().is_empty());
}

fn check_bar(bar: &BarSpec) {
    assert!(bar.size.is_power_of_two() && (BarSpec::MIN..=BarSpec::MAX).contains(&bar.size));
    assert!(bar.is_64bit || bar.size <= 1 << 31);
}
