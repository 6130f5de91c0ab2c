//! What a platform wants of CREATE_INTERRUPT, and what cannot be had.

use super::SpiRange;
use crate::Slot;
use crate::wire::{CreateForm, DeliveryMode, GuestMessage, MAX_MESSAGES_PER_REQUEST, MAX_VPS_IN_LIST, Version, VpSet};

/// The machine's interrupt architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// x86-64: 8-bit APIC vectors; targets are set by the retarget hypercall.
    X86,
    /// arm64: vectors are SPI numbers of the GIC, picked by the guest; no retarget.
    Arm64,
}

/// The first x86 vector free for devices: 0-15 are illegal in an MSI (Intel SDM volume 3, 11.5.2).
const FIRST_X86_VECTOR: u32 = 16;
/// The last x86 vector.
const LAST_X86_VECTOR: u32 = 255;

/// What is to be created: `count` vectors from `vector` on, for a function, aimed at some processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterruptRequest {
    /// The function.
    pub slot: Slot,
    /// The first vector: an APIC vector on x86, an SPI number on arm64.
    pub vector: u32,
    /// How many vectors: 1 for MSI-X; 1 to 32, a power of two, for MSI.
    pub count: u16,
    /// The processors: on x86 one is enough, as the real ones are set by the retarget hypercall. The host picks the physical
    /// CPU that takes the device's interrupt from *this* one, so it matters all the same: see [`super::VpSpread`].
    pub targets: VpSet,
}

impl InterruptRequest {
    /// The vector that stands in for those of a multi-MSI group on x86 until they are known: not zero, and aligned for
    /// every group size (`reference/protocol.md` section 9). Retargeting sets the real ones.
    pub const DUMMY_VECTOR: u32 = 32;

    /// One interrupt, of MSI-X or of single MSI, with its real vector.
    pub fn single(slot: Slot, vector: u32, targets: VpSet) -> InterruptRequest {
        InterruptRequest { slot, vector, count: 1, targets }
    }

    /// A multi-MSI group on x86, with the dummy vector.
    pub fn multi_msi(slot: Slot, count: u16, targets: VpSet) -> InterruptRequest {
        InterruptRequest { slot, vector: InterruptRequest::DUMMY_VECTOR, count, targets }
    }

    /// One interrupt or a multi-MSI group on arm64, with the SPIs allocated for it.
    pub fn spis(slot: Slot, range: SpiRange, targets: VpSet) -> InterruptRequest {
        InterruptRequest { slot, vector: u32::from(range.first()), count: range.count(), targets }
    }

    /// Checks everything but what depends on the message form.
    ///
    /// # Errors
    ///
    /// See [`InterruptError`].
    pub fn validate(&self, architecture: Architecture) -> Result<(), InterruptError> {
        let (slot, vector, count) = (self.slot, self.vector, self.count);
        if !count.is_power_of_two() || count > MAX_MESSAGES_PER_REQUEST {
            return Err(InterruptError::Count { slot, count });
        }
        if self.targets.as_slice().is_empty() {
            return Err(InterruptError::NoTargets { slot });
        }
        let (first, last) = match architecture {
            Architecture::X86 => (FIRST_X86_VECTOR, LAST_X86_VECTOR),
            Architecture::Arm64 => (u32::from(SpiRange::FIRST), u32::from(SpiRange::LAST)),
        };
        let end = vector.checked_add(u32::from(count).saturating_sub(1));
        if vector < first || end.is_none_or(|end| end > last) {
            return Err(InterruptError::Vector { slot, vector, count, first, last });
        }
        if !vector.is_multiple_of(u32::from(count)) {
            return Err(InterruptError::Misaligned { slot, vector, count });
        }
        Ok(())
    }

    /// The message to send for this request on a bus that negotiated `version`: CREATE_INTERRUPT on 1.1, the second form
    /// on 1.2 and 1.3, the third from 1.4 on. Always fixed delivery: lowest priority is an x86 mode, and the hypercall
    /// that aims the interrupt says anew whether one or all targets take it.
    ///
    /// # Errors
    ///
    /// See [`InterruptError`]. What this gives can always be encoded.
    pub fn to_create(
        &self,
        architecture: Architecture,
        version: Version,
    ) -> Result<GuestMessage<'static>, InterruptError> {
        let InterruptRequest { slot, vector, count, targets } = *self;
        if !version.is_spoken() {
            return Err(InterruptError::NotSpoken { slot, version });
        }
        self.validate(architecture)?;
        let form = version.create_form();
        if architecture == Architecture::Arm64 && form != CreateForm::V3 {
            return Err(InterruptError::VersionTooLow { slot, version });
        }
        let named = targets.as_slice().len();
        match form {
            CreateForm::V1 => {
                targets.mask().map_err(|vp| InterruptError::VpTooHigh { slot, vp, version })?;
            }
            CreateForm::V2 | CreateForm::V3 if named > MAX_VPS_IN_LIST => {
                return Err(InterruptError::TooManyTargets { slot, named });
            }
            CreateForm::V2 | CreateForm::V3 => {}
        }
        Ok(GuestMessage::CreateInterrupt { form, slot, vector, delivery: DeliveryMode::FIXED, count, targets })
    }
}

/// Why an interrupt cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InterruptError {
    /// The count is no power of two from 1 to 32.
    #[error("function {slot}: {count} interrupt vectors at once; it must be 1, 2, 4, 8, 16 or 32")]
    Count {
        /// The function.
        slot: Slot,
        /// The count asked for.
        count: u16,
    },
    /// No processor was named.
    #[error("function {slot}: an interrupt for no processor")]
    NoTargets {
        /// The function.
        slot: Slot,
    },
    /// More processors than the lists of versions 1.2 and later hold.
    #[error("function {slot}: an interrupt for {named} processors at once; at most 32 can be named")]
    TooManyTargets {
        /// The function.
        slot: Slot,
        /// How many were named.
        named: usize,
    },
    /// A vector the architecture does not have for devices.
    #[error("function {slot}: vectors from {vector} ({count}) are not all between {first} and {last}")]
    Vector {
        /// The function.
        slot: Slot,
        /// The first vector asked for.
        vector: u32,
        /// How many.
        count: u16,
        /// The lowest that is possible.
        first: u32,
        /// The highest that is possible.
        last: u32,
    },
    /// The first vector of a group is no multiple of its size; the function sets the low bits of the message by itself.
    #[error("function {slot}: a group of {count} vectors cannot start at {vector}")]
    Misaligned {
        /// The function.
        slot: Slot,
        /// The first vector asked for.
        vector: u32,
        /// How many.
        count: u16,
    },
    /// A processor that the 64-bit mask of version 1.1 cannot name.
    #[error("function {slot}: VP {vp} cannot be named to a host of version {version}, which knows VPs 0 to 63")]
    VpTooHigh {
        /// The function.
        slot: Slot,
        /// The processor.
        vp: u16,
        /// The bus's version.
        version: Version,
    },
    /// arm64 needs 32-bit vectors: version 1.4.
    #[error("function {slot}: interrupts on arm64 need version 1.4; the host speaks {version}")]
    VersionTooLow {
        /// The function.
        slot: Slot,
        /// The bus's version.
        version: Version,
    },
    /// A version in which no interrupt can be created at all.
    #[error("function {slot}: version {version} is not spoken")]
    NotSpoken {
        /// The function.
        slot: Slot,
        /// The version.
        version: Version,
    },
}
