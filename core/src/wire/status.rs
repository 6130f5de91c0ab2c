//! The status of a reply.

use core::fmt;

use zerocopy::little_endian::U32;

use super::codec::{put, view};
use super::{EncodeError, ParseError};

/// An NTSTATUS, the first u32 of every reply but that of GET_RESOURCES (`reference/protocol.md` section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

impl Status {
    /// STATUS_SUCCESS.
    pub const SUCCESS: Status = Status(0);
    /// STATUS_REVISION_MISMATCH: the host does not speak the version asked for; try the next.
    pub const REVISION_MISMATCH: Status = Status(0xC000_0059);
    /// STATUS_BAD_DATA: what OpenVMM answers to any malformed or failed request.
    pub const BAD_DATA: Status = Status(0xC000_090B);
    /// STATUS_NOT_SUPPORTED: what OpenVMM answers to RESET_DEVICE and TDISP_COMMAND.
    pub const NOT_SUPPORTED: Status = Status(0xC000_00BB);

    /// Whether the request succeeded: the sign bit is clear. Warnings of the success kind count as success, as they do
    /// for every known guest (section 4).
    pub const fn is_success(self) -> bool {
        self.0 & 0x8000_0000 == 0
    }

    /// The name of a code that is known.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Status::SUCCESS => Some("SUCCESS"),
            Status::REVISION_MISMATCH => Some("REVISION_MISMATCH"),
            Status::BAD_DATA => Some("BAD_DATA"),
            Status::NOT_SUPPORTED => Some("NOT_SUPPORTED"),
            _ => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

/// A reply of which only the status counts: to FDO_D0ENTRY, FDO_D0EXIT, WRITE_BLOCK, RESOURCES_RELEASED,
/// DELETE_INTERRUPT, EJECTION_COMPLETE and RESET_DEVICE, and any failed request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusReply {
    /// What became of the request.
    pub status: Status,
}

impl StatusReply {
    /// Reads a reply: 4 bytes, more is padding.
    pub fn parse(payload: &[u8]) -> Result<StatusReply, ParseError> {
        let (status, _) = view::<U32>("status", payload)?;
        Ok(StatusReply { status: Status(status.get()) })
    }

    /// Writes the reply and returns its length, 4.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        put(buf, &U32::new(self.status.0), &[], size_of::<U32>())
    }
}
