//! The numbers that name messages.

use core::fmt;

use zerocopy::little_endian::U32;

use super::ParseError;
use super::codec::view;

/// The first u32 of every message that is not a reply (`reference/protocol.md` section 3). Codes without a constant are
/// kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(pub u32);

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $offset:literal;)*) => {
        impl MessageType {
            /// The number that all codes are counted from.
            pub const BASE: u32 = 0x4249_0000;

            $($(#[$doc])* pub const $name: MessageType = MessageType(MessageType::BASE | $offset);)*

            /// Every code that has a name, in ascending order.
            pub const KNOWN: &[MessageType] = &[$(MessageType::$name),*];

            /// The name of a code that is known.
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
    /// Host to guest: the functions on the bus, up to protocol 1.2.
    BUS_RELATIONS = 0x00;
    /// Guest to host: asks for the list of functions.
    QUERY_BUS_RELATIONS = 0x01;
    /// Not used by any known guest; layout unknown.
    INVALIDATE_DEVICE = 0x02;
    /// Not used by any known guest; layout unknown.
    INVALIDATE_BUS = 0x03;
    /// Guest to host: D0 or D3 for one function.
    DEVICE_POWER_STATE_CHANGE = 0x04;
    /// Guest to host: asks for the probed BAR masks of one function.
    QUERY_RESOURCE_REQUIREMENTS = 0x05;
    /// Guest to host: asks for the resources a function has.
    GET_RESOURCES = 0x06;
    /// Guest to host: powers the bus up and says where the config window is.
    FDO_D0ENTRY = 0x07;
    /// Guest to host: powers the bus down.
    FDO_D0EXIT = 0x08;
    /// Guest to host: reads a config block.
    READ_BLOCK = 0x09;
    /// Guest to host: writes a config block.
    WRITE_BLOCK = 0x0A;
    /// Host to guest: give a function back.
    EJECT = 0x0B;
    /// Windows PnP stop; no open source uses it, direction and layout unknown.
    QUERY_STOP = 0x0C;
    /// Windows PnP stop; no open source uses it, direction and layout unknown.
    REENABLE = 0x0D;
    /// Windows PnP stop; no open source uses it, direction and layout unknown.
    QUERY_STOP_FAILED = 0x0E;
    /// Guest to host: the function asked for has been given back.
    EJECTION_COMPLETE = 0x0F;
    /// Guest to host: the resources of a function, protocol 1.1.
    RESOURCES_ASSIGNED = 0x10;
    /// Guest to host: a function's resources are given up.
    RESOURCES_RELEASED = 0x11;
    /// Host to guest: config blocks changed.
    INVALIDATE_BLOCK = 0x12;
    /// Guest to host: the version the guest wants to speak.
    QUERY_PROTOCOL_VERSION = 0x13;
    /// Guest to host: an interrupt, protocol 1.1.
    CREATE_INTERRUPT = 0x14;
    /// Guest to host: gives an interrupt back, every version.
    DELETE_INTERRUPT = 0x15;
    /// Guest to host: the resources of a function, protocol 1.2 and later.
    RESOURCES_ASSIGNED2 = 0x16;
    /// Guest to host: an interrupt, protocol 1.2 and 1.3.
    CREATE_INTERRUPT2 = 0x17;
    /// Defined but used by nobody: DELETE_INTERRUPT serves every version (section 2).
    DELETE_INTERRUPT2 = 0x18;
    /// Host to guest: the functions on the bus, protocol 1.3 and later.
    BUS_RELATIONS2 = 0x19;
    /// Guest to host: the resources of a function with 32-bit vectors, protocol 1.4 and later.
    RESOURCES_ASSIGNED3 = 0x1A;
    /// Guest to host: an interrupt, protocol 1.4 and later.
    CREATE_INTERRUPT3 = 0x1B;
    /// Guest to host: resets a function, protocol 1.5 and later.
    RESET_DEVICE = 0x1C;
    /// Guest to host: a TDISP command.
    TDISP_COMMAND = 0x1D;
}

impl MessageType {
    /// The code at the front of a message.
    pub fn parse(payload: &[u8]) -> Result<MessageType, ParseError> {
        let (code, _) = view::<U32>("message type", payload)?;
        Ok(MessageType(code.get()))
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageType({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_consecutive_from_the_base() {
        let codes: Vec<u32> = MessageType::KNOWN.iter().map(|t| t.0).collect();
        let expected: Vec<u32> = (0x4249_0000..=0x4249_001D).collect();
        assert_eq!(codes, expected);
        assert_eq!(MessageType(0x4249_0013).to_string(), "QUERY_PROTOCOL_VERSION");
        assert_eq!(MessageType(0x4249_001E).to_string(), "0x4249001e");
    }
}
