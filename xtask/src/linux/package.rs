//! The module as it is installed: `make check`, and the tarball for DKMS, built by DKMS without a network and signed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::build::Modules;
use super::kernel::Kernel;

/// Whoever signs in the test.
const SIGNER: &str = "hvpci test key";
/// The fields of modinfo in which two builds of the same source must not differ.
const FIELDS: &[&str] =
    &["vermagic", "version", "license", "description", "author", "depends", "parm", "alias", "srcversion"];

/// The problems found, each in one line.
pub fn check(sh: &Shell, kernel: &Kernel, modules: &Modules, backend: &Path) -> Result<Vec<String>> {
    let Some(ours) = &modules.ours else { return Ok(Vec::new()) };
    let mut problems = make_check(sh, kernel, modules, backend)?;
    problems.extend(dkms(sh, kernel, ours, backend).context("DKMS")?);
    Ok(problems.into_iter().map(|problem| format!("{}: {problem}", kernel.release)).collect())
}

/// objtool, W=1, barriers, names to trace, size beside the distribution's: backend-linux/check.sh.
fn make_check(sh: &Shell, kernel: &Kernel, modules: &Modules, backend: &Path) -> Result<Vec<String>> {
    let (headers, stock) = (&kernel.headers, &modules.stock);
    let output = sh.current_dir().join("target/kernels/ours");
    let made = cmd!(sh, "make -C {backend} check KDIR={headers} OUT={output} STOCK={stock} CARGO_FLAGS=--quiet")
        .env("PATH", path())
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .env_remove("CARGO")
        .quiet()
        .ignore_status()
        .output()?;
    let said = String::from_utf8_lossy(&made.stderr);
    let lines = said.lines().filter_map(|line| line.strip_prefix("check: ")).map(str::to_string);
    if made.status.success() {
        lines.for_each(|line| eprintln!("  {}: {line}", kernel.release));
        return Ok(Vec::new());
    }
    Ok(vec![format!("make check: {}", lines.collect::<Vec<_>>().join("; "))])
}

