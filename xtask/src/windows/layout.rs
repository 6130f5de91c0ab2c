//! The stand-in wdk-sys and the driver's own declarations against the genuine bindings and against windows-sys. Each check is
//! a crate that compiles only if they agree; with its seeds it must not.

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use super::Places;

/// A seeded assertion: the feature without its "seed-", and how the compiler's word about it ends.
const SEEDS: [(&str, &str); 3] = [("field", ": offset"), ("constant", ": value"), ("index", ": place in the table")];

/// Both checks, right and wrong.
pub fn check(sh: &Shell, places: &Places) -> Result<()> {
    let (script, out) = (places.scripts.join("build-genuine.sh"), places.out.join("genuine"));
    let genuine = |seeds: &[&str]| cmd!(sh, "bash {script} {out} --layout {seeds...}");
    agrees(genuine(&[]), "the genuine bindings")?;
    refuses(genuine(&["--features", &features(&SEEDS)]), "the genuine bindings", &SEEDS)?;

    let manifest = places.scripts.join("layout-windows-sys").join("Cargo.toml");
    let target = places.out.join("layout");
    let public =
        |seeds: &[&str]| cmd!(sh, "cargo check --locked --manifest-path {manifest} --target-dir {target} {seeds...}");
    // It knows nothing of KMDF's table.
    let seeds = &SEEDS[..2];
    agrees(public(&[]), "windows-sys")?;
    refuses(public(&["--features", &features(seeds)]), "windows-sys", seeds)
}

fn features(seeds: &[(&str, &str)]) -> String {
    let names: Vec<String> = seeds.iter().map(|(seed, _)| format!("seed-{seed}")).collect();
    names.join(",")
}

fn agrees(check: Cmd<'_>, side: &str) -> Result<()> {
    check.run().with_context(|| format!("layouts against {side}"))
}

/// Every seed has to be found.
fn refuses(check: Cmd<'_>, side: &str, seeds: &[(&str, &str)]) -> Result<()> {
    let output = check.quiet().ignore_status().output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    for (seed, ending) in seeds {
        let found = said.lines().any(|line| line.contains("evaluation panicked: layout: ") && line.ends_with(ending));
        if output.status.success() || !found {
            bail!("the layout check against {side} does not find the seeded {seed}:\n{said}");
        }
    }
    eprintln!("the layout check against {side} finds every seeded slip");
    Ok(())
}
