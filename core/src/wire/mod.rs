//! Bytes <-> messages: everything that crosses a vPCI channel, both directions, protocol 1.1 to 1.6
//! (`reference/protocol.md` sections 1 to 5).
//!
//! [`GuestMessage`] and [`HostMessage`] are what the two sides say by themselves; each begins with its
//! [`MessageType`]. Replies carry no type, only the transaction id of their request, so each is a struct of its own and
//! the caller says which it expects. In the ring a [`PacketDescriptor`] precedes either.
//!
//! # Padding
//!
//! VMBus packets are whole numbers of 8 bytes, so a receiver sees up to 7 bytes that nobody sent. Hence:
//!
//! * **Receiving**, a parser wants no more than the fields it uses and ignores what follows. Only a count or a length
//!   inside the message makes bytes data, and it is believed only as far as there are bytes: a count that does not fit
//!   is a [`ParseError`] that names both numbers. A failed reply may end after its status.
//! * **Sending**, an encoder writes the length that real guests send, reserved fields and all, with zeroes wherever the
//!   message has nothing to say. Two messages are longer than their content, for the sake of real hosts:
//!   RESOURCES_ASSIGNED always has room for one MSI resource ([`MSI_RESOURCE_ROOM`]) and WRITE_BLOCK ends in
//!   [`WRITE_BLOCK_EXTRA`] zero bytes. The padding to 8 is the carrier's.
//!
//! Nothing here allocates, blocks or keeps state; every call is legal in any context. Views borrow from the payload,
//! which must be a private copy: bytes in shared memory can change between a check and a use.
//!
//! # Example
//!
//! ```
//! use hvpci_core::wire::{GUEST_MESSAGE_BUFFER, GuestMessage, QueryProtocolVersionReply, Status, Version};
//!
//! let mut buf = [0; GUEST_MESSAGE_BUFFER];
//! let length = GuestMessage::QueryProtocolVersion { version: Version::V1_4 }.encode(&mut buf)?;
//! assert_eq!(buf[..length], [0x13, 0x00, 0x49, 0x42, 0x04, 0x00, 0x01, 0x00]);
//!
//! // The host's side reads the same bytes, whatever padding follows them.
//! let message = GuestMessage::parse(&buf)?;
//! assert_eq!(message, GuestMessage::QueryProtocolVersion { version: Version::V1_4 });
//!
//! // A refusal may be cut short after its status; a success may not.
//! let reply = QueryProtocolVersionReply::parse(&Status::REVISION_MISMATCH.0.to_le_bytes())?;
//! assert_eq!(reply.status, Status::REVISION_MISMATCH);
//! assert!(QueryProtocolVersionReply::parse(&Status::SUCCESS.0.to_le_bytes()).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assigned;
mod block;
mod codec;
mod description;
mod descriptor;
mod eject;
mod error;
mod guest;
mod host;
mod interrupt;
mod message_type;
mod mmio;
mod negotiate;
mod power;
mod relations;
mod resources;
mod status;
mod tdisp;
mod version;
mod vp_set;

pub use assigned::{
    AssignedForm, MAX_MSI_RESOURCES, MSI_RESOURCE_ROOM, MsiResources, ResourcesAssignedReply, TranslatedMessages,
};
pub use block::{MAX_BLOCK_BYTES, ReadBlockReply, WRITE_BLOCK_EXTRA, WriteBlockReply};
pub use description::{FunctionDescription, ProbedBars};
pub use descriptor::{
    DEFAULT_RECEIVED_PACKET_LIMIT, FIRST_TRANSACTION_ID, MAX_PAYLOAD_LENGTH, PACKET_ALIGNMENT,
    PACKET_DESCRIPTOR_LENGTH, PacketDescriptor, PacketFlags, PacketType,
};
pub use error::{EncodeError, InvalidSlot, ParseError};
pub use guest::{GUEST_MESSAGE_BUFFER, GuestMessage};
pub use host::HostMessage;
pub use interrupt::{
    CreateForm, CreateInterruptReply, DeliveryMode, MAX_MESSAGES_PER_REQUEST, MessageRequest, MsiEntry,
};
pub use message_type::MessageType;
pub use mmio::{MAX_RANGE_LENGTH, MmioDescriptor};
pub use negotiate::QueryProtocolVersionReply;
pub use power::{PowerState, PowerStateReply};
pub use relations::{MAX_RELATIONS, Relations, RelationsForm, RelationsIter};
pub use resources::{GetResourcesReply, ResourceRequirementsReply};
pub use status::{Status, StatusReply};
pub use tdisp::TdispReply;
pub use version::Version;
pub use vp_set::{MAX_VPS_IN_LIST, MAX_VPS_IN_MASK, VpSet, VpSetFull};

#[cfg(test)]
mod tests;
