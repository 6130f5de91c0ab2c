//! `loader`: runs scenarios against a driver, each in a process of its own.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hvpci_loader::fail::{self, Verdict};
use hvpci_loader::{scenario, world};

const USAGE: &str = "\
usage: loader list
       loader run FILE SCENARIO[:STEP] [--fail-at N | --fail-from N] [--jitter SEED] [--verbose]   one run, in this process
       loader all FILE [PREFIX...]                                 every scenario, each step in its own process
       loader allocations FILE                                     every allocation fails in turn; then it and all later ones
       loader jitter FILE COUNT PREFIX...                          those scenarios, each with COUNT seeds of jitter
       loader expect FILE SCENARIO VERDICT                         the run has to end with this verdict
";

/// Real time a run may take before it counts as hung: seconds would do, but for machines that are busy. Virtual time costs none.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let good = match words.as_slice() {
        ["list"] => list(),
        ["run", file, name, options @ ..] => run(file, name, options),
        ["all", file, prefixes @ ..] => all(file, prefixes),
        ["allocations", file] => allocations(file),
        ["jitter", file, count, prefixes @ ..] => jitter(file, count, prefixes),
        ["expect", file, name, verdict] => expect(file, name, verdict),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list() -> bool {
    for scenario in scenario::all() {
        let steps = if scenario.steps > 1 { format!(" ({} steps)", scenario.steps) } else { String::new() };
        println!("{:18} {}{steps}", scenario.name, scenario.about);
    }
    true
}

fn run(file: &str, name: &str, options: &[&str]) -> bool {
    let (name, step) = name.split_once(':').unwrap_or((name, "1"));
    let Some(found) = scenario::all().find(|scenario| scenario.name == name) else {
        eprintln!("no scenario {name}; see `loader list`");
        return false;
    };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "--verbose" => fail::loud(true),
            "--fail-at" | "--fail-from" | "--jitter" => {
                let Some(at) = options.next().and_then(|at| at.parse::<u32>().ok()) else {
                    eprintln!("{option} needs a number");
                    return false;
                };
                world::with(|world| match *option {
                    "--jitter" => world::start_jitter(at.into()),
                    "--fail-at" => world.allocations.fail_at = at,
                    _ => world.allocations.fail_from = at,
                });
            }
            other => {
                eprintln!("unknown option {other}");
                return false;
            }
        }
    }
    (found.run)(file, step.parse().unwrap_or(1));
    println!("passed {name}:{step}");
    let _ = std::io::stdout().flush();
    // Threads of the machine still wait; nothing of them is wanted.
    std::process::exit(0)
}

/// How a run in a process of its own ended.
struct Ended {
    verdict: Option<Verdict>,
    code: Option<i32>,
    output: String,
    seconds: f64,
}

impl Ended {
    fn passed(&self) -> bool {
        self.code == Some(0)
    }

    fn word(&self) -> String {
        match (self.verdict, self.code) {
            (Some(verdict), _) => format!("{verdict:?}"),
            (None, Some(0)) => "passed".to_owned(),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "killed by a signal".to_owned(),
        }
    }
}

