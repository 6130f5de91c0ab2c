//! Boots of their own for what takes long, needs another machine, or may take the kernel down: a silent host, a hostile one,
//! hundreds of cycles, names and neighbours.

use std::time::Duration;

use super::plan::{Boot, Driver, checks, drivers};
use crate::linux::kernel::Series;
use crate::linux::machine::Machine;

/// A clock that counts instructions, 64 ns each, and jumps while nothing is to be done: minutes of waiting cost nothing. At
/// 256 ns the kernel takes itself for hung, at 16 ns the polls of the cases take longer than the waits.
const COUNTED_TIME: &[&str] = &["-icount", "shift=6,sleep=off"];

/// Three NUMA nodes: the second without a processor; the third, near the second, without memory either, which could be added.
const THREE_NODES: &[&str] = &[
    "-m",
    "1G,slots=1,maxmem=2G",
    "-object",
    "memory-backend-ram,id=near,size=512M",
    "-object",
    "memory-backend-ram,id=far,size=512M",
    "-numa",
    "node,memdev=near",
    "-numa",
    "node,memdev=far",
    "-numa",
    "node",
    "-numa",
    "dist,src=0,dst=1,val=20",
    "-numa",
    "dist,src=0,dst=2,val=30",
    "-numa",
    "dist,src=1,dst=2,val=15",
];

/// Foul packets of a storm, and the seed of its first round.
const STORM: &str = "storm ours 20000 1";
/// What slabs may grow by over 200 cycles, in KiB. Of memory lost for good the module's own count tells to the byte; this is
/// for what it asks of the kernel: devices, interrupts, sysfs.
const MOST_GROWTH: u32 = 256;

/// What is run besides the lanes. Everything that one processor shows as well as four is run on one.
pub fn boots(machine: &Machine) -> Vec<Boot> {
    let known = drivers(machine);
    if !known.contains(&Driver::Ours) {
        return Vec::new();
    }
    let stock = known.contains(&Driver::Stock);
    let mut boots = vec![messages(stock), hostile()];
    if machine.cpus == 1 {
        boots.push(identity(stock));
        boots.push(holders(stock));
        match machine.kernel.series {
            Series::Six12 => boots.extend([cycles("load"), silent()]),
            Series::Six1 => boots.push(cycles("eject")),
            Series::Debug => {}
        }
    }
    boots
}

/// Plain MSI, and windows that lie side by side.
fn messages(stock: bool) -> Boot {
    let mut lines = vec![
        (1, "multi_msi ours 1".to_string()),
        (1, "multi_msi ours 4".to_string()),
        (1, "multi_msi ours 32".to_string()),
        (1, "refused_message".to_string()),
        (1, "lost_message".to_string()),
        (2, "neighbours ours".to_string()),
    ];
    if stock {
        lines.push((1, "multi_msi stock 4".to_string()));
    }
    Boot { name: "messages", checks: checks(lines), limit: Duration::from_secs(400), arguments: "", emulator: &[] }
}

/// A storm of foul packets.
fn hostile() -> Boot {
    let checks = checks([(1, STORM.to_string())]);
    Boot { name: "hostile", checks, limit: Duration::from_secs(400), arguments: "", emulator: &[] }
}

/// Domains, slots, nodes; what others use too; what an isolated VM refuses.
fn identity(stock: bool) -> Boot {
    let mut lines = vec![
        (3, "twins ours".to_string()),
        (3, "slot_names ours".to_string()),
        (1, "numa_node ours".to_string()),
        (1, "isolated".to_string()),
        (1, "block_refusal".to_string()),
        (2, "block_listener".to_string()),
    ];
    if stock {
        lines.push((2, "foreign_domain".to_string()));
        lines.push((2, "block_orders".to_string()));
        lines.push((2, "block_orphan".to_string()));
    }
    Boot {
        name: "identity",
        checks: checks(lines),
        limit: Duration::from_secs(400),
        arguments: "",
        emulator: THREE_NODES,
    }
}

/// Somebody holds what is to go.
fn holders(stock: bool) -> Boot {
    let mut lines = vec![(1, "held_unbind".to_string()), (1, "held_unload".to_string())];
    if stock {
        lines.push((2, "block_unload".to_string()));
    }
    Boot { name: "holders", checks: checks(lines), limit: Duration::from_secs(400), arguments: "", emulator: &[] }
}

/// 20 cycles to warm up, 200 that are measured; a kind on each kernel, because they take minutes.
fn cycles(kind: &str) -> Boot {
    let checks = checks([(1, format!("cycles {kind} 20 200 {MOST_GROWTH}"))]);
    Boot { name: "cycles", checks, limit: Duration::from_secs(900), arguments: "", emulator: &[] }
}

/// A host that stops answering, with the module's real deadlines.
fn silent() -> Boot {
    let lines = [
        (14, "silent_bring_up ours 14".to_string()),
        (6, "silent_eject ours 6".to_string()),
        (4, "silent_unload ours 4".to_string()),
    ];
    Boot {
        name: "silent",
        checks: checks(lines),
        limit: Duration::from_secs(900),
        arguments: "",
        emulator: COUNTED_TIME,
    }
}
