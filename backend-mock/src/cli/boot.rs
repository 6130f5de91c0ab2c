//! `hvpci boot`.

use std::io::IsTerminal;
use std::path::Path;

use super::args::BootArguments;
use super::progress::Realtime;
use super::{ToolError, Tools, complain, print};
use crate::report::{Report, Silent};
use crate::scenario::{Diagnostic, Scenario};

pub(super) fn run(arguments: &BootArguments, tools: &Tools) -> Result<(), ToolError> {
    let report = boot(arguments, tools)?;
    show(arguments, &report)
}

/// Boots everything that was asked for.
fn boot(arguments: &BootArguments, tools: &Tools) -> Result<Report, ToolError> {
    let mut scenario = Scenario::load(&arguments.scenario)?;
    scenario.apply(&arguments.overrides())?;
    // Before minutes of real time are spent on what cannot be written.
    for (flag, path) in [("--plot", &arguments.plot), ("--trace", &arguments.trace)] {
        path.as_deref().map_or(Ok(()), |path| writable(flag, path))?;
    }

    let mut runs = Vec::new();
    for spec in &scenario.compare {
        let result = if arguments.realtime {
            let title = format!("{} + {}", spec.guest, spec.policy);
            let mut watch = Realtime::new(&title, scenario.function_names(), std::io::stderr().is_terminal());
            let result = (tools.boot)(&scenario, *spec, &mut watch);
            watch.finish();
            result
        } else {
            (tools.boot)(&scenario, *spec, &mut Silent)
        };
        runs.push(result.map_err(|error| match error {
            ToolError::Failed(why) => ToolError::Failed(format!("{spec}: {why}")),
            other => other,
        })?);
    }

    Ok(Report { scenario: scenario.name.clone(), subtitle: scenario.summary(), runs })
}

/// Writes what was asked for.
fn show(arguments: &BootArguments, report: &Report) -> Result<(), ToolError> {
    // Files first: a reader of stdout that has gone does not cost the picture.
    write_files(arguments, report)?;
    let text = if arguments.json { report.to_json().map_err(not_finite)? } else { report.to_text() };
    print(&text)
}

/// Writes picture and trace.
fn write_files(arguments: &BootArguments, report: &Report) -> Result<(), ToolError> {
    if let Some(path) = &arguments.plot {
        write(path, &report.to_svg())?;
    }
    if let Some(path) = &arguments.trace {
        write(path, &report.to_trace().map_err(not_finite)?)?;
    }
    Ok(())
}

fn not_finite(error: serde_json::Error) -> ToolError {
    ToolError::Failed(format!("the run's figures cannot be written: {error}"))
}

/// Whether `path` looks like a place for a file.
fn writable(flag: &str, path: &Path) -> Result<(), Diagnostic> {
    let help = format!("{flag} takes the path of a file to write, in a folder that exists");
    if path.is_dir() {
        return Err(Diagnostic::new(format!("{flag} {}: is a directory", path.display())).help(help));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Diagnostic::new(format!("{flag} {}: no such folder", path.display())).help(help));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), ToolError> {
    std::fs::write(path, text).map_err(|error| {
        Diagnostic::new(format!("cannot write {}: {error}", path.display()))
            .help("the path of a file that can be written")
    })?;
    complain(&format!("wrote {}\n", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Command};
    use crate::report::{Observer, RunResult, fixture};
    use crate::scenario::RunSpec;

    fn arguments(line: &str) -> BootArguments {
        match Arguments::try_parse_from(line.split(' ')).unwrap().command {
            Command::Boot(arguments) => arguments,
            _ => panic!("not boot"),
        }
    }

    fn pretend(scenario: &Scenario, spec: RunSpec, observer: &mut dyn Observer) -> Result<RunResult, ToolError> {
        observer.advance(hvpci_core::Time::from_nanos(1));
        if spec.guest == "windows" {
            return Err(ToolError::Failed("the guest never came up".into()));
        }
        Ok(fixture::run(spec.guest, spec.policy.name(), scenario.functions(), 1, scenario.host.parallel, 1.8))
    }

    const TOOLS: Tools =
        Tools { boot: pretend, show: |_, _, _| Ok(()), replay: |_, _, _| Err(ToolError::Failed(String::new())) };

    #[test]
    fn every_pair_is_run_in_order_with_the_flags_applied() {
        let report = boot(&arguments("hvpci boot --functions 3 --guest linux-6.12 --realtime"), &TOOLS).unwrap();
        let runs: Vec<(&str, u32)> = report.runs.iter().map(|run| (run.policy.as_str(), run.functions)).collect();
        assert_eq!(runs, [("deferred", 3), ("absorbing", 3), ("prefetch", 3)]);
        assert_eq!(report.scenario, "azure-14-gpu");
        assert!(report.subtitle.starts_with("3 functions"));
    }

    #[test]
    fn a_failed_run_is_named() {
        let error = boot(&arguments("hvpci boot"), &TOOLS).unwrap_err();
        assert!(
            matches!(&error, ToolError::Failed(why) if why == "windows+deferred: the guest never came up"),
            "{error}"
        );
    }

    #[test]
    fn pictures_and_traces_are_written() {
        let folder = std::env::temp_dir().join(format!("hvpci-boot-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (svg, json) = (folder.join("a.svg"), folder.join("a.json"));
        let line = format!("hvpci boot --policy prefetch --plot {} --trace {}", svg.display(), json.display());
        let arguments = arguments(&line);
        let report = boot(&arguments, &TOOLS).unwrap();
        write_files(&arguments, &report).unwrap();
        assert!(std::fs::read_to_string(&svg).unwrap().contains("prefetch"));
        assert!(std::fs::read_to_string(&json).unwrap().contains("traceEvents"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