fn child(file: &str, name: &str, options: &[&str]) -> Ended {
    let began = Instant::now();
    let ended = |verdict, code, output: String| Ended { verdict, code, output, seconds: began.elapsed().as_secs_f64() };
    let own = std::env::current_exe().unwrap_or_else(|_| "loader".into());
    let log = tempfile();
    let Ok((path, out)) = log else { return ended(None, None, "no temporary file".to_owned()) };
    let Ok(error) = out.try_clone() else { return ended(None, None, "no temporary file".to_owned()) };
    let started = Command::new(own)
        .args(["run", file, name])
        .args(options)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(error)
        .spawn();
    let Ok(mut process) = started else { return ended(None, None, "the loader cannot start itself".to_owned()) };
    let code = loop {
        match process.try_wait() {
            Ok(Some(status)) => break status.code(),
            Ok(None) if began.elapsed() > PATIENCE => {
                let _ = process.kill();
                let _ = process.wait();
                break Some(Verdict::TimedOut as i32);
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => break None,
        }
    };
    let output = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    ended(code.and_then(Verdict::from_code), code, output)
}

/// A file of this process and run.
fn tempfile() -> std::io::Result<(std::path::PathBuf, std::fs::File)> {
    static NEXT: Mutex<u32> = Mutex::new(0);
    let number = {
        let mut next = NEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *next += 1;
        *next
    };
    let path = std::env::temp_dir().join(format!("hvpci-loader-{}-{number}.log", std::process::id()));
    let file = std::fs::File::create(&path)?;
    Ok((path, file))
}

/// Runs all jobs, two at a time, and says how each ended.
fn many(file: &str, jobs: &[(String, Vec<String>)]) -> bool {
    let next = Mutex::new(0_usize);
    let failed = Mutex::new(0_u32);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = {
                        let mut next = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        *next += 1;
                        *next - 1
                    };
                    let Some((name, options)) = jobs.get(at) else { return };
                    let options: Vec<&str> = options.iter().map(String::as_str).collect();
                    let ended = child(file, name, &options);
                    let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let title = format!("{name} {}", options.join(" "));
                    // The reason on the same line: of a long output only some may be kept.
                    let why = if ended.passed() { "" } else { ended.output.lines().last().unwrap_or_default() };
                    let line = format!("{:10} {:30} {:.2} s  {why}", ended.word(), title.trim_end(), ended.seconds);
                    println!("{}", line.trim_end());
                    if !ended.passed() {
                        *failed += 1;
                        println!("{}", indent(&ended.output));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or(u32::MAX);
    println!("{} run(s), {failed} failed", jobs.len());
    failed == 0 && !jobs.is_empty()
}

fn indent(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(25);
    lines[last..].iter().map(|line| format!("    {line}\n")).collect()
}

fn all(file: &str, prefixes: &[&str]) -> bool {
    // `bare` is for drivers that show no children.
    let wanted = |name: &str| {
        if prefixes.is_empty() { name != "bare" } else { prefixes.iter().any(|prefix| name.starts_with(prefix)) }
    };
    let scenarios = scenario::all().filter(|scenario| wanted(scenario.name));
    let jobs: Vec<(String, Vec<String>)> = scenarios
        .flat_map(|scenario| (1..=scenario.steps).map(move |step| (format!("{}:{step}", scenario.name), Vec::new())))
        .collect();
    many(file, &jobs)
}

/// Other orders of events than those that this machine comes to by itself.
fn jitter(file: &str, count: &str, prefixes: &[&str]) -> bool {
    let Ok(count) = count.parse::<u32>() else {
        eprint!("{USAGE}");
        return false;
    };
    let wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let named = scenario::all().filter(|scenario| wanted(scenario.name));
    let steps = named.flat_map(|scenario| (1..=scenario.steps).map(move |step| format!("{}:{step}", scenario.name)));
    let seeded =
        |name: String| (1..=count).map(move |seed| (name.clone(), vec!["--jitter".to_owned(), seed.to_string()]));
    many(file, &steps.flat_map(seeded).collect::<Vec<_>>())
}

fn allocations(file: &str) -> bool {
    let whole = child(file, "allocation", &[]);
    let count = whole.output.lines().find_map(|line| line.strip_prefix("allocations: ")?.parse::<u32>().ok());
    let (true, Some(count)) = (whole.passed(), count) else {
        println!("without a failing allocation: {}\n{}", whole.word(), indent(&whole.output));
        return false;
    };
    println!("{count} allocations from load to unload; each fails alone, and with all that come after it");
    let job = |way: &str, at: u32| ("allocation".to_owned(), vec![way.to_owned(), at.to_string()]);
    let ways = ["--fail-at", "--fail-from"];
    let jobs: Vec<(String, Vec<String>)> =
        ways.iter().flat_map(|way| (1..=count).map(move |at| job(way, at))).collect();
    many(file, &jobs)
}

fn expect(file: &str, name: &str, verdict: &str) -> bool {
    let ended = child(file, name, &[]);
    let line = ended.output.lines().last().unwrap_or_default().to_owned();
    let good = ended.word().eq_ignore_ascii_case(verdict);
    println!("{} {name}: {} ({line})", if good { "caught" } else { "NOT CAUGHT" }, ended.word());
    good
}
