//! Recorded packets against core's codec.

use hvpci_core::wire::{
    AssignedForm, CreateInterruptReply, GetResourcesReply, GuestMessage, HostMessage, MessageType, PowerStateReply,
    QueryProtocolVersionReply, ReadBlockReply, ResourceRequirementsReply, ResourcesAssignedReply, StatusReply,
    TdispReply,
};

use super::super::event::{Direction, Packet};

/// Requests that may wait for completions at once; more of them were never answered.
const MAX_OUTSTANDING: usize = 1024;

/// Matches completions to requests and parses both.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    /// Transaction ids repeat in recordings: of several requests with one id, the oldest is completed first.
    outstanding: Vec<(u64, MessageType, u32)>,
}

impl Matcher {
    /// Takes a packet; says what is wrong with it.
    pub(super) fn check(&mut self, packet: &Packet) -> Result<(), String> {
        let payload = packet.payload.as_slice();
        let id = packet.descriptor.transaction_id;
        if packet.descriptor.is_completion() {
            if packet.direction == Direction::GuestToHost {
                return Ok(());
            }
            let Some(at) = self.outstanding.iter().position(|(of, ..)| *of == id) else {
                return Err(format!("a completion of transaction {id:#x}, which is not open"));
            };
            let (_, request, bytes) = self.outstanding.remove(at);
            return reply(request, bytes, payload);
        }
        if packet.direction == Direction::HostToGuest {
            return match HostMessage::parse(payload).map_err(|error| error.to_string())? {
                HostMessage::Unknown { message_type, .. } => {
                    Err(format!("an unknown message from the host: {message_type:?}"))
                }
                _ => Ok(()),
            };
        }
        let message = GuestMessage::parse(payload).map_err(|error| error.to_string())?;
        let request = MessageType::parse(payload).map_err(|error| error.to_string())?;
        if packet.descriptor.wants_completion() {
            let bytes = if let GuestMessage::ReadBlock { bytes, .. } = message { bytes } else { 0 };
            if self.outstanding.len() == MAX_OUTSTANDING {
                self.outstanding.remove(0);
            }
            self.outstanding.push((id, request, bytes));
        }
        match message {
            GuestMessage::Unknown { message_type, .. } => Err(format!("an unknown request: {message_type:?}")),
            _ => Ok(()),
        }
    }

    /// Whatever was under way is not answered any more.
    pub(super) fn close(&mut self) {
        self.outstanding.clear();
    }
}

/// Parses a completion as the answer to `request`.
fn reply(request: MessageType, bytes: u32, payload: &[u8]) -> Result<(), String> {
    let parsed = match request {
        // Answered by a message of its own; a completion, where one was asked for, is empty.
        MessageType::QUERY_BUS_RELATIONS => return Ok(()),
        MessageType::QUERY_PROTOCOL_VERSION => QueryProtocolVersionReply::parse(payload).map(drop),
        MessageType::QUERY_RESOURCE_REQUIREMENTS => ResourceRequirementsReply::parse(payload).map(drop),
        MessageType::GET_RESOURCES => GetResourcesReply::parse(payload).map(drop),
        MessageType::RESOURCES_ASSIGNED => ResourcesAssignedReply::parse(AssignedForm::V1, payload).map(drop),
        MessageType::RESOURCES_ASSIGNED2 => ResourcesAssignedReply::parse(AssignedForm::V2, payload).map(drop),
        MessageType::RESOURCES_ASSIGNED3 => ResourcesAssignedReply::parse(AssignedForm::V3, payload).map(drop),
        MessageType::DEVICE_POWER_STATE_CHANGE => PowerStateReply::parse(payload).map(drop),
        MessageType::CREATE_INTERRUPT | MessageType::CREATE_INTERRUPT2 | MessageType::CREATE_INTERRUPT3 => {
            CreateInterruptReply::parse(payload).map(drop)
        }
        MessageType::READ_BLOCK => ReadBlockReply::parse(payload, bytes).map(drop),
        MessageType::TDISP_COMMAND => TdispReply::parse(payload).map(drop),
        _ => StatusReply::parse(payload).map(drop),
    };
    parsed.map_err(|error| error.to_string())
}
