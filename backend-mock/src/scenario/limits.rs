//! What a VM can have at most.

use core::ops::{Range, RangeInclusive};

use super::{BarSpec, Group, Scenario, format_size};

/// Functions in all. Every function is a lane of the plot; the largest real VMs have a few dozen.
pub const MAX_FUNCTIONS: u32 = 1024;
/// Functions on one bus (`reference/protocol.md` section 11).
pub const MAX_PER_BUS: u32 = 256;
/// Maps at once.
pub(super) const PARALLEL: RangeInclusive<u32> = 1..=MAX_FUNCTIONS;
/// Where the guest's 32-bit BARs go: the usual MMIO gap of a VM with room for devices, below the config windows.
pub const LOW_MMIO: Range<u64> = 0x8000_0000..0xF800_0000;
/// Where the guest's 64-bit BARs go: the rest of a 46-bit physical address space.
pub const HIGH_MMIO: Range<u64> = (4 << 30)..(1 << 46);

const PAGE: u64 = 4096;

/// The part of a group that is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Functions,
    Bars,
}

/// A scenario that no VM can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The group to blame; `None`: all together.
    pub group: Option<usize>,
    pub part: Part,
    pub message: String,
    pub allowed: String,
}

pub(super) fn check(scenario: &Scenario) -> Result<(), Problem> {
    for (index, group) in scenario.groups.iter().enumerate() {
        registers(index, group)?;
    }
    let functions = scenario.functions();
    if !(1..=MAX_FUNCTIONS).contains(&functions) {
        return Err(Problem {
            group: None,
            part: Part::Functions,
            message: format!("{functions} functions in all"),
            allowed: format!("1 to {MAX_FUNCTIONS} functions in all groups together"),
        });
    }
    space(scenario, false, LOW_MMIO, "32-bit BARs", "below 4 GiB")?;
    space(scenario, true, HIGH_MMIO, "64-bit BARs", "between 4 GiB and 64 TiB (46-bit guest physical addresses)")
}

/// The BARs of a function fit its six registers.
fn registers(index: usize, group: &Group) -> Result<(), Problem> {
    let registers: usize = group.bars.iter().map(|bar| bar.registers()).sum();
    if registers <= 6 {
        return Ok(());
    }
    Err(Problem {
        group: Some(index),
        part: Part::Bars,
        message: format!("the BARs of a `{}` take {registers} registers", group.name),
        allowed: "6 registers: a 64-bit BAR takes two, a 32-bit BAR takes one".into(),
    })
}

/// Bytes a bus needs, and the alignment they need: whole pages, naturally aligned, largest first.
fn need(bars: &[BarSpec], is_64bit: bool, functions: u32) -> (u64, u64) {
    let footprints = bars.iter().filter(|bar| bar.is_64bit == is_64bit).map(|bar| bar.size.max(PAGE));
    let (sum, largest) =
        footprints.fold((0u64, PAGE), |(sum, largest), size| (sum.saturating_add(size), largest.max(size)));
    (sum.saturating_mul(u64::from(functions)), largest)
}

/// The windows of all buses fit the space there is.
fn space(scenario: &Scenario, is_64bit: bool, space: Range<u64>, what: &str, place: &str) -> Result<(), Problem> {
    let mut end = space.start;
    let mut total = 0u64;
    let mut blame = (0, 0);
    for (index, group) in scenario.groups.iter().enumerate() {
        let (of_group, _) = need(&group.bars, is_64bit, group.functions);
        total = total.saturating_add(of_group);
        if of_group > blame.1 {
            blame = (index, of_group);
        }
    }
    for bus in scenario.buses() {
        let (bytes, alignment) = need(&bus.group.bars, is_64bit, bus.functions);
        if bytes > 0 {
            end =
                end.checked_next_multiple_of(alignment).and_then(|start| start.checked_add(bytes)).unwrap_or(u64::MAX);
        }
    }
    if end <= space.end {
        return Ok(());
    }
    Err(Problem {
        group: Some(blame.0),
        part: Part::Bars,
        message: format!("the {what} need {} of MMIO space", format_size(total)),
        allowed: format!(
            "{what} have {} {place}; each starts at a multiple of its size",
            format_size(space.end - space.start)
        ),
    })
}
