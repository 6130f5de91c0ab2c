//! Any bytes into the readers of recordings and scenarios.

use hvpci_mock::recording::Recording;
use hvpci_mock::scenario::{BarSpec, Scenario, parse_size};

/// No reader panics; a recording that reads can be shown.
pub fn text(bytes: &[u8]) {
    let _ = Recording::parse("fuzz.trace.txt", bytes);
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Err(error) = Scenario::parse("fuzz.toml", text) {
        assert!(!error.to_string().is_empty());
    }
    let _ = parse_size(text);
    let _ = BarSpec::parse(text);
}
