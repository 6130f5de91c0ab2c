//! Scenarios that need no file.

/// The presets, the default first.
pub const NAMES: [&str; 3] = ["azure-14-gpu", "nvme-8", "mixed"];

/// What `hvpci boot` boots when nothing is named.
pub const DEFAULT: &str = NAMES[0];

/// The TOML text of a preset.
pub fn text(name: &str) -> Option<&'static str> {
    match name {
        "azure-14-gpu" => Some(include_str!("../../presets/azure-14-gpu.toml")),
        "nvme-8" => Some(include_str!("../../presets/nvme-8.toml")),
        "mixed" => Some(include_str!("../../presets/mixed.toml")),
        _ => None,
    }
}
