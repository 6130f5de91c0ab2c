//! The command as users meet it: bad input gives one screen on stderr and exit code 2.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn hvpci(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hvpci")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A file of its own for each test, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Scratch {
        let path = std::env::temp_dir().join(format!("hvpci-cli-{}-{name}", std::process::id()));
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        Scratch(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[track_caller]
fn assert_refused(arguments: &[&str], parts: &[&str]) {
    let output = hvpci(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    assert!(stderr.lines().count() <= 24, "more than a screen:\n{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in:\n{stderr}");
    }
}

#[test]
fn bad_flags() {
    assert_refused(&["boot", "--functions", "0"], &["--functions 0", "1 to 1024"]);
    assert_refused(&["boot", "--functions", "-1"], &["-1"]);
    assert_refused(&["boot", "--functions", "many"], &["many", "--functions"]);
    assert_refused(&["boot", "--functions", "600"], &["need 75 TiB", "63.99 TiB"]);
    assert_refused(&["boot", "--per-bus", "257"], &["--per-bus 257", "1 to 256"]);
    assert_refused(&["boot", "--host-parallel", "0"], &["--host-parallel 0"]);
    assert_refused(&["boot", "--bar", "100G"], &["no power of two", "64 GiB or 128 GiB"]);
    assert_refused(&["boot", "--bar", "8"], &["8 B is out of range", "16 B to 64 TiB"]);
    assert_refused(&["boot", "--bar", "lots"], &["`lots` is no size"]);
    assert_refused(&["boot", "--guest", "dos"], &["dos", "linux-5.18", "windows"]);
    assert_refused(&["boot", "--policy", "lazy"], &["lazy", "eager, deferred, absorbing, prefetch"]);
    assert_refused(&["boot", "--jsn"], &["--jsn", "--json"]);
    assert_refused(&["boot", "mixed", "--functions", "2"], &["--functions", "3 groups (gpu, nvme, nic)"]);
    assert_refused(&["boot", "--plot", "no/such/folder/a.svg"], &["--plot", "no such folder"]);
    assert_refused(&["boot", "--trace", "."], &["--trace", "is a directory"]);
    assert_refused(&["bot"], &["bot", "boot"]);
}

#[test]
fn bad_scenarios() {
    assert_refused(&["boot", "no-such-vm.toml"], &["no-such-vm.toml: no such file", "azure-14-gpu, nvme-8, mixed"]);
    assert_refused(&["boot", "."], &["is a directory"]);
    let file = Scratch::new("bar.toml", b"[[group]]\ndevice = \"gpu\"\nbars = [\"100G\"]\n");
    assert_refused(&["boot", file.path()], &["bar.toml:3:9", "100 GiB is no power of two", "^^^^^^", "allowed: "]);
    let file = Scratch::new("key.toml", b"[[group]]\nfunctons = 14\n");
    assert_refused(
        &["boot", file.path()],
        &["key.toml:2:1", "unknown key `functons`", "allowed: name, device, functions"],
    );
    let file = Scratch::new("syntax.toml", b"[[group]]\nbars = [\"1G\"\nfunctions = 2\n");
    assert_refused(&["boot", file.path()], &["syntax.toml:", "not TOML"]);
    let file = Scratch::new("binary.toml", b"name = \"\xFF\xFE\"\n");
    assert_refused(&["boot", file.path()], &["binary.toml:1:9", "not UTF-8"]);
    let file = Scratch::new("zeros.toml", &[0; 4096]);
    assert_refused(&["boot", file.path()], &["zeros.toml:1:"]);
    let file = Scratch::new("big.toml", &vec![b'#'; (1 << 20) + 1]);
    assert_refused(&["boot", file.path()], &["more than 1 MiB"]);
    let file = Scratch::new(
        "deep.toml",
        "a=".bytes().chain(std::iter::repeat_n(b'[', 100_000)).collect::<Vec<_>>().as_slice(),
    );
    assert_refused(&["boot", file.path()], &["deep.toml:1:"]);
    #[cfg(unix)]
    assert_refused(&["boot", "/dev/zero"], &["/dev/zero: more than 1 MiB"]);
}

#[test]
fn bad_recordings() {
    for command in ["show", "replay"] {
        assert_refused(&[command, "no-such.trace.txt"], &["no-such.trace.txt: no such file", "*.trace.txt"]);
        let file = Scratch::new(&format!("{command}.trace.txt"), b"\x80\x81");
        assert_refused(&[command, file.path()], &[":1:1", "not UTF-8"]);
    }
    assert_refused(&["replay", "x", "--policy", "lazy"], &["lazy", "eager, deferred, absorbing, prefetch"]);
    assert_refused(&["show"], &["<FILE>"]);
}

/// A golden recording with one of its lines changed.
fn recording(name: &str, from: &str, to: &str) -> Scratch {
    let golden = include_str!("../../tests/data/stock-pci-hyperv-6.1-on-openvmm.trace.txt");
    Scratch::new(name, golden.replacen(from, to, 1).as_bytes())
}

#[test]
fn a_replay_that_differs_exits_with_1_and_says_where() {
    let file = recording("same.trace.txt", "", "");
    for format in [&["replay", file.path()][..], &["replay", file.path(), "--json"]] {
        let same = hvpci(format);
        assert_eq!((same.status.code(), same.stderr.as_slice()), (Some(0), &b""[..]));
    }
    let file = recording("differs.trace.txt", "07004942", "77004942");
    let differs = hvpci(&["replay", file.path()]);
    let stdout = String::from_utf8(differs.stdout).unwrap();
    assert_eq!(differs.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains(&format!("{}:11: a request of no known kind", file.path())), "{stdout}");
    assert!(String::from_utf8(differs.stderr).unwrap().contains("mismatches 0, message errors 1"));
    let json = hvpci(&["replay", file.path(), "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), &value["message_errors"]), (Some(1), &1.into()));
}

#[test]
fn help_and_version_are_no_errors() {
    let version = hvpci(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("hvpci {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [&["--help"][..], &["boot", "--help"], &["show", "--help"], &["replay", "--help"], &["boot", "-h"]]
    {
        let help = hvpci(arguments);
        assert_eq!((help.status.code(), help.stderr.as_slice()), (Some(0), &b""[..]));
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
    let help = String::from_utf8(hvpci(&["boot", "--help"]).stdout).unwrap();
    for word in ["--host-parallel", "[[group]]", "Examples:", "prefetch"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn without_a_subcommand_the_usage_is_shown() {
    let output = hvpci(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage: hvpci"));
}

/// A reader that has gone must not make the command panic.
#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_panic() {
    for arguments in [&["--help"][..], &["boot", "--json"], &["boot", "--bar", "7"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hvpci"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{arguments:?}");
        assert!(output.status.code().is_some(), "{arguments:?}: killed");
    }
}

#[test]
fn a_slow_host_is_waited_for() {
    // All maps one after the other, or one of them, take longer than the minute that other answers get.
    for arguments in [
        &["boot", "--functions", "64", "--guest", "linux-6.12", "--policy", "prefetch", "--json"][..],
        &["boot", "--functions", "1", "--bar", "8T", "--guest", "windows", "--policy", "deferred", "--json"],
    ] {
        let output = hvpci(arguments);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(stdout.contains("\"unmaps\": 0") && stdout.contains("\"host_map_seconds\": 115.2"), "{stdout}");
    }
}

#[test]
fn a_host_of_new_versions_only_boots() {
    let file = Scratch::new("v16.toml", b"[host]\nversions = [\"1.6\"]\n[[group]]\nbars = [\"1G\"]\n");
    let output = hvpci(&["boot", file.path()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
