//! Writes, for the build scripts of `layout-genuine` and `layout-windows-sys`, the assertions that hold the stand-in wdk-sys,
//! and what the driver declares itself, against other bindings.
//!
//! The list of what is compared is read from the sources, so nothing can be added to them without being compared: a name
//! that the other side does not have does not compile, unless the side's `exceptions.txt` says that it is absent and why.

pub mod exceptions;
pub mod inventory;
pub mod write;

use std::path::{Path, PathBuf};

pub use exceptions::Exceptions;
pub use inventory::Inventory;

/// Where a name is on the other side.
pub trait Other {
    /// How the side's functions are called.
    const ABI: &str;
    /// A `None` of the functions below is certain: the side's sources were searched. Otherwise the compiler finds out.
    const SEARCHED: bool;
    /// Structures, unions and other types.
    fn ty(&self, name: &str) -> Option<String>;
    /// A constant; `of` is the enumeration that it belongs to.
    fn constant(&self, name: &str, of: Option<&str>) -> Option<String>;
    /// A function of the kernel.
    fn function(&self, name: &str) -> Option<String>;
    /// The place of a KMDF function in the table, and the type of its pointer.
    fn table(&self, name: &str) -> Option<(String, String)>;
}

/// The body of a build script: writes `checks.rs` into OUT_DIR and reports what is compared.
pub fn build(other: &impl Other) {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let windows = here.join("..");
    let inventory =
        Inventory::read(&windows.join("standin/wdk-sys/src"), &windows.join("../../backend-windows/driver/src"));
    let file = here.join("exceptions.txt");
    println!("cargo::rerun-if-changed={}", file.display());
    let exceptions = Exceptions::parse(&read(&file));
    let seeds = ["field", "constant", "index"]
        .into_iter()
        .filter(|seed| std::env::var_os(format!("CARGO_FEATURE_SEED_{}", seed.to_uppercase())).is_some());
    let (text, report) = write::checks(&inventory, &exceptions, other, seeds.collect());
    let path = PathBuf::from(variable("OUT_DIR")).join("checks.rs");
    if let Err(error) = std::fs::write(&path, text) {
        panic!("{}: {error}", path.display());
    }
    for line in report {
        println!("cargo::warning={line}");
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: this runs in build scripts only"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
