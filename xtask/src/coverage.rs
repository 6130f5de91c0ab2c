//! Line coverage of the core, and its floor.
//!
//! rustc's own instrumentation and Debian's LLVM tools of the same major version; nothing is installed by cargo. Only the
//! project's own crates are compiled for it, by way of this program as cargo's workspace wrapper: the rest is what the other
//! lanes have built. Counted are the lines of `core/src` that ship: neither test files nor what stands behind
//! `#[cfg(test)]` in the others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::apt;

/// Percent of the core's lines that must be run by a test.
const FLOOR: f64 = 95.0;
/// Files below this are named.
const WORTH_A_LOOK: f64 = 90.0;
/// What is run: the core's own tests, and whole lives of buses, for the driver.
const SUITES: [&[&str]; 2] = [
    &["--package", "hvpci-core", "--lib"],
    &["--package", "hvpci-tests", "--test", "lifecycle", "--test", "interrupts", "--test", "bad_input"],
];

/// Lines of a file: how many, and the numbers of those that no test runs.
#[derive(Default)]
struct Lines {
    all: usize,
    missed: Vec<usize>,
}

impl Lines {
    fn percent(&self) -> f64 {
        let run = self.all.saturating_sub(self.missed.len());
        if self.all == 0 { 100.0 } else { 100.0 * run as f64 / self.all as f64 }
    }
}

/// What is missing to measure at all.
pub fn missing(sh: &Shell) -> Option<String> {
    let package = match llvm_version(sh) {
        Ok(version) => format!("llvm-{version}"),
        Err(error) => return Some(format!("{error:#}")),
    };
    apt::ensure(sh, &[&package]).err()
}

/// The major version of rustc's LLVM: its tools read the format of that version.
fn llvm_version(sh: &Shell) -> Result<String> {
    let text = cmd!(sh, "rustc --version --verbose").quiet().read()?;
    let version = text.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let major = version.and_then(|version| version.split('.').next());
    Ok(major.context("rustc does not say which LLVM it has")?.to_owned())
}

/// Measures, prints, and returns what is wrong, if anything.
pub fn run(sh: &Shell, list: bool) -> Result<Option<String>> {
    let version = llvm_version(sh)?;
    let (profdata, cov) = (format!("llvm-profdata-{version}"), format!("llvm-cov-{version}"));
    let folder = sh.current_dir().join("target").join("coverage");
    let raw = folder.join("raw");
    if raw.exists() {
        fs::remove_dir_all(&raw)?;
    }
    let mut programs = Vec::new();
    for suite in SUITES {
        let build = cmd!(sh, "cargo test --locked --no-run --message-format=json {suite...}");
        let built = instrumented(build, &raw)?.quiet().read()?;
        programs.extend(executables(&built));
        instrumented(cmd!(sh, "cargo test --locked {suite...} -- --quiet"), &raw)?.run()?;
    }
    ensure!(programs.len() == 4, "cargo built {} test programs, not 4", programs.len());
    let profiles: Vec<PathBuf> = fs::read_dir(&raw)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let merged = folder.join("merged.profdata");
    cmd!(sh, "{profdata} merge --sparse --output {merged} {profiles...}").quiet().run()?;
    let (first, others) = programs.split_first().context("no test programs")?;
    let objects = others.iter().flat_map(|program| ["--object".to_owned(), program.clone()]);
    let lcov = cmd!(sh, "{cov} export {first} {objects...} --instr-profile {merged} --format lcov core/src");
    let lcov = lcov.quiet().ignore_stderr().read()?;
    fs::write(folder.join("lcov.info"), &lcov)?;
    judge(&read(&lcov, &sh.current_dir().join("core").join("src"))?, list)
}

fn instrumented<'a>(command: xshell::Cmd<'a>, raw: &Path) -> Result<xshell::Cmd<'a>> {
    let wrapper = env::current_exe()?;
    Ok(command
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env(WRAPPING, "1")
        .env("LLVM_PROFILE_FILE", raw.join("%p-%m.profraw"))
        // The same inputs each time: a floor must not depend on the dice.
        .env("PROPTEST_RNG_SEED", "1"))
}

/// Set when cargo calls this program in rustc's place.
const WRAPPING: &str = "HVPCI_XTASK_WRAPS_RUSTC";

