//! The Windows driver on a Linux machine: built with the stand-ins and with the genuine wdk crates, checked, signed, and run
//! by the loader.

mod layout;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::apt;
use crate::lanes::Outcome;

/// What the lane needs of Debian.
const PACKAGES: [&str; 14] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-clippy",
    "clang-19",
    "libclang1-19",
    "libclang-common-19-dev",
    "lld-19",
    "llvm-19",
    "mingw-w64-common",
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

/// Where things are.
struct Places {
    scripts: PathBuf,
    out: PathBuf,
}

fn run(sh: &Shell) -> Result<()> {
    let places = Places {
        scripts: sh.current_dir().join("tests").join("windows"),
        out: sh.current_dir().join("target").join("windows"),
    };
    self_tests(sh, &places)?;
    let driver = stand_in(sh, &places)?;
    second_opinion(sh, &places, &driver)?;
    genuine(sh, &places)?;
    layout::check(sh, &places)
}

/// A check that cannot fail proves nothing.
fn self_tests(sh: &Shell, places: &Places) -> Result<()> {
    for script in ["lint-inx.py", "stack-use.py"] {
        let script = places.scripts.join(script);
        cmd!(sh, "python3 {script} --self-test").run().with_context(|| format!("own test of {}", script.display()))?;
    }
    Ok(())
}

/// The driver with the stand-ins, twice, and with each deliberate bug.
fn stand_in(sh: &Shell, places: &Places) -> Result<PathBuf> {
    let Places { scripts, out } = places;
    let driver = build(sh, places, "first", None)?;
    // In the folder of the build, whose macros and build scripts it has the use of.
    let (script, folder) = (scripts.join("build.sh"), out.join("first"));
    cmd!(sh, "bash {script} {folder} --clippy").env("NO_PDB", "1").run().context("clippy on the driver")?;
    // The second one lies in the folder of the seeded ones: of those only the driver's own crate differs.
    let again = build(sh, places, "seeded", None)?;
    let check = scripts.join("check-sys.py");
    cmd!(sh, "python3 {check} {driver} {again}").run().context("static checks of hvpci.sys")?;
    stack_use(sh, places, &driver)?;
    let (lint, inx) = (scripts.join("lint-inx.py"), find_inx(sh)?);
    cmd!(sh, "python3 {lint} {inx}").run().context("INX lint")?;
    let (sign, signed) = (scripts.join("sign.sh"), out.join("hvpci-signed.sys"));
    cmd!(sh, "{sign} {driver} {signed}").run().context("test signing")?;
    for seed in SEEDS {
        let built = build(sh, places, "seeded", Some(seed))?;
        let kept = out.join("seeds").join(seed);
        sh.create_dir(&kept)?;
        sh.copy_file(&built, kept.join("hvpci.sys"))?;
    }
    // The signed file is the one that a machine would load.
    loader(sh, places, "test", &["--", "--include-ignored"])
        .env("HVPCI_SYS", &signed)
        .env("HVPCI_SEEDED", out.join("seeds"))
        .run()
        .context("scenarios")?;
    lifecycle(sh, places, &driver)?;
    Ok(driver)
}

/// The driver with the genuine crates of crates.io, under the same checks and scenarios.
fn genuine(sh: &Shell, places: &Places) -> Result<()> {
    let out = places.out.join("genuine");
    let script = places.scripts.join("build-genuine.sh");
    cmd!(sh, "bash {script} {out}").run().context("build of hvpci.sys with the genuine wdk crates")?;
    let driver = out.join("hvpci.sys");
    let check = places.scripts.join("check-sys.py");
    cmd!(sh, "python3 {check} {driver}").run().context("static checks of the genuine build")?;
    stack_use(sh, places, &driver)?;
    let driver = driver.to_string_lossy();
    for what in ["all", "allocations"] {
        let output = loader(sh, places, "run", &["--", what, &driver]).ignore_status().output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let (said, errors) = (not_passed(&said), String::from_utf8_lossy(&output.stderr));
            bail!("scenarios with the genuine build: loader {what} {driver}\n{said}\n{errors}");
        }
        eprintln!("genuine build, loader {what}: {}", said.lines().last().unwrap_or_default());
    }
    lifecycle(sh, places, Path::new(&*driver))
}

/// The figure that the scenario of that name holds below its bound.
fn lifecycle(sh: &Shell, places: &Places, driver: &Path) -> Result<()> {
    let driver = driver.to_string_lossy();
    let said = loader(sh, places, "run", &["--", "run", &driver, "lifecycle"]).read().context("lifecycle")?;
    eprintln!("{driver}: {}", said.lines().next().unwrap_or_default());
    Ok(())
}

/// What the loader says of runs that failed, and its sum.
fn not_passed(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("passed ")).collect();
    lines.join("\n")
}

fn stack_use(sh: &Shell, places: &Places, driver: &Path) -> Result<()> {
    let (script, map) = (places.scripts.join("stack-use.py"), driver.with_extension("map"));
    cmd!(sh, "python3 {script} {driver} {map}").run().context("stack use of hvpci.sys")
}

/// A cargo command on the loader.
fn loader<'a>(sh: &'a Shell, places: &Places, verb: &str, rest: &[&str]) -> xshell::Cmd<'a> {
    let (manifest, target) = (places.scripts.join("loader").join("Cargo.toml"), places.out.join("loader"));
    cmd!(sh, "cargo {verb} --release --locked --manifest-path {manifest} --target-dir {target} {rest...}")
}

/// Another emulator runs the entry point of the same file.
fn second_opinion(sh: &Shell, places: &Places, driver: &Path) -> Result<()> {
    let modules = places.out.join("speakeasy");
    if !sh.path_exists(modules.join("speakeasy")) {
        cmd!(sh, "python3 -m pip install --quiet --target {modules} speakeasy-emulator==1.5.11")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .run()
            .context("installing Speakeasy from PyPI")?;
    }
    let smoke = places.scripts.join("speakeasy-smoke.py");
    cmd!(sh, "python3 {smoke} {driver}").env("PYTHONPATH", &modules).run().context("Speakeasy")?;
    Ok(())
}

/// Builds the driver with the stand-ins.
fn build(sh: &Shell, places: &Places, folder: &str, seed: Option<&str>) -> Result<PathBuf> {
    let (script, out) = (places.scripts.join("build.sh"), places.out.join(folder));
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
