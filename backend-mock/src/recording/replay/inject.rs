//! Recorded requests of drivers, made again of our engine.

use hvpci_core::bus::{BlockData, Request};
use hvpci_core::interrupt::InterruptRequest;
use hvpci_core::wire::{GuestMessage, MmioDescriptor};

/// Why a recorded request cannot be made of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotInjected {
    /// The engine sends messages of this kind by itself, or has none such.
    OwnStep,
    /// A config block longer than any (`reference/protocol.md` section 5).
    Block(u64),
}

/// The request that makes our engine send what the recorded guest sent on behalf of a driver.
pub(super) fn to_request(message: &GuestMessage<'_>) -> Result<Request, NotInjected> {
    Ok(match *message {
        GuestMessage::CreateInterrupt { slot, vector, count, targets, .. } => {
            Request::CreateInterrupt(InterruptRequest { slot, vector, count, targets })
        }
        GuestMessage::DeleteInterrupt { slot, entry } => Request::DeleteInterrupt { slot, entry },
        GuestMessage::ReadBlock { slot, block, bytes } => {
            let bytes = u16::try_from(bytes).map_err(|_| NotInjected::Block(bytes.into()))?;
            Request::ReadBlock { slot, block, bytes }
        }
        GuestMessage::WriteBlock { slot, block, data } => {
            let data = BlockData::try_from(data).map_err(|_| NotInjected::Block(data.len() as u64))?;
            Request::WriteBlock { slot, block, data }
        }
        GuestMessage::PowerStateChange { slot, state } => Request::PowerState { slot, state },
        GuestMessage::ResetDevice { slot } => Request::ResetDevice { slot },
        GuestMessage::GetResources { slot } => Request::GetResources { slot },
        _ => return Err(NotInjected::OwnStep),
    })
}

/// The addresses by register that RESOURCES_ASSIGNED names.
pub(super) fn addresses(bars: &[MmioDescriptor; 6]) -> [Option<u64>; 6] {
    bars.map(|bar| match bar {
        MmioDescriptor::Memory { address, .. } => Some(address),
        _ => None,
    })
}
