//! From a section to a device.

use std::collections::BTreeMap;

use hvpci_core::backend::{ConfigPort, Width};

use super::super::event::{ChannelId, Section};
use super::evidence::Evidence;
use super::function::{BARS, FunctionModel, Rules, SPACE, span};
use super::script::{Access, AccessKind, Script};
use super::{Change, ReplayDevice, ScheduledChange};

/// Where the identity registers that a description gives stand.
const IDENTITY: [usize; 3] = [0x00, 0x08, 0x2C];
const COMMAND: usize = 0x04;
const MEMORY: u8 = 1 << 1;
/// Status: nothing in it takes what is written; these bits of its high byte are cleared by a written one (PCI Express Base
/// 5.0 section 7.5.1.1.4).
const STATUS: std::ops::Range<usize> = 0x06..0x08;
const STATUS_CLEARABLE: u8 = 0xF9;
const CAPABILITIES: usize = 0x34;

/// Rebuilds the device: of the rules that hosts are known to follow, those that leave the least unexplained.
pub(super) fn learn(section: &Section, channel: ChannelId) -> ReplayDevice {
    let script = Script::of(section, channel);
    let candidates = [(true, true), (true, false), (false, true), (false, false)];
    let explained = candidates.map(|(bars_locked, resets)| explain(&script, Rules { bars_locked, resets }));
    // The first of several that explain equally much: what the real host is documented to do.
    let best = explained.into_iter().min_by_key(|device| device.schedule.len());
    let mut device = best.unwrap_or_else(|| ReplayDevice::new(BTreeMap::new(), Vec::new()));
    device.probed = script.probed;
    device
}

/// The model of one function, and when it vanishes and comes back.
fn function(script: &Script, slot: u32, rules: Rules) -> (FunctionModel, Vec<ScheduledChange>) {
    let absences = script.absences(slot);
    let described = script.described.get(&slot);
    let first_read = script.accesses.iter().find(|access| access.slot == slot && access.kind == AccessKind::Read);
    let absent_at_first = described.is_none()
        && absences.first().is_some_and(|absence| first_read.is_some_and(|read| read.index == absence.start));
    let mut changes = Vec::new();
    for absence in &absences {
        let at = |index, present| ScheduledChange { index, slot: Some(slot), change: Change::Presence(present) };
        changes.push(at(absence.start, false));
        if absence.end != usize::MAX {
            changes.push(at(absence.end, true));
        }
    }
    if absent_at_first {
        changes.remove(0);
    }
    let absent = |index: usize| absences.iter().any(|absence| absence.contains(&index));
    let evidence = evidence(script, slot, rules, absent);
    let mut model = FunctionModel {
        present: !absent_at_first,
        rules,
        value: Vec::new(),
        first_value: (0..SPACE).map(|at| evidence.first_value(at)).collect(),
        writable: (0..SPACE).map(|at| evidence.writable(at)).collect(),
        clearable: (0..SPACE).map(|at| evidence.clearable(at)).collect(),
        known: evidence.seen,
        device_control: None,
        power_control: None,
    };
    for (start, bytes) in IDENTITY.into_iter().zip(described.into_iter().flatten()) {
        for (at, byte) in (start..).zip(bytes) {
            // What the host answers counts for more than what it announced.
            if model.known[at] != 0xFF {
                (model.first_value[at], model.known[at]) = (*byte, 0xFF);
            }
        }
    }
    for at in STATUS {
        model.writable[at] = 0;
        model.clearable[at] = if at == STATUS.end - 1 { STATUS_CLEARABLE } else { 0 };
    }
    let mut decodes = true;
    if let Some(probed) = script.probed.get(&slot) {
        let mut upper = false;
        for (index, mask) in probed.iter().enumerate() {
            model.set_bar_mask(index, *mask, upper);
            // 64-bit memory BAR: type 2 in bits 1-2, bit 0 clear (PCI Express Base 5.0 section 7.5.1.2.1).
            upper = !upper && mask & 0x7 == 0x4;
        }
        decodes = probed.iter().any(|mask| *mask != 0);
    }
    if decodes {
        // Whether or not this guest ever turned decode on.
        model.writable[COMMAND] |= MEMORY;
    }
    if powered_on_unseen(script, slot) {
        model.first_value[COMMAND] &= !MEMORY;
    }
    find_reset_registers(&mut model);
    model.value.clone_from(&model.first_value);
    (model, changes)
}

