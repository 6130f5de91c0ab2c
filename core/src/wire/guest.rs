//! Everything a guest says.

use zerocopy::little_endian::U32;

use super::codec::{SlotHeader, put, slot, view};
use super::{
    AssignedForm, CreateForm, DeliveryMode, EncodeError, MessageRequest, MessageType, MmioDescriptor, MsiEntry,
    MsiResources, ParseError, PowerState, Version, VpSet,
};
use super::{assigned, block, eject, interrupt, negotiate, power, resources, tdisp};
use crate::Slot;

/// A buffer of this many bytes takes every guest message but TDISP_COMMAND and a RESOURCES_ASSIGNED with more than one
/// MSI resource.
pub const GUEST_MESSAGE_BUFFER: usize = 216;

/// A message from the guest to the host, in-band. Which of them want a completion is the engine's business.
///
/// Parsing borrows from the payload and allocates nothing. Slots that cannot exist are a [`ParseError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuestMessage<'a> {
    /// Asks whether the host speaks a version.
    QueryProtocolVersion {
        /// The version.
        version: Version,
    },
    /// Asks for the list of functions, which comes as a message of its own and not as a completion.
    QueryBusRelations,
    /// Asks for the probed BAR masks of a function.
    QueryResourceRequirements {
        /// The function.
        slot: Slot,
    },
    /// Asks for the resources a function has.
    GetResources {
        /// The function.
        slot: Slot,
    },
    /// Powers the bus up.
    D0Entry {
        /// Guest-physical address of the two-page config window.
        window: u64,
    },
    /// Powers the bus down.
    D0Exit,
    /// Puts a function into a power state.
    PowerStateChange {
        /// The function.
        slot: Slot,
        /// The state.
        state: PowerState,
    },
    /// Reads a configuration block.
    ReadBlock {
        /// The function.
        slot: Slot,
        /// The block's number.
        block: u32,
        /// Bytes to read, 1 to 128; parsing keeps whatever was sent.
        bytes: u32,
    },
    /// Writes a configuration block.
    WriteBlock {
        /// The function.
        slot: Slot,
        /// The block's number.
        block: u32,
        /// The bytes, 1 to 128 of them; parsing keeps whatever was sent.
        data: &'a [u8],
    },
    /// A function that the host wanted back is given back.
    EjectionComplete {
        /// The function.
        slot: Slot,
    },
    /// Says which resources a function gets.
    ResourcesAssigned {
        /// Which of the three messages.
        form: AssignedForm,
        /// The function.
        slot: Slot,
        /// Addresses by BAR register. All null means that the guest programs its BARs by config space.
        bars: [MmioDescriptor; 6],
        /// MSI resources; usually none.
        messages: MsiResources<'a>,
    },
    /// A function's resources are given up.
    ResourcesReleased {
        /// The function.
        slot: Slot,
    },
    /// Asks for an interrupt.
    CreateInterrupt {
        /// Which of the three messages.
        form: CreateForm,
        /// The function.
        slot: Slot,
        /// See [`MessageRequest::vector`].
        vector: u32,
        /// How it is delivered.
        delivery: DeliveryMode,
        /// The number of messages: see [`MessageRequest::count`].
        count: u16,
        /// The processors that may get it: at most 32, in the first form numbered at most 63.
        targets: VpSet,
    },
    /// Gives an interrupt back.
    DeleteInterrupt {
        /// The function.
        slot: Slot,
        /// The interrupt, exactly as the host returned it.
        entry: MsiEntry,
    },
    /// Resets a function (protocol 1.5).
    ResetDevice {
        /// The function.
        slot: Slot,
    },
    /// A TDISP command.
    TdispCommand {
        /// The function.
        slot: Slot,
        /// The command (protobuf), not interpreted.
        data: &'a [u8],
    },
    /// Anything else.
    Unknown {
        /// Its code.
        message_type: MessageType,
        /// The bytes behind the code, padding included.
        payload: &'a [u8],
    },
}