/// Adds and builds the tarball with `dkms`, in trees of its own, in an environment without a network or a home.
fn dkms(sh: &Shell, kernel: &Kernel, ours: &Path, backend: &Path) -> Result<Vec<String>> {
    let work = kernel.directory.join("dkms");
    sh.remove_path(&work)?;
    for part in ["sources", "tree", "installed"] {
        sh.create_dir(work.join(part))?;
    }
    let archive = cmd!(sh, "make --silent -C {backend} dkms-tarball OUT={work}")
        .env("PATH", path())
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .env_remove("CARGO")
        .quiet()
        .read()?;
    let archive = Path::new(archive.lines().last().unwrap_or_default());
    let sources = work.join("sources");
    cmd!(sh, "tar -xzf {archive} -C {sources}").quiet().run()?;
    let version = modinfo(sh, ours, "version")?;
    let (key, certificate) = (work.join("key.pem"), work.join("certificate.der"));
    let subject = format!("/CN={SIGNER}/");
    cmd!(sh, "openssl req -new -x509 -newkey rsa:2048 -nodes -days 2 -subj {subject} -outform DER -keyout {key} -out {certificate}")
        .quiet()
        .ignore_stderr()
        .run()?;
    let signer = sign_file(kernel)?;
    for verb in ["add", "build"] {
        let mut line = cmd!(sh, "dkms {verb} -m hvpci -v {version}").arg("--dkmstree").arg(work.join("tree"));
        line = line.arg("--sourcetree").arg(&sources).arg("--installtree").arg(work.join("installed"));
        if verb == "build" {
            line = line.args(["-k", &kernel.release]).arg("--kernelsourcedir").arg(&kernel.headers);
        }
        let done = line
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", work.join("nobody"))
            // Nothing listens there.
            .env("https_proxy", "http://127.0.0.1:1")
            .env("http_proxy", "http://127.0.0.1:1")
            // What a person writes into /etc/dkms/framework.conf.
            .env("sign_file", &signer)
            .env("mok_signing_key", &key)
            .env("mok_certificate", &certificate)
            .quiet()
            .ignore_status()
            .output()?;
        if !done.status.success() {
            let log =
                find(&work.join("tree"), "make.log").and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
            let said = format!("{}{log}", String::from_utf8_lossy(&done.stderr));
            let last: Vec<&str> = said.lines().rev().take(12).collect();
            return Ok(vec![format!("dkms {verb}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" | "))]);
        }
    }
    let Some(built) = find(&work.join("tree"), "hvpci.ko").or_else(|| find(&work.join("tree"), "hvpci.ko.xz")) else {
        return Ok(vec!["dkms built no hvpci.ko".to_string()]);
    };
    let mut problems = Vec::new();
    let magic = modinfo(sh, &built, "vermagic")?;
    if magic.split(' ').next() != Some(kernel.release.as_str()) {
        problems.push(format!("DKMS's module has the version magic {magic:?}"));
    }
    for field in FIELDS {
        let (theirs, wanted) = (modinfo(sh, &built, field)?, modinfo(sh, ours, field)?);
        if theirs != wanted {
            problems.push(format!("DKMS's module has {field} {theirs:?}, make's {wanted:?}"));
        }
    }
    if modinfo(sh, &built, "signer")? != SIGNER {
        problems.push(format!("DKMS's module is signed by {:?}", modinfo(sh, &built, "signer")?));
    }
    problems.extend(signing(sh, &work, ours, &signer, &key, &certificate)?);
    if problems.is_empty() {
        let packed = fs::metadata(archive)?.len() / 1024;
        eprintln!("  {}: {packed} KiB of tarball, built and signed by DKMS without a network", kernel.release);
    }
    Ok(problems)
}

/// Signs a module by hand, as docs/install-linux.md has it, and holds the signature against the module.
fn signing(sh: &Shell, work: &Path, ours: &Path, signer: &Path, key: &Path, certificate: &Path) -> Result<Vec<String>> {
    let (signed, plain) = (work.join("signed.ko"), fs::read(ours)?);
    let mut problems = Vec::new();
    cmd!(sh, "{signer} sha256 {key} {certificate} {ours} {signed}").quiet().run()?;
    for (field, wanted) in [("signer", SIGNER), ("sig_id", "PKCS#7"), ("sig_hashalgo", "sha256")] {
        let said = modinfo(sh, &signed, field)?;
        if said != wanted {
            problems.push(format!("the module signed by hand has {field} {said:?}, not {wanted:?}"));
        }
    }
    // The module, the PKCS#7 message, twelve bytes of which the last four are its length, and the mark.
    const MARK: &[u8] = b"~Module signature appended~\n";
    let bytes = fs::read(&signed)?;
    let message = bytes.strip_suffix(MARK).and_then(|rest| {
        let (rest, info) = rest.split_at_checked(rest.len().checked_sub(12)?)?;
        let length = u32::from_be_bytes(info.last_chunk::<4>().copied()?);
        rest.split_at_checked(rest.len().checked_sub(usize::try_from(length).ok()?)?)
    });
    let Some((module, message)) = message else {
        problems.push("the module signed by hand has no signature".to_string());
        return Ok(problems);
    };
    if module != plain {
        problems.push("signing changed the module".to_string());
    }
    let file = work.join("signature.p7s");
    fs::write(&file, message)?;
    let verify = |content: &[u8]| -> Result<bool> {
        let content_file = work.join("content");
        fs::write(&content_file, content)?;
        let line = cmd!(sh, "openssl cms -verify -binary -inform DER -in {file} -content {content_file} -noverify");
        let line = line.args(["-certfile"]).arg(work.join("certificate.pem")).args(["-out", "/dev/null"]);
        Ok(line.quiet().ignore_stderr().ignore_status().output()?.status.success())
    };
    let pem = work.join("certificate.pem");
    cmd!(sh, "openssl x509 -inform DER -in {certificate} -out {pem}").quiet().run()?;
    let mut other = plain.clone();
    if let Some(byte) = other.get_mut(plain.len() / 2) {
        *byte ^= 1;
    }
    if !verify(&plain)? {
        problems.push("the signature does not fit the module".to_string());
    }
    if verify(&other)? {
        problems.push("the signature fits another module as well".to_string());
    }
    Ok(problems)
}

/// The tool of linux-kbuild, as it was unpacked.
fn sign_file(kernel: &Kernel) -> Result<PathBuf> {
    let library = kernel.directory.join("root/usr/lib");
    let kbuild = fs::read_dir(&library)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("linux-kbuild-")));
    Ok(kbuild.with_context(|| format!("no linux-kbuild in {}", library.display()))?.join("scripts/sign-file"))
}

fn modinfo(sh: &Shell, module: &Path, field: &str) -> Result<String> {
    Ok(cmd!(sh, "modinfo -F {field} {module}").env("PATH", path()).quiet().read()?.trim().to_string())
}

/// A file below a directory.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let here = entries.iter().find(|path| path.is_file() && path.file_name().is_some_and(|file| file == name));
    // Links lead back to the sources.
    let below = || entries.iter().filter(|path| path.is_dir() && !path.is_symlink()).find_map(|path| find(path, name));
    here.cloned().or_else(below)
}

/// Debian's own compiler, and the directories that a person's PATH may lack.
fn path() -> String {
    format!("/usr/bin:{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}