/// Whether the host turned decode on before the guest looked at the function: it was off then, though no read shows it.
fn powered_on_unseen(script: &Script, slot: u32) -> bool {
    let first = script.accesses.iter().find(|access| access.slot == slot).map_or(usize::MAX, |access| access.index);
    let mut host = script.host.iter().filter(|change| change.slot.is_none_or(|only| only == slot));
    let power = host.find(|change| matches!(change.change, Change::SetMemory(_)));
    power.is_some_and(|power| power.index < first && power.change == Change::SetMemory(true))
}

/// Gathers what the accesses to one function tell.
fn evidence(script: &Script, slot: u32, rules: Rules, absent: impl Fn(usize) -> bool) -> Evidence {
    let mut evidence = Evidence::new();
    let mut host = script.host.iter().filter(|change| change.slot.is_none_or(|only| only == slot)).peekable();
    let mut was_absent = false;
    for access in script.accesses.iter().filter(|access| access.slot == slot) {
        while let Some(change) = host.next_if(|change| change.index < access.index) {
            match change.change {
                Change::SetBars(_) => BARS.for_each(|at| evidence.forget(at, 0xFF)),
                _ => evidence.forget(COMMAND, MEMORY),
            }
        }
        if absent(access.index) {
            was_absent = true;
            continue;
        }
        if std::mem::take(&mut was_absent) {
            (0..SPACE).for_each(|at| evidence.forget(at, 0xFF));
        }
        note(&mut evidence, rules, access);
    }
    evidence
}

fn note(evidence: &mut Evidence, rules: Rules, access: &Access) {
    let Some(span) = span(access.offset, access.width) else { return };
    let bytes = span.zip(access.value.to_le_bytes());
    let AccessKind::Write { had } = access.kind else {
        return bytes.for_each(|(at, byte)| evidence.read(at, byte));
    };
    if let Some(had) = had {
        (COMMAND..).zip(had.to_le_bytes()).for_each(|(at, byte)| evidence.read(at, byte));
    }
    let locked = rules.bars_locked && evidence.supposed(COMMAND) & MEMORY != 0;
    for (at, byte) in bytes {
        // A BAR write that the host drops tells nothing of the bits.
        if BARS.contains(&at) && locked {
            evidence.forget(at, 0xFF);
        } else {
            evidence.write(at, byte);
        }
    }
}

/// Finds the registers through which a guest resets the function, as far as the recording shows the capability chain.
fn find_reset_registers(model: &mut FunctionModel) {
    const MAX_CHAIN: usize = 48;
    let byte = |at: usize| Some(model.first_value[at]).filter(|_| model.known[at] == 0xFF);
    let mut next = byte(CAPABILITIES);
    let (mut device_control, mut power_control) = (None, None);
    for _ in 0..MAX_CHAIN {
        let Some(at) = next.map(|pointer| usize::from(pointer & 0xFC)).filter(|&at| at >= 0x40) else { break };
        match byte(at) {
            Some(0x01) => power_control = Some(at + 4),
            // Device Capabilities bit 28: function-level reset.
            Some(0x10) if at + 9 < 0x100 && byte(at + 7).is_some_and(|byte| byte & 1 << 4 != 0) => {
                device_control = Some(at + 8);
            }
            Some(_) => {}
            None => break,
        }
        next = byte(at + 1);
    }
    (model.device_control, model.power_control) = (device_control, power_control);
}

/// Builds the device under `rules`, runs the recorded accesses through it, and schedules what it does not predict.
fn explain(script: &Script, rules: Rules) -> ReplayDevice {
    let mut schedule = script.host.clone();
    let mut functions = BTreeMap::new();
    for slot in script.slots() {
        let (function, changes) = function(script, slot, rules);
        functions.insert(slot, function);
        schedule.extend(changes);
    }
    schedule.sort_by_key(|change| change.index);
    let fresh = ReplayDevice::new(functions, schedule);
    let mut device = fresh.clone();
    let mut inferred = Vec::new();
    for access in &script.accesses {
        device.advance_to(access.index);
        device.selected = access.slot;
        let shown = match access.kind {
            AccessKind::Read => Some((access.offset, access.width, access.value)),
            AccessKind::Write { had } => had.map(|had| (0x04, Width::Word, u32::from(had))),
        };
        if let Some((offset, width, value)) = shown {
            let mask = device.read(offset, width) ^ value;
            let present = device.function(access.slot).is_some_and(FunctionModel::is_present);
            if mask != 0 && present {
                let change = Change::Bits { offset, mask, value };
                let change = ScheduledChange { index: access.index, slot: Some(access.slot), change };
                device.apply(change);
                inferred.push(change);
            }
        }
        if access.kind != AccessKind::Read {
            device.write(access.offset, access.width, access.value);
        }
    }
    let mut explained = fresh;
    explained.schedule.extend(inferred);
    explained.schedule.sort_by_key(|change| change.index);
    explained
}
