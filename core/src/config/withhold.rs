//! Messages that the host would not know: MSI Enable is kept from the function.
//!
//! An interrupt that the host does not make, or does not make again, has no address that a message could be sent to; what is in
//! the function's registers then is somebody's memory, or 0. An entry of an MSI-X table has a mask bit for that. Plain MSI need
//! not have any (7.7.1.2, Per-Vector Masking Capable), and an operating system that has let a driver have its interrupt has no
//! way to take it back. So the function is not let have the Enable bit, while the guest sees it as it wrote it.

use super::access::Access;
use super::capability::Capabilities;
use super::page::Page;
use super::space::ConfigSpace;
use crate::Slot;
use crate::backend::ConfigPort;

/// The id of MSI (7.7.1).
const MSI: u8 = 0x05;
/// MSI Enable in the first dword of the capability: Message Control bit 0.
const ENABLE: u32 = 1 << 16;
/// Where the first capability can be.
const FIRST_CAPABILITY: u16 = 0x40;

/// What a function's MSI Enable is to the guest and to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Enable {
    /// What the guest writes is written.
    #[default]
    Passed,
    /// The function does not get it; whether the guest has set it.
    Withheld { set: bool },
}

impl Enable {
    /// What reaches the function of a guest's write.
    pub fn filter(&mut self, capabilities: &Capabilities, access: Access, value: u32) -> u32 {
        let Enable::Withheld { set } = self else { return value };
        if capabilities.find(MSI) != Some(access.dword()) || access.lanes() & ENABLE == 0 {
            return value;
        }
        let bits = access.place(value);
        *set = bits & ENABLE != 0;
        access.pick(bits & !ENABLE)
    }

    /// What the guest sees where the function answered `value`.
    pub fn show(self, capabilities: &Capabilities, access: Access, value: u32) -> u32 {
        let withheld = self == Enable::Withheld { set: true };
        if !withheld || capabilities.find(MSI) != Some(access.dword()) || access.lanes() & ENABLE == 0 {
            return value;
        }
        value | access.pick(ENABLE)
    }

    /// The function was reset: its Enable is off, and the guest expects it so. What was withheld stays withheld.
    pub const fn reset(&mut self) {
        if let Enable::Withheld { set } = self {
            *set = false;
        }
    }
}

impl ConfigSpace {
    /// Keeps a function from sending plain MSI messages, because the host knows none that it could send: its MSI Enable is off,
    /// whatever the guest writes and reads, until [`ConfigSpace::pass_messages`]. MSI-X is not touched. Any context.
    pub fn withhold_messages(&mut self, port: &mut dyn ConfigPort, slot: Slot) {
        self.with_message_control(port, slot, |enable, page, control| {
            if *enable != Enable::Passed {
                return;
            }
            let bits = control.map_or(0, |control| answered(control, page.read(control)));
            let set = bits & ENABLE != 0;
            if let (Some(control), true) = (control, set) {
                page.write(control, control.pick(bits & !ENABLE));
            }
            *enable = Enable::Withheld { set };
        });
    }

    /// The host knows a function's messages (again), and they are in its registers: MSI Enable is what the guest has written.
    /// Any context.
    pub fn pass_messages(&mut self, port: &mut dyn ConfigPort, slot: Slot) {
        self.with_message_control(port, slot, |enable, page, control| {
            let set = core::mem::take(enable) == Enable::Withheld { set: true };
            if let (Some(control), true) = (control, set) {
                let value = page.read(control);
                if !control.is_all_ones(value) {
                    page.write(control, value | control.pick(ENABLE));
                }
            }
        });
    }

    /// Runs `f` with the place of Message Control of a function's MSI, where there is one.
    fn with_message_control(
        &mut self,
        port: &mut dyn ConfigPort,
        slot: Slot,
        f: impl FnOnce(&mut Enable, &mut Page<'_>, Option<Access>),
    ) {
        let Some(at) = self.find_present(slot) else { return };
        self.with_page(port, at, |function, page, _| {
            function.capabilities.walk_for(page, FIRST_CAPABILITY);
            let home = function.capabilities.find(MSI).and_then(|home| home.checked_add(2));
            f(&mut function.msi_enable, page, home.and_then(|home| Access::new(home, 2)));
        });
    }
}

/// The bits of the dword that were read, or none where nobody answered.
const fn answered(access: Access, value: u32) -> u32 {
    if access.is_all_ones(value) { 0 } else { access.place(value) }
}
