//! The accesses of recorded guests, and what becomes of them: cut, spliced, bent.

use std::sync::OnceLock;

use hvpci_core::backend::Width;
use hvpci_mock::recording::{EventKind, Recording};
use proptest::prelude::*;

use super::device::{DEVICE_CONTROL, MSI_CONTROL, WINDOW};

/// What a guest does to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read(u16, Width),
    Write(u16, Width, u32),
    /// A driver is bound, or not any more.
    Bound(bool),
    /// The host resets the function and says so.
    Lost,
    /// A function-level reset.
    Flr,
    /// A map in the background, done or refused; only where the policy has such.
    Prefetch(bool),
    /// The host has no messages for plain MSI from here on, or has them again.
    Withhold(bool),
}

const FILES: [(&str, &str); 2] = [
    ("6.12", include_str!("../../data/stock-pci-hyperv-on-openvmm.trace.txt")),
    ("6.1", include_str!("../../data/stock-pci-hyperv-6.1-on-openvmm.trace.txt")),
];

/// Every section of every recording, as the accesses of one function.
pub fn recorded() -> &'static [Vec<Op>] {
    static RECORDED: OnceLock<Vec<Vec<Op>>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let mut all = Vec::new();
        for (name, text) in FILES {
            for section in Recording::parse(name, text.as_bytes()).unwrap().sections {
                let ops: Vec<Op> = section.events.iter().filter_map(|event| op(&event.kind)).collect();
                assert!(ops.len() > 100, "{name}: a section with {} accesses", ops.len());
                all.push(ops);
            }
        }
        all
    })
}

fn op(event: &EventKind) -> Option<Op> {
    match event {
        EventKind::ConfigRead(read) => Some(Op::Read(read.offset, read.width)),
        EventKind::ConfigWrite(write) => Some(Op::Write(write.offset, write.width, write.value)),
        _ => None,
    }
}

/// How a piece of a recording is bent.
#[derive(Clone, Copy, Debug)]
enum Bend {
    Drop(prop::sample::Index),
    Repeat(prop::sample::Index),
    Swap(prop::sample::Index),
    /// Other bits in a write.
    Flip(prop::sample::Index, u32),
    /// A BAR write puts the BAR somewhere else in the window.
    Place(prop::sample::Index, u32),
    Insert(prop::sample::Index, Op),
}

fn bend() -> impl Strategy<Value = Bend> {
    let at = any::<prop::sample::Index>;
    let inserted = prop_oneof![
        any::<bool>().prop_map(Op::Bound),
        Just(Op::Lost),
        Just(Op::Flr),
        any::<bool>().prop_map(Op::Prefetch),
        (0u32..8).prop_map(|bits| Op::Write(4, Width::Word, bits & 6 | bits << 10 & 0x400)),
        (0u32..16).prop_map(|bits| Op::Write(6, Width::Word, bits << 12)),
        any::<u16>().prop_map(|value| Op::Write(DEVICE_CONTROL, Width::Word, u32::from(value & 0x7FFF))),
        Just(Op::Read(DEVICE_CONTROL, Width::Word)),
        any::<bool>().prop_map(Op::Withhold),
        message_control(),
        Just(Op::Read(4, Width::Dword)),
    ];
    prop_oneof![
        2 => at().prop_map(Bend::Drop),
        1 => at().prop_map(Bend::Repeat),
        2 => at().prop_map(Bend::Swap),
        1 => (at(), any::<u32>()).prop_map(|(at, bits)| Bend::Flip(at, bits)),
        2 => (at(), 0u32..4).prop_map(|(at, place)| Bend::Place(at, place)),
        4 => (at(), inserted).prop_map(|(at, op)| Bend::Insert(at, op)),
    ]
}

/// A guest at MSI's Message Control, in every width that reaches it.
fn message_control() -> impl Strategy<Value = Op> {
    (0u32..4, any::<u16>()).prop_map(|(way, value)| match way {
        0 => Op::Write(MSI_CONTROL, Width::Word, value.into()),
        1 => Op::Write(MSI_CONTROL, Width::Byte, u32::from(value & 0xFF)),
        2 => Op::Write(MSI_CONTROL - 2, Width::Dword, u32::from(value) << 16),
        _ => Op::Read(MSI_CONTROL, Width::Word),
    })
}

fn apply(ops: &mut Vec<Op>, bend: Bend) {
    let length = ops.len();
    match bend {
        Bend::Drop(at) => drop(ops.remove(at.index(length))),
        Bend::Repeat(at) => ops.insert(at.index(length), ops[at.index(length)]),
        Bend::Swap(at) => {
            let at = at.index(length);
            ops.swap(at, (at + 1) % length);
        }
        Bend::Flip(at, bits) => {
            if let Op::Write(_, width, value) = &mut ops[at.index(length)] {
                *value ^= bits & width.all_ones();
            }
        }
        Bend::Place(at, place) => {
            let writes = |op: &Op| matches!(op, Op::Write(0x10 | 0x20, Width::Dword, _));
            if let Some(Op::Write(_, _, value)) = ops.iter_mut().skip(at.index(length)).find(|op| writes(op)) {
                *value = WINDOW.0 as u32 + (place << 16);
            }
        }
        Bend::Insert(at, op) => ops.insert(at.index(length), op),
    }
}

/// A guest: a recording from its start, pieces of others behind it, some of it bent. BAR addresses move with the function,
/// so that several of them can be up at once.
pub fn guest(number: u32) -> impl Strategy<Value = Vec<Op>> {
    let piece = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 10usize..120);
    let pieces = prop::collection::vec(piece, 0..3);
    (any::<prop::sample::Index>(), pieces, prop::collection::vec(bend(), 0..12)).prop_map(
        move |(first, pieces, bends)| {
            let all = recorded();
            let mut ops = all[first.index(all.len())].clone();
            ops.truncate(150);
            for (which, from, length) in pieces {
                let other = &all[which.index(all.len())];
                ops.extend(other.iter().skip(from.index(other.len())).take(length));
            }
            for op in &mut ops {
                if let Op::Write(0x10 | 0x20, Width::Dword, value) = op
                    && *value != u32::MAX
                {
                    *value = value.wrapping_add(number << 20);
                }
            }
            bends.into_iter().for_each(|bend| apply(&mut ops, bend));
            ops
        },
    )
}
