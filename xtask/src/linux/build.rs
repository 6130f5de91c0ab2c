//! The kernel modules: the stand-in, the test driver, ours.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::crc;
use super::kernel::{Kernel, Series};

const TARGET: &str = "x86_64-unknown-none";

/// What the kernel's own Rust code is built with, and -Zplt: without it the object has relocations the module loader
/// refuses (`reference/linux-kernel.md` section 1).
const FLAGS: &str = "-Ccode-model=kernel -Crelocation-model=static -Cno-redzone=y -Cforce-frame-pointers=y \
    -Cforce-unwind-tables=n -Csymbol-mangling-version=v0 -Cjump-tables=n -Zcf-protection=branch \
    -Zfunction-return=thunk-extern -Zretpoline-external-thunk -Zindirect-branch-cs-prefix -Ztune-cpu=generic \
    -Zfunction-sections=n -Zplt=yes -Zpatchable-function-entry=16,16";

/// KASAN's checks by calls, of heap, stack and globals; the offset is the one of x86-64.
const KASAN_FLAGS: &str = "-Zsanitizer=kernel-address -Zsanitizer-recover=kernel-address \
    -Cllvm-args=-asan-mapping-offset=0xdffffc0000000000 -Cllvm-args=-asan-instrumentation-with-call-threshold=0 \
    -Cllvm-args=-asan-stack=1 -Cllvm-args=-asan-globals=1 -Cllvm-args=-asan-kernel-mem-intrinsic-prefix=1";

/// What is built of `tests/linux/driver`.
const DRIVERS: [&str; 4] = ["hvpci_testdrv.ko", "hvpci_holder.ko", "hvpci_scarce.ko", "hvpci_racer.ko"];

/// Files that go into the test kernel.
#[derive(Clone, Debug)]
pub struct Modules {
    pub standin: PathBuf,
    /// What uses the functions, or is in the way: `tests/linux/driver`.
    pub drivers: Vec<PathBuf>,
    pub stock: PathBuf,
    pub interface: PathBuf,
    /// virtio's, for a disk to hibernate to.
    pub disk: Vec<PathBuf>,
    pub ours: Option<PathBuf>,
}

/// The mock host as one relocatable object, instrumented or not.
pub fn standin_object(sh: &Shell, kasan: bool) -> Result<PathBuf> {
    let (directory, flags) = match kasan {
        true => ("rust-kasan", format!("{FLAGS} {KASAN_FLAGS}")),
        false => ("rust", FLAGS.to_string()),
    };
    let output = sh.current_dir().join("target").join("kernels").join(directory);
    let manifest = sh.current_dir().join("tests/linux/standin/rust/Cargo.toml");
    let path = format!("/usr/bin:{}", env::var("PATH").unwrap_or_default());
    cmd!(sh, "/usr/bin/cargo build --quiet --release --locked --manifest-path {manifest}")
        .args(["-Zbuild-std=core,alloc", "--target", TARGET, "--target-dir"])
        .arg(&output)
        .env("PATH", path)
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .quiet()
        .run()?;
    let archive = output.join(TARGET).join("release/libhvpci_standin.a");
    // With fat LTO one member holds everything; the others are compiler_builtins', which the kernel must not get.
    let members = cmd!(sh, "ar t {archive}").quiet().read()?;
    let Some(member) = members.lines().find(|name| name.starts_with("hvpci_standin-")) else {
        bail!("{} has no object of the stand-in", archive.display());
    };
    let _there = sh.push_dir(&output);
    cmd!(sh, "ar x {archive} {member}").quiet().run()?;
    let object = output.join("rust.bin.o");
    cmd!(sh, "ld -r -o {object} {member}").quiet().run()?;
    sh.remove_path(member)?;
    instrumented(sh, &object, kasan)?;
    Ok(object)
}

/// An object without KASAN's calls would pass every case on the debug kernel.
fn instrumented(sh: &Shell, object: &Path, wanted: bool) -> Result<()> {
    let symbols = cmd!(sh, "nm --undefined-only {object}").quiet().read()?;
    if symbols.contains("__asan_load8_noabort") != wanted {
        bail!("{} is {}instrumented by KASAN", object.display(), if wanted { "not " } else { "" });
    }
    Ok(())
}

