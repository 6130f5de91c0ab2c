//! What is run on the debug kernel: the lanes at reduced counts, and allocations that fail. Not pci-hyperv.ko: lockdep
//! reports it for a sleeping lock under the lock of the interrupt (PROVE_RAW_LOCK_NESTING), and looks no further then.

use super::plan::Boot;
use crate::linux::machine::Clock;

/// Seconds: instrumented and emulated, on a machine that may be busy.
const LIMIT: u64 = 3000;

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

/// The boots of a debug machine, with those that take long if `more` are wanted.
pub fn boots(more: bool) -> Vec<(u32, Boot)> {
    let mut boots = vec![(4, boot("lanes", LANES))];
    if more {
        boots.push((4, boot("power", POWER)));
        boots.push((1, boot("allocations that fail in bring-up", FAILING)));
        boots.push((1, boot("allocations that fail in load and removal", FAILING_ENDS)));
    }
    boots
}

fn boot(name: &'static str, lines: &[(u64, &str)]) -> Boot {
    // Not tried yet with a clock that counts instructions; waits are four times as long on this kernel (`slow` in lib.sh).
    let lines = lines.iter().map(|(functions, line)| (*functions, line.to_string()));
    Boot { clock: Clock::Real, ..Boot::new(name, LIMIT, lines) }
}
