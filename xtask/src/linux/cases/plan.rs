//! Which cases are run on a machine.

use std::time::Duration;

use super::endurance;
use crate::linux::kernel::Series;
use crate::linux::machine::Machine;

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
}

/// Every boot of a machine with a stock kernel.
pub fn stock_kernel(machine: &Machine) -> Vec<Boot> {
    let mut checks = Vec::new();
    for driver in drivers(machine) {
        checks.extend(bring_up(driver));
        checks.extend(hotplug(driver));
        if driver == Driver::Ours {
            checks.extend(hostile());
        }
    }
    let first = Boot { name: "lanes", checks, limit: Duration::from_secs(400), arguments: "", emulator: &[] };
    let boots = [first].into_iter().chain(endurance::boots(machine));
    boots.filter(|boot| !boot.checks.is_empty()).collect()
}

pub fn checks(lines: impl IntoIterator<Item = (u64, String)>) -> Vec<Check> {
    lines.into_iter().map(|(functions, line)| Check::new(functions, line)).collect()
}

/// Lane 1, and what else a bus that is up can do.
fn bring_up(driver: Driver) -> Vec<Check> {
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
        lines.push((1, format!("rescan {word} policy=absorbing")));
    }
    checks(lines)
}

/// Lane 3: functions, buses and modules come and go.
fn hotplug(driver: Driver) -> Vec<Check> {
    let word = driver.word();
    let mut lines = vec![
        (1, format!("eject_cycles {word} 5")),
        (1, format!("rescind_cycles {word} 5")),
        (1, format!("rescind_steps {word} 24")),
        (1, format!("load_cycles {word} 10")),
    ];
    // What pci-hyperv does not do: remove a function that the relations leave out, give BARs to one that comes later.
    if driver == Driver::Ours {
        lines.push((1, format!("surprise {word}")));
        lines.push((2, format!("hot_add {word}")));
    }
    checks(lines)
}

/// Lane 3: the host answers wrongly.
fn hostile() -> Vec<Check> {
    checks([(1, "lying ours".to_string())])
}