/// The stand-in and the test drivers for a kernel, and the distribution's own modules unpacked.
pub fn modules(sh: &Shell, kernel: &Kernel, object: &Path) -> Result<Modules> {
    let sources = sh.current_dir().join("tests/linux");
    let build = kernel.directory.join("build");
    let standin = build.join("standin");
    for part in ["standin", "driver"] {
        sh.create_dir(build.join(part))?;
        for file in sh.read_dir(sources.join(part))?.iter().filter(|path| path.is_file()) {
            copy_if_changed(file, &build.join(part))?;
        }
    }
    copy_if_changed(object, &standin)?;
    let headers = &kernel.headers;
    for part in ["standin", "driver"] {
        let directory = build.join(part);
        let made = cmd!(sh, "make --silent -C {headers} M={directory} modules").quiet().output()?;
        let said = String::from_utf8_lossy(&made.stderr);
        // objtool and modpost only warn; a warning here is a crash there
        if let Some(warning) = said.lines().find(|line| line.contains("warning:")) {
            bail!("{part}: {warning}");
        }
    }
    let ready = build.join("ready");
    sh.create_dir(&ready)?;
    let module = ready.join("hv_vmbus.ko");
    sh.copy_file(standin.join("hv_vmbus.ko"), &module)?;
    // the debug kernel's symbols have no versions
    if kernel.series != Series::Debug {
        let symvers = fs::read_to_string(headers.join("Module.symvers"))?;
        let patched =
            crc::adopt(&module, &symvers, "drivers/hv/hv_vmbus").context("adopting the distribution's CRCs")?;
        eprintln!("{}: stand-in ready, {patched} symbol versions adopted", kernel.release);
    }
    let mut drivers = Vec::new();
    for name in DRIVERS {
        sh.copy_file(build.join("driver").join(name), &ready)?;
        drivers.push(ready.join(name));
    }
    Ok(Modules {
        standin: module,
        drivers,
        stock: unpack(sh, kernel, &ready, "drivers/pci/controller/pci-hyperv.ko")?,
        interface: unpack(sh, kernel, &ready, "drivers/pci/controller/pci-hyperv-intf.ko")?,
        disk: disk(sh, kernel, &ready)?,
        ours: None,
    })
}

/// hvpci.ko as `backend`'s Makefile builds it; `None` while it has none.
pub fn ours(sh: &Shell, kernel: &Kernel, backend: &Path) -> Result<Option<PathBuf>> {
    if !backend.join("Makefile").exists() {
        eprintln!("{} has no Makefile: only the distribution's driver is run", backend.display());
        return Ok(None);
    }
    let output = sh.current_dir().join("target/kernels/ours");
    make_ours(sh, kernel, backend, &output, "modules")?;
    let object = output.join(if kernel.series.has_kasan() { "kasan" } else { "" }).join("rust.bin.o");
    instrumented(sh, &object, kernel.series.has_kasan())?;
    let built = output.join(&kernel.release).join("hvpci.ko");
    let ready = kernel.directory.join("build/ready/hvpci.ko");
    sh.copy_file(built, &ready)?;
    Ok(Some(ready))
}

/// Clippy of the half that only the kernel's target compiles.
pub fn clippy_ours(sh: &Shell, kernel: &Kernel, backend: &Path) -> Result<()> {
    make_ours(sh, kernel, backend, &sh.current_dir().join("target/kernels/ours"), "clippy").map(drop)
}

/// Runs `backend`'s Makefile; what it had to say. A warning is an error: in objtool's mouth it is a crash there.
fn make_ours(sh: &Shell, kernel: &Kernel, backend: &Path, output: &Path, target: &str) -> Result<String> {
    let headers = &kernel.headers;
    // not --silent: check.sh looks for what the kernel's build says it does
    let made = cmd!(sh, "make -C {backend} KDIR={headers} OUT={output} CARGO_FLAGS=--quiet {target}")
        .env("PATH", format!("/usr/bin:{}", env::var("PATH").unwrap_or_default()))
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .env_remove("CARGO")
        .ignore_status()
        .output()?;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    if !made.status.success() {
        let mut end: Vec<&str> = said.lines().rev().take(20).collect();
        end.reverse();
        bail!("{} {target}: {}", backend.display(), end.join("\n"));
    }
    if let Some(warning) = said.lines().find(|line| line.contains("warning:")) {
        bail!("hvpci: {warning}");
    }
    Ok(said)
}

/// What a virtio disk needs, in the order of loading; a kernel has some of it built in.
const DISK: &[&str] = &[
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/block/virtio_blk.ko",
];

fn disk(sh: &Shell, kernel: &Kernel, into: &Path) -> Result<Vec<PathBuf>> {
    let is_module = |name: &str| ["", ".xz"].iter().any(|end| kernel.modules.join(format!("{name}{end}")).exists());
    DISK.iter().filter(|name| is_module(name)).map(|name| unpack(sh, kernel, into, name)).collect()
}

/// A module of the distribution, decompressed.
fn unpack(sh: &Shell, kernel: &Kernel, into: &Path, module: &str) -> Result<PathBuf> {
    let packed = kernel.modules.join(module);
    let file = into.join(packed.file_name().unwrap_or_default());
    if packed.exists() {
        sh.copy_file(&packed, &file)?;
    } else {
        let compressed = format!("{}.xz", packed.display());
        let bytes = cmd!(sh, "xz -dc {compressed}").quiet().output()?.stdout;
        fs::write(&file, bytes)?;
    }
    Ok(file)
}

/// Keeps times as they are where nothing changed, so that make has nothing to do.
fn copy_if_changed(file: &Path, directory: &Path) -> Result<()> {
    let target = directory.join(file.file_name().unwrap_or_default());
    let bytes = fs::read(file)?;
    if fs::read(&target).ok().as_ref() != Some(&bytes) {
        fs::write(target, bytes)?;
    }
    Ok(())
}
