//! The input of the hypercall that aims an interrupt (x86).

use bitflags::bitflags;

use super::{Architecture, MsiEntry};
use crate::wire::Version;
use crate::{InstanceId, Slot};

/// HVCALL_RETARGET_INTERRUPT: the call code (`reference/protocol.md` section 9).
pub const HVCALL_RETARGET_INTERRUPT: u16 = 0x007E;

/// The caller's own partition.
const PARTITION_SELF: u64 = u64::MAX;
/// Interrupt entry source: an MSI.
const SOURCE_MSI: u32 = 1;
/// VP set format: sparse, banks of 64 VPs.
const FORMAT_SPARSE_4K: u64 = 0;
/// VPs of a bank.
const BANK_BITS: u32 = 64;
/// Banks of a VP set: VPs 0 to 4095.
const BANKS: u32 = 64;
/// Bits 17 to 26 of the hypercall control word hold the variable header's size in 8-byte units.
const VARIABLE_HEADER_SHIFT: u32 = 17;
/// Bytes of the input with a mask, in which nothing is variable.
const MASK_BYTES: usize = 56;
/// Offset of the VP set's bank mask: where the variable header starts.
const VALID_BANKS: usize = 56;
/// Offset of the first bank.
const FIRST_BANK: usize = 64;

bitflags! {
    /// The flags of the interrupt target.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct TargetFlags: u32 {
        /// Every target takes the interrupt, not one of them.
        const MULTICAST = 1 << 0;
        /// A VP set follows, not a mask.
        const VP_SET = 1 << 1;
    }
}

/// Which interrupt is aimed, and how. The processors come apart, with [`Retarget::encode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retarget {
    /// The bus instance.
    pub instance: InstanceId,
    /// The function.
    pub slot: Slot,
    /// What the host gave for this vector (of a group: the vector's own entry, [`super::MsiGroup::entry`]).
    pub entry: MsiEntry,
    /// The vector the processors shall see.
    pub vector: u32,
    /// Whether all processors get it instead of one.
    pub multicast: bool,
}

/// How to make the hypercall whose input was encoded.
///
/// Only the input's first `length` bytes count. They must lie in one page and start on a multiple of 8. The call fails
/// once the channel is closed or rescinded: ignore that while a function is being removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetargetArguments {
    /// Bytes of input.
    pub length: usize,
    /// Size of the variable header, in units of 8 bytes: bits 17 to 26 of the control word.
    pub variable_header: u16,
    /// The whole hypercall input value: call code and variable header size.
    pub control: u64,
}

/// Why an interrupt cannot be aimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RetargetError {
    /// arm64 has no such hypercall: the GIC is programmed directly.
    #[error("interrupts are not retargeted on arm64")]
    NotOnArm64,
    /// No processor was named.
    #[error("an interrupt for no processor")]
    NoTargets,
    /// The mask of version 1.1 names VPs 0 to 63, the VP set VPs 0 to 4095.
    #[error("VP {vp} cannot be named to the host, only VPs 0 to {last}")]
    VpTooHigh {
        /// The processor.
        vp: u32,
        /// The last one that can be named.
        last: u32,
    },
    /// The buffer is too small: [`Retarget::MAX_BYTES`] always suffices.
    #[error("the hypercall input needs {needed} bytes")]
    BufferTooSmall {
        /// Bytes needed.
        needed: usize,
    },
}

impl Retarget {
    /// Bytes of the largest input: all 64 banks.
    pub const MAX_BYTES: usize = 576;

