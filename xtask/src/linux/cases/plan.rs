//! Which cases are run on a machine.

use std::time::Duration;

use super::endurance;
use crate::linux::kernel::Series;
use crate::linux::machine::{Clock, Machine};

/// The driver of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Stock,
    Ours,
}

impl Driver {
    pub const fn word(self) -> &'static str {
        match self {
            Driver::Stock => "stock",
            Driver::Ours => "ours",
        }
    }
}

/// The drivers a machine can run. pci-hyperv of 6.1 cannot reach config space by hypercalls, so it has no host here.
pub fn drivers(machine: &Machine) -> Vec<Driver> {
    let mut drivers = Vec::new();
    if machine.kernel.series == Series::Six12 {
        drivers.push(Driver::Stock);
    }
    if machine.modules.ours.is_some() {
        drivers.push(Driver::Ours);
    }
    drivers
}

/// A line for the test kernel, and what its judge has to know.
#[derive(Clone, Debug)]
pub struct Check {
    /// A function of `tests/linux/guest/case-*.sh` with its arguments.
    pub line: String,
    /// Functions that come up.
    pub functions: u64,
    /// The host starts with memory decode left on.
    pub leftover: bool,
}

impl Check {
    pub fn new(functions: u64, line: String) -> Check {
        let leftover = line.contains("leftover");
        Check { line, functions, leftover }
    }
}

/// Cases that share a boot.
#[derive(Clone, Debug)]
pub struct Boot {
    pub name: &'static str,
    pub checks: Vec<Check>,
    /// How long the boot may take, hung kernels included.
    pub limit: Duration,
    /// Further words for the kernel's command line.
    pub arguments: &'static str,
    /// Further words for the emulator.
    pub emulator: &'static [&'static str],
    pub clock: Clock,
}

impl Boot {
    pub fn new(name: &'static str, seconds: u64, lines: impl IntoIterator<Item = (u64, String)>) -> Boot {
        let limit = Duration::from_secs(seconds);
        Boot { name, checks: checks(lines), limit, arguments: "", emulator: &[], clock: Clock::USUAL }
    }
}

/// Every boot of a machine with a stock kernel.
pub fn stock_kernel(machine: &Machine) -> Vec<Boot> {
    let mut lines = Vec::new();
    for driver in drivers(machine) {
        lines.extend(bring_up(driver));
        lines.extend(hotplug(driver, machine.cpus));
        if driver == Driver::Ours {
            lines.extend(hostile());
            lines.extend(window());
            // As many as a bus can have, with the longest messages there are. One processor has no vectors for all; and it takes
            // long enough to depend on a busy machine's speed, were the clock not to count.
            if machine.cpus > 1 && machine.can_count() {
                lines.push((256, "bring_up full ours 256 buses=1,functions=256,device=nvme - 1".to_string()));
            }
        }
    }
    let mut asleep: Vec<_> = drivers(machine).into_iter().flat_map(power).collect();
    if machine.kernel.series == Series::Six1 {
        // 6.1 cannot read an image back from the swap device in use: EBUSY.
        asleep.retain(|(_, line)| !line.starts_with("hibernate_here"));
    }
    let (to_ram, asleep) = asleep.into_iter().partition::<Vec<_>, _>(|(_, line)| line.starts_with("suspend_to_ram"));
    let power = Boot { arguments: "no_console_suspend", ..Boot::new("power", 1800, asleep) };
    let to_ram = Boot { arguments: "no_console_suspend", clock: Clock::Real, ..Boot::new("ram", 600, to_ram) };
    let boots = [Boot::new("lanes", 1200, lines), power, to_ram].into_iter().chain(endurance::boots(machine));
    boots.filter(|boot| !boot.checks.is_empty()).collect()
}

fn checks(lines: impl IntoIterator<Item = (u64, String)>) -> Vec<Check> {
    lines.into_iter().map(|(functions, line)| Check::new(functions, line)).collect()
}

/// Lane 1, and what else a bus that is up can do.
fn bring_up(driver: Driver) -> Vec<(u64, String)> {
    let word = driver.word();
    let mut lines = vec![
        (1, format!("bring_up one {word} 1 buses=1")),
        (1, format!("bring_up nvme {word} 1 buses=1,device=nvme")),
        (14, format!("bring_up fourteen {word} 14 buses=14")),
        (14, format!("bring_up leftover {word} 14 buses=14,leftover=1")),
        (1, format!("affinity {word}")),
        (1, format!("blocks {word}")),
        (1, format!("rescan {word}")),
    ];
    if driver == Driver::Ours {
        lines.push((1, "versions".to_string()));
        lines.push((1, format!("rescan {word} policy=absorbing")));
        lines.push((14, format!("bring_up prefetch {word} 14 buses=14,map_ms=200,parallel=14 policy=prefetch")));
    }
    lines
}

