//! From a request to the message that fits the version.

use super::{Architecture, Delivery, InterruptError, InterruptRequest, VpList};
use crate::Slot;
use crate::wire::Version;

/// Which of the CREATE_INTERRUPT messages a version uses (`reference/protocol.md` section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CreateForm {
    /// CREATE_INTERRUPT: 8-bit vector, 64-bit processor mask. 1.1.
    V1,
    /// CREATE_INTERRUPT2: 8-bit vector, processor list. 1.2 and 1.3.
    V2,
    /// CREATE_INTERRUPT3: 32-bit vector, processor list. 1.4 and later.
    V3,
}

impl CreateForm {
    /// The form of a version; `None` for versions that are not spoken.
    pub fn of(version: Version) -> Option<CreateForm> {
        if !version.is_spoken() {
            return None;
        }
        Some(if version >= Version::V1_4 {
            CreateForm::V3
        } else if version >= Version::V1_2 {
            CreateForm::V2
        } else {
            CreateForm::V1
        })
    }
}

/// A CREATE_INTERRUPT message that is known to be valid in its form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreateInterrupt {
    /// The message.
    pub form: CreateForm,
    /// The function.
    pub slot: Slot,
    /// The first vector; at most 255 in forms 1 and 2.
    pub vector: u32,
    /// The delivery mode.
    pub delivery: Delivery,
    /// How many vectors.
    pub count: u16,
    /// The processors; at most 63 each in form 1.
    pub targets: VpList,
}

impl InterruptRequest {
    /// The message to send for this request on a bus that negotiated `version`.
    ///
    /// # Errors
    ///
    /// See [`InterruptError`].
    pub fn to_create(&self, architecture: Architecture, version: Version) -> Result<CreateInterrupt, InterruptError> {
        let slot = self.slot;
        let form = CreateForm::of(version).ok_or(InterruptError::NotSpoken { slot, version })?;
        self.validate(architecture)?;
        if architecture == Architecture::Arm64 && form != CreateForm::V3 {
            return Err(InterruptError::VersionTooLow { slot, version });
        }
        if form == CreateForm::V1 {
            self.targets.to_mask().map_err(|vp| InterruptError::VpTooHigh { slot, vp, version })?;
        }
        Ok(CreateInterrupt {
            form,
            slot,
            vector: self.vector,
            delivery: Delivery::Fixed,
            count: self.count,
            targets: self.targets.clone(),
        })
    }
}