impl<'a> GuestMessage<'a> {
    /// Reads a message; bytes behind its fields are padding.
    pub fn parse(payload: &'a [u8]) -> Result<GuestMessage<'a>, ParseError> {
        let message_type = MessageType::parse(payload)?;
        let about = |what| -> Result<Slot, ParseError> {
            let (header, _) = view::<SlotHeader>(what, payload)?;
            Ok(slot(header.slot)?)
        };
        match message_type {
            MessageType::QUERY_PROTOCOL_VERSION => negotiate::parse(payload),
            MessageType::QUERY_BUS_RELATIONS => Ok(GuestMessage::QueryBusRelations),
            MessageType::QUERY_RESOURCE_REQUIREMENTS => {
                Ok(GuestMessage::QueryResourceRequirements { slot: about("QUERY_RESOURCE_REQUIREMENTS")? })
            }
            MessageType::GET_RESOURCES => Ok(GuestMessage::GetResources { slot: about("GET_RESOURCES")? }),
            MessageType::FDO_D0ENTRY => power::parse_d0_entry(payload),
            MessageType::FDO_D0EXIT => Ok(GuestMessage::D0Exit),
            MessageType::DEVICE_POWER_STATE_CHANGE => power::parse_state_change(payload),
            MessageType::READ_BLOCK => block::parse_read(payload),
            MessageType::WRITE_BLOCK => block::parse_write(payload),
            MessageType::EJECTION_COMPLETE => Ok(GuestMessage::EjectionComplete { slot: about("EJECTION_COMPLETE")? }),
            MessageType::RESOURCES_ASSIGNED => assigned::parse(AssignedForm::V1, payload),
            MessageType::RESOURCES_ASSIGNED2 => assigned::parse(AssignedForm::V2, payload),
            MessageType::RESOURCES_ASSIGNED3 => assigned::parse(AssignedForm::V3, payload),
            MessageType::RESOURCES_RELEASED => {
                Ok(GuestMessage::ResourcesReleased { slot: about("RESOURCES_RELEASED")? })
            }
            MessageType::CREATE_INTERRUPT => interrupt::parse_create(CreateForm::V1, payload),
            MessageType::CREATE_INTERRUPT2 => interrupt::parse_create(CreateForm::V2, payload),
            MessageType::CREATE_INTERRUPT3 => interrupt::parse_create(CreateForm::V3, payload),
            MessageType::DELETE_INTERRUPT => interrupt::parse_delete(payload),
            MessageType::RESET_DEVICE => Ok(GuestMessage::ResetDevice { slot: about("RESET_DEVICE")? }),
            MessageType::TDISP_COMMAND => tdisp::parse(payload),
            _ => {
                let (_, rest) = view::<U32>("message type", payload)?;
                Ok(GuestMessage::Unknown { message_type, payload: rest })
            }
        }
    }

    /// Writes the message at the front of `buf` and returns its length, which the carrier pads up to 8. The lengths are
    /// those of `reference/protocol.md` section 5; see the [module](super) for the padding rules.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let bare = U32::new(self.message_type().0);
        let about = |slot: Slot| SlotHeader::new(self.message_type(), slot.to_wire());
        match *self {
            GuestMessage::QueryProtocolVersion { version } => negotiate::encode(version, buf),
            GuestMessage::QueryBusRelations | GuestMessage::D0Exit => put(buf, &bare, &[], size_of::<U32>()),
            GuestMessage::QueryResourceRequirements { slot }
            | GuestMessage::ResourcesReleased { slot }
            | GuestMessage::ResetDevice { slot } => put(buf, &about(slot), &[], size_of::<SlotHeader>()),
            GuestMessage::GetResources { slot } => resources::encode_get_resources(slot, buf),
            GuestMessage::D0Entry { window } => power::encode_d0_entry(window, buf),
            GuestMessage::PowerStateChange { slot, state } => power::encode_state_change(slot, state, buf),
            GuestMessage::ReadBlock { slot, block, bytes } => block::encode_read(slot, block, bytes, buf),
            GuestMessage::WriteBlock { slot, block, data } => block::encode_write(slot, block, data, buf),
            GuestMessage::EjectionComplete { slot } => eject::encode_complete(slot, buf),
            GuestMessage::ResourcesAssigned { form, slot, ref bars, ref messages } => {
                assigned::encode(form, slot, bars, messages, buf)
            }
            GuestMessage::CreateInterrupt { form, slot, vector, delivery, count, ref targets } => {
                let request = MessageRequest { vector, delivery, count, targets: *targets };
                interrupt::encode_create(form, slot, &request, buf)
            }
            GuestMessage::DeleteInterrupt { slot, ref entry } => interrupt::encode_delete(slot, entry, buf),
            GuestMessage::TdispCommand { slot, data } => tdisp::encode(slot, data, buf),
            GuestMessage::Unknown { payload, .. } => {
                put(buf, &bare, payload, size_of::<U32>().saturating_add(payload.len()))
            }
        }
    }

