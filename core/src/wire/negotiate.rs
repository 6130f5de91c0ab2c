//! QUERY_PROTOCOL_VERSION.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{put, reply, view};
use super::{EncodeError, GuestMessage, MessageType, ParseError, Status, Version};

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Query {
    message_type: U32,
    version: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Reply {
    status: U32,
    version: U32,
}

/// 8 bytes. FreeBSD sends four zero bytes more, which are ignored.
pub(super) fn parse(payload: &[u8]) -> Result<GuestMessage<'_>, ParseError> {
    let (query, _) = view::<Query>("QUERY_PROTOCOL_VERSION", payload)?;
    Ok(GuestMessage::QueryProtocolVersion { version: Version(query.version.get()) })
}

pub(super) fn encode(version: Version, buf: &mut [u8]) -> Result<usize, EncodeError> {
    let message_type = U32::new(MessageType::QUERY_PROTOCOL_VERSION.0);
    put(buf, &Query { message_type, version: U32::new(version.0) }, &[], size_of::<Query>())
}

/// The answer to QUERY_PROTOCOL_VERSION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryProtocolVersionReply {
    /// Whether the host speaks the version asked for.
    pub status: Status,
    /// **Quirk**: the highest version the host knows, not the one agreed on, and OpenVMM always says 1.3
    /// (`reference/protocol.md` section 5). Not to be relied on.
    pub version: Version,
}

impl QueryProtocolVersionReply {
    /// Reads a reply: 8 bytes, or a failed status alone.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let layout: Reply = reply("reply to QUERY_PROTOCOL_VERSION", payload)?;
        Ok(Self { status: Status(layout.status.get()), version: Version(layout.version.get()) })
    }

    /// Writes the reply and returns its length, 8.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let layout = Reply { status: U32::new(self.status.0), version: U32::new(self.version.0) };
        put(buf, &layout, &[], size_of::<Reply>())
    }
}
