//! Our messages against the recorded ones.

use hvpci_core::Slot;
use hvpci_core::wire::{GuestMessage, MessageType, MmioDescriptor};

/// What makes two requests the same step: the kind, whatever its form, and the function.
pub(super) type Kind = (MessageType, Option<Slot>);

/// The kind of a request.
pub(super) fn kind(message: &GuestMessage<'_>) -> Kind {
    let message_type = match message {
        GuestMessage::CreateInterrupt { .. } => MessageType::CREATE_INTERRUPT,
        GuestMessage::ResourcesAssigned { .. } => MessageType::RESOURCES_ASSIGNED,
        other => other.message_type(),
    };
    (message_type, message.slot())
}

/// Whether it is a caller's request and no step of the engine's own.
pub(super) fn is_callers(message: &GuestMessage<'_>) -> bool {
    matches!(
        message,
        GuestMessage::CreateInterrupt { .. }
            | GuestMessage::DeleteInterrupt { .. }
            | GuestMessage::ReadBlock { .. }
            | GuestMessage::WriteBlock { .. }
            | GuestMessage::PowerStateChange { .. }
            | GuestMessage::ResetDevice { .. }
            | GuestMessage::GetResources { .. }
    )
}

/// How a message of ours differs from the recorded one of the same kind in what is not for a guest to choose.
///
/// Not compared: the addresses of BARs named by message (each guest places its own), MSI resources announced ahead of
/// CREATE_INTERRUPT (a guest's option), and the delivery mode (ours is always fixed, and the retarget hypercall decides
/// anew).
pub(super) fn difference(ours: &GuestMessage<'_>, recorded: &GuestMessage<'_>) -> Option<String> {
    let what = match (ours, recorded) {
        (
            GuestMessage::ResourcesAssigned { form: our_form, bars: ours, .. },
            GuestMessage::ResourcesAssigned { form, bars, .. },
        ) => {
            if our_form != form {
                format!("form {form:?}, ours is {our_form:?}")
            } else if let Some(bar) = ours.iter().zip(bars).position(|(ours, bar)| length(ours) != length(bar)) {
                format!("BAR {bar} is {:?}, ours is {:?}", bars[bar], ours[bar])
            } else {
                return None;
            }
        }
        (
            GuestMessage::CreateInterrupt {
                form: our_form, vector: our_vector, count: our_count, targets: ours, ..
            },
            GuestMessage::CreateInterrupt { form, vector, count, targets, .. },
        ) => {
            if our_form != form {
                format!("form {form:?}, ours is {our_form:?}")
            } else if (our_vector, our_count, ours) != (vector, count, targets) {
                format!(
                    "vector {vector}, count {count}, {targets:?}; ours: vector {our_vector}, count {our_count}, {ours:?}"
                )
            } else {
                return None;
            }
        }
        _ if ours == recorded => return None,
        _ => format!("{recorded:?}, ours is {ours:?}"),
    };
    Some(format!("{} differs from ours: {what}", recorded.message_type()))
}

/// The length of a memory resource; of nothing and of other resources, which must be equal, none.
fn length(bar: &MmioDescriptor) -> Result<u64, MmioDescriptor> {
    match bar {
        MmioDescriptor::Memory { length, .. } => Ok(*length),
        other => Err(*other),
    }
}
