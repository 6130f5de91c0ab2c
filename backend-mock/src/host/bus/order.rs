//! Whose turn a message is: the order of `reference/protocol.md` section 6.

use hvpci_core::Slot;
use hvpci_core::wire::Version;

use super::Bus;
use crate::host::ViolationKind;
use crate::host::packet::{MessageType, Request};

/// D0 as POWER_STATE_CHANGE numbers it.
pub(super) const POWER_D0: u32 = 1;

impl Bus {
    /// What is wrong with this request now; `None` if nothing is.
    pub(super) fn out_of_order(&self, kind: MessageType, request: &Request<'_>) -> Option<ViolationKind> {
        let Some(version) = self.version else {
            let negotiates = matches!(request, Request::QueryProtocolVersion { .. });
            return (!negotiates).then_some(ViolationKind::NotNegotiated(kind));
        };
        if version < since(kind) {
            return Some(ViolationKind::NewerThanVersion(kind, version));
        }
        match request {
            Request::QueryProtocolVersion { .. } => return Some(ViolationKind::NegotiatedTwice),
            // A dead kernel's D0 is answered with a failure, which is no fault of this guest.
            Request::D0Entry { .. } if self.in_d0 && !self.leftover => {
                return Some(ViolationKind::OutOfOrder(kind));
            }
            _ => {}
        }
        // What a guest sends to recover from a D0ENTRY that failed (section 6, kdump).
        let recovers =
            (self.leftover || self.refused) && matches!(request, Request::D0Exit | Request::ResourcesReleased { .. });
        if needs_d0(request) && !self.in_d0 && !recovers {
            return Some(if self.exited { ViolationKind::AfterD0Exit(kind) } else { ViolationKind::OutOfOrder(kind) });
        }
        let wslot = request.slot()?;
        let slot = Slot::from_wire(wslot);
        let function = slot.and_then(|slot| self.functions.get(&slot));
        let late = slot.is_some_and(|slot| self.departed.contains(&slot));
        match (request, function) {
            (Request::ResourcesReleased { .. }, None) if late => None,
            (Request::ResourcesReleased { .. }, None) => Some(ViolationKind::ReleasedUnassigned(wslot)),
            (Request::ResourcesReleased { .. }, Some(function)) => {
                (!function.assigned).then_some(ViolationKind::ReleasedUnassigned(wslot))
            }
            (_, None) if late => None,
            (_, None) => Some(ViolationKind::UnknownSlot(kind, wslot)),
            (Request::ResourcesAssigned { .. }, Some(function)) => {
                function.assigned.then_some(ViolationKind::AssignedTwice)
            }
            (Request::EjectionComplete { .. }, Some(function)) => {
                function.eject_deadline.is_none().then_some(ViolationKind::UnexpectedEjectionComplete)
            }
            (_, Some(function)) => {
                (needs_resources(request) && !function.assigned).then_some(ViolationKind::OutOfOrder(kind))
            }
        }
    }
}

/// The version that brought a message (section 2).
fn since(kind: MessageType) -> Version {
    match kind {
        MessageType::RESOURCES_ASSIGNED2 | MessageType::CREATE_INTERRUPT2 => Version::V1_2,
        MessageType::RESOURCES_ASSIGNED3 | MessageType::CREATE_INTERRUPT3 => Version::V1_4,
        MessageType::RESET_DEVICE => Version::V1_5,
        _ => Version::V1_1,
    }
}

/// Whether a request only makes sense between D0ENTRY and D0EXIT.
const fn needs_d0(request: &Request<'_>) -> bool {
    !matches!(
        request,
        Request::QueryProtocolVersion { .. }
            | Request::QueryBusRelations
            | Request::QueryResourceRequirements { .. }
            | Request::GetResources { .. }
            | Request::D0Entry { .. }
            | Request::EjectionComplete { .. }
    )
}

/// Whether a request only makes sense once the function's resources are assigned.
const fn needs_resources(request: &Request<'_>) -> bool {
    matches!(
        request,
        Request::CreateInterrupt { .. }
            | Request::PowerStateChange { state: POWER_D0, .. }
            | Request::ReadBlock { .. }
            | Request::WriteBlock { .. }
    )
}
