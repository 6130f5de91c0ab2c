//! What the README shows is what the command prints.

use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn hvpci(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_hvpci")).args(arguments).current_dir(top()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn readme() -> String {
    std::fs::read_to_string(top().join("README.md")).unwrap()
}

#[test]
fn the_table_is_real() {
    let table = hvpci(&["boot"]);
    assert!(readme().contains(table.trim_end()), "README.md does not show this:\n{table}");
}

#[test]
fn the_replay_is_real() {
    let report = hvpci(&["replay", "tests/data/stock-pci-hyperv-on-openvmm.trace.txt"]);
    assert!(readme().contains(report.trim_end()), "README.md does not show this:\n{report}");
}

#[test]
fn the_picture_is_real() {
    let drawn = std::env::temp_dir().join(format!("hvpci-readme-{}.svg", std::process::id()));
    hvpci(&["boot", "--plot", drawn.to_str().unwrap()]);
    let fresh = std::fs::read_to_string(&drawn).unwrap();
    std::fs::remove_file(&drawn).unwrap();
    let shown = std::fs::read_to_string(top().join("docs/azure-14-gpu.svg")).unwrap();
    assert!(fresh == shown, "docs/azure-14-gpu.svg is out of date: hvpci boot --plot docs/azure-14-gpu.svg");
}
