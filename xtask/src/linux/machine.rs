//! One boot: an initramfs with busybox and the modules, QEMU without hardware virtualisation, and what the serial line said.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use xshell::{Shell, cmd};

use super::build::Modules;
use super::kernel::{Kernel, Series};
use super::wake;

/// How long a boot may take that does not say otherwise, hung kernels included.
const LIMIT: Duration = Duration::from_secs(400);

/// Two ranges with memory behind them, for BARs and for config windows (`tests/linux/standin/mmio.c`). Nothing of them is
/// resident before it is touched.
const RANGES: &[&str] = &[
    "-object",
    "memory-backend-ram,id=large,size=4T,reserve=off,share=off",
    "-device",
    "ivshmem-plain,memdev=large",
    "-object",
    "memory-backend-ram,id=small,size=64M,share=off",
    "-device",
    "ivshmem-plain,memdev=small",
];

/// The guest's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Counts instructions, each 2^n ns, and jumps over idle time. It stands still while the emulator translates code or others
    /// use the machine: how long something takes, and whether it comes in time, does not depend on how fast this machine is.
    Counted(u8),
    /// The emulator's own, which goes on whatever the machine is doing. For what the other cannot do: with it, a machine of several
    /// processors spins for ever when 6.12 wakes from S3, and when 6.1 boots (QEMU 7.2).
    Real,
}

impl Clock {
    /// 8 ns an instruction, about what the emulator reaches.
    pub const USUAL: Clock = Clock::Counted(3);

    fn words(self) -> Vec<String> {
        let words: &[&str] = match self {
            // Without the fast byte-wise string instructions, of which every byte would count as one: clearing a page would be
            // the longest thing a kernel does.
            Clock::Counted(shift) => &[
                "-icount",
                &format!("shift={shift},sleep=off"),
                "-rtc",
                "clock=vm",
                "-cpu",
                "max,phys-bits=46,erms=off,fsrm=off",
            ],
            Clock::Real => &["-cpu", "max,phys-bits=46"],
        };
        words.iter().map(|word| (*word).to_string()).collect()
    }
}

/// 6.1 has the NVMe driver built in, and it would take the mock host's controller. `no_timer_check`: early in its boot the kernel
/// spins for some ticks of the timer and panics ("IO-APIC + timer doesn't work") if too few came, as on a machine whose emulator
/// others keep from running. On Hyper-V, KVM and VMware it leaves that out by itself; what runs here is meant for Hyper-V.
const COMMAND_LINE: &str =
    "console=ttyS0 panic=-1 oops=panic hung_task_panic=1 no_timer_check initcall_blacklist=nvme_init";

/// A machine to boot.
#[derive(Clone, Debug)]
pub struct Machine {
    pub kernel: Kernel,
    pub modules: Modules,
    pub cpus: u32,
    /// What is booted; the directory of its files.
    name: String,
    limit: Duration,
    /// Further words for the kernel's command line.
    arguments: String,
    clock: Clock,
    /// Further words for the emulator.
    emulator: &'static [&'static str],
}

/// What came over the serial line.
#[derive(Clone, Debug)]
pub struct Log {
    pub text: String,
    /// The machine was stopped because it took longer than this.
    pub timed_out: Option<Duration>,
    pub file: PathBuf,
}

/// How often a machine is booted that dies before anything of ours is loaded.
const BOOTS: u32 = 3;
/// What a case prints when the machine is about to go off with its memory on disk.
const HIBERNATING: &str = "@@ hibernating";
/// The word on the kernel's command line of a machine that is to come back from its disk.
const COMING_BACK: &str = "hvpci_comes_back";
/// More than the memory of the machine: an image is at most half of that.
const DISK_BYTES: u64 = 1 << 30;
/// The first line of `init`.
const FIRST_LINE: &str = "@@ kernel";

impl Machine {
    pub fn new(kernel: &Kernel, modules: &Modules, cpus: u32) -> Machine {
        Machine {
            kernel: kernel.clone(),
            modules: modules.clone(),
            cpus,
            name: "run".to_string(),
            limit: LIMIT,
            arguments: String::new(),
            clock: Clock::USUAL,
            emulator: &[],
        }
    }

