//! The Windows driver on a Linux machine: built with the stand-ins, checked, signed, and run by the loader.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::apt;
use crate::lanes::Outcome;

/// What the lane needs of Debian.
const PACKAGES: [&str; 10] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "clang-19",
    "lld-19",
    "llvm-19",
    "openssl",
    "osslsigncode",
    "python3",
    "python3-pip",
];

/// The driver's features that are deliberate bugs, without their "seed-".
const SEEDS: [&str; 4] = ["panic", "overrun", "leak", "irql"];

/// The lane of `cargo xtask test`.
pub fn lane(sh: &Shell) -> Outcome {
    if let Err(why) = apt::ensure(sh, &PACKAGES) {
        return Outcome::NotRun(why);
    }
    match run(sh) {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn run(sh: &Shell) -> Result<()> {
    let scripts = sh.current_dir().join("tests").join("windows");
    let out = sh.current_dir().join("target").join("windows");
    let driver = build(sh, &out.join("first"), None)?;
    let again = build(sh, &out.join("second"), None)?;
    let check = scripts.join("check-sys.py");
    cmd!(sh, "python3 {check} {driver} {again}").run().context("static checks of hvpci.sys")?;
    let lint = scripts.join("lint-inx.py");
    cmd!(sh, "python3 {lint} --self-test").run().context("the INX lint's own test")?;
    let inx = find_inx(sh)?;
    cmd!(sh, "python3 {lint} {inx}").run().context("INX lint")?;
    let (sign, signed) = (scripts.join("sign.sh"), out.join("hvpci-signed.sys"));
    cmd!(sh, "{sign} {driver} {signed}").run().context("test signing")?;
    for seed in SEEDS {
        // One folder for all of them: only the driver's own crate differs.
        let built = build(sh, &out.join("seeded"), Some(seed))?;
        let kept = out.join("seeds").join(seed);
        sh.create_dir(&kept)?;
        sh.copy_file(&built, kept.join("hvpci.sys"))?;
    }
    let manifest = scripts.join("loader").join("Cargo.toml");
    let target = out.join("loader");
    // The signed file is the one that a machine would load.
    cmd!(sh, "cargo test --release --locked --manifest-path {manifest} --target-dir {target}")
        .env("HVPCI_SYS", &signed)
        .env("HVPCI_SEEDED", out.join("seeds"))
        .run()
        .context("scenarios")?;
    second_opinion(sh, &scripts, &out, &driver)
}

/// Another emulator runs the entry point of the same file.
fn second_opinion(sh: &Shell, scripts: &Path, out: &Path, driver: &Path) -> Result<()> {
    let modules = out.join("speakeasy");
    if !sh.path_exists(modules.join("speakeasy")) {
        cmd!(sh, "python3 -m pip install --quiet --target {modules} speakeasy-emulator==1.5.11")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .run()
            .context("installing Speakeasy from PyPI")?;
    }
    let smoke = scripts.join("speakeasy-smoke.py");
    cmd!(sh, "python3 {smoke} {driver}").env("PYTHONPATH", &modules).run().context("Speakeasy")?;
    Ok(())
}

/// Builds the driver with the stand-ins.
fn build(sh: &Shell, out: &Path, seed: Option<&str>) -> Result<PathBuf> {
    let script = sh.current_dir().join("tests").join("windows").join("build.sh");
    let features: Vec<String> =
        seed.map(|seed| vec!["--features".to_owned(), format!("seed-{seed}")]).unwrap_or_default();
    cmd!(sh, "bash {script} {out} {features...}").env("NO_PDB", "1").run().context("stand-in build of hvpci.sys")?;
    Ok(out.join("hvpci.sys"))
}

fn find_inx(sh: &Shell) -> Result<PathBuf> {
    let folder = sh.current_dir().join("backend-windows").join("driver");
    let found = sh.read_dir(&folder)?.into_iter().find(|file| file.extension().is_some_and(|ending| ending == "inx"));
    match found {
        Some(file) => Ok(file),
        None => bail!("{} has no .inx file", folder.display()),
    }
}
