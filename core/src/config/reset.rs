//! Guest writes that reset the function, change its power state, or change the size of its BARs.

use super::access::{Access, low_word};
use super::capability::Capabilities;
use super::registers::{ADVANCED_FEATURES, PCI_EXPRESS, POWER_MANAGEMENT, RESIZABLE_BAR};

/// Initiate Function Level Reset, Device Control bit 15 (PCI Express Base 7.5.3.4), in the dword at +8.
const INITIATE_FLR: u32 = 1 << 15;
/// Initiate FLR of AF Control (Advanced Features ECN), in the dword at +4.
const AF_INITIATE_FLR: u32 = 1 << 0;
/// PowerState of PMCSR (7.5.2.2), in the dword at +4.
const POWER_STATE: u32 = 0x3;
/// No_Soft_Reset of PMCSR (7.5.2.2).
const NO_SOFT_RESET: u16 = 1 << 3;

/// What a write does besides writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// A function-level reset.
    Reset,
    /// PMCSR gets this power state; PMCSR is at the offset.
    Power { state: u8, pmcsr: u16 },
    /// A Resizable BAR control register: the size of a BAR may change.
    Resize,
}

/// What a write of `value` does, as far as the capabilities are known.
pub(super) fn effect(capabilities: &Capabilities, access: Access, value: u32) -> Effect {
    let (bits, lanes, dword) = (access.place(value), access.lanes(), access.dword());
    let at = |home: Option<u16>, offset: u16| home.and_then(|home| home.checked_add(offset)) == Some(dword);
    if at(capabilities.find(PCI_EXPRESS), 8) && bits & INITIATE_FLR != 0 {
        return Effect::Reset;
    }
    if at(capabilities.find(ADVANCED_FEATURES), 4) && bits & AF_INITIATE_FLR != 0 {
        return Effect::Reset;
    }
    if at(capabilities.find(POWER_MANAGEMENT), 4) && lanes & POWER_STATE == POWER_STATE {
        let [state, ..] = (bits & POWER_STATE).to_le_bytes();
        return Effect::Power { state, pmcsr: dword };
    }
    // Control registers follow the capability registers: at +8, +16, ... for up to six BARs (7.8.6.3).
    let resizable = capabilities.find_extended(RESIZABLE_BAR);
    if (1..=6u16).any(|n| at(resizable, n.wrapping_mul(8))) {
        return Effect::Resize;
    }
    Effect::None
}

/// The power state of a function, as far as its config space shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Power {
    /// PMCSR's PowerState, once read or written.
    pub state: Option<u8>,
    /// PMCSR's No_Soft_Reset, once read.
    pub no_soft_reset: Option<bool>,
}

/// D3hot in PMCSR.
pub(super) const D3_HOT: u8 = 3;

impl Power {
    /// The host answered a read: `value`, not all ones.
    pub fn observe(&mut self, capabilities: &Capabilities, access: Access, value: u32) {
        let pmcsr = capabilities.find(POWER_MANAGEMENT).and_then(|home| home.checked_add(4));
        if pmcsr != Some(access.dword()) || access.lanes() & 0xFF == 0 {
            return;
        }
        let bits = low_word(access.place(value));
        let [state, ..] = (bits & 3).to_le_bytes();
        self.state = Some(state);
        self.no_soft_reset = Some(bits & NO_SOFT_RESET != 0);
    }

    /// Whether a write of `state` resets the function. Not knowing counts as yes.
    pub fn resets(&self, state: u8) -> bool {
        state == 0 && matches!(self.state, Some(D3_HOT) | None) && self.no_soft_reset != Some(true)
    }

    /// Whether a write of `state` can be judged without asking the host.
    pub const fn is_known(&self) -> bool {
        self.state.is_some() && self.no_soft_reset.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities() -> Capabilities {
        let mut list = Capabilities::default();
        let mut read = |offset, bytes, value| list.observe(Access::new(offset, bytes).unwrap(), value);
        read(0x06, 2, 0x0010);
        read(0x34, 1, 0x40);
        read(0x40, 2, 0x5010);
        read(0x50, 2, 0x6001);
        read(0x60, 2, 0x0013);
        read(0x100, 4, 0x2001_0001);
        read(0x200, 4, 0x0001_0015);
        list
    }

    #[test]
    fn resets_in_every_width() {
        let list = capabilities();
        let effect = |offset, bytes, value| effect(&list, Access::new(offset, bytes).unwrap(), value);
        assert_eq!(effect(0x48, 2, 0x8000), Effect::Reset);
        assert_eq!(effect(0x48, 4, 0x0000_8010), Effect::Reset);
        assert_eq!(effect(0x49, 1, 0x80), Effect::Reset);
        assert_eq!(effect(0x48, 1, 0x80), Effect::None);
        assert_eq!(effect(0x48, 2, 0x7FFF), Effect::None);
        assert_eq!(effect(0x4A, 2, 0x8000), Effect::None, "Device Status");
        assert_eq!(effect(0x64, 1, 1), Effect::Reset);
        assert_eq!(effect(0x64, 1, 2), Effect::None);
        assert_eq!(effect(0x54, 2, 0x0103), Effect::Power { state: 3, pmcsr: 0x54 });
        assert_eq!(effect(0x54, 1, 0), Effect::Power { state: 0, pmcsr: 0x54 });
        assert_eq!(effect(0x55, 1, 0xFF), Effect::None);
        assert_eq!(effect(0x208, 4, 0x0500), Effect::Resize);
        assert_eq!(effect(0x204, 4, 0), Effect::None);
        assert_eq!(effect(0x230, 1, 0), Effect::Resize);
        assert_eq!(effect(0x238, 1, 0), Effect::None);
    }

    #[test]
    fn only_d3_to_d0_without_no_soft_reset_resets() {
        let power = |state, nsr| Power { state, no_soft_reset: nsr };
        assert!(power(Some(3), Some(false)).resets(0));
        assert!(power(None, None).resets(0));
        assert!(!power(Some(3), Some(true)).resets(0));
        assert!(!power(Some(0), Some(false)).resets(0));
        assert!(!power(Some(3), Some(false)).resets(3));
    }
}
