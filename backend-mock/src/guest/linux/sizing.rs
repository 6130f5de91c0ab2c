//! BAR sizing: `pci_read_bases` and `__pci_read_base`.
//!
//! A BAR is sized by writing all ones and reading back, so decode is switched off around it where it was on. Up to 6.12
//! that is done per BAR register and for the ROM BAR: 7 minus the number of 64-bit BARs pairs of unmap and map,
//! unimplemented registers included (`reference/decode.md` section 1). Batched sizing does it once.

use hvpci_core::config::BarLayout;
use hvpci_core::wire::ProbedBars;

use crate::guest::GuestKind;
use crate::guest::access::{ConfigAccess, GuestError, Registers};
use crate::guest::registers::{
    BAR_ATTRIBUTES, BAR_IS_64BIT, BAR_IS_IO, BAR0, COMMAND, COMMAND_IO, COMMAND_MEMORY, ROM_ADDRESS_MASK, ROM_BAR,
};

const BARS: u16 = 6;

/// `pci_read_bases` for the six BARs and the ROM of an endpoint.
pub(super) async fn read_bases<A: ConfigAccess>(kind: GuestKind, access: &mut A) -> Result<BarLayout, GuestError> {
    let probed = if kind.sizes_in_one_batch() {
        read_bases_batched(access).await?
    } else {
        read_bases_one_by_one(access).await?
    };
    Ok(BarLayout::from_probed(&ProbedBars(probed)).0)
}

async fn read_bases_one_by_one<A: ConfigAccess>(access: &mut A) -> Result<[u32; 6], GuestError> {
    let mut probed = Probed::default();
    let mut index = 0;
    while index < BARS {
        let command = decode_off(access).await?;
        let low = size_register(access, bar(index), u32::MAX).await;
        let mut registers = 1;
        probed.set(index, low.probed);
        if low.is_64bit() {
            registers = 2;
            let high = size_register(access, bar(index + 1), u32::MAX).await;
            probed.set(index + 1, high.mask);
        }
        decode_back(access, command).await;
        index += registers;
    }
    let command = decode_off(access).await?;
    size_register(access, ROM_BAR, ROM_ADDRESS_MASK).await;
    decode_back(access, command).await;
    Ok(probed.0)
}

/// `pci_read_bases` of commit 4453f360862e: `__pci_size_stdbars` and `__pci_size_rom` size all seven registers with
/// decode off; `__pci_read_base` then reads the values with decode back on.
async fn read_bases_batched<A: ConfigAccess>(access: &mut A) -> Result<[u32; 6], GuestError> {
    let command = decode_off(access).await?;
    let mut masks = Probed::default();
    for index in 0..BARS {
        masks.set(index, size_register(access, bar(index), u32::MAX).await.mask);
    }
    size_register(access, ROM_BAR, ROM_ADDRESS_MASK).await;
    decode_back(access, command).await;

    let mut probed = Probed::default();
    let mut index = 0;
    while index < BARS {
        let low = SizedRegister::new(access.dword(bar(index)).await, masks.get(index));
        let mut registers = 1;
        probed.set(index, low.probed);
        if low.is_64bit() {
            registers = 2;
            access.dword(bar(index + 1)).await;
            probed.set(index + 1, masks.get(index + 1));
        }
        index += registers;
    }
    access.dword(ROM_BAR).await;
    Ok(probed.0)
}

fn bar(index: u16) -> u16 {
    BAR0 + 4 * index
}

/// Reads COMMAND, and switches I/O and memory decode off if either is on. Returns what COMMAND held.
async fn decode_off<A: ConfigAccess>(access: &mut A) -> Result<u16, GuestError> {
    let command = access.live_word(COMMAND).await?;
    if command & (COMMAND_IO | COMMAND_MEMORY) != 0 {
        access.set_word(COMMAND, command & !(COMMAND_IO | COMMAND_MEMORY)).await;
    }
    Ok(command)
}

/// Puts COMMAND back if [`decode_off`] changed it.
async fn decode_back<A: ConfigAccess>(access: &mut A, command: u16) {
    if command & (COMMAND_IO | COMMAND_MEMORY) != 0 {
        access.set_word(COMMAND, command).await;
    }
}

/// Read, write ones, read, put back: four accesses per register.
async fn size_register<A: ConfigAccess>(access: &mut A, offset: u16, ones: u32) -> SizedRegister {
    let value = access.dword(offset).await;
    access.set_dword(offset, value | ones).await;
    let mask = access.dword(offset).await;
    access.set_dword(offset, value).await;
    SizedRegister::new(value, mask)
}

/// One sized register.
struct SizedRegister {
    value: u32,
    mask: u32,
    /// The mask with the attribute bits of the value: what the host reports as probed.
    probed: u32,
}

impl SizedRegister {
    fn new(value: u32, mask: u32) -> SizedRegister {
        let value = if value == u32::MAX { 0 } else { value };
        let probed = match mask {
            0 | u32::MAX => 0,
            _ if value & BAR_IS_IO != 0 => mask,
            _ => (mask & !BAR_ATTRIBUTES) | (value & BAR_ATTRIBUTES),
        };
        SizedRegister { value, mask, probed }
    }

    /// `decode_bar`: the type is taken from the value read before sizing.
    fn is_64bit(&self) -> bool {
        self.value & BAR_IS_IO == 0 && self.value & BAR_IS_64BIT != 0
    }
}

#[derive(Default)]
struct Probed([u32; 6]);

impl Probed {
    /// Register 6 stands for nothing: the upper half of a 64-bit BAR that claims to start in register 5.
    fn set(&mut self, index: u16, value: u32) {
        if let Some(place) = self.0.get_mut(usize::from(index)) {
            *place = value;
        }
    }

    fn get(&self, index: u16) -> u32 {
        self.0.get(usize::from(index)).copied().unwrap_or(0)
    }
}
