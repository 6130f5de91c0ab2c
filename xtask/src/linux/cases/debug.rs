//! What is run on the debug kernel: the lanes at reduced counts, and allocations that fail. Not pci-hyperv.ko: lockdep
//! reports it for a sleeping lock under the lock of the interrupt (PROVE_RAW_LOCK_NESTING), and looks no further then.

use super::plan::Boot;

/// Seconds: instrumented and emulated, on a machine that may be busy.
const LIMIT: u64 = 3000;

/// A third of the memory that other machines have: what KASAN keeps for each page is set up at boot, searched for lost memory and
/// put into images.
pub const EMULATOR: &[&str] = &["-m", "384M"];

/// Look for lost memory after each case, and not only after the last one of a boot (`checkers_after` in case-debug.sh).
const SCAN_EACH: &str = "hvpci_scan_each";

/// Functions that come up, and a line for the test kernel. Of the steps of bring-up every other one.
const LANES: &[(u64, &str)] = &[
    (1, "bring_up one ours 1 buses=1"),
    (4, "bring_up four ours 4 buses=4"),
    (2, "bring_up leftover ours 2 buses=2,leftover=1"),
    (1, "affinity ours"),
    (1, "blocks ours"),
    (1, "rescan ours policy=absorbing"),
    (1, "eject_cycles ours 2"),
    (1, "rescind_cycles ours 2"),
    (1, "rescind_steps ours 24 message 2"),
    (1, "eject_steps ours 24 message 2"),
    (1, "load_cycles ours 2"),
    (1, "surprise ours"),
    (2, "hot_add ours"),
    (1, "multi_msi ours 4"),
    (2, "neighbours ours"),
    (1, "held_unbind"),
    (1, "held_unload"),
    (2, "block_listener"),
    (1, "lying ours 7 4"),
    (2, "silent_unload ours 2"),
    (1, "storm ours 6000 1"),
];
/// As many foul packets as on the stock kernels.
const STORM: &[(u64, &str)] = &[(1, "storm ours 20000 1")];

/// Sleep as far as the last level of pm_test, which has all others on its way; resets, and a kernel after a kernel.
const POWER: &[(u64, &str)] = &[
    (1, "pm_test ours core 1"),
    (1, "reset ours flr buses=1 1 1"),
    (1, "d3hot ours buses=1,device=soft 1"),
    (1, "kdump ours bound 1"),
];
/// Sleep as far as the other levels, and with an image: where nothing goes wrong, and with a host that does not make an interrupt again.
const LEVELS: &[(u64, &str)] = &[
    (1, "pm_test ours freezer 1"),
    (1, "pm_test ours devices 1"),
    (1, "pm_test ours platform 1"),
    (1, "pm_test ours processors 1"),
    (1, "freeze_thaw ours 1"),
    (1, "lost_interrupt ours"),
];
/// A host that answers wrongly at more messages, and one that does not answer for an eject.
const LIES: &[(u64, &str)] = &[(1, "lying ours 3"), (2, "silent_eject ours 2")];

/// FAILSLAB counts allocations without a lock: these run on one processor. Every allocation within eight frames of our code, each
/// some seconds, in as many boots as keep to [`LIMIT`]; and a slice of them.
const FAILING: [(&str, &[(u64, &str)]); 4] = [
    ("quarter 1 of the allocations that fail in bring-up", &[(1, "failing_allocations 1 400 4 8")]),
    ("quarter 2 of the allocations that fail in bring-up", &[(1, "failing_allocations 2 400 4 8")]),
    ("quarter 3 of the allocations that fail in bring-up", &[(1, "failing_allocations 3 400 4 8")]),
    ("quarter 4 of the allocations that fail in bring-up", &[(1, "failing_allocations 4 400 4 8")]),
];
const FAILING_SLICE: &[(u64, &str)] = &[(1, "failing_allocations 1 400 16 8")];
const FAILING_ENDS: &[(u64, &str)] = &[(1, "failing_removals 200"), (1, "failing_load 100")];

/// The boots of a debug machine: the default, or that and those that take long if `more` are wanted.
pub fn boots(more: bool) -> Vec<(u32, Boot)> {
    let mut boots = vec![(4, boot("lanes", LANES)), (4, boot("power", POWER))];
    if more {
        boots.push((4, boot("levels of sleep", LEVELS)));
        boots.push((4, boot("hostile", STORM)));
        boots.push((4, boot("lies and silence", LIES)));
        boots.extend(FAILING.map(|(name, lines)| (1, boot(name, lines))));
        boots.push((1, boot("allocations that fail in load and removal", FAILING_ENDS)));
        boots.iter_mut().for_each(|(_, boot)| boot.arguments = SCAN_EACH);
    } else {
        boots.push((1, boot("allocations that fail", FAILING_SLICE)));
    }
    boots
}

fn boot(name: &'static str, lines: &[(u64, &str)]) -> Boot {
    let lines = lines.iter().map(|(functions, line)| (*functions, line.to_string()));
    Boot { emulator: EMULATOR, ..Boot::new(name, LIMIT, lines) }
}