    /// Writes the hypercall's input into `buffer` (`reference/protocol.md` section 9): with a VP set from version 1.2 on,
    /// with a 64-bit mask before. `vps` is walked twice and may come in any order and repeat. Any context, interrupts
    /// off included; the caller makes the hypercall, with a buffer of its own that nothing else uses meanwhile.
    ///
    /// # Errors
    ///
    /// See [`RetargetError`]; the buffer's content is then undefined.
    pub fn encode(
        &self,
        architecture: Architecture,
        version: Version,
        vps: impl IntoIterator<Item = u32> + Clone,
        buffer: &mut [u8],
    ) -> Result<RetargetArguments, RetargetError> {
        if architecture == Architecture::Arm64 {
            return Err(RetargetError::NotOnArm64);
        }
        let mut flags = TargetFlags::empty();
        flags.set(TargetFlags::MULTICAST, self.multicast);
        let mut out = Output { buffer };
        let (length, variable_header) = if version >= Version::V1_2 {
            flags |= TargetFlags::VP_SET;
            out.put_vp_set(vps)?
        } else {
            out.put_mask(vps)?
        };
        out.put_u64(0, PARTITION_SELF)?;
        out.put_u64(8, self.instance.logical_device_id(self.slot))?;
        out.put_u32(16, SOURCE_MSI)?;
        out.put_u32(20, 0)?;
        let [a0, a1, a2, a3, ..] = self.entry.address.to_le_bytes();
        out.put_u32(24, u32::from_le_bytes([a0, a1, a2, a3]))?;
        out.put_u32(28, self.entry.data)?;
        out.put_u64(32, 0)?;
        out.put_u32(40, self.vector)?;
        out.put_u32(44, flags.bits())?;
        let control = u64::from(HVCALL_RETARGET_INTERRUPT) | (u64::from(variable_header) << VARIABLE_HEADER_SHIFT);
        Ok(RetargetArguments { length, variable_header, control })
    }
}

/// The caller's buffer.
struct Output<'a> {
    buffer: &'a mut [u8],
}

impl Output<'_> {
    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<(), RetargetError> {
        let needed = offset.saturating_add(bytes.len());
        let place = self.buffer.get_mut(offset..needed).ok_or(RetargetError::BufferTooSmall { needed })?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    fn put_u32(&mut self, offset: usize, value: u32) -> Result<(), RetargetError> {
        self.put(offset, &value.to_le_bytes())
    }

    fn put_u64(&mut self, offset: usize, value: u64) -> Result<(), RetargetError> {
        self.put(offset, &value.to_le_bytes())
    }

    /// Sets bits of a u64 that was written before.
    fn set_bits(&mut self, offset: usize, bits: u64) -> Result<(), RetargetError> {
        let needed = offset.saturating_add(8);
        let place = self.buffer.get_mut(offset..needed).ok_or(RetargetError::BufferTooSmall { needed })?;
        for (byte, bits) in place.iter_mut().zip(bits.to_le_bytes()) {
            *byte |= bits;
        }
        Ok(())
    }

    /// The mask of the targets; length and variable header size.
    fn put_mask(&mut self, vps: impl IntoIterator<Item = u32>) -> Result<(usize, u16), RetargetError> {
        let mut mask = 0u64;
        for vp in vps {
            let last = BANK_BITS.saturating_sub(1);
            mask |= 1u64.checked_shl(vp).ok_or(RetargetError::VpTooHigh { vp, last })?;
        }
        if mask == 0 {
            return Err(RetargetError::NoTargets);
        }
        self.put_u64(48, mask)?;
        Ok((MASK_BYTES, 0))
    }

    /// The sparse set of the targets; length and variable header size.
    ///
    /// First the mask of banks that have a VP, then those banks alone, ascending. The format word counts as fixed, the
    /// mask of banks as variable.
    fn put_vp_set(&mut self, vps: impl IntoIterator<Item = u32> + Clone) -> Result<(usize, u16), RetargetError> {
        let mut valid = 0u64;
        for vp in vps.clone() {
            let last = BANKS.saturating_mul(BANK_BITS).saturating_sub(1);
            valid |= 1u64.checked_shl(vp / BANK_BITS).ok_or(RetargetError::VpTooHigh { vp, last })?;
        }
        if valid == 0 {
            return Err(RetargetError::NoTargets);
        }
        let mut length = FIRST_BANK;
        let mut variable_header = 1u16;
        for _ in 0..valid.count_ones() {
            self.put_u64(length, 0)?;
            length = length.saturating_add(8);
            variable_header = variable_header.saturating_add(1);
        }
        self.put_u64(48, FORMAT_SPARSE_4K)?;
        self.put_u64(VALID_BANKS, valid)?;
        for vp in vps {
            let bank = 1u64.checked_shl(vp / BANK_BITS).unwrap_or(0);
            let before = valid & bank.wrapping_sub(1);
            let offset = (0..before.count_ones()).fold(FIRST_BANK, |offset, _| offset.saturating_add(8));
            // An iterator that gives more the second time must not reach past the banks that were counted.
            if valid & bank != 0 {
                self.set_bits(offset, 1u64 << (vp % BANK_BITS))?;
            }
        }
        Ok((length, variable_header))
    }
}
