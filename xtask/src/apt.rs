//! Debian packages a lane needs.

use xshell::{Shell, cmd};

/// Makes sure that `packages` are installed. The error says what a person has to do.
pub fn ensure(sh: &Shell, packages: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !is_installed(sh, p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let wanted = missing.join(" ");
    let hint = format!("it needs the Debian packages: {wanted} (apt-get install {wanted})");
    if !works(sh, "apt-get", &["--version"]) {
        return Err(format!("{hint}, and this machine has no apt-get"));
    }
    // Without a terminal nobody can answer sudo's question.
    let root = cmd!(sh, "id -u").quiet().read().is_ok_and(|id| id == "0");
    let prefix: &[&str] = if root { &[] } else { &["sudo", "-n"] };
    if !root && !works(sh, "sudo", &["-n", "true"]) {
        return Err(format!("{hint}, and this user may not install them"));
    }
    eprintln!("installing {wanted}");
    for arguments in
        [&["apt-get", "update", "-qq"][..], &["apt-get", "install", "-y", "-qq", "--no-install-recommends"]]
    {
        let mut line: Vec<&str> = [prefix, arguments].concat();
        if arguments.contains(&"install") {
            line.extend(&missing);
        }
        let (program, rest) = (line[0], &line[1..]);
        let done =
            cmd!(sh, "{program} {rest...}").env("DEBIAN_FRONTEND", "noninteractive").quiet().ignore_stdout().run();
        if let Err(error) = done {
            return Err(format!("{hint}, and installing them failed: {error}"));
        }
    }
    Ok(())
}

fn is_installed(sh: &Shell, package: &str) -> bool {
    let format = "--showformat=${Status}";
    let state = cmd!(sh, "dpkg-query --show {format} {package}").quiet().ignore_stderr().read();
    state.is_ok_and(|s| s == "install ok installed")
}

fn works(sh: &Shell, program: &str, arguments: &[&str]) -> bool {
    cmd!(sh, "{program} {arguments...}").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}
