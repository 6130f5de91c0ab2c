//! Finds in the sources of windows-sys where each name is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// The modules that Cargo.toml enables, most wanted first.
const MODULES: [&str; 15] = [
    "Wdk/Foundation",
    "Wdk/System/SystemServices",
    "Wdk/Storage/FileSystem",
    "Wdk/System/IO",
    "Win32/Foundation",
    "Win32/System/Kernel",
    "Win32/System/Diagnostics/Etw",
    "Win32/System/Power",
    "Win32/System/Memory",
    "Win32/System/Registry",
    "Win32/System/IO",
    "Win32/System/Ioctl",
    "Win32/System/WindowsProgramming",
    "Win32/Security",
    "Win32/Devices/Properties",
];

#[derive(Default)]
struct WindowsSys {
    types: BTreeMap<String, String>,
    constants: BTreeMap<String, String>,
    functions: BTreeMap<String, String>,
}

impl WindowsSys {
    fn read() -> WindowsSys {
        let mut found = WindowsSys::default();
        // Its root module has the GUID.
        found.types.insert("GUID".to_owned(), "windows_sys::core::GUID".to_owned());
        let source = source().join("src/Windows");
        for module in MODULES {
            let file = source.join(module).join("mod.rs");
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let path = format!("windows_sys::{}", module.replace('/', "::"));
            for line in text.lines() {
                found.line(line, &path);
            }
        }
        let counts = [found.types.len(), found.constants.len(), found.functions.len()];
        assert!(counts.iter().all(|count| *count > 500), "the sources of windows-sys were not understood: {counts:?}");
        found
    }

    fn line(&mut self, line: &str, module: &str) {
        let (list, rest) =
            if let Some((_, rest)) = line.split_once("link!(").and_then(|(_, rest)| rest.split_once(" fn ")) {
                (&mut self.functions, rest)
            } else if let Some(rest) = line.strip_prefix("pub const ") {
                (&mut self.constants, rest)
            } else if let Some(rest) =
                ["pub struct ", "pub union ", "pub type "].into_iter().find_map(|start| line.strip_prefix(start))
            {
                (&mut self.types, rest)
            } else {
                return;
            };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        list.entry(name.clone()).or_insert_with(|| format!("{module}::{name}"));
    }
}

/// Where cargo has put windows-sys.
fn source() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(["metadata", "--format-version", "1", "--locked", "--offline"]).output();
    let output = output.unwrap_or_else(|error| panic!("cargo metadata: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let end = "/Cargo.toml\"";
    let found = text.match_indices("\"manifest_path\":\"").find_map(|(at, key)| {
        let path = &text[at + key.len()..];
        let path = &path[..path.find(end)?];
        path.rsplit('/').next()?.starts_with("windows-sys-").then(|| PathBuf::from(path))
    });
    found.unwrap_or_else(|| panic!("cargo metadata names no windows-sys: {}", String::from_utf8_lossy(&output.stderr)))
}

impl hvpci_layout::Other for WindowsSys {
    const ABI: &str = "system";
    const SEARCHED: bool = true;

    fn ty(&self, name: &str) -> Option<String> {
        // No underscore before a structure's name, and an enumeration is an integer.
        self.types.get(name.trim_start_matches('_').trim_end_matches("::Type")).cloned()
    }

    fn constant(&self, name: &str, _of: Option<&str>) -> Option<String> {
        self.constants.get(name).cloned()
    }

    fn function(&self, name: &str) -> Option<String> {
        self.functions.get(name).cloned()
    }

    fn table(&self, _name: &str) -> Option<(String, String)> {
        None
    }
}

fn main() {
    hvpci_layout::build(&WindowsSys::read());
}
