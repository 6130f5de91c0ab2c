//! What is run on the debug kernel: the lanes at reduced counts, and allocations that fail. Not pci-hyperv.ko: lockdep
//! reports it for a sleeping lock under the lock of the interrupt (PROVE_RAW_LOCK_NESTING), and looks no further then.

use std::time::Duration;

use anyhow::Result;
use xshell::Shell;

use super::plan::{Boot, Check};
use super::{run_boot, seeded};
use crate::linux::machine::Machine;

/// Instrumented and emulated, on a machine that may be busy.
const LIMIT: Duration = Duration::from_secs(1500);

/// Functions that come up, and a line for the test kernel.
const LANES: &[(u64, &str)] = &[
    (1, "bring_up one ours 1 buses=1"),
    (14, "bring_up fourteen ours 14 buses=14"),
    (14, "bring_up leftover ours 14 buses=14,leftover=1"),
    (1, "affinity ours"),
    (1, "blocks ours"),
    (1, "rescan ours policy=absorbing"),
    (1, "eject_cycles ours 2"),
    (1, "rescind_cycles ours 2"),
    (1, "rescind_steps ours 24"),
    (1, "load_cycles ours 2"),
    (1, "surprise ours"),
    (2, "hot_add ours"),
    (1, "multi_msi ours 32"),
    (2, "neighbours ours"),
    (1, "held_unbind"),
    (1, "held_unload"),
    (2, "block_listener"),
    (1, "storm ours 20000 1"),
];

/// Sleep as far as each level of pm_test, resets, and a kernel after a kernel.
const POWER: &[(u64, &str)] = &[
    (1, "pm_test ours freezer"),
    (1, "pm_test ours devices"),
    (1, "pm_test ours platform"),
    (1, "pm_test ours processors"),
    (1, "pm_test ours core"),
    (1, "freeze_thaw ours 1"),
    (1, "lost_interrupt ours"),
    (1, "reset ours flr buses=1 1 1"),
    (1, "d3hot ours buses=1,device=soft 1"),
    (1, "kdump ours bound 1"),
];

/// FAILSLAB counts allocations without a lock: these run on one processor. Every allocation within eight frames of our code.
const FAILING: &[(u64, &str)] = &[(1, "failing_allocations 1 400 1 8")];
const FAILING_ENDS: &[(u64, &str)] = &[(1, "failing_removals 200"), (1, "failing_load 100")];

/// The boots of a debug machine, with those that take long if `more` are wanted; the problems found.
pub fn run(sh: &Shell, machine: &Machine, more: bool) -> Result<Vec<String>> {
    let mut problems = seeded::run(sh, machine)?;
    if machine.modules.ours.is_some() {
        problems.extend(run_boot(sh, machine, &boot("lanes", LANES))?);
    }
    if machine.modules.ours.is_some() && more {
        problems.extend(run_boot(sh, machine, &boot("power", POWER))?);
        let one = machine.clone().with_cpus(1);
        problems.extend(run_boot(sh, &one, &boot("allocations that fail in bring-up", FAILING))?);
        problems.extend(run_boot(sh, &one, &boot("allocations that fail in load and removal", FAILING_ENDS))?);
    }
    Ok(problems)
}

fn boot(name: &'static str, lines: &[(u64, &str)]) -> Boot {
    let checks = lines.iter().map(|(functions, line)| Check::new(*functions, line.to_string())).collect();
    Boot { name, checks, limit: LIMIT, arguments: "", emulator: &[] }
}
