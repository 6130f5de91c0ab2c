//! Boots of their own for what takes long, needs another machine, or may take the kernel down: a silent host, a hostile one,
//! hundreds of cycles, names and neighbours.

use super::plan::{Boot, Driver, drivers};
use crate::linux::machine::{Clock, Machine};

/// 64 ns an instruction, for minutes of waiting: at 256 ns the kernel takes itself for hung, at 16 ns the polls of the cases
/// take longer than the waits.
const PATIENT: Clock = Clock::Counted(6);

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
    let mut boots = vec![messages(stock, machine), hostile()];
    if machine.cpus == 1 {
        boots.push(identity(stock));
        boots.push(holders(stock));
        boots.extend([cycles(), silent()]);
    }
    boots
}

/// Plain MSI, messages in the wrong moment, windows that lie side by side or are taken away.
fn messages(stock: bool, machine: &Machine) -> Boot {
    let mut lines = vec![
        (1, "multi_msi ours 1".to_string()),
        (1, "multi_msi ours 4".to_string()),
        (1, "multi_msi ours 32".to_string()),
        (1, "refused_message".to_string()),
        (1, "lost_message".to_string()),
        (2, "neighbours ours".to_string()),
    ];
    // Who waits for an interrupt keeps his processor, so asking at once takes several; the clock that counts sees to it that they do.
    if machine.cpus > 1 && machine.can_count() {
        lines.push((4, "vectors_at_once ours".to_string()));
    }
    if machine.cpus == 1 {
        lines.push((1, "scarce 4 200".to_string()));
        lines.push((1, "lost_unmasking".to_string()));
        lines.push((2, "walked_windows".to_string()));
    }
    if stock {
        lines.push((1, "multi_msi stock 4".to_string()));
    }
    Boot::new("messages", 1000, lines)
}

/// A storm of foul packets.
fn hostile() -> Boot {
    Boot::new("hostile", 800, [(1, STORM.to_string())])
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
    Boot { emulator: THREE_NODES, ..Boot::new("identity", 800, lines) }
}

/// Somebody holds what is to go.
fn holders(stock: bool) -> Boot {
    let mut lines = vec![(1, "held_unbind".to_string()), (1, "held_unload".to_string())];
    if stock {
        lines.push((2, "block_unload".to_string()));
    }
    Boot::new("holders", 800, lines)
}

/// 20 cycles to warm up, 200 that are measured.
fn cycles() -> Boot {
    Boot::new("cycles", 1500, ["load", "eject"].map(|kind| (1, format!("cycles {kind} 20 200 {MOST_GROWTH}"))))
}

/// A host that stops answering, with the module's real deadlines.
fn silent() -> Boot {
    let lines = [
        (14, "silent_bring_up ours 14".to_string()),
        (6, "silent_eject ours 6".to_string()),
        (4, "silent_unload ours 4".to_string()),
        (2, "silent_prefetch".to_string()),
    ];
    Boot { clock: PATIENT, ..Boot::new("silent", 1500, lines) }
}