    /// The same machine for a boot of this name. No two of one kernel and as many processors that run at a time share a name.
    pub fn named(mut self, name: &str) -> Machine {
        self.name = name.to_string();
        self
    }

    /// The same machine with another clock.
    pub fn clocked(mut self, clock: Clock) -> Machine {
        self.clock = clock;
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its clock can count instructions.
    pub fn can_count(&self) -> bool {
        self.cpus == 1 || self.kernel.series != Series::Six1
    }

    /// How long it may take, hung kernels included.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Which machine and boot, for people.
    pub fn place(&self) -> String {
        format!("{}, {} CPUs, {}", self.kernel.release, self.cpus, self.name)
    }

    /// The same machine with another time limit and more words on the kernel's command line.
    pub fn with(mut self, limit: Duration, arguments: &str) -> Machine {
        self.limit = limit;
        self.arguments = arguments.to_string();
        self
    }

    /// The same machine with another number of processors.
    pub fn with_cpus(mut self, cpus: u32) -> Machine {
        self.cpus = cpus;
        self
    }

    /// The same machine with more words for the emulator.
    pub fn emulated(mut self, words: &'static [&'static str]) -> Machine {
        self.emulator = words;
        self
    }

    /// Boots, runs the cases, and comes back when the machine is off.
    ///
    /// A machine that died before the first line of its `init` has loaded nothing of ours: that is the emulator's or
    /// Debian's business, is said, and is tried again.
    ///
    /// Cases that hibernate get a disk, and a machine that went off on it is booted once more.
    pub fn boot(&self, sh: &Shell, cases: &str) -> Result<Log> {
        let work = self.kernel.directory.join("run").join(format!("{}-{}", self.name.replace(' ', "-"), self.cpus));
        let archive = self.initramfs(sh, &work, cases)?;
        let disk = cases.lines().any(|line| line.starts_with("hibernate")).then(|| work.join("disk"));
        if let Some(disk) = &disk {
            sh.remove_path(disk)?;
            File::create(disk)?.set_len(DISK_BYTES)?;
        }
        let mut log = self.boot_until_init(&work, &archive, disk.as_deref())?;
        while log.timed_out.is_none() && log.went_off_hibernating() {
            let mut machine = self.clone();
            machine.arguments = format!("{} {COMING_BACK}", self.arguments);
            let next = machine.boot_until_init(&work, &archive, disk.as_deref())?;
            log = Log { text: log.text + &next.text, ..next };
            fs::write(&log.file, &log.text)?;
        }
        Ok(log)
    }

    fn boot_until_init(&self, work: &Path, archive: &Path, disk: Option<&Path>) -> Result<Log> {
        for _ in 1..BOOTS {
            let log = self.boot_once(work, archive, disk)?;
            if log.timed_out.is_some() || log.text.contains(FIRST_LINE) {
                return Ok(log);
            }
            println!("  the machine died before init ran ({}); booting again", log.file.display());
        }
        self.boot_once(work, archive, disk)
    }