/// Where cargo calls this program in rustc's place: calls rustc, with instrumentation.
pub fn wrap() -> Option<ExitCode> {
    env::var_os(WRAPPING)?;
    let mut line: Vec<OsString> = env::args_os().skip(1).collect();
    if line.is_empty() {
        return None;
    }
    let rustc = line.remove(0);
    // Cargo also asks rustc what it is, before it has anything compiled.
    let status = Command::new(rustc).args(line).arg("-Cinstrument-coverage").status();
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Some(ExitCode::from(code.unwrap_or(1)))
}

/// The programs that cargo's messages name.
fn executables(messages: &str) -> Vec<String> {
    let program = |line: &str| Some(line.split_once("\"executable\":\"")?.1.split_once('"')?.0.to_owned());
    messages.lines().filter_map(program).collect()
}

/// Reads an lcov trace: what ships, by file below `top`.
fn read(lcov: &str, top: &Path) -> Result<BTreeMap<String, Lines>> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let (mut name, mut shipped) = (None, 0);
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let path = Path::new(path);
            name = path.strip_prefix(top).ok().map(|below| below.display().to_string()).filter(|name| !is_test(name));
            shipped = if name.is_some() { shipped_lines(&fs::read_to_string(path)?) } else { 0 };
        }
        let (Some(name), Some(data)) = (&name, line.strip_prefix("DA:")) else { continue };
        let (number, count) = data.split_once(',').context("a DA line without a count")?;
        let number: usize = number.parse()?;
        if number > shipped {
            continue;
        }
        let lines = files.entry(name.clone()).or_default();
        lines.all = lines.all.saturating_add(1);
        if count.split(',').next() == Some("0") {
            lines.missed.push(number);
        }
    }
    Ok(files)
}

fn is_test(name: &str) -> bool {
    name.contains("tests/") || name.ends_with("tests.rs")
}

/// The lines before the file's `#[cfg(test)]`, which is the last thing in it.
fn shipped_lines(text: &str) -> usize {
    text.lines().position(|line| line == "#[cfg(test)]").unwrap_or(usize::MAX)
}

fn judge(files: &BTreeMap<String, Lines>, list: bool) -> Result<Option<String>> {
    let mut total = Lines::default();
    for (name, lines) in files {
        total.all = total.all.saturating_add(lines.all);
        total.missed.extend(&lines.missed);
        if list && !lines.missed.is_empty() || lines.percent() < WORTH_A_LOOK {
            eprintln!("  {name}: {:.1} %, not run: {}", lines.percent(), ranges(&lines.missed));
        }
    }
    ensure!(total.all > 3000, "only {} lines were seen: the measurement is broken", total.all);
    let percent = total.percent();
    eprintln!("  core: {percent:.2} % of {} lines are run by tests, the floor is {FLOOR} %", total.all);
    let below = format!("{percent:.2} % of the core's lines are run by tests, fewer than {FLOOR} %");
    Ok((percent < FLOOR).then_some(below))
}

/// Line numbers, runs of them put together.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.saturating_add(1) == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let texts: Vec<String> =
        runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ships_is_counted() {
        let folder = std::env::temp_dir().join(format!("hvpci-coverage-{}", std::process::id()));
        fs::create_dir_all(folder.join("bus/tests")).unwrap();
        fs::write(folder.join("a.rs"), "fn a() {\n}\n#[cfg(test)]\nmod tests {\n}\n").unwrap();
        fs::write(folder.join("bus/tests/b.rs"), "fn b() {}\n").unwrap();
        let at = folder.display();
        let lcov = format!(
            "SF:{at}/a.rs\nDA:1,3\nDA:2,0\nDA:4,0\nend_of_record\nSF:{at}/bus/tests/b.rs\nDA:1,0\nSF:/other.rs\nDA:1,0\n"
        );
        let files = read(&lcov, &folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["a.rs"]);
        assert_eq!((files["a.rs"].all, &files["a.rs"].missed[..]), (2, &[2][..]));
    }

    #[test]
    fn a_measurement_below_the_floor_is_a_failure() {
        let lines =
            |missed: usize| BTreeMap::from([("a.rs".into(), Lines { all: 4000, missed: (0..missed).collect() })]);
        assert_eq!(judge(&lines(200), false).unwrap(), None);
        assert!(judge(&lines(201), false).unwrap().is_some());
        assert!(judge(&BTreeMap::new(), false).is_err());
    }

    #[test]
    fn runs_of_lines() {
        assert_eq!(ranges(&[1, 3, 4, 5, 9]), "1 3-5 9");
    }
}