/// What the host does at every message of bring-up, and on one processor at each fourth access to config space. The first two also
/// under pci-hyperv.
const STEPS: [&str; 5] = ["rescind_steps", "eject_steps", "remove_steps", "gone_steps", "add_steps"];

/// Lane 3: functions, buses and modules come and go.
fn hotplug(driver: Driver, cpus: u32) -> Vec<(u64, String)> {
    let word = driver.word();
    let mut lines = vec![
        (1, format!("eject_cycles {word} 5")),
        (1, format!("rescind_cycles {word} 5")),
        (1, format!("rescind_steps {word} 24")),
        (1, format!("eject_steps {word} 24")),
        (1, format!("load_cycles {word} 10")),
    ];
    // What pci-hyperv does not do: remove a function that the relations leave out, give BARs to one that comes later.
    if driver == Driver::Ours {
        lines.push((1, format!("surprise {word}")));
        lines.push((2, format!("hot_add {word}")));
        lines.extend(STEPS[2..].iter().map(|case| (1, format!("{case} {word} 24"))));
        if cpus == 1 {
            lines.extend(STEPS.iter().map(|case| (1, format!("{case} {word} 99 access 4"))));
        }
    }
    lines
}

/// The config window by loads and stores, and by calls that fail.
fn window() -> Vec<(u64, String)> {
    vec![(2, "window ours 10".to_string()), (2, "denied".to_string())]
}

/// Lane 3: the host answers wrongly.
fn hostile() -> Vec<(u64, String)> {
    vec![(1, "lying ours".to_string())]
}

/// Lane 4: the machine sleeps, functions are reset, kernels follow kernels.
fn power(driver: Driver) -> Vec<(u64, String)> {
    let word = driver.word();
    let mut lines = vec![
        (1, format!("freeze_thaw {word} 3")),
        (1, format!("hibernate_here {word} 1 buses=1")),
        (1, format!("suspend_to_ram {word} buses=1 0")),
        (1, format!("suspend_to_ram {word} buses=1,device=soft 1")),
        (1, format!("reset {word} flr buses=1 1 1")),
        (1, format!("reset {word} pm buses=1,device=soft 1 1")),
        (1, format!("d3hot {word} buses=1 0")),
        (1, format!("d3hot {word} buses=1,device=soft 1")),
        (1, format!("kdump {word} bound 1")),
    ];
    if driver == Driver::Ours {
        lines.extend(power_ours());
    }
    lines
}

/// What pci-hyperv is not asked: it waits without end for a host that does not answer, and some of this takes a while.
fn power_ours() -> Vec<(u64, String)> {
    let mut lines = vec![
        (14, "freeze_thaw ours 2 14 buses=14".to_string()),
        (14, "hibernate_off ours 14 buses=14".to_string()),
        (2, "missing ours".to_string()),
        (1, "lost_interrupt ours".to_string()),
        (4, "kdump ours bound 4".to_string()),
        (1, "kdump_steps ours 30".to_string()),
    ];
    for policy in ["eager", "absorbing", "prefetch"] {
        lines.push((1, format!("freeze_thaw ours 1 1 buses=1 policy={policy}")));
    }
    for left in ["enabled", "idle", "twice"] {
        lines.push((1, format!("kdump ours {left} 1")));
    }
    // What the host does at freeze and at thaw, and how the function comes out of it.
    for (freeze, thaw, end) in [
        ("silent_0", "nofault_0", "up"),
        ("nofault_0", "silent_0", "gone"),
        ("rescind_0", "nofault_0", "gone"),
        ("nofault_0", "rescind_0", "gone"),
        ("nofault_0", "fault_0_step:3_rescind", "gone"),
        ("fault_0_0x8:1_refuse_0xC0000001", "nofault_0", "up"),
        ("nofault_0", "fault_0_0x7:1_refuse_0xC0000001", "up"),
        ("nofault_0", "fault_0_every:0x7_refuse_0xC0000001", "gone"),
    ] {
        lines.push((1, format!("freeze_fault ours {end} {freeze} {thaw}")));
    }
    lines
}
