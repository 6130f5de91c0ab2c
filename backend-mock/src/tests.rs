//! What the tests of several modules have in common.

/// How many cases a property is tried with: as many as usual, times `HVPCI_CASES`.
pub fn cases(usual: u32) -> u32 {
    let times = std::env::var("HVPCI_CASES").map_or(1, |text| text.parse().expect("HVPCI_CASES is a number"));
    usual.saturating_mul(times)
}
