//! The debug kernel: Debian's source of 6.12, built with what finds mistakes (`tests/linux/debug-kernel.config`), below
//! target/kernels/debug. Built again only when Debian's version or the configuration changes.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::kernel::{Kernel, Series};

/// What building a kernel needs beside the lanes' own packages.
pub const PACKAGES: &[&str] = &["flex", "bison", "libelf-dev"];

const CONFIGURATION: &str = "tests/linux/debug-kernel.config";
const SOURCE_PACKAGE: &str = "linux-source-6.12";

/// Not unpacked: most of the source, of which nothing is built. Kconfig reads its own files everywhere.
const LEFT_OUT: &[&str] = &[
    "*/arch/[a-wyz]*/*.[chS]",
    "*/Documentation/*/*",
    "*/drivers/gpu/*.[ch]",
    "*/drivers/media/*.[ch]",
    "*/drivers/net/*.[ch]",
    "*/sound/*.[ch]",
    "*/tools/testing/*",
    "*.dts*",
];

/// The kernel, built if it is not there.
pub fn fetch(sh: &Shell) -> Result<Kernel> {
    let configuration = fs::read_to_string(CONFIGURATION).context(CONFIGURATION)?;
    let version = source_version(sh)?;
    let directory = sh.current_dir().join("target/kernels/debug");
    let source = directory.join("source");
    let stamp = directory.join("built");
    let wanted = format!("{version}\n{configuration}");
    if !fs::read_to_string(&stamp).is_ok_and(|built| built == wanted) {
        let start = Instant::now();
        sh.remove_path(&stamp)?;
        unpack(sh, &directory, &version)?;
        configure(sh, &source, &configuration)?;
        let jobs = format!("-j{}", available_parallelism()?);
        eprintln!("building the debug kernel from {SOURCE_PACKAGE} {version}: some minutes");
        cmd!(sh, "make --silent -C {source} {jobs} bzImage modules").quiet().ignore_stdout().run()?;
        fs::write(&stamp, wanted)?;
        eprintln!("built the debug kernel in {} s", start.elapsed().as_secs());
    }
    Ok(Kernel {
        series: Series::Debug,
        release: fs::read_to_string(source.join("include/config/kernel.release"))?.trim().to_string(),
        image: source.join("arch/x86/boot/bzImage"),
        modules: source.clone(),
        headers: source,
        directory,
    })
}

fn source_version(sh: &Shell) -> Result<String> {
    let text = cmd!(sh, "apt-cache show --no-all-versions {SOURCE_PACKAGE}").quiet().ignore_stderr().read()?;
    match text.lines().find_map(|line| line.strip_prefix("Version: ")) {
        Some(version) => Ok(version.to_string()),
        None => bail!("no package source of this machine has {SOURCE_PACKAGE}"),
    }
}

/// The source, unless it is there in this version: then what is built of it stays.
fn unpack(sh: &Shell, directory: &Path, version: &str) -> Result<()> {
    let stamp = directory.join("unpacked");
    if fs::read_to_string(&stamp).is_ok_and(|unpacked| unpacked == version) {
        return Ok(());
    }
    sh.remove_path(directory)?;
    sh.create_dir(directory)?;
    eprintln!("downloading {SOURCE_PACKAGE} {version}");
    let _there = sh.push_dir(directory);
    cmd!(sh, "apt-get download -qq {SOURCE_PACKAGE}={version}").quiet().run()?;
    for package in sh.read_dir(directory)?.iter().filter(|path| path.extension().is_some_and(|e| e == "deb")) {
        cmd!(sh, "dpkg -x {package} package").quiet().run()?;
        sh.remove_path(package)?;
    }
    let left_out = LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}"));
    sh.create_dir("source")?;
    cmd!(sh, "tar -xf package/usr/src/{SOURCE_PACKAGE}.tar.xz -C source --strip-components=1 {left_out...}").run()?;
    sh.remove_path("package")?;
    fs::write(stamp, version)?;
    Ok(())
}

/// Everything off but what is asked for, and all of that on: Kconfig drops an option without a word when another is missing.
fn configure(sh: &Shell, source: &Path, configuration: &str) -> Result<()> {
    let fragment = sh.current_dir().join(CONFIGURATION);
    cmd!(sh, "make --silent -C {source} allnoconfig").env("KCONFIG_ALLCONFIG", fragment).quiet().run()?;
    let made = fs::read_to_string(source.join(".config"))?;
    let lost = lost(configuration, &made);
    if !lost.is_empty() {
        bail!("{CONFIGURATION}: Kconfig does not keep {}", lost.join(" "));
    }
    Ok(())
}

/// The lines of the fragment that are not in the result.
fn lost<'a>(fragment: &'a str, made: &str) -> Vec<&'a str> {
    let kept = |line: &str| made.lines().any(|other| other == line);
    fragment.lines().filter(|line| line.starts_with("CONFIG_") && !kept(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn an_option_that_kconfig_drops_is_seen() {
        let made = "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n";
        assert_eq!(lost("# a comment\nCONFIG_A=y\nCONFIG_B=m\n", made), Vec::<&str>::new());
        assert_eq!(lost("CONFIG_B=y\nCONFIG_C=y\nCONFIG_A=y\n", made), ["CONFIG_B=y", "CONFIG_C=y"]);
    }
}
