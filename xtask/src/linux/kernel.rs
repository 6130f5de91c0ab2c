//! Debian's kernels: found by apt, downloaded, unpacked below target/kernels, never installed. The debug kernel is built from
//! Debian's source (`debug.rs`).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::debug;

/// A kernel series the module supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Series {
    /// Linux 6.12.
    #[value(name = "6.12")]
    Six12,
    /// Linux 6.1.
    #[value(name = "6.1")]
    Six1,
    /// Linux 6.12 built with what finds mistakes.
    #[value(name = "debug")]
    Debug,
}

impl Series {
    /// Whether its Rust code is instrumented, too.
    pub fn has_kasan(self) -> bool {
        self == Series::Debug
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Series::Six12 => "6.12",
            Series::Six1 => "6.1",
            Series::Debug => "debug",
        })
    }
}

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub series: Series,
    /// What `uname -r` says on it.
    pub release: String,
    /// Everything of this kernel, builds included.
    pub directory: PathBuf,
    /// For `make -C`.
    pub headers: PathBuf,
    pub image: PathBuf,
    /// lib/modules/RELEASE/kernel.
    pub modules: PathBuf,
}

/// Gets the newest kernel of a series that the archive has.
pub fn fetch(sh: &Shell, series: Series) -> Result<Kernel> {
    if series == Series::Debug {
        return debug::fetch(sh);
    }
    let headers = newest_headers(sh, series)?;
    let release = headers.trim_start_matches("linux-headers-").to_string();
    let directory = sh.current_dir().join("target").join("kernels").join(series.to_string());
    let root = directory.join("root");
    let kernel = Kernel {
        series,
        headers: root.join("usr/src").join(&headers),
        image: root.join("boot").join(format!("vmlinuz-{release}")),
        modules: root.join("lib/modules").join(&release).join("kernel"),
        release,
        directory: directory.clone(),
    };
    let stamp = directory.join("unpacked");
    if fs::read_to_string(&stamp).is_ok_and(|unpacked| unpacked == kernel.release) {
        return Ok(kernel);
    }
    sh.remove_path(&directory)?;
    sh.create_dir(&root)?;
    let mut packages = vec![headers.clone(), format!("linux-image-{}-unsigned", kernel.release)];
    // Its other half, kbuild's tools and, for some series, the compiler's plugins. The image it may depend on is not a need.
    let halves = ["linux-headers-", "linux-kbuild-", "linux-compiler-"];
    packages.extend(depends(sh, &headers)?.into_iter().filter(|name| halves.iter().any(|half| name.starts_with(half))));
    eprintln!("downloading {}", packages.join(" "));
    let _there = sh.push_dir(&directory);
    cmd!(sh, "apt-get download -qq {packages...}").quiet().run()?;
    for package in sh.read_dir(&directory)?.iter().filter(|path| path.extension().is_some_and(|e| e == "deb")) {
        cmd!(sh, "dpkg -x {package} {root}").quiet().run()?;
        sh.remove_path(package)?;
    }
    point_inside(&kernel.headers, &root)?;
    fs::write(stamp, &kernel.release)?;
    Ok(kernel)
}

/// linux-headers-RELEASE of the newest kernel of a series.
fn newest_headers(sh: &Shell, series: Series) -> Result<String> {
    for name in [format!("linux-headers-{series}-cloud-amd64"), "linux-headers-cloud-amd64".to_string()] {
        let wanted = format!("linux-headers-{series}.");
        let found = depends(sh, &name).unwrap_or_default().into_iter().find(|package| package.starts_with(&wanted));
        if let Some(found) = found {
            return Ok(found);
        }
    }
    bail!("no package source of this machine has linux-headers-{series}.*-cloud-amd64")
}

fn depends(sh: &Shell, package: &str) -> Result<Vec<String>> {
    let text = cmd!(sh, "apt-cache depends {package}").quiet().ignore_stderr().read()?;
    Ok(text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_string).collect())
}

/// The headers' Makefile names its other half by an absolute path.
fn point_inside(headers: &Path, root: &Path) -> Result<()> {
    let makefile = headers.join("Makefile");
    let text = fs::read_to_string(&makefile).with_context(|| format!("{}", makefile.display()))?;
    let inside = format!("include {}/usr/src/", root.display());
    fs::write(&makefile, text.replace("include /usr/src/", &inside))?;
    Ok(())
}