    /// The code the message is sent with.
    pub const fn message_type(&self) -> MessageType {
        match self {
            GuestMessage::QueryProtocolVersion { .. } => MessageType::QUERY_PROTOCOL_VERSION,
            GuestMessage::QueryBusRelations => MessageType::QUERY_BUS_RELATIONS,
            GuestMessage::QueryResourceRequirements { .. } => MessageType::QUERY_RESOURCE_REQUIREMENTS,
            GuestMessage::GetResources { .. } => MessageType::GET_RESOURCES,
            GuestMessage::D0Entry { .. } => MessageType::FDO_D0ENTRY,
            GuestMessage::D0Exit => MessageType::FDO_D0EXIT,
            GuestMessage::PowerStateChange { .. } => MessageType::DEVICE_POWER_STATE_CHANGE,
            GuestMessage::ReadBlock { .. } => MessageType::READ_BLOCK,
            GuestMessage::WriteBlock { .. } => MessageType::WRITE_BLOCK,
            GuestMessage::EjectionComplete { .. } => MessageType::EJECTION_COMPLETE,
            GuestMessage::ResourcesAssigned { form, .. } => form.message_type(),
            GuestMessage::ResourcesReleased { .. } => MessageType::RESOURCES_RELEASED,
            GuestMessage::CreateInterrupt { form, .. } => form.message_type(),
            GuestMessage::DeleteInterrupt { .. } => MessageType::DELETE_INTERRUPT,
            GuestMessage::ResetDevice { .. } => MessageType::RESET_DEVICE,
            GuestMessage::TdispCommand { .. } => MessageType::TDISP_COMMAND,
            GuestMessage::Unknown { message_type, .. } => *message_type,
        }
    }

    /// The function the message is about.
    pub const fn slot(&self) -> Option<Slot> {
        match *self {
            GuestMessage::QueryProtocolVersion { .. }
            | GuestMessage::QueryBusRelations
            | GuestMessage::D0Entry { .. }
            | GuestMessage::D0Exit
            | GuestMessage::Unknown { .. } => None,
            GuestMessage::QueryResourceRequirements { slot }
            | GuestMessage::GetResources { slot }
            | GuestMessage::PowerStateChange { slot, .. }
            | GuestMessage::ReadBlock { slot, .. }
            | GuestMessage::WriteBlock { slot, .. }
            | GuestMessage::EjectionComplete { slot }
            | GuestMessage::ResourcesAssigned { slot, .. }
            | GuestMessage::ResourcesReleased { slot }
            | GuestMessage::CreateInterrupt { slot, .. }
            | GuestMessage::DeleteInterrupt { slot, .. }
            | GuestMessage::ResetDevice { slot }
            | GuestMessage::TdispCommand { slot, .. } => Some(slot),
        }
    }
}
