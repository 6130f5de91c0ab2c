//! Stand-in for wdk-build where there is no Windows Driver Kit: the same entry points, KMDF on x64 only.
//!
//! `WDK_STANDIN_LIBS` names the folder with the import libraries that `tests/windows/build.sh` makes.

use std::fmt;

/// What a build script of a driver returns on failure.
#[derive(Debug)]
pub struct ConfigError;

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WDK_STANDIN_LIBS is not set")
    }
}

impl std::error::Error for ConfigError {}

/// The linker arguments that the genuine crate gives for a KMDF driver.
const LINK_ARGUMENTS: [&str; 11] = [
    "/DRIVER",
    "/NODEFAULTLIB",
    "/SUBSYSTEM:NATIVE",
    "/KERNEL",
    "/ENTRY:FxDriverEntry",
    "/IGNORE:4257",
    "/NXCOMPAT",
    "/DYNAMICBASE",
    "/OPT:REF,ICF",
    "/INTEGRITYCHECK",
    "/MANIFEST:NO",
];

fn declare_driver_model() {
    println!("cargo::rustc-check-cfg=cfg(driver_model__driver_type, values(\"WDM\", \"KMDF\", \"UMDF\"))");
    println!("cargo::rustc-cfg=driver_model__driver_type=\"KMDF\"");
    println!("cargo::rerun-if-env-changed=WDK_STANDIN_LIBS");
}

/// For the build script of a library.
pub fn configure_wdk_library_build() -> Result<(), ConfigError> {
    declare_driver_model();
    Ok(())
}

/// For the build script of a driver.
pub fn configure_wdk_binary_build() -> Result<(), ConfigError> {
    declare_driver_model();
    let libs = std::env::var("WDK_STANDIN_LIBS").map_err(|_| ConfigError)?;
    println!("cargo::rustc-link-search={libs}");
    for argument in LINK_ARGUMENTS {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    Ok(())
}