    fn boot_once(&self, work: &Path, archive: &Path, disk: Option<&Path>) -> Result<Log> {
        let file = work.join("serial.log");
        // What the machine says; the emulator's complaints go to the same place.
        fs::write(&file, "")?;
        let complaints = File::options().append(true).open(&file)?;
        // One thread for all virtual processors: with several, QEMU 7.2 now and then runs an int3 that the kernel had
        // already patched away (jump labels), and the kernel oopses.
        let mut qemu = Command::new("qemu-system-x86_64");
        if let Some(disk) = disk {
            qemu.args(["-drive", &format!("file={},if=virtio,format=raw", disk.display())]);
        }
        let mut qemu = qemu
            .args(["-machine", "pc", "-accel", "tcg,thread=single", "-m", "1G", "-smp"])
            // One to a socket: SeaBIOS's MP table, from which a kernel without ACPI has them, names no others.
            .arg(format!("{0},sockets={0}", self.cpus))
            .args(["-display", "none", "-no-reboot", "-nic", "none", "-vga", "none", "-monitor", "none"])
            .args([
                "-chardev",
                &format!("file,id=serial,append=on,path={}", file.display()),
                "-serial",
                "chardev:serial",
            ])
            .args(wake::WORDS)
            .args(RANGES)
            .args(self.clock.words())
            .args(self.emulator)
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(archive)
            .args(["-append", &format!("{COMMAND_LINE} {}", self.arguments)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .context("starting qemu-system-x86_64")?;
        let attendant = wake::attend(&mut qemu)?;
        let start = Instant::now();
        let timed_out = loop {
            if qemu.try_wait()?.is_some() {
                break None;
            }
            if start.elapsed() > self.limit {
                qemu.kill()?;
                qemu.wait()?;
                break Some(self.limit);
            }
            sleep(Duration::from_millis(50));
        };
        attendant.join().map_err(|_| anyhow!("the thread that wakes the machine panicked"))?;
        let text = String::from_utf8_lossy(&fs::read(&file)?).replace('\r', "");
        Ok(Log { text, timed_out, file })
    }

    fn initramfs(&self, sh: &Shell, work: &Path, cases: &str) -> Result<PathBuf> {
        let root = work.join("root");
        sh.remove_path(&root)?;
        for directory in ["bin", "proc", "sys", "dev"] {
            sh.create_dir(root.join(directory))?;
        }
        for file in sh.read_dir("tests/linux/guest")? {
            sh.copy_file(file, &root)?;
        }
        sh.copy_file("/bin/busybox", root.join("bin"))?;
        let modules = &self.modules;
        let distribution = [&modules.standin, &modules.stock, &modules.interface];
        for module in distribution.into_iter().chain(&modules.drivers).chain(&modules.disk) {
            sh.copy_file(module, &root)?;
        }
        if let Some(ours) = &modules.ours {
            sh.copy_file(ours, root.join("hvpci.ko"))?;
        }
        fs::write(root.join("cases"), format!("{cases}\n"))?;
        let _there = sh.push_dir(&root);
        cmd!(sh, "chmod +x init bin/busybox").quiet().run()?;
        let archive = work.join("initramfs.gz");
        cmd!(sh, "sh -c")
            .arg(format!("find . | cpio -o -H newc --quiet | gzip -1 > '{}'", archive.display()))
            .quiet()
            .run()?;
        Ok(archive)
    }
}

impl Log {
    /// Whether the last thing that a case said is that the machine goes off to come back.
    fn went_off_hibernating(&self) -> bool {
        self.text.lines().rfind(|line| line.contains("@@ ")).is_some_and(|line| line.contains(HIBERNATING))
    }

    /// Lines that mean trouble in any run, and a run that did not come to its end.
    pub fn alarms(&self) -> Vec<String> {
        const SIGNS: &[&str] = &[
            "BUG:",
            "WARNING:",
            "Oops",
            "Kernel panic",
            "Rust panic",
            "general protection",
            "Unknown symbol",
            "disagrees about version",
            "unexpected hypercall",
            "which nobody holds",
            "were not given back",
            "irq_unmask() failed",
            "INFO: task",
            "self-detected stall",
            "detected stalls on",
            "detected expedited stalls",
            "nobody cared",
            "irq_handler for vector",
            "soft lockup",
            "Unknown rela",
            "UBSAN:",
            "ODEBUG:",
            "unreferenced object",
            "possible recursive locking",
            "inconsistent lock state",
            "suspicious RCU usage",
        ];
        let mut found: Vec<String> = self
            .text
            .lines()
            .filter(|line| !line.starts_with("@@ host") && SIGNS.iter().any(|sign| line.contains(sign)))
            .take(8)
            .map(str::to_string)
            .collect();
        if let Some(limit) = self.timed_out {
            found.push(format!("the machine was still running after {} s", limit.as_secs()));
        } else if !self.text.lines().any(|line| line.starts_with("@@ end ")) {
            found.push("the machine went off before the last case".to_string());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_stalls_and_stray_interrupts_is_an_alarm() {
        let alarms = |line: &str| {
            let text = format!("@@ case one\n{line}\n@@ end uptime=1\n");
            Log { text, timed_out: None, file: PathBuf::new() }.alarms()
        };
        assert_eq!(alarms("[    1.0] all is well"), Vec::<String>::new());
        for line in [
            "[   21.0] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
            "[   21.0] rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-... }",
            "[    9.0] irq 24: nobody cared (try booting with the \"irqpoll\" option)",
        ] {
            assert_eq!(alarms(line), [line]);
        }
    }
}
