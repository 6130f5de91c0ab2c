//! Resource lists: what a bus asks the PnP manager for, and what devices were given.

use hvpci_windows::ranges::CONFIG_WINDOW;
use hvpci_windows::resources::{self, MemoryNeed};
use hvpci_windows::settings::Settings;
use wdk_sys::NTSTATUS;

use crate::sys::resources::{Assigned, Needs, Requirements};

const PAGE: u64 = 0x1000;
const FOUR_GIB: u64 = 1 << 32;
const LAST_ADDRESS: u64 = (1 << 52) - 1;
/// The least low space that is of use: the config window.
const LEAST_LOW: u64 = CONFIG_WINDOW;
/// The least high space worth asking for.
const LEAST_HIGH: u64 = 1 << 30;
/// No more alignment than the largest BAR is likely to need.
const LARGEST_ALIGNMENT: u64 = 128 << 30;

/// Asks the PnP manager for MMIO space, which is how a function driver comes by memory that its parent's bus driver does not
/// list: appends it to every list. Which windows are needed is known only once the host has said what BARs there are, so what
/// is asked for is a setting: low and high space, each with ever smaller alternatives. Returns how many resources that will
/// be.
pub fn add_requirements(settings: &Settings, requirements: &Requirements<'_>) -> Result<u32, NTSTATUS> {
    let mut added = 0;
    let count = requirements.count();
    if count == 0 {
        let list = requirements.new_list()?;
        added = append_needs(settings, list.needs())?;
        list.append_to_requirements()?;
    }
    for list in (0..count).filter_map(|index| requirements.get(index)) {
        added = append_needs(settings, &list)?;
    }
    Ok(added)
}

/// Appends what a bus needs, with its alternatives. Returns how many resources that will be.
fn append_needs(settings: &Settings, list: &Needs<'_>) -> Result<u32, NTSTATUS> {
    let mut added = 0;
    let low = (settings.low_mmio.max(CONFIG_WINDOW), 0, FOUR_GIB - 1, LEAST_LOW);
    let high = (settings.high_mmio, FOUR_GIB, LAST_ADDRESS, LEAST_HIGH);
    for (most, lowest, highest, least) in [low, high] {
        let (mut size, mut alternative) = (most, false);
        while size >= least {
            let align = (1 << (63 - size.leading_zeros())).clamp(PAGE, LARGEST_ALIGNMENT);
            // An alternative to a descriptor that was left out would be one to whatever stands before it.
            if append_need(list, &MemoryNeed { size, align, lowest, highest, prefetchable: false, alternative })? {
                added += u32::from(!alternative);
                alternative = true;
            }
            size = (size / 2) & !(PAGE - 1);
        }
    }
    Ok(added)
}

/// Appends a wish to a list of resources. A wish that cannot be written down is left out: `false`.
pub fn append_need(list: &Needs<'_>, need: &MemoryNeed) -> Result<bool, NTSTATUS> {
    resources::encode_io(need).map_or(Ok(false), |bytes| list.append(&bytes).map(|()| true))
}

/// The descriptors of the same resources, raw and translated, as bytes.
pub fn assigned_twice<'a>(
    raw: Assigned<'a>,
    translated: Assigned<'a>,
) -> impl Iterator<Item = ([u8; resources::CM_BYTES], [u8; resources::CM_BYTES])> + use<'a> {
    let both = raw.count().min(translated.count());
    (0..both).filter_map(move |index| Some((raw.get(index)?, translated.get(index)?)))
}
