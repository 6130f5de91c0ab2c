//! The host's own reading and writing of vPCI packets, from `reference/protocol.md` sections 3 to 5.
//!
//! Deliberately not the core's codec: see the module above.

mod bytes;
mod description;
mod descriptor;
mod request;

pub use bytes::{Reader, Writer};
pub use description::relations;
pub use descriptor::{Descriptor, large_length};
pub use request::{InterruptRequest, Request, RequestError};

use core::fmt;

/// The first dword of every packet that is not a completion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(pub u32);

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $low:literal;)*) => {
        impl MessageType {
            $($(#[$doc])* pub const $name: MessageType = MessageType(0x4249_0000 + $low);)*

            /// The name in the documents; `None` for an unknown message.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(MessageType::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

message_types! {
    /// Host to guest: the functions of the bus (before 1.3).
    BUS_RELATIONS = 0x00;
    /// Asks for the relations; never completed.
    QUERY_BUS_RELATIONS = 0x01;
    /// Host to guest; no guest uses it.
    INVALIDATE_DEVICE = 0x02;
    /// Host to guest; no guest uses it.
    INVALIDATE_BUS = 0x03;
    /// Turns a function on or off.
    DEVICE_POWER_STATE_CHANGE = 0x04;
    /// Asks for the probed BAR masks.
    QUERY_RESOURCE_REQUIREMENTS = 0x05;
    /// Asks for the BARs as they are.
    GET_RESOURCES = 0x06;
    /// The bus enters D0, with the config window.
    FDO_D0ENTRY = 0x07;
    /// The bus leaves D0.
    FDO_D0EXIT = 0x08;
    /// Reads a config block.
    READ_BLOCK = 0x09;
    /// Writes a config block.
    WRITE_BLOCK = 0x0A;
    /// Host to guest: give the function back.
    EJECT = 0x0B;
    /// Windows plug and play; no open source uses it.
    QUERY_STOP = 0x0C;
    /// Windows plug and play; no open source uses it.
    REENABLE = 0x0D;
    /// Windows plug and play; no open source uses it.
    QUERY_STOP_FAILED = 0x0E;
    /// The answer to EJECT.
    EJECTION_COMPLETE = 0x0F;
    /// Assigns resources, 16-byte interrupts.
    RESOURCES_ASSIGNED = 0x10;
    /// Takes all resources back.
    RESOURCES_RELEASED = 0x11;
    /// Host to guest: config blocks changed.
    INVALIDATE_BLOCK = 0x12;
    /// Version negotiation.
    QUERY_PROTOCOL_VERSION = 0x13;
    /// Creates an interrupt, CPU mask.
    CREATE_INTERRUPT = 0x14;
    /// Deletes an interrupt.
    DELETE_INTERRUPT = 0x15;
    /// Assigns resources, 72-byte interrupts.
    RESOURCES_ASSIGNED2 = 0x16;
    /// Creates an interrupt, CPU list.
    CREATE_INTERRUPT2 = 0x17;
    /// Unused.
    DELETE_INTERRUPT2 = 0x18;
    /// Host to guest: the functions of the bus with NUMA nodes (from 1.3).
    BUS_RELATIONS2 = 0x19;
    /// Assigns resources, 80-byte interrupts.
    RESOURCES_ASSIGNED3 = 0x1A;
    /// Creates an interrupt, CPU list, 32-bit vector.
    CREATE_INTERRUPT3 = 0x1B;
    /// Resets a function (1.5).
    RESET_DEVICE = 0x1C;
    /// TDISP, an opaque payload.
    TDISP_COMMAND = 0x1D;
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

/// The status codes hosts were seen to use (section 4), and the one a failing D0ENTRY gets here.
pub mod status {
    /// Done.
    pub const SUCCESS: u32 = 0;
    /// The version is not spoken.
    pub const REVISION_MISMATCH: u32 = 0xC000_0059;
    /// The request was malformed or could not be done.
    pub const BAD_DATA: u32 = 0xC000_090B;
    /// The host does not do this.
    pub const NOT_SUPPORTED: u32 = 0xC000_00BB;
    /// A general failure.
    pub const UNSUCCESSFUL: u32 = 0xC000_0001;
}
